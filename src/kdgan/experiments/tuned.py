"""Settings that `kdgan tune` found, as they lie in its file; reading them needs no Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdgan.errors import UsageError
from kdgan.training.config import read_json


def read_tuned(file: Path) -> dict[str, dict[str, Any]]:
    """The settings of each method in a file that `tune` wrote.

    Raises:
        UsageError: if it is none.
    """
    try:
        return {method: dict(found["settings"]) for method, found in read_json(file)["methods"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} is not a file of settings that kdgan tune wrote") from error
