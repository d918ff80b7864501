"""Whether other processes can get what a caller gave."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor

from kdgan.errors import one_line, wrong


class _Sent(ForkingPickler):
    """Pickles all but numbers, which can always be sent.

    Attributes:
        of_main: names of what is found in the file that was started, which other processes run anew.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.of_main: set[str] = set()

    def persistent_id(self, value: Any) -> str | None:
        """What stands for a tensor or an array."""
        is_numbers = isinstance(value, Tensor) or (
            isinstance(value, np.ndarray) and not value.dtype.hasobject
        )
        return "numbers" if is_numbers else None

    def reducer_override(self, value: Any) -> Any:
        """Takes note of functions and classes, and leaves everything as it is."""
        if getattr(value, "__module__", None) == "__main__" and hasattr(value, "__qualname__"):
            self.of_main.add(value.__qualname__.partition(".")[0])
        return NotImplemented


def can_be_sent(value: object, console: Console) -> bool:
    """Whether other processes of this machine can get a value that runs need; where they cannot, it is said."""
    of_main, why = _sent(value)
    if not why and of_main:
        file = getattr(sys.modules["__main__"], "__file__", None)
        if file is None:
            why = "what is typed at a prompt or in a notebook is in no module"
        elif guarded := sorted(of_main & {*_guarded(Path(file))}):
            why = f'{guarded[0]} is defined under if __name__ == "__main__":, which they leave out; define it above'
    if why:
        console.print(
            one_line(
                f"Runs go one after another in this process, as others cannot get what they need: {why}"
            ),
            markup=False,
            highlight=False,
        )
    return not why


def check_sent_far(value: object) -> None:
    """Raises a UsageError if processes of other machines, which do not run the file that was started, cannot get a
    value that runs need."""
    of_main, why = _sent(value)
    if not why and of_main:
        why = f"{min(of_main)} is defined in the file that was started: define it in a module that all can import"
    if why:
        raise wrong(f"executor='ray': other machines cannot get what runs need: {why}")


def _sent(value: object) -> tuple[set[str], str]:
    """What of a value is found in the file that was started, and why it cannot be sent, or nothing."""
    sent = _Sent(io.BytesIO())
    try:
        sent.dump(value)
    except Exception as error:  # of any kind: the objects are somebody's own
        return set(), str(error)
    return sent.of_main, ""


def _guarded(file: Path) -> Iterator[str]:
    """The names that a file defines only where it was started itself, or otherwise than elsewhere."""
    try:
        module = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # compiled, or packed: nobody knows
        return
    for part in module.body:
        if isinstance(part, ast.If) and any(
            isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(part.test)
        ):
            for each in ast.walk(part):
                if isinstance(each, ast.FunctionDef | ast.ClassDef):
                    yield each.name
                elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                    yield each.id
