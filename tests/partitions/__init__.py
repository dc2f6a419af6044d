"""Streams of several partitions."""
