"""Tiny runs that have finished, in the folders of a comparison; for tests of several rooms."""

import json
from pathlib import Path
from typing import Any

from kdgan.tasks import Config, run_of
from kdgan.training import Execution
from tiny import DIGITS, changed


def finish(out: Path, method: str, base: Config = DIGITS, **changes: Any) -> Path:
    """The folder of a finished run in a comparison's."""
    out.mkdir(exist_ok=True)
    (out / "comparison.json").write_text("{}", encoding="utf-8")
    config = changed(base, method=method, augment="none", **changes)
    folder = out / "runs" / config.name
    run_of(config, Execution()).train(folder, out / "pretrained")
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    """What a run has found."""
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found
