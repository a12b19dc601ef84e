"""Groups of commands, one file each: what cli.py adds under a name of its own."""
