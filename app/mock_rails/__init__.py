"""The mock marketplace: a stranger that behaves like a Rails API and knows nothing of Chalkline.

Here belong the seeded world, its API, its webhooks and its export. Nothing here imports another room.
"""
