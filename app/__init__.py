"""Doors: whatever listens on a port."""
