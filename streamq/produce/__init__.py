"""Writing jobs to a stream."""
