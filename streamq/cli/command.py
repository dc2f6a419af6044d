"""Commands out of functions: their parameters say what a person may type.

::

    @commands.command(epilog=examples("streamq group create images"))
    def create(
        group: Annotated[str, Argument(metavar="GROUP", help="The group's name.")],
        start: Annotated[str, Option("--from", metavar="ID", help="Where it starts.")] = "0",
    ) -> None:
        \"\"\"Create a group.\"\"\"

A parameter that is a dataclass stands for the options that its fields are::

    def consume(options: ConsumeOptions) -> None: ...

Click parses and prints. A family's modules are imported when one of its commands is run, so a
command costs the time of no other.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click import Abort, BadParameter, Context, UsageError
from click.exceptions import Exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "Abort", "Argument", "BadParameter", "Command", "Context", "Exit", "Family", "LazyFamily",
    "Option", "UsageError",
]  # fmt: skip

Parser = Callable[[Any], Any]
Completer = Callable[[Context, str], "Sequence[CompletionItem[str]]"]


@dataclass(frozen=True)
class Argument:
    """What is given without a name; annotates a parameter of a command's function.

    Attributes:
        metavar: what help calls it.
        parser: makes a value of the text, or raises :class:`BadParameter`.
        complete: proposes values to the shell, given what was typed so far.
    """

    metavar: str
    help: str
    parser: Parser | None = None
    complete: Completer | None = None

    def parameter(self, name: str, hint: Any, default: Any, required: bool) -> click.Parameter:
        """Click's word for it."""
        many = _is_list(hint)
        return _Argument(
            [name], required=required, **({} if required or many else {"default": default}),
            nargs=-1 if many else 1, metavar=self.metavar, help=self.help,
            **_common(self.parser, self.complete),
        )  # fmt: skip


class Option:
    """What is given by name; annotates a parameter of a command's function.

    Args:
        names: such as ``--group`` and ``-g``.
        metavar: what help calls its value.
        help: what it is for.
        parser: makes a value of the text, or raises :class:`BadParameter`.
        show_default: whether help tells the default.
        is_eager: whether it is looked at before all others.
        callback: called with its value.
        complete: proposes values to the shell, given what was typed so far.
    """

    def __init__(
        self,
        *names: str,
        help: str,
        metavar: str | None = None,
        parser: Parser | None = None,
        show_default: bool = True,
        is_eager: bool = False,
        callback: Callable[[Any], None] | None = None,
        complete: Completer | None = None,
    ) -> None:
        self.names = names
        self.help = help
        self.metavar = metavar
        self.parser = parser
        self.show_default = show_default
        self.is_eager = is_eager
        self.callback = callback
        self.complete = complete

    def parameter(self, name: str, hint: Any, default: Any, required: bool) -> click.Parameter:
        """Click's word for it."""
        called, flag, many = self.callback, hint is bool, _is_list(hint)

        def call(ctx: Context, parameter: click.Parameter, value: Any) -> Any:
            if called is not None and not ctx.resilient_parsing:
                called(value)
            return value

        return click.Option(
            [name, *self.names], is_flag=flag, multiple=many, required=required,
            **({} if many or required else {"default": default}), metavar=self.metavar,
            help=self.help, show_default=self.show_default and default not in (None, "", False),
            is_eager=self.is_eager, callback=call, **_common(self.parser, self.complete),
        )  # fmt: skip


class _Argument(click.Argument):
    """An argument with a help of its own, which Click's has only since 8.5."""

    def __init__(self, names: Sequence[str], *, help: str, **options: Any) -> None:
        super().__init__(names, **options)
        self.help: str = help

    @property
    def shown(self) -> str:
        """What help calls it: ``ID``, ``ID...`` or ``[ID...]``."""
        name = f"{self.metavar}{'' if self.nargs == 1 else '...'}"
        return name if self.required else f"[{name}]"

    def make_metavar(self, *_: Any, **__: Any) -> str:
        """For the first line of help, and for errors."""
        return self.shown


class Command(click.Command):
    """A command whose help says what a person types."""

    def format_arguments(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """Nothing: Click calls it only since 8.5, so :meth:`format_options` writes both lists."""

    def format_options(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """Write the lists of arguments and options."""
        parameters = self.get_params(ctx)
        arguments = [(p.shown, p.help) for p in parameters if isinstance(p, _Argument)]
        records = [p.get_help_record(ctx) for p in parameters if isinstance(p, click.Option)]
        options = [record for record in records if record is not None]
        for title, lines in (("Arguments", arguments), ("Options", options)):
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


class Family(click.Group):
    """Commands that belong together, such as ``streamq server start`` and ``stop``."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:  # type: ignore[override]  # of one form only
        """Add a command: what a function's parameters say, and its docstring as help."""

        def register(function: Callable[..., None]) -> Callable[..., None]:
            called = name or function.__name__.rstrip("_")
            self.add_command(_command(function, called, settings))
            return function

        return register

    def list_commands(self, ctx: Context) -> list[str]:
        """The names, in the order in which they were added."""
        return [*self.commands]

    def on_invoke(self) -> Callable[[Any], Any]:
        """Let a function run for the family's own name, before its commands or without one."""

        def register(function: Callable[..., None]) -> Callable[..., None]:
            self.params = _parameters(function)
            self.callback = _callback(function)
            self.help = inspect.cleandoc(function.__doc__ or "")
            return function

        return register

    def add(
        self, family: Family, name: str, *, epilog: str | None = None, short_help: str | None = None
    ) -> None:
        """Add a family of commands."""
        family.epilog = epilog or family.epilog
        family.short_help = short_help or family.short_help
        self.add_command(family, name)


class LazyFamily(Family):
    """A family whose commands are imported when they are run.

    Args:
        lazy: for each name, the module whose ``register(family)`` adds it, and its short help.
    """

    def __init__(self, *, lazy: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._lazy = lazy

    def list_commands(self, ctx: Context) -> list[str]:
        """The names, in the order of the list."""
        return [*self._lazy]

    def get_command(self, ctx: Context, name: str) -> click.Command | None:
        """The command of that name, imported."""
        if name in self._lazy and name not in self.commands:
            import_module(self._lazy[name][0]).register(self)
        return self.commands.get(name)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem[str]]:
        """Propose options and commands, without importing them."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=short)
            for name, (_, short) in self._lazy.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in self._lazy.items()])


def _command(function: Callable[..., None], name: str, settings: Mapping[str, Any]) -> Command:
    return Command(
        name, callback=_callback(function), params=_parameters(function),
        help=inspect.cleandoc(function.__doc__ or ""), **settings,
    )  # fmt: skip


def _parameters(function: Callable[..., None]) -> list[click.Parameter]:
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint):
            found += _parameters_of_fields(hint)
        else:
            found += _parameter(parameter.name, hint, parameter.default)
    return found


def _parameters_of_fields(options: Any) -> list[click.Parameter]:
    hints = typing.get_type_hints(options, include_extras=True)
    found = []
    for field in fields(options):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        found += _parameter(field.name, hints[field.name], default)
    return found


def _parameter(name: str, annotated: Any, default: Any) -> list[click.Parameter]:
    hint, *marks = typing.get_args(annotated) or (None,)
    required = default is inspect.Parameter.empty
    return [
        mark.parameter(name, hint, None if required else default, required)
        for mark in marks
        if isinstance(mark, Option | Argument)
    ]


def _callback(function: Callable[..., None]) -> Callable[..., None]:
    """Call it with lists, the context or a dataclass of options where it wants that."""
    hints = typing.get_type_hints(function)

    def call(**values: Any) -> None:
        wanted: dict[str, Any] = {}
        for name, hint in hints.items():
            if hint is Context:
                wanted[name] = click.get_current_context()
            elif is_dataclass(hint):
                wanted[name] = _options(hint, values)
            elif name in values:
                wanted[name] = _value(hint, values[name])
        function(**wanted)

    return call


def _options(make: Any, values: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(make)
    return make(**{name: _value(hint, values[name]) for name, hint in hints.items()})


def _value(hint: Any, value: Any) -> Any:
    return list(value or ()) if _is_list(hint) else value


def _common(parser: Parser | None, complete: Completer | None) -> dict[str, Any]:
    common: dict[str, Any] = {}
    if parser is not None:
        common["type"] = parser
    if complete is not None:
        propose = complete

        def shell_complete(
            ctx: Context, parameter: click.Parameter, typed: str
        ) -> list[CompletionItem[str]]:
            return [*propose(ctx, typed)]

        common["shell_complete"] = shell_complete
    return common


def _is_list(hint: Any) -> bool:
    return any(typing.get_origin(part) is list for part in (hint, *typing.get_args(hint)))
