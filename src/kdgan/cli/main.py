"""The command `kdgan`: what was typed to a command, and its errors to one line and an exit code."""

from __future__ import annotations

import errno
import sys
from typing import Any

from kdgan.cli.parsing import parse
from kdgan.cli.train import Evaluate, Train
from kdgan.cli.compare import Compare, Reproduce, Tune
from kdgan.cli.tags.compare import Tags, tags
from kdgan.errors import KdganError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: list[str] | None = None) -> None:
    """The command `kdgan`: exit code 0, 2 where the call cannot go on as it is, 1 for a failed run."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["tags"] and len(given) > 1:
            tags(given[1:])
            return
        commands: dict[str, Any] = {
            "compare": Compare,
            "train": Train,
            "evaluate": Evaluate,
            "tune": Tune,
            "reproduce": Reproduce,
            "tags": Tags,
        }
        said = "Train small classifiers with more than they will have at inference."
        parse(commands, given, prog="kdgan", description=said)()
    except KeyboardInterrupt:
        _fail("stopped at once; what was saved before is kept", 2)
    except KdganError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno in _FULL:
            _fail(
                f"no room left to write {error.filename or 'to the output folder'}: free some and repeat the command",
                2,
            )
        _fail(f"{error.filename or 'system'}: {error.strerror or error}", 1)


def _fail(message: str, code: int) -> None:
    print(f"kdgan: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
