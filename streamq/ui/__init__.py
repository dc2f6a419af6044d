"""What people and programs look at: in a terminal and over HTTP, on ``app`` and ``app.admin``."""
