"""What the runs in a folder have found, to be held against those in another."""

import json
from pathlib import Path
from typing import Any

from kdgan.experiments.records import read_records


def found_in(out: Path) -> dict[str, Any]:
    """All that runs have found, without the time they took."""
    found: dict[str, Any] = {}
    for path in sorted((out / "runs").glob("*/*")):
        name = f"{path.parent.name}/{path.name}"
        if path.name == "student.safetensors":
            found[name] = path.read_bytes()
        elif path.name == "result.json":
            found[name] = _untimed(json.loads(path.read_text()))
        elif path.name == "metrics.jsonl":
            found[name] = [_untimed(json.loads(line)) for line in path.read_text().splitlines()]
    for record in read_records(out / "results.csv"):
        found[f"{record.method}-{record.seed}"] = record.metrics
    return found


def _untimed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if "seconds" not in name}
