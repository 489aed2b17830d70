"""Commands as the documentation gives them, parsed by the real commands without being run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click
from doc_pages import ROOT, Block

from lutier.cli.main import cli
from lutier.settings import PREFIX, Settings

PROGRAMS = {"apt-get", "docker", "ping", "ray", "ssh", "ssh-copy-id", "sudo", "~/lutier/bin/python"}
"""What is not ours, and is not looked into."""
OTHER_VARIABLES = {"LUTIER_ADB", "LUTIER_HOME", "LUTIER_SSH_OPTIONS", "LUTIER_SSH_PYTHON"}
_LEFT_OUT = "..."
_ON_DISK = (click.Path, click.File)


def troubles(block: Block) -> Iterator[str]:
    """What is wrong with the commands of a block, each with its place."""
    for words in block.commands():
        if said := trouble(words):
            yield f"{block.where}: {' '.join(words)}: {said}"


def trouble(words: Sequence[str]) -> str:
    """What is wrong with a command; empty where nothing is, or nothing can be known."""
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    program, *rest = words or [""]
    match program, rest:
        case "lutier", _:
            return trouble_of_lutier(rest)
        case "torchrun", _ if rest[rest.index("-m") + 1] == "lutier":
            return trouble_of_lutier(rest[rest.index("-m") + 2 :])
        case "make", [target]:
            written = f"\n{target}: " in (ROOT / "Makefile").read_text()
            return "" if written else "no such target"
        case "export", [assignment]:
            name = assignment.partition("=")[0]
            known = {PREFIX + field.upper() for field in Settings.model_fields} | OTHER_VARIABLES
            return "" if name in known else "no such variable"
        case (("pip" | "python" | "python3"), _):
            return trouble_of_python(rest)
        case _:
            return "" if program in PROGRAMS else "an unknown program"


def trouble_of_python(words: Sequence[str]) -> str:
    """What is wrong with the arguments of Python or pip: a script that is not there."""
    script = words[0] if words else ""
    if script.startswith("benchmarks/"):
        if not (ROOT / script).exists():
            return "no such script"
        text = (ROOT / script).read_text()
        options = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
        shared = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("_*.py"))
        missing = [each for each in options if f'"{each}"' not in text + shared]
        return f"no option {missing}" if missing else ""
    return ""


def trouble_of_lutier(words: Sequence[str]) -> str:
    """What the commands of Lutier have against these words, as far as can be said unrun."""
    partial = _LEFT_OUT in words
    rest = [word for word in words if word != _LEFT_OUT]
    command: click.Command = cli
    context = click.Context(cli, info_name="lutier")
    while isinstance(command, click.Group) and rest:
        if rest[0].startswith("-"):
            command.make_parser(context)
            rest = rest[1:] if rest[0] == "--debug" else rest
            if rest and rest[0] in ("--help", "-h", "--version"):
                return ""
        below = command.get_command(context, rest[0])
        if below is None:
            return f"no command {rest[0]!r}"
        command, rest = below, rest[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    try:
        given, left, _ = command.make_parser(context).parse_args(list(rest))
    except click.UsageError as error:
        return error.format_message()
    if left:
        return f"unexpected {left}"
    return next((said for p in command.params if (said := _bad(p, context, given, partial))), "")


def _bad(
    parameter: click.Parameter, context: click.Context, given: dict[str, object], partial: bool
) -> str:
    """What a parameter has against what was given for it."""
    value = given.get(parameter.name or "")
    missing = value is None or repr(value) == "Sentinel.UNSET"
    if missing:
        return f"{parameter.name} is missing" if parameter.required and not partial else ""
    if isinstance(parameter.type, _ON_DISK):
        return ""
    try:
        parameter.type_cast_value(context, value)
    except click.BadParameter as error:
        return error.format_message()
    return ""


def trouble_of_mention(words: Sequence[str]) -> str:
    """What is wrong with a command of Lutier that a text mentions, part of it left out.

    Its commands have to exist, and its options to be those of the command, or of one below it.
    """
    commands: list[click.Command] = [cli]
    for word in words:
        if word == _LEFT_OUT or word.startswith("-") or not isinstance(commands[0], click.Group):
            break
        below = commands[0].get_command(click.Context(cli), word)
        if below is None:
            return f"no command {word!r}"
        commands = [below]
    for command in commands:  # grows meanwhile
        if isinstance(command, click.Group):
            commands.extend(command.commands.values())
    known = {name for command in commands for p in command.params for name in p.opts}
    said = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
    return f"no option {sorted(said - known)}" if said - known else ""
