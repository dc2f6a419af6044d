"""Flow control of a group: order, concurrency, rates; what an operator has set."""
