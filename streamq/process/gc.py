"""The garbage collector of a process that does nothing but work on jobs."""

from __future__ import annotations

import gc

YOUNG = 10_000
"""Objects more than before that set off a round of the collector."""


def collect_less() -> None:
    """Spare the process rounds that find nothing.

    Jobs in flight are many young objects without cycles: with Python's own threshold, made
    for other programs, the collector looks at each several times. What the imports have
    left stays for good and is no longer looked at. Cycles that handlers leave are found
    as before, a little later. A threshold that was raised before, or a collector switched
    off, is left as it is.
    """
    young, *older = gc.get_threshold()
    if not gc.isenabled() or not 0 < young < YOUNG:
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *older)
