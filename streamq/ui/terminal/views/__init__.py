"""What the screen can show below its header, one at a time: a view a module."""
