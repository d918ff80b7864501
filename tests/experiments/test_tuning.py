"""The same search for every method, on validation examples of seeds that are never reported."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from commands import json_in, rows, written_at
from kdgan.errors import RunError
from kdgan.methods import METHODS
from kdgan.tasks.config import ClassesData, Config
from kdgan.tasks.presets import FIRST_SEED
from kdgan.tasks.run import Outcome
from kdgan.training.config import Training
from kdgan.training.execution import Execution
from support import refused
from tiny import TAGS, changed

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("typed")  # quick workers

BASE = Config(
    ClassesData("digits", labels=100),
    "supervised",
    student="mlp-4",
    teacher="mlp-6",
    augment="affine",
    training=Training(steps=6, teacher_steps=6, batch=8, evaluations=2),
)


def searched(out: Path, *methods: str, trials: int, seeds: int = 1, base: Config = BASE, **more: Any) -> Path:
    from kdgan.experiments.tuning import tune

    console = Console(file=StringIO())
    named = {name: name for name in methods}
    return tune(base, named, Execution(), out, trials=trials, seeds=seeds, console=console, **more)


def trials_in(out: Path, method: str) -> list[tuple[float, dict[str, Any]]]:
    """Value and settings of each trial."""
    found = [row for row in rows(out / "trials.csv") if row["method"] == method]
    assert [int(row["trial"]) for row in found] == list(range(len(found)))
    return [(float(row["validation"]), json.loads(row["settings"])) for row in found]


def test_every_method_is_searched_alike_and_the_search_goes_on(tmp_path: Path) -> None:
    file = searched(tmp_path / "t", "supervised", "kdgan", trials=2, seeds=2)
    runs = [json_in(path) for path in (tmp_path / "t").glob("runs/*/config.json")]
    assert len(runs) == 8
    assert {run["seed"] for run in runs} == {FIRST_SEED, FIRST_SEED + 1}
    # The teacher is pretrained at the study's own rate, whatever rate a trial takes: once for each seed.
    assert len(list((tmp_path / "t").glob("pretrained/teacher-*"))) == 2
    before = written_at(tmp_path / "t")
    assert searched(tmp_path / "t", "supervised", "kdgan", trials=3, seeds=2) == file
    assert len(written_at(tmp_path / "t")) == 12
    assert before.items() <= written_at(tmp_path / "t").items()
    trials = {method: trials_in(tmp_path / "t", method) for method in ("supervised", "kdgan")}
    assert [len(found) for found in trials.values()] == [3, 3]
    _, first = trials["kdgan"][0]
    assert (first["alpha"], first["beta"], first["gamma"]) == (0.5, 1.0, 0.02)
    tuned = json_in(file)
    assert tuned["seeds"] == [FIRST_SEED, FIRST_SEED + 1]
    for method, found in tuned["methods"].items():
        best, settings = max(trials[method], key=lambda trial: trial[0])
        assert (found["validation"], found["settings"], found["trials"]) == (best, settings, 3)
        assert set(settings) == set(METHODS[method].search_space)
    with refused("another configuration (training.steps 6 there and 5 now)"):
        searched(tmp_path / "t", "supervised", trials=3, seeds=2, base=changed(BASE, steps=5))


def test_it_keeps_most_of_the_best_so_far_and_begins_with_what_is_known(tmp_path: Path) -> None:
    known = {"kdgan": {"beta": 3.0, "alpha": 0.25}}
    searched(tmp_path / "t", "mimic", "kdgan", trials=7, known=known)
    trials = trials_in(tmp_path / "t", "kdgan")
    assert len(trials) == 7
    (_, defaults), (_, second) = trials[:2]
    assert {name for name in defaults if second[name] != defaults[name]} == {"alpha", "beta"}
    # Rounds of two trials: each is near the best trial of the rounds before, and none is the same.
    for number in range(2, 7):
        _, best = max(trials[: number - number % 2], key=lambda trial: trial[0])
        found = [name for name, value in trials[number][1].items() if value != best[name]]
        assert 1 <= len(found) < len(best)


def test_a_search_that_was_stopped_goes_on_with_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdgan.experiments import tuning

    def stopped(*_: object, **__: object) -> Mapping[str, list[float]]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "run_all", stopped)
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "t", "supervised", trials=2)
    searched(tmp_path / "t", "supervised", trials=2)
    searched(tmp_path / "whole", "supervised", trials=2)
    assert trials_in(tmp_path / "t", "supervised") == trials_in(tmp_path / "whole", "supervised")


def test_a_journal_that_was_cut_off_goes_on_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    searched(tmp_path / "whole", "supervised", trials=3)
    searched(tmp_path / "t", "supervised", trials=2)
    journal = tmp_path / "t" / "supervised.optuna.log"
    content = journal.read_bytes()
    for tail in (b'{"op_code": 4, "wor', b"\0\0\0", b'{"op_code": 44}'):
        journal.write_bytes(content + tail)
        searched(tmp_path / "t", "supervised", trials=2)
        assert journal.read_bytes().startswith(content)
        assert tail not in journal.read_bytes()
    # A lock that a killed search has left, as Optuna would make it.
    (tmp_path / "t" / "supervised.optuna.log.lock").symlink_to("supervised.optuna.log")
    journal.write_bytes(content + b"[")
    searched(tmp_path / "t", "supervised", trials=3)
    assert trials_in(tmp_path / "t", "supervised") == trials_in(tmp_path / "whole", "supervised")
    lines = content.splitlines(keepends=True)
    for line in (b"\xff\n", b"5\n", b'{"op_code": 4}\n', b'{"op_code": 99, "worker_id": "x"}\n'):
        journal.write_bytes(b"".join([*lines[:2], line, *lines[2:]]))
        with refused(journal, "damaged", "delete"):
            searched(tmp_path / "t", "supervised", trials=3)


def test_two_commands_search_the_same_trials_together(tmp_path: Path) -> None:
    searched(tmp_path / "whole", "supervised", trials=4)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(searched, tmp_path / "t", "supervised", trials=4) for _ in range(2)]
    assert [each.result() for each in both] == [tmp_path / "t" / "tuned.json"] * 2
    assert trials_in(tmp_path / "t", "supervised") == trials_in(tmp_path / "whole", "supervised")
    assert len(written_at(tmp_path / "t")) == 4


def test_what_is_searched_lies_in_the_ranges_of_the_method(tmp_path: Path) -> None:
    # What is known may come from a longer run, with other ranges.
    searched(tmp_path / "t", "noisy", trials=4, known={"noisy": {"sigma": 9.0, "lr": 1e-9, "foreign": 1}})
    space = METHODS["noisy"].search_space
    trials = [settings for _, settings in trials_in(tmp_path / "t", "noisy")]
    assert (trials[1]["sigma"], trials[1]["lr"]) == (space["sigma"][1], space["lr"][0])
    for settings in trials:
        assert set(settings) == set(space)
        assert all(space[name][0] <= value <= space[name][1] for name, value in settings.items())


def test_a_teacher_that_reads_is_pretrained_as_long_as_suits_the_method() -> None:
    from kdgan.experiments.tuning import space

    photos = replace(TAGS, training=replace(TAGS.training, steps=50, teacher_steps=30))
    assert space("mimic", photos)["teacher_steps"] == (3, 30)
    for method, base in (("supervised", photos), ("nagan", photos), ("mimic", BASE), ("kdgan", BASE)):
        assert space(method, base) == METHODS[method].search_space


def test_a_trial_is_worth_its_mean_over_seeds_and_one_that_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdgan.experiments import tuning

    def found(
        runs: Mapping[tuple[str, int], Config], *_: object, keep: Callable[..., None], **__: object
    ) -> None:
        for name, seed in runs:
            number = int(name.rpartition(" ")[2])
            if (number, seed) != (2, FIRST_SEED):
                keep((name, seed), Outcome({"validation/accuracy": 10.0 * number + seed}, 50, 1.0))

    monkeypatch.setattr(tuning, "run_all", found)
    file = searched(tmp_path / "t", "supervised", trials=3, seeds=2)
    failed = [row for row in rows(tmp_path / "t" / "trials.csv") if not row["validation"]]
    assert [row["trial"] for row in failed] == ["2"]
    best = json_in(file)["methods"]["supervised"]
    assert (best["validation"], best["trials"]) == (10 + FIRST_SEED + 0.5, 3)


def test_a_method_without_a_trial_that_ends_is_told(tmp_path: Path) -> None:
    # What the teacher cannot learn, nobody can learn from it.
    base = changed(BASE, pretraining_lr=1e30, augment="none")
    with pytest.raises(RunError, match="every trial of mimic failed"):
        searched(tmp_path / "o", "mimic", trials=1, base=base)


def test_nothing_to_validate_on_is_refused_before_it_begins(tmp_path: Path) -> None:
    with refused("nothing is left to validate on", "fewer labels"):
        searched(tmp_path / "t", "supervised", trials=1, base=changed(BASE, labels=1437))
    assert not (tmp_path / "t").exists()


def test_a_table_is_named_without_its_folder(tmp_path: Path) -> None:
    lines = "a,b,y\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(80))
    (tmp_path / "t.csv").write_text(lines, encoding="utf-8")
    base = replace(BASE, data=ClassesData(str(tmp_path / "t.csv"), labels=40, target="y"), augment="none")
    file = searched(tmp_path / "o", "supervised", trials=1, base=base)
    assert json_in(file)["base"]["data"]["source"] == "t.csv"
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
