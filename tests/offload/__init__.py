"""Data outside the stream: read when its job is run, kept as long as anybody has it."""
