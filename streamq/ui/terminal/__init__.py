"""``streamq top``: a live view for a terminal.

::

    feed ─▶ picture ─▶ views (lines of text, for a given size) ─▶ terminal
                         ▲
    keyboard ─▶ keys ────┘

Nothing here is for users: it may change with every version. It uses no library for terminals,
see ``docs/decisions.md``.
"""
