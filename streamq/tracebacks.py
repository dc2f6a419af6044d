"""Where a handler failed, as text that is safe to show."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, TracebackType

from streamq.limits import MAX_LOGGED, MAX_TRACEBACK
from streamq.text import printable, printable_lines

HEAD = "Traceback (most recent call last):"

_OWN = f"{Path(__file__).parent}{os.sep}"

_FIRST, _LAST = 10, 40
"""Frames of one error that are told, of those that have more."""

_ERRORS = 10
"""Errors of a chain, or of a group, that are told."""

_REMEMBERED = 1000
"""Lines of code whose text is kept."""

_MESSAGE = 1000
"""Characters of what an error says."""

_GAP = "\n  …\n"


class RemoteTraceback(Exception):
    """Where a handler failed in a process of its own: the cause of the error that came back.

    Attributes:
        text: the traceback.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}\n"""'


def traceback_of(error: BaseException) -> str:
    """The traceback of an error and of those that led to it, without the frames of streamq.

    The :mod:`traceback` of Python looks at each file once more for each error, and does not
    bound what it writes.

    Returns:
        Lines without control characters, some 32,000 characters at most; ``""`` for an error
        without frames.
    """
    try:
        text = "\n".join(_tell(error, set()))
    except Exception:  # a stranger's error that cannot be looked at: the job is not to suffer
        return ""
    return shortened(text, MAX_LOGGED) if HEAD in text else ""


def shortened(text: str, limit: int = MAX_TRACEBACK) -> str:
    """A traceback with its first and its last lines.

    Args:
        limit: the most characters.
    """
    if len(text) <= limit:
        return text
    first = text[: limit // 4].rpartition("\n")[0]
    last = text[len(first) + len(_GAP) - limit :]
    return first + _GAP + (last.partition("\n")[2] or last)


def _tell(error: BaseException, seen: set[int]) -> Iterator[str]:
    """The lines on an error: what led to it, where it was raised, what it says, what it holds."""
    seen.add(id(error))
    cause, context = error.__cause__, error.__context__
    if isinstance(cause, RemoteTraceback):
        yield from cause.text.splitlines()
        return
    if error.__suppress_context__:
        context = None
    before = cause or context
    if before is not None and id(before) not in seen and len(seen) < _ERRORS:
        yield from _tell(before, seen)
        yield ""
        if cause is not None:
            yield "The above exception was the direct cause of the following exception:"
        else:
            yield "During handling of the above exception, another exception occurred:"
        yield ""
    frames = _frames(error.__traceback__)
    if frames:
        yield HEAD
        yield from frames
    yield from _words(error)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            if id(one) not in seen and len(seen) < _ERRORS:
                for line in _tell(one, seen):
                    yield f"  | {line}"
                yield "  +---"


def _frames(traceback: TracebackType | None) -> list[str]:
    frames: list[_Frame] = []
    while traceback is not None:
        frame = _frame(traceback.tb_frame.f_code, traceback.tb_lineno)
        if not (frame.own or (frame.plumbing and not frames)):
            frames.append(frame)
        traceback = traceback.tb_next
    more = len(frames) - _FIRST - _LAST
    if more <= 0:
        return [line for frame in frames for line in frame.lines]
    first = [line for frame in frames[:_FIRST] for line in frame.lines]
    last = [line for frame in frames[-_LAST:] for line in frame.lines]
    return [*first, f"  … {more} more", *last]


class _Frame:
    """One line of code, as it is told."""

    __slots__ = ("code", "lines", "own", "plumbing")

    def __init__(self, code: CodeType, number: int) -> None:
        name = code.co_filename
        self.code = code
        self.own = name.startswith(_OWN)
        self.plumbing = f"{os.sep}anyio{os.sep}" in name
        self.lines = [f'  File "{printable(name)}", line {number}, in {printable(code.co_name)}']
        source = linecache.getline(name, number).strip()
        if source:
            self.lines.append(f"    {printable(source)}")


# When many jobs fail, they fail at the same place. Code is slow to hash; each frame here keeps
# its own alive, so that no other has the same ID.
_told: dict[tuple[int, int], _Frame] = {}


def _frame(code: CodeType, number: int | None) -> _Frame:
    key = id(code), number or 0
    frame = _told.get(key)
    if frame is None:
        if len(_told) >= _REMEMBERED:
            _told.clear()
        frame = _told[key] = _Frame(code, number or 0)
    return frame


def _words(error: BaseException) -> Iterator[str]:
    kind = type(error)
    home = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    first, *more = printable_lines(error, _MESSAGE) or [""]
    yield printable(f"{home}{kind.__qualname__}: {first}" if first else home + kind.__qualname__)
    # Indented, so that a message of many lines is not taken for lines of the log.
    for line in more:
        yield f"  {line}"
    notes = getattr(error, "__notes__", None)
    for note in notes[:_ERRORS] if isinstance(notes, list) else ():
        for line in printable_lines(note, _MESSAGE):
            yield f"  {line}"
