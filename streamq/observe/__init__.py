"""What a worker reports: log, metrics."""
