"""What is told of a worker: log, metrics."""
