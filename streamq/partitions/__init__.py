"""Streams of several partitions: one name over several keys, each in a slot of its own.

``mapping`` says which partition has which key; ``layout`` how many there are, as the server knows
it; ``growing`` makes more of them.
"""

from streamq.partitions.growing import finish, grow, laid_out
from streamq.partitions.layout import Layout, has_own_entries, read_layout
from streamq.partitions.mapping import Partitioned, check_partitioned, hash_of

__all__ = [
    "Layout", "Partitioned", "check_partitioned", "finish", "grow", "has_own_entries", "hash_of",
    "laid_out", "read_layout",
]  # fmt: skip
