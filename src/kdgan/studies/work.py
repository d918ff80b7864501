"""How one of the paper's studies is carried out, beside what it compares."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from kdgan.files import write_json
from kdgan.studies.comparison import Comparison
from kdgan.training.run import Machine


@dataclass(frozen=True, slots=True)
class Work:
    """Where, by how many, and what was asked for.

    Attributes:
        machine: where runs are made.
        out: holds the runs, which studies share, and gets `STUDY/` with pages for people.
        results: gets the raw figures, `STUDY/CELL.csv` and the like, small enough to commit.
        changes: of the configuration that all runs share, such as fewer steps to try a study out.
        workers: processes at a time.
        threads: of each process.
        console: where progress and tables go.
        command: as it was typed.
    """

    machine: Machine
    out: Path
    results: Path
    changes: Mapping[str, Any]
    workers: int
    threads: int
    console: Console
    command: Sequence[str]

    @property
    def processes(self) -> dict[str, Any]:
        """The part that says how runs are spread, as keyword arguments."""
        return {"workers": self.workers, "threads": self.threads, "console": self.console}

    def describe(self, study: str, cell: str, comparison: Comparison) -> None:
        """Writes `results/STUDY/CELL.json`: the command and the configurations.

        Of data in files only the names are told: folders are one machine's own.
        """
        base = comparison.base.without("method", "seed", "hyper")
        described = {
            "command": shlex.join(self.command),
            "seeds": list(comparison.seeds),
            "base": {
                **base,
                **{name: Path(base[name]).name for name in ("data", "embeddings") if base[name]},
            },
            "variants": {name: asdict(variant) for name, variant in comparison.variants.items()},
        }
        write_json(self.results / study / f"{cell}.json", json.loads(json.dumps(described)))
