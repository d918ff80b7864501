"""Writes every table in the documents from the committed result files; `--check` only says whether they agree.

A table stands between `<!-- table: WHAT -->` and `<!-- end -->`, where WHAT is the results.csv of a comparison, the
folder of a study (results/table1), a file of changes (results/changes/CELL.csv) or of settings (settings/CELL).
`--figures` draws the figures of all studies that have results into docs/figures/, too.
"""

import json
import re
import statistics
import sys
from pathlib import Path

from kdgan.experiments import tables
from kdgan.experiments.records import read_csv, read_records
from kdgan.experiments.statistics import holm, mean_interval, paired_difference, rows_of
from kdgan.experiments.study import read_results
from kdgan.experiments.tables import markdown, plus_minus
from kdgan.methods import CONTROL
from kdgan.paper.studies import STUDIES

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "results/README.md", "docs/findings.md", "docs/scale.md", "benchmarks/README.md")
BLOCK = re.compile(r"(<!-- table: ([\w/.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str) -> str:
    """The document with every table made anew."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{table(match[2])}\n{match[3]}"

    return BLOCK.sub(fill, text)


def table(what: str) -> str:
    """The table that a block asks for."""
    room, _, name = what.partition("/")
    if room == "settings":
        return settings_table(name)
    if name.startswith("changes/"):
        return changes_table(ROOT / what)
    if name == "default_call.json":
        return default_call_table(ROOT / what)
    if name.startswith("several_labels"):
        return several_labels_table(ROOT / what)
    if name == "peers.json":
        return peers_table(ROOT / what)
    if name == "devices.json":
        return devices_table(ROOT / what)
    if name in STUDIES:
        return STUDIES[name].table(read_results(ROOT / what)).markdown()
    records = read_records(ROOT / what)
    rows, metrics = rows_of(records), ["MAP" if "MAP" in records[0].metrics else "accuracy"]
    columns = [tables.cell("data"), *tables.of_comparison(metrics)]
    return tables.table(rows, columns, tables.note_of_comparison(rows, metrics)).markdown()


def settings_table(cell: str) -> str:
    """What `kdgan tune` chose for each method, and how it did on validation data beside the defaults."""
    folder = ROOT / "results" / "tuning" / cell
    rows = []
    trials = read_csv(folder / "trials.csv")
    for method, found in json.loads((folder / "tuned.json").read_text(encoding="utf-8"))["methods"].items():
        first = next(row for row in trials if row["method"] == method)
        values = {
            name: f"{value:.3g}" if isinstance(value, float) else value
            for name, value in found["settings"].items()
        }
        chosen = ", ".join(f"{name} {value}" for name, value in values.items())
        best = f"{found['validation']:.2f}"
        rows.append([method, str(found["trials"]), f"{float(first['validation']):.2f}", best, chosen])
    headers = ("method", "trials", "defaults", "best", "settings")
    note = (
        "Mean on validation data in % over the seeds of the search; the best of few trials flatters itself."
    )
    return f"{markdown(headers, rows, words=('method', 'settings'))}\n{note}\n"


def changes_table(file: Path) -> str:
    """What changes did on validation data, paired with KDGAN as it is, or with the control where only that changed."""
    mine: dict[str, dict[int, float]] = {}
    taught: dict[str, dict[int, float]] = {}
    for row in read_csv(file):
        seed = int(row["seed"])
        mine.setdefault(row["change"], {})[seed] = float(row["validation_accuracy"])
        if row.get("teacher_validation_accuracy"):
            taught.setdefault(row["change"], {})[seed] = float(row["teacher_validation_accuracy"])
    usual = next((name for name in ("kdgan", CONTROL) if name in mine), None)
    rows = []
    for name in sorted(mine, key=lambda name: (name != usual, name not in ("kdgan", "mimic"), name)):
        against = (
            plus_minus(paired_difference(found[name], found[usual]), difference=True)
            if name != usual and name in found and usual in found
            else "–"
            for found in (mine, taught)
        )
        rows.append([name, str(len(mine[name])), plus_minus(mean_interval(mine[name].values())), *against])
    it = "KDGAN" if usual == "kdgan" else "control"
    headers = ["change", "seeds", "validation accuracy", f"it − {it}", f"its teacher − {it}'s"]
    shown = 5 if usual in taught else 4
    if usual is None:
        # With nothing to compare with, T's own accuracy, where there is one for each.
        shown = 4 if taught.keys() >= mine.keys() else 3
        headers[3:] = ["its teacher"]
        for row in rows:
            row[3:] = [plus_minus(mean_interval(taught[row[0]].values()))] if row[0] in taught else []
    note = (
        "In % and points, paired by seed; ± half of the 95 % interval; validation data of seeds from 100."
        if usual is not None
        else "In %; ± half of the 95 % interval, where there are several seeds; validation data of seeds from 100."
    )
    text = markdown(headers[:shown], [row[:shown] for row in rows], words=("change",))
    return f"{text}\n{note}\n"


def default_call_table(file: Path) -> str:
    """The default call of `distill` beside distillation and the control, paired by seed."""
    rows = []
    for case, found in json.loads(file.read_text(encoding="utf-8"))["cases"].items():
        columns = {name: dict(enumerate(found[name])) for name in ("control", "distn", "default")}
        means = (plus_minus(mean_interval(values.values())) for values in columns.values())
        distn, kept = columns["distn"], found["default"] == found["distn"]
        game = found.get(
            "kdgan", () if kept else found["default"]
        )  # the default is the game where T is trained here
        others = (dict(enumerate(found["default"])), dict(enumerate(game)))
        against = (
            plus_minus(paired_difference(each, distn), difference=True) if each else "–" for each in others
        )
        rows.append([case, str(len(found["default"])), *means, *against])
    headers = ("data", "seeds", "control", "distn", "default", "default − distn", "kdgan − distn")
    note = (
        "Accuracy in % on held-out examples; ± half of the 95 % interval; differences in points, paired by seed. T of "
        "N: a teacher trained on N other examples, without smoothing, and kept."
    )
    return f"{markdown(headers, rows, words=('data',))}\n{note}\n"


def devices_table(file: Path) -> str:
    """How far runs over several devices are from those on one."""
    found = json.loads(file.read_text(encoding="utf-8"))
    rows = [
        [name, f"{each['losses']:.1e}", f"{each['weights']:.1e}"] for name, each in found["methods"].items()
    ]
    headers = ("method", "losses of all players, largest relative difference", "weights, largest difference")
    note = f"{found['processes']} processes against one, {found['updates']} updates of batches of {found['batch']}."
    return f"{markdown(headers, rows, words=('method',))}\n{note}\n"


def peers_table(file: Path) -> str:
    """Distillation through other libraries beside a bare loop: time, and accuracy of the student, paired by seed."""
    parts = []
    for setting, runs in json.loads(file.read_text(encoding="utf-8"))["runs"].items():
        of = {run["contender"]: {} for run in runs}
        for run in runs:
            of[run["contender"]][run["seed"]] = run
        names = [name for name in of if name not in ("teacher", "bare loop")]
        right = {name: {seed: run["accuracy"] for seed, run in found.items()} for name, found in of.items()}
        gains = holm([paired_difference(right[name], right["bare loop"]) for name in names])
        rows = [
            ["teacher", "", plus_minus(mean_interval(right["teacher"].values())), ""],
            ["bare loop", "1", plus_minus(mean_interval(right["bare loop"].values())), ""],
        ]
        for name, gain in zip(names, gains, strict=True):
            bare = of["bare loop"]
            ratios = [run["seconds"] / bare[seed]["seconds"] for seed, run in of[name].items()]
            low, middle, high = statistics.quantiles(ratios, n=4)
            mean = plus_minus(mean_interval(right[name].values()))
            rows.append(
                [name, f"{middle:.3f} ({low:.3f} to {high:.3f})", mean, plus_minus(gain, difference=True)]
            )
        headers = (f"{setting} networks", "CPU time to a bare loop", "accuracy", "to the bare loop")
        parts.append(markdown(headers, rows, words=headers[:1]).rstrip())
    note = (
        "Time: the median of the ratios of a seed, with quartiles. Accuracy in % on test images, ± half of the 95 % "
        "interval over seeds; differences in points, paired by seed, with intervals corrected for how many are "
        "compared (Holm)."
    )
    return "\n\n".join([*parts, f"{note}\n"])


def several_labels_table(file: Path) -> str:
    """Sigmoids beside a softmax over concepts of photos, each method beside its control, paired by seed."""
    rows = []
    for form, runs in json.loads(file.read_text(encoding="utf-8"))["runs"].items():
        methods = list(dict.fromkeys(run["method"] for run in runs))
        cells: dict[str, list[str]] = {method: [] for method in methods}
        for metric in ("concept_map", "photo_map"):
            of = {
                name: {run["seed"]: run[metric] for run in runs if run["method"] == name} for name in methods
            }
            others = [name for name in methods if name != CONTROL]
            gains = dict(
                zip(others, holm([paired_difference(of[name], of[CONTROL]) for name in others]), strict=True)
            )
            for name, values in of.items():
                gain = plus_minus(gains[name], difference=True) if name in gains else "–"
                cells[name] += [plus_minus(mean_interval(values.values())), gain]
        rows += [[form, name, *cells[name]] for name in methods]
    headers = ("losses", "method", "concept MAP", "to control", "photo MAP", "to control")
    note = (
        "MAP in % on 2,000 test photos, over the photos of each of 24 concepts and over the concepts of each photo; ± "
        "half of the 95 % interval over seeds; differences in points, paired by seed, with intervals corrected for how "
        "many are compared with the same control (Holm)."
    )
    return f"{markdown(headers, rows, words=('losses', 'method'))}\n{note}\n"


def main() -> None:
    """Write, or check."""
    stale = []
    for name in DOCUMENTS:
        document = ROOT / name
        before = document.read_text(encoding="utf-8")
        after = written(before)
        if after != before:
            stale.append(name)
            if "--check" not in sys.argv:
                document.write_text(after, encoding="utf-8")
    if "--figures" in sys.argv:
        (ROOT / "docs" / "figures").mkdir(exist_ok=True)
        for name, study in STUDIES.items():
            if study.figure is not None and (ROOT / "results" / name).is_dir():
                figure = study.figure(read_results(ROOT / "results" / name))
                figure.savefig(ROOT / "docs" / "figures" / f"{name}.png", dpi=110)
    if "--check" in sys.argv and stale:
        sys.exit(f"{', '.join(stale)}: tables differ from the result files; run python docs/tables.py")


if __name__ == "__main__":
    main()
