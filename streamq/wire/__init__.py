"""What stands in Redis, as Python knows it: key names, entries, verdicts, dead letters."""
