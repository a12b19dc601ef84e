"""Pure thinking: frames in, frames out. No I/O, no clock, no Dagster."""
