"""One adapter for each system under test."""
