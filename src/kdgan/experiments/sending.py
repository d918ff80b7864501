"""Whether other processes can get what a caller gave."""

from __future__ import annotations

import io
import sys
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor

from kdgan.errors import one_line


class _Sent(ForkingPickler):
    """Pickles all but numbers, which can always be sent."""

    def persistent_id(self, value: Any) -> str | None:
        """What stands for a tensor or an array."""
        is_numbers = isinstance(value, Tensor) or (
            isinstance(value, np.ndarray) and not value.dtype.hasobject
        )
        return "numbers" if is_numbers else None


def can_be_sent(value: object, console: Console) -> bool:
    """Whether other processes can get a value that runs need; where they cannot, it is said."""
    content = io.BytesIO()
    try:
        _Sent(content).dump(value)
        why = ""
    except Exception as error:  # of any kind: the objects are somebody's own
        why = str(error)
    typed = not hasattr(sys.modules["__main__"], "__file__")
    if not why and typed and b"__main__" in content.getvalue():
        why = "what is typed at a prompt or in a notebook is in no module"
    if why:
        console.print(
            one_line(
                f"Runs go one after another in this process, as others cannot get what they need: {why}"
            ),
            markup=False,
            highlight=False,
        )
    return not why
