"""What a terminal sends when a person types, as names of keys."""

from __future__ import annotations

import codecs
import re

NAMES = {
    "\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace",
    "\x0c": "redraw", "\x15": "clear",
    "\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left",
    "\x1bOA": "up", "\x1bOB": "down", "\x1bOC": "right", "\x1bOD": "left",
    "\x1b[H": "home", "\x1b[F": "end", "\x1bOH": "home", "\x1bOF": "end",
    "\x1b[1~": "home", "\x1b[4~": "end", "\x1b[7~": "home", "\x1b[8~": "end",
    "\x1b[5~": "pageup", "\x1b[6~": "pagedown", "\x1b[Z": "backtab",
}  # fmt: skip

# A control sequence, one of the older three bytes, or a character.
_KEY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[@-~]|[^\x1b]")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")
_PASTE, _PASTED = "\x1b[200~", "\x1b[201~"


class Keyboard:
    """Bytes in, keys out: their names, or the character that was typed.

    What is pasted comes as one key, ``paste:`` and the text, so that it is not taken for keys.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._left = ""

    @property
    def undecided(self) -> bool:
        """Whether a key may have come in part, such as the Esc of an arrow key."""
        return bool(self._left)

    def keys(self, data: bytes) -> list[str]:
        """The keys that came with these bytes and those before."""
        text, self._left = self._left + self._decode(data), ""
        found: list[str] = []
        while text:
            if text.startswith(_PASTE):
                pasted, end, rest = text[len(_PASTE) :].partition(_PASTED)
                if not end:
                    self._left = text
                    return found
                found.append(f"paste:{pasted}")
                text = rest
            elif match := _KEY.match(text):
                found.append(NAMES.get(match[0], match[0]))
                text = text[match.end() :]
            elif _BEGUN.fullmatch(text):
                self._left = text
                return found
            else:  # Esc, then another key
                found.append("esc")
                text = text[1:]
        return [key for key in found if key.isprintable() or key.startswith("paste:")]

    def decide(self) -> list[str]:
        """Nothing more has come for a while: then an Esc was the key of that name."""
        left, self._left = self._left, ""
        return ["esc"] if left == "\x1b" else []
