"""The pages, one file each; every file runs alone."""
