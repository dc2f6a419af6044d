"""What people and programs look at over HTTP: it all stands on ``app`` and ``app.admin``."""
