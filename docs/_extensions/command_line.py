"""Writes the reference of the command line from the commands themselves."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import Any

import click

MARK = "<!-- every command -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the commands where a page asks for them."""
    if MARK not in markdown:
        return markdown
    from lutier.cli.main import cli

    return markdown.replace(MARK, "\n".join(described(cli, "lutier")))


def described(command: click.Command, path: str) -> Iterator[str]:
    """A command, and those below it, as Markdown."""
    context = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None  # noqa: S101  # it was listed
            if not below.hidden:
                yield from described(below, f"{path} {name}")
        return
    yield f"\n## {path}\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{plain(paragraph, as_it_is=True)}\n```\n"
        else:
            yield plain(paragraph) + "\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{path} {usage}\n```\n"
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        yield "| option | |\n| --- | --- |"
        yield from (row(option, context) for option in options if not option.hidden)


def row(option: click.Option, context: click.Context) -> str:
    """An option as a row of a table."""
    names = ", ".join((*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    said = plain(option.help or "")
    default = option.default
    if option.show_default and default is not None and "default" not in said:
        said += f" [default: {default}]"
    return f"| <code>{cell(names + value)}</code> | {cell(said)} |"


def cell(text: str) -> str:
    """A text that ends no cell of a table."""
    return html.escape(text, quote=False).replace("|", "&#124;")


def plain(text: str, *, as_it_is: bool = False) -> str:
    """A text of the help without its markup of the terminal, in one line unless told otherwise."""
    text = re.sub(r"(?<!\\)\[/?(?:bold|dim|italic|cyan|green|red|yellow)?\]", "", text)
    text = text.replace("\b\n", "").replace("\\[", "[").strip()
    return text if as_it_is else " ".join(text.split())
