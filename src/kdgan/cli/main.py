"""The command `kdgan`: what was typed to a command, and its errors to one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

from kdgan.cli.compare import Compare
from kdgan.cli.evaluate import Evaluate
from kdgan.cli.export import Export
from kdgan.cli.parsing import parse
from kdgan.cli.predict import Predict
from kdgan.cli.report import Report
from kdgan.cli.reproduce import Reproduce
from kdgan.cli.serve import Serve
from kdgan.cli.shrink import Shrink
from kdgan.cli.tags import TAGS, Tags
from kdgan.cli.train import Train
from kdgan.cli.tune import Tune
from kdgan.errors import NO_MEMORY, KdganError, failed, is_of_memory, one_line
from kdgan.files import NO_ROOM
from kdgan.interrupt import STOPPED

COMMANDS: dict[str, Any] = {
    "compare": Compare,
    "train": Train,
    "evaluate": Evaluate,
    "predict": Predict,
    "report": Report,
    "export": Export,
    "shrink": Shrink,
    "serve": Serve,
    "tune": Tune,
    "reproduce": Reproduce,
    "tags": Tags,
}


def main(arguments: list[str] | None = None) -> None:
    """The command `kdgan`: exit code 0, 2 where the call cannot go on as it is, 1 for a failed run."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given == ["--version"]:
            from kdgan import __version__

            print(f"kdgan {__version__}")  # noqa: T201
            return
        if given[:1] == ["tags"] and len(given) > 1:
            description = "Recommend tags for photos, from what their owners wrote about others."
            parse(TAGS, given[1:], prog="kdgan tags", description=description)()
            return
        description = (
            "Train small classifiers with more than they will have at inference. --version: which this is."
        )
        parse(COMMANDS, given, prog="kdgan", description=description)()
    except KeyboardInterrupt:
        _fail(STOPPED, 2)
    except KdganError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno in NO_ROOM:
            place = error.filename or "to the output folder"
            _fail(f"no room left to write {place}: free some and repeat the command", 2)
        _fail(f"{error.filename or 'system'}: {error.strerror or error}", 2)
    except MemoryError:
        _fail(NO_MEMORY, 2)
    except (OverflowError, RecursionError) as error:
        _fail(f"a number or a file is beyond what can be computed with ({error})", 2)
    except Exception as error:
        # A fault of kdgan's own: people get a line, whoever mends it the place.
        if os.environ.get("KDGAN_TRACEBACK"):
            raise
        if is_of_memory(error):
            _fail(NO_MEMORY, 2)
        _fail(f"{failed(error)}; this is a fault of kdgan: KDGAN_TRACEBACK=1 shows where it comes from", 1)


def _fail(message: str, code: int) -> None:
    print(f"kdgan: {one_line(message)}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
