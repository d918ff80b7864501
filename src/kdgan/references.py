"""Objects of one's own that options and configurations name: `module:name`."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
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
    except (Exception, SystemExit) as error:  # importing runs the user's code
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


def fingerprint(found: Any) -> str:
    """A hash of the code behind a function, class or other object of one's own: of its module's file and, for what was
    typed at a prompt or in a program of its own, of its own source or bytecode."""
    module = sys.modules.get(getattr(found, "__module__", None) or type(found).__module__)
    file = getattr(module, "__file__", None)
    parts: list[bytes] = []
    if file is not None and getattr(module, "__name__", "") != "__main__":
        parts.append(Path(file).read_bytes())
    else:
        with contextlib.suppress(OSError, TypeError):
            parts.append(inspect.getsource(found if hasattr(found, "__qualname__") else type(found)).encode())
    if inspect.isfunction(found):
        # Two of one name on one line, and what they were made with.
        made_with = [cell.cell_contents for cell in found.__closure__ or ()]
        parts += [found.__code__.co_code, _written([found.__code__.co_consts, found.__defaults__, made_with])]
    elif not inspect.isclass(found):
        parts.append(_written(getattr(found, "__dict__", None) or found))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _written(value: object) -> bytes:
    # Where an object lies in memory tells nothing about it.
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value)).encode()


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
