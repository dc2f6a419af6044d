"""What streamq promises, proved against real faults."""
