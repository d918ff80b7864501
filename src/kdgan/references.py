"""Objects of one's own that options and configurations name: `module:name`."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from kdgan.errors import wrong

_INSTALLED = (
    Path(__file__).parent,
    *map(Path, {*sysconfig.get_paths().values()} - {sys.prefix, sys.base_prefix}),
)
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
    """A hash of the code behind a function, class or other object of one's own: of its module's file and of those of
    one's own that it imports; of what was typed at a prompt, of its own source or bytecode."""
    module = sys.modules.get(getattr(found, "__module__", None) or type(found).__module__)
    parts = [file.read_bytes() for file in sorted(_own_files(module))]
    if not parts:
        with contextlib.suppress(OSError, TypeError):
            parts.append(inspect.getsource(found if hasattr(found, "__qualname__") else type(found)).encode())
    if inspect.isfunction(found):
        # Two of one name on one line, and what they were made with.
        made_with = [cell.cell_contents for cell in found.__closure__ or ()]
        parts += [found.__code__.co_code, _written([found.__code__.co_consts, found.__defaults__, made_with])]
    elif not inspect.isclass(found):
        parts.append(_written(getattr(found, "__dict__", None) or found))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def is_installed(module: ModuleType | None) -> bool:
    """Whether a module is of Python or a library, whose code is known by its version, rather than of one's own."""
    if module is None:
        return False
    if module.__name__ in sys.builtin_module_names:
        return True
    file = getattr(module, "__file__", None)
    return file is not None and any(Path(file).is_relative_to(place) for place in _INSTALLED)


def module_of(found: Any) -> ModuleType | None:
    """The module in which a class or function was defined, if it is still known."""
    return sys.modules.get(str(getattr(found, "__module__", "")))


def _own_files(module: ModuleType | None) -> set[Path]:
    """Files of a module and of all that it imports, directly or not, but for what is installed."""
    found: set[Path] = set()
    seen, waiting = {id(None)}, [module]
    while waiting:
        module = waiting.pop()
        if module is None or id(module) in seen:
            continue
        seen.add(id(module))
        file = Path(getattr(module, "__file__", None) or "-")
        if not file.is_file() or is_installed(module):
            continue
        found.add(file)
        package = getattr(module, "__package__", "") or ""
        waiting += [sys.modules.get(name) for name in _imported(file, package)]
    return found


def _imported(file: Path, package: str) -> set[str]:
    """Names of the modules that a file imports anywhere in it, and of what it takes of them, which may be modules."""
    names: set[str] = set()
    with contextlib.suppress(SyntaxError, ValueError, ImportError):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                names.update(each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                home = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                names |= {home, *(f"{home}.{each.name}" for each in node.names)}
    return names


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
