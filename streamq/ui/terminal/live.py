"""The live view: pictures and keys in, screens out, until a person has seen enough."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from streamq.admin import Admin
from streamq.errors import StreamqError
from streamq.text import printable
from streamq.ui.terminal.feed import Feed
from streamq.ui.terminal.keyboard import Keyboard
from streamq.ui.terminal.line import Line
from streamq.ui.terminal.marks import marks_for
from streamq.ui.terminal.order import Order
from streamq.ui.terminal.prompt import Entry, Prompt, Question
from streamq.ui.terminal.screen import ALWAYS, BACK, screen
from streamq.ui.terminal.terminal import Terminal
from streamq.ui.terminal.views.overview import Overview
from streamq.ui.terminal.views.view import Action, Key, View

ESC_WAIT = 0.05
"""Seconds after which an Esc is one, and no longer the beginning of an arrow key."""

TERMINATED = 143


async def live(
    admin: Admin, feed: Feed, order: Order, *, read_only: bool = False, colors: bool = True
) -> int:
    """Take the terminal over until a person leaves; the exit code.

    Raises:
        StreamqError: there is not even a first picture.
    """
    keys, output = sys.stdin.fileno(), sys.stdout.fileno()
    with Terminal(keys, output, colors=colors) as terminal:
        return await Live(admin, feed, order, terminal, read_only=read_only).run(keys)


class Live:
    """Views one above the other, of which the last is seen."""

    def __init__(
        self, admin: Admin, feed: Feed, order: Order, terminal: Terminal, *, read_only: bool
    ) -> None:
        self.admin = admin
        self.feed = feed
        self.marks = marks_for(sys.stdout.encoding)
        self._terminal = terminal
        self._read_only = read_only
        self._keyboard = Keyboard()
        self._views: list[View] = [Overview(self, order)]
        self._prompt: Prompt | None = None
        self._message: Line | None = None
        self._help = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._looking: View | None = None
        self._drawing = False
        self._undecided: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()

    async def run(self, keys: int) -> int:
        """Go on until somebody ends it; the exit code."""
        self._start(self._follow())
        self._start(self._tick())
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGWINCH: self._redraw,
            signal.SIGTERM: lambda: self._end(TERMINATED),
            signal.SIGHUP: lambda: self._end(TERMINATED),
            signal.SIGTSTP: self._suspend,
        }
        for number, handle in handlers.items():
            self._loop.add_signal_handler(number, handle)
        self._loop.add_reader(keys, self._guarded(self._read))
        self._draw()
        try:
            return await self._ended
        finally:
            self._loop.remove_reader(keys)
            for number in handlers:
                self._loop.remove_signal_handler(number)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what views ask for ---------------------------------------------------

    def open(self, view: View) -> None:
        """Show another view; Esc leads back."""
        self._views.append(view)
        self.look()

    def say(self, message: str, style: str = "") -> None:
        """Show a line until the next key."""
        self._message = Line((printable(message), style))
        self._draw()

    def do(self, action: Action) -> None:
        """Do something in the background, and say what it says."""

        async def act() -> None:
            try:
                said = await action()
            except StreamqError as error:
                self.say(str(error), "red")
            else:
                if said:
                    self.say(said)
            self.look()

        self._start(act())

    def change(self, question: str, action: Action) -> None:
        """Do something if the person says yes."""
        if self._read_only:
            self.say("Nothing is changed from here: it was started with --read-only")
            return

        def answered(yes: bool) -> None:
            if yes:
                self.do(action)
            else:
                self.say("Nothing was changed")

        self._prompt = Question(question, answered)
        self._draw()

    def ask(self, label: str, text: str, changed: Callable[[str], None]) -> None:
        """Let the person type a line; ``changed`` gets it with every key."""
        self._prompt = Entry(label, text, changed)

    def look(self) -> None:
        """Let the view ask the server now."""
        view = self._views[-1]
        if self._looking is not view:
            self._start(self._look(view))

    # -- what happens ---------------------------------------------------------

    async def _follow(self) -> None:
        async for _ in self.feed.news():
            if self.feed.lost is None:
                self.look()
            self._draw()

    async def _tick(self) -> None:
        """Time goes by, also while the server is silent."""
        while True:
            await asyncio.sleep(1)
            self._draw()

    async def _look(self, view: View) -> None:
        self._looking = view
        try:
            await view.look()
        finally:
            if self._looking is view:
                self._looking = None
        self._draw()

    def _read(self) -> None:
        data = self._terminal.read()
        if not data:
            self._end(TERMINATED)  # the terminal has gone
            return
        if self._undecided is not None:
            self._undecided.cancel()
        self._press_all(self._keyboard.keys(data))
        if self._keyboard.undecided:
            decide = self._guarded(lambda: self._press_all(self._keyboard.decide()))
            self._undecided = self._loop.call_later(ESC_WAIT, decide)

    def _press_all(self, keys: list[str]) -> None:
        for key in keys:
            self._press(key)
        self._draw()

    def _press(self, key: str) -> None:
        if self._prompt is not None:
            prompt, self._prompt = self._prompt, None
            if not prompt.press(key):
                self._prompt = prompt
            return
        self._message = None
        if key == "redraw":
            self._terminal.forget()
        elif self._help:
            self._help = False
        elif key == "q":
            self._end(0)
        elif key == "?":
            self._help = True
        else:
            self._press_in_view(key)

    def _press_in_view(self, key: str) -> None:
        view = self._views[-1]
        if key not in ("esc", "left", "backspace"):
            view.press(key)
        elif not view.leave(key) and len(self._views) > 1:
            self._views.pop()
            self.look()

    # -- how ------------------------------------------------------------------

    def _keys(self) -> list[Key]:
        own = [key for key in self._views[-1].keys if not (key.changes and self._read_only)]
        return [*own, *([BACK] if len(self._views) > 1 else []), *ALWAYS]

    def _draw(self) -> None:
        """Draw soon, once for all that has changed."""
        if not self._drawing and not self._ended.done():
            self._drawing = True
            self._loop.call_soon(self._guarded(self._draw_now))

    def _draw_now(self) -> None:
        self._drawing = False
        if self._ended.done():
            return
        line = self._message if self._prompt is None else self._prompt.line()
        self._terminal.show(
            screen(
                self._views[-1], self.feed, self.marks, self._terminal.size, line, self._keys(),
                help=self._help,
            )
        )  # fmt: skip

    def _redraw(self) -> None:
        self._terminal.forget()
        self._draw()

    def _suspend(self) -> None:
        """Ctrl-Z: the shell gets its terminal, until it lets this process go on."""
        self._terminal.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._terminal.take()
        self._draw()

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _fail(self, error: BaseException) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)

    def _guarded(self, call: Callable[[], None]) -> Callable[[], None]:
        """What fails in a callback of the event loop ends it, and gives the terminal back."""

        def guarded() -> None:
            try:
                call()
            except Exception as error:
                self._fail(error)

        return guarded

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
