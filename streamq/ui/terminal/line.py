"""A line of text in styles, cut and filled by the columns of the screen that it takes."""

from __future__ import annotations

from collections.abc import Iterable

Part = tuple[str, str]
"""Text, which must be :func:`~streamq.text.printable`, and the names of its styles."""

ATTRIBUTES = {"bold": "1", "dim": "2", "reverse": "7"}
COLORS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}
"""The terminal's own colours: they fit its background, dark or light."""

RESET = "\x1b[0m"


class Line:
    """One line: parts of text, each in a style such as ``bold red``."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Part | str) -> None:
        self.parts: list[Part] = [(p, "") if isinstance(p, str) else p for p in parts]

    def add(self, text: str, style: str = "") -> Line:
        """Add a part at the end; the line itself."""
        self.parts.append((text, style))
        return self

    @property
    def plain(self) -> str:
        """Its text alone."""
        return "".join(text for text, _ in self.parts)

    @property
    def width(self) -> int:
        """The columns that it takes."""
        return cells(self.plain)

    def fitted(self, width: int, end: str = "…") -> Line:
        """Cut or filled to exactly that many columns.

        Args:
            end: what a line that was cut ends with.
        """
        over = self.width - width
        if over <= 0:
            return Line(*self.parts, (" " * -over, "")) if over else self
        fitted, left = Line(), width
        for text, style in self.parts:
            taken = cut(text, left, end if cells(text) > left else "")
            fitted.add(taken, style)
            left -= cells(taken)
            if cells(text) > cells(taken):
                break
            if left == 0:
                # The next part is cut to nothing: this one has to say so.
                fitted.parts[-1] = (cut(text, cells(text) - 1, "") + end, style)
                break
        return Line(*fitted.parts, (" " * max(width - fitted.width, 0), ""))

    def styled(self, style: str) -> Line:
        """All of it in one style."""
        return Line(*((text, style) for text, _ in self.parts))

    def ansi(self, *, colors: bool = True) -> str:
        """With the terminal's codes for its styles.

        Args:
            colors: ``False`` leaves bold, dim and reverse.
        """
        return "".join(_ansi(text, style, colors) for text, style in self.parts)


def _ansi(text: str, style: str, colors: bool) -> str:
    if not style or not text:
        return text
    codes = [ATTRIBUTES.get(name) or (COLORS[name] if colors else None) for name in style.split()]
    said = ";".join(code for code in codes if code)
    return f"\x1b[{said}m{text}{RESET}" if said else text


def cells(text: str) -> int:
    """The columns that a text takes: wide characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int, end: str = "…") -> str:
    """The text, or as much of it and of ``end`` as fits."""
    if cells(text) <= width:
        return text
    room = width - cells(end)
    if room < 0:
        return ""
    if text.isascii():
        return text[:room] + end
    taken = 0
    for index, char in enumerate(text):
        taken += cells(char)
        if taken > room:
            return text[:index] + end
    return text


def joined(lines: Iterable[Line], between: Part) -> Line:
    """Several on one line."""
    whole = Line()
    for index, line in enumerate(lines):
        if index:
            whole.parts.append(between)
        whole.parts += line.parts
    return whole


def wrapped(text: str, width: int) -> list[str]:
    """The text on as many lines as it takes, broken at spaces where there are some."""
    lines = []
    while cells(text) > width > 0:
        line = cut(text, width, "")
        # A character that is wider than the screen is left out.
        line = line or text[:1]
        space = line.rfind(" ")
        if space > len(line) // 2 and text[len(line) : len(line) + 1] != " ":
            line = line[:space]
        lines.append(line)
        text = text[len(line) :].lstrip(" ")
    return [*lines, text]
