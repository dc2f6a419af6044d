"""The files that run streamq in production."""
