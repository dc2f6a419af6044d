"""What bites on a server that streamq works with, and what to do about each."""
