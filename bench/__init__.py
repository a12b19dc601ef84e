"""Speed, measured as ratios within one run. What belongs here: what `make bench` measures, and nothing it serves.

Absolute seconds say what machine they were taken on; a ratio of two things done in turns on one machine says
something about the product. One module per piece; states.py builds the marketplaces they are measured on.
"""
