"""Two versions of streamq on one stream, as during a deploy."""
