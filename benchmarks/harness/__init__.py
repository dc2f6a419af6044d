"""What the benchmark scripts share: servers, systems, rounds, statistics, tables and charts."""
