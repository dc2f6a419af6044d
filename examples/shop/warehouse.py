"""What is on the shelves; it stands for a database."""

shelves: dict[str, int] = {}


def take(item: str) -> bool:
    """Take one from its shelf, if there is one."""
    if shelves.get(item, 0) == 0:
        return False
    shelves[item] -= 1
    return True
