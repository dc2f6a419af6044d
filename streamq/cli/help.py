"""Help that says what a person types, and not how Python calls its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose arguments are shown by their names alone, such as ``ID...``.

    Contexts, parameters and formatters are Click's, which Typer does not export.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the command's name in the first line of its help."""
        arguments = [_shown(one) for one in self.get_params(ctx) if _is_argument(one)]
        return [self.options_metavar or "", *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the lists of arguments and options."""
        arguments, options = [], []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if _is_argument(parameter):
                arguments.append((_shown(parameter), record[1].removesuffix("[required]").rstrip()))
            else:
                options.append(record)
        for title, records in (("Arguments", arguments), ("Options", options)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Commands(typer.Typer):
    """A Typer app whose commands are of the class above."""

    def command(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Add a command, as :meth:`typer.Typer.command` does."""
        return super().command(*args, cls=Command, **options)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _shown(argument: Any) -> str:
    name = argument.metavar + ("" if argument.nargs == 1 else "...")
    return name if argument.required else f"[{name}]"
