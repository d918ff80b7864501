"""Objects of one's own that options and configurations name: `module:name`."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdgan.errors import wrong

_FORM = re.compile(r"[\w.]+:[\w.]+")


def is_reference(name: object) -> bool:
    """Whether `name` has the form `module:name`."""
    return isinstance(name, str) and _FORM.fullmatch(name) is not None


def find_object(name: str) -> Any:
    """The object that Python finds under `module:name`; modules of the present folder are found, too.

    Only for what a user typed: importing runs the module's code.

    Raises:
        UsageError: if there is none, or the module cannot be imported.
    """
    if not is_reference(name):
        raise wrong(f"{name!r} is no reference: write module:name")
    module, _, attributes = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:  # importing runs the user's code
        raise wrong(f"cannot import {name} ({type(error).__name__}: {error})") from error
    finally:
        sys.path.remove(here)
    return found


def find_callable(name: str) -> Callable[..., Any]:
    """The function or class that Python finds under `module:name`.

    Raises:
        UsageError: as `find_object`, and for anything that cannot be called.
    """
    found = find_object(name)
    if not callable(found):
        raise wrong(f"{name} is a {type(found).__name__}: expected a function")
    called: Callable[..., Any] = found
    return called


def reference_to(found: Any) -> str:
    """The `module:name` under which another process finds a class or function.

    Raises:
        UsageError: for what was made inside a function, or has no name.
    """
    module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", "<unnamed>")
    if not module or not is_reference(f"{module}:{name}"):
        raise wrong(
            f"{name} is not at the top of a module, so that no other process finds it: define it there"
        )
    return f"{module}:{name}"
