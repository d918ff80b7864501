"""Methods and baselines against each other in tag recommendation: `kdgan tags compare`, and the paper's Table 2."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from rich.console import Console

from kdgan.errors import UsageError
from kdgan.files import replacing, sha256_of, write_json
from kdgan.methods import METHODS
from kdgan.experiments.comparison import Comparison, run_all, run_folder, run_of, task_name
from kdgan.experiments.pool import Report, Task, run_tasks
from kdgan.experiments.statistics import mean_interval, paired_difference
from kdgan.experiments.tables import NOTHING
from kdgan.tagging.baselines import BASELINES
from kdgan.tasks.ranking import ranking
from kdgan.ship.recommender import Recommender
from kdgan.tasks.tags import TagTask
from kdgan.training.config import Config, claim, digest, plain, read_json
from kdgan.tasks.run import Machine, Outcome

MEASURES = ("P@3", "P@5", "F@3", "F@5", "MAP", "MRR")
"""The columns of Table 2."""

TEACHER = "teacher"
"""The row of T before any game, which sees the text: an upper bound, no competitor."""

PAPER: Mapping[str, Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "popular": {
            "knn": (0.2320, 0.1680, 0.2339, 0.1633, 0.5755, 0.5852),
            "tprop": (0.2420, 0.1636, 0.2811, 0.1949, 0.6177, 0.6270),
            "tfeat": (0.2560, 0.1752, 0.2871, 0.1999, 0.6417, 0.6503),
            "rexmp": (0.2720, 0.1800, 0.3324, 0.2295, 0.7015, 0.7122),
            "kdgan": (0.3047, 0.1968, 0.3678, 0.2526, 0.7787, 0.7905),
        },
        "random": {
            "knn": (0.1623, 0.1198, 0.1575, 0.1088, 0.3970, 0.4092),
            "tprop": (0.1883, 0.1372, 0.1810, 0.1252, 0.4512, 0.4636),
            "tfeat": (0.2002, 0.1420, 0.2195, 0.1495, 0.5149, 0.5309),
            "rexmp": (0.2228, 0.1378, 0.2427, 0.1669, 0.5205, 0.5331),
            "nagan": (0.2415, 0.1495, 0.2693, 0.1867, 0.5791, 0.5911),
            "kdgan": (0.2572, 0.1666, 0.2946, 0.2009, 0.6302, 0.6452),
        },
    }
)
"""Published values (Wang et al., NeurIPS 2018, Table 2), on another set of Flickr photos."""


@dataclass(frozen=True, slots=True)
class TagRecord:
    """One run or baseline: a row of a file of results.

    Attributes:
        tags: popular or random.
        method: its name.
        seed: of tags, split and training.
        values: the `MEASURES` on test photos, in [0, 1].
    """

    tags: str
    method: str
    seed: int
    values: tuple[float, ...]


EXAMPLES = 6
"""Test photos of the first seed that a report shows."""


@dataclass(frozen=True, slots=True)
class ComparedTags:
    """What a comparison found.

    Attributes:
        records: of all runs and baselines.
        examples: by method, the five best tags for each of the first test photos of the first seed.
        failures: what each failed run said.
    """

    records: list[TagRecord]
    examples: dict[str, list[list[str]]]
    failures: list[str]


def tag_base(data: str, tags: Literal["popular", "random"], **given: Any) -> Config:
    """What all runs on photos and tags share, with the paper's widths; its method and seed are replaced."""
    values: dict[str, Any] = {
        "student": "normed-800-800",
        "teacher": "mlp-1200-1200",
        "batch": 128,
        "lr": 1e-3,
        "weight_decay": 1.0,
        "dropout": 0.3,
        "smoothing": 0.0,
        "evaluations": 5,
    }
    count = given.pop("count", 200)
    # T, which reads the text, knows the training photos by heart long before C does, and is of no more use then.
    given.setdefault("teacher_steps", max(1, round(0.4 * given.get("steps", 1000))))
    given["data_sha256"] = None if data == "world" else sha256_of(Path(data))
    return Config(**{**values, **given}, data=data, tags=tags, tag_count=count, method="supervised", seed=0)


def compare_tags(
    comparison: Comparison,
    baselines: Sequence[str],
    machine: Machine,
    store: Path,
    *,
    workers: int,
    threads: int,
    console: Console,
) -> ComparedTags:
    """Carries out what is missing in `store`.

    Args:
        comparison: of the methods of this package; its `base.tags` says which tags.
        baselines: names in `BASELINES`, fitted on the same photos of the same seeds.
        machine: where the runs are made; baselines run on the CPU.
        store: holds runs, pretrained players and the baselines' results.
        workers: processes at a time.
        threads: of each process.
        console: where progress goes.
    """
    base = comparison.base
    if base.tags is None:
        raise UsageError("a comparison of tag recommendation needs tags popular or random")
    runs = comparison.runs()
    for config in list(runs.values())[: len(comparison.variants)]:
        run_of(config, machine)  # what is wrong is found here, before anything is written
    records: list[TagRecord] = []
    examples: dict[str, list[list[str]]] = {}

    def keep(key: tuple[str, int], outcome: Outcome) -> None:
        records.append(_record(str(base.tags), *key, outcome.measures))
        if METHODS[runs[key].method].roles == ("student", "teacher") and key[0] == "mimic":
            records.append(_record(str(base.tags), TEACHER, key[1], outcome.teacher_measures))

    failures = run_all(runs, machine, store, workers=workers, threads=threads, console=console, keep=keep)

    def done(name: str, measured: Any) -> None:
        baseline, seed = places[name]
        records.append(_record(str(base.tags), baseline, seed, measured["measures"]))
        if seed == comparison.seeds[0]:
            examples[baseline] = measured["examples"]

    places = {task_name(name, seed): (name, seed) for name in baselines for seed in comparison.seeds}
    tasks = [
        Task(name, baseline_task, (baseline, _seeded(base, seed), store))
        for name, (baseline, seed) in places.items()
    ]
    failures += run_tasks(tasks, workers=workers, threads=threads, console=console, done=done)
    for name in comparison.variants:
        student = run_folder(store, runs[name, comparison.seeds[0]]) / "student.safetensors"
        if student.exists():
            features = TagTask(_seeded(base, comparison.seeds[0])).features("test")[:EXAMPLES]
            examples[name] = [[tag for tag, _ in row] for row in Recommender.load(student)(features)]
    return ComparedTags(records, examples, failures)


_CHOSEN = ("data", "data_sha256", "tags", "tag_count", "seed")
"""What a baseline depends on."""


def baseline_task(
    name: str, config: Config, store: Path, report: Report, stop: Callable[[], bool]
) -> dict[str, Any]:
    """Fits a baseline in a worker, or takes what is in its folder.

    Returns:
        `measures` on test photos in per cent, and `examples`: the five tags for each of the first photos.
    """
    values = {"baseline": name, **{key: plain(config)[key] for key in _CHOSEN}}
    folder = store / "baselines" / f"{name}-seed{config.seed}-{digest(values)}"
    claim(folder, "config.json", values)
    result = folder / "result.json"
    if not result.exists():
        task = TagTask(config)
        rows = task.data.rows
        fitted = BASELINES[name]().fit(task.data.features[rows["train"]], task.data.targets[rows["train"]])
        scores = fitted.scores(task.data.features[rows["test"]])
        means = ranking(scores, task.data.targets[rows["test"]]).means()
        first = np.argsort(-scores[:EXAMPLES], axis=1, kind="stable")[:, :5]
        found = {measure: 100 * means[measure] for measure in MEASURES}
        tags = [[task.data.tags[place] for place in places] for places in first]
        write_json(result, {"measures": found, "examples": tags})
    return dict(read_json(result))


def write_records(path: Path, records: Iterable[TagRecord]) -> None:
    """Writes the records as CSV, atomically: tags, method, seed, and the measures."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["tags", "method", "seed", *MEASURES])
        for record in sorted(records, key=lambda record: (record.tags, _place(record.method), record.seed)):
            table.writerow([record.tags, record.method, record.seed, *record.values])


def read_records(path: Path) -> list[TagRecord]:
    """Reads what `write_records` wrote.

    Raises:
        UsageError: if the file is not of that form.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [
            TagRecord(
                row["tags"], row["method"], int(row["seed"]), tuple(float(row[name]) for name in MEASURES)
            )
            for row in rows
        ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is not a file of results of tag recommendation") from error


HEADERS = ("tags", "method", "seeds", *MEASURES, "KDGAN − it, MAP", "paper's MAP")


def table2(records: Iterable[TagRecord]) -> list[list[str]]:
    """Table 2 as text: means over seeds, and the paired difference in MAP with its 95 % interval."""
    rows = list(records)
    lines = []
    for tags in sorted({record.tags for record in rows}):
        found: dict[str, dict[int, TagRecord]] = {}
        for record in rows:
            if record.tags == tags:
                found.setdefault(record.method, {})[record.seed] = record
        game = {seed: record.values[_MAP] for seed, record in found.get("kdgan", {}).items()}
        for method in sorted(found, key=_place):
            mine = {seed: record.values[_MAP] for seed, record in found[method].items()}
            means = np.mean([record.values for record in found[method].values()], axis=0)
            half = mean_interval(mine.values()).half_width
            cells = [f"{value:.4f}" for value in means]
            cells[_MAP] += "" if half is None else f" ± {half:.4f}"
            published = PAPER.get(tags, {}).get(method)
            lines.append(
                [
                    tags,
                    method,
                    str(len(mine)),
                    *cells,
                    _against(game, mine) if method != "kdgan" else NOTHING,
                    NOTHING if published is None else f"{published[_MAP]:.4f}",
                ]
            )
    return lines


_MAP = MEASURES.index("MAP")
_ORDER = (*BASELINES, *METHODS, TEACHER)


def _against(game: Mapping[int, float], mine: Mapping[int, float]) -> str:
    if not game.keys() & mine.keys():
        return NOTHING
    difference = paired_difference(game, mine)
    text = f"{difference.mean:+.4f}".replace("-", "−")
    return text if difference.half_width is None else f"{text} ± {difference.half_width:.4f}"


def _place(method: str) -> tuple[int, str]:
    return (_ORDER.index(method) if method in _ORDER else len(_ORDER), method)


def _record(tags: str, method: str, seed: int, measures: Mapping[str, float]) -> TagRecord:
    return TagRecord(tags, method, seed, tuple(measures[name] / 100 for name in MEASURES))


def _seeded(base: Config, seed: int) -> Config:
    return replace(base, seed=seed)
