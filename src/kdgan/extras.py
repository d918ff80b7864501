"""Libraries that only some commands need."""

from __future__ import annotations

import importlib
from typing import Any

from kdgan.errors import wrong


def needed(module: str, extra: str, what: str) -> Any:
    """A module of one of the project's extras.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        # By name, as the types of an extra that may be missing cannot be checked.
        return importlib.import_module(module)
    except ImportError as error:
        raise wrong(f"{what} needs {module.partition('.')[0]}: pip install 'kdgan[{extra}]'") from error
