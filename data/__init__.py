"""Where state lives, and the only gates to it: settings, clock, contracts, landing, lake, operations."""
