"""What is proved where a server may be lost with all that it alone knew."""

from __future__ import annotations

from tests.faults.checker import Evidence, violations


def broken(evidence: Evidence) -> list[str]:
    """The promises that were not kept, but for those that a lost server may break.

    What an old primary alone knew is undone, an ack with its effect: what was begun there, and at
    which delivery, proves nothing.
    """
    found = violations(evidence)
    return [one for one in found if "begun" not in one and "settled at delivery" not in one]
