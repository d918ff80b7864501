"""Libraries that only some commands need."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from kdgan.errors import UsageError, wrong


def check_installed(module: str, extra: str, what: str) -> None:
    """Finds without an import whether a module of one of the project's extras is there.

    Raises:
        UsageError: if it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise _missing(module, extra, what)


def needed(module: str, extra: str, what: str) -> Any:
    """A module of one of the project's extras.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        # By name, as the types of an extra that may be missing cannot be checked.
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, extra, what) from error


def _missing(module: str, extra: str, what: str) -> UsageError:
    return wrong(f"{what} needs {module.partition('.')[0]}: pip install 'kdgan[{extra}]'")
