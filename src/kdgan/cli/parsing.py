"""Parsing of what was typed: a command, or one line that says what is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tyro

from kdgan.errors import UsageError

_FRAME = re.compile(r"^[╭╰│─╮╯ ]+|[╭╰│─╮╯ ]+$")
_NO_TYPE = re.compile(r"no type matching (?:\{None\}\|)?(\S+) could be instantiated from \['(.*?)'\]")
MOST_SHOWN = 400
"""Characters of a message that may quote what was typed."""
_RULE = re.compile(r"│ ─+ │|╰─+╯")


def parse(
    commands: Mapping[str, Any], arguments: list[str], *, prog: str, description: str
) -> Callable[[], None]:
    """The command that `arguments` name and set, ready to be called.

    Args:
        commands: a dataclass with `__call__` for each name.
        arguments: as typed after `prog`.
        prog: the command that has these.
        description: what its help says first.

    Raises:
        UsageError: for an unknown command or option, a value that is none, or something left out.
        SystemExit: with 0, where help was asked for and has been shown.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            command: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
                dict(commands),
                prog=prog,
                description=description,
                args=arguments,
                config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(_in_one_line(box.getvalue(), prog, tuple(commands))) from None
    return command


def _in_one_line(text: str, prog: str, commands: Sequence[str]) -> str:
    """The message in tyro's box of several lines, up to its first rule, and the option it thinks was meant."""
    first, *others = _RULE.split(text, maxsplit=1)
    # The first line is the box's title, which says no more than what follows.
    lines = [_FRAME.sub("", line) for line in first.splitlines()[1:]]
    message = " ".join(line for line in lines if line)
    message = message.split(" Got errors:")[0].replace("Unrecognized options:", "unknown:")
    message = _NO_TYPE.sub(r"'\2' is no \1", message).replace(" (required)", "")
    message = (
        message.lstrip("- ") if len(message) <= MOST_SHOWN else f"{message.lstrip('- ')[:MOST_SHOWN]}..."
    )
    similar = re.search(r"Perhaps you meant:\W*(--[\w-]+)", others[0]) if others else None
    perhaps = f" (perhaps {similar[1]})" if similar else ""
    known = f": choose from {', '.join(commands)}" if others and "Available" in others[0] else ""
    return f"{message[:1].lower()}{message[1:].rstrip('.')}{perhaps}{known}; see {prog} --help"


def method_names(text: str) -> list[str]:
    """The methods joined with commas in `text`, at least one."""
    return at_least_one("--methods", text)


def at_least_one(option: str, text: str) -> list[str]:
    """The names joined with commas that an option has.

    Raises:
        UsageError: for none, which is not the same as leaving the option out.
    """
    names = names_in(text)
    if not names:
        raise UsageError(f"{option} names none: at least one is needed")
    return names


def by_name(methods: Iterable[str]) -> dict[str, str]:
    """The methods by their names in results: of your own, `module:Class`, the class."""
    from kdgan.tasks.config import BASELINES

    found: dict[str, str] = {}
    for method in methods:
        name = method.rpartition(":")[2]
        if name != method and name in BASELINES:
            raise UsageError(f"--methods: {method} has the name of one of kdgan's own: rename it")
        if name in found:
            raise UsageError(f"--methods: {found[name]} and {method} would have one name in results, {name}")
        found[name] = method
    return found


def names_in(text: str) -> list[str]:
    """Names that are joined with commas in `text`, each once."""
    return list(dict.fromkeys(filter(None, text.split(","))))


def settings_of(texts: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` texts as a dictionary; values are numbers, true, false, or text."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}: write NAME=VALUE")
        try:
            settings[name] = json.loads(value)
        except (ValueError, RecursionError):
            settings[name] = value
    return settings
