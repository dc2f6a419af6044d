"""The directive ``{command-help}``: what every command prints at ``--help``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from streamq.cli.command import Context, Family
from streamq.cli.commands import app


class CommandHelp(SphinxDirective):
    """A section for each command, with its help as it is printed."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        return [
            nodes.section(
                "",
                nodes.title("", context.command_path),
                nodes.literal_block(text := context.get_help(), text, language="text"),
                ids=[nodes.make_id(context.command_path)],
            )
            for context in commands(Context(app, info_name="streamq", **app.context_settings))
        ]


def commands(context: Context) -> Iterator[Context]:
    """A context for each command, families before their commands."""
    yield context
    if isinstance(context.command, Family):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None:
                yield from commands(Context(command, parent=context, info_name=name))


def setup(sphinx: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    sphinx.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
