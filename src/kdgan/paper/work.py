"""How one of the paper's studies is carried out, beside what it compares."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from kdgan.errors import UsageError
from kdgan.files import write_json
from kdgan.experiments.comparison import Comparison
from kdgan.training.config import differences, read_json
from kdgan.tasks.run import Machine


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

    def check(self, study: str, cell: str, comparison: Comparison) -> None:
        """Checks that the raw figures of a cell, which may be committed ones, would not make way for lesser ones.

        Raises:
            UsageError: if those in `results` are of another configuration, of other settings of the methods, or of
                seeds that are not asked for.
        """
        file = self.results / study / f"{cell}.json"
        if not file.exists():
            return
        there, now = read_json(file), self._described(comparison)
        said = differences(there.get("base", {}), now["base"])
        lost = sorted(set(there.get("seeds", ())) - set(now["seeds"]))
        if not said and lost:
            seeds = [f"seeds {min(some)} to {max(some)}" for some in (there["seeds"], now["seeds"])]
            said = f"{seeds[0]} there and {seeds[1]} now, see --first-seed and --seeds"
        if not said and there.get("variants") != now["variants"]:
            said = "other settings of the methods"
        if said:
            raise UsageError(f"{file} tells of other runs ({said}): choose another --results, or delete it")

    def describe(self, study: str, cell: str, comparison: Comparison) -> None:
        """Writes `results/STUDY/CELL.json`: the command and the configurations.

        Of data in files only the names are told: folders are one machine's own.
        """
        write_json(self.results / study / f"{cell}.json", self._described(comparison))

    def _described(self, comparison: Comparison) -> dict[str, Any]:
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
        return dict(json.loads(json.dumps(described)))
