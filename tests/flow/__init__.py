"""Order, concurrency, rates: what a group asks of flow control."""
