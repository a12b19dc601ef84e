"""The seeded world: who exists, what happens on every day, and the truth that was planted in it."""
