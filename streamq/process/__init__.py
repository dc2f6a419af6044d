"""A process of streamq's own: event loop, garbage collector, supervisor."""
