"""One run from its configuration to its result, and comparisons of runs, in this process."""

import dataclasses
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from rich.console import Console

from kdgan.errors import RunError
from kdgan.methods import METHODS, Method, hyperparameters
from kdgan.experiments.comparison import Comparison, Variant, compare
from kdgan.experiments.statistics import read_results
from kdgan.training import Config, Machine, Outcome, Run, Student
from kdgan.training.config import claim, complete, differences, digest, from_plain, plain, read_json
from kdgan.training.devices import find_device
from kdgan.training.evaluate import accuracy
from kdgan.training.loop import Interrupted
from kdgan.tasks.run import evaluate_run
from kdgan.tasks.base import Classification
from support import refused, served

TINY = Config(
    data="digits",
    method="kdgan",
    seed=1,
    labels=40,
    steps=20,
    teacher_steps=10,
    batch=8,
    student="mlp-8",
    teacher="lenet-2-4-8",
    augment="affine",
    evaluations=4,
    student_pretraining=0.2,
)
MEASURED = (
    "data",
    "labels",
    "student_accuracy",
    "teacher_accuracy",
    "best_epoch_accuracy",
    "validation_accuracy",
)


def config(**changes: Any) -> Config:
    return dataclasses.replace(TINY, **changes)


def train(folder: Path, machine: Machine | None = None, **changes: Any) -> Outcome:
    return Run(config(**changes), machine or Machine()).train(folder / "run", folder / "pretrained")


def untimed(outcome: Outcome) -> dict[str, Any]:
    values = dataclasses.asdict(outcome)
    del values["seconds"], values["pretraining_seconds"]
    return values


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("method", "said", "share"),
    [("kdgan", None, 0.0), ("nagan", None, 0.1), ("nagan", 0.0, 0.0), ("kdgan", 0.2, 0.2)],
)
def test_c_is_pretrained_as_said_or_as_its_method_does(method: str, said: float | None, share: float) -> None:
    own = config(method=method, student_pretraining=said)
    assert own.early == share
    assert ("student" in own.pretrained) == (share > 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_every_method(tmp_path: Path, method: str) -> None:
    outcome = train(tmp_path, method=method)
    pretrained = METHODS[method].pretrained
    assert outcome.student_updates == 20
    assert [step for step, _ in outcome.curve][-1] == 20
    assert (4 in [step for step, _ in outcome.curve]) == ("student" in pretrained)
    assert outcome.student_accuracy == outcome.curve[-1][1]
    assert outcome.best_epoch_accuracy == max(value for _, value in outcome.curve)
    assert 0 <= outcome.student_accuracy <= 100
    assert outcome.validation_accuracy is not None
    assert outcome.labels == 40
    assert outcome.student_parameters == 64 * 8 + 8 + 8 * 10 + 10
    has_teacher = "teacher" in METHODS[method].roles
    assert (outcome.teacher_accuracy is not None) == (outcome.teacher_parameters is not None) == has_teacher
    assert (outcome.pretraining_seconds > 0) == bool(set(pretrained) - {"student"})
    assert {path.name for path in (tmp_path / "run").iterdir()} - {".lock"} == {
        "config.json",
        "metrics.jsonl",
        "result.json",
        "student.safetensors",
    }
    if (tmp_path / "pretrained").exists():
        there = {path.name for path in (tmp_path / "pretrained").iterdir()}
        assert {name.rpartition("-")[0] for name in there} == {f"{role}-seed1" for role in pretrained}
    updates = 16 if "student" in pretrained else 20
    assert [record["step"] for record in records(tmp_path / "run")] == [
        updates * n // 4 for n in (1, 2, 3, 4)
    ]


def test_a_finished_run_is_taken_as_it_is(tmp_path: Path) -> None:
    outcome = train(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    seen: list[str] = []
    again = train(tmp_path, Machine(progress=lambda what, done, total: seen.append(what)))
    assert untimed(again) == json.loads(json.dumps(untimed(outcome)))
    assert not seen
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_commands_that_share_a_folder_wait_for_each_other(tmp_path: Path) -> None:
    alone = untimed(train(tmp_path / "alone"))
    shared = tmp_path / "shared"
    claim(shared / "run", "config.json", complete(config()))
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return True

    with FileLock(shared / "run" / ".lock"):
        with pytest.raises(Interrupted, match="another command was at work in"):
            train(shared, Machine(stop=stop))
        assert len(asked) == 1
        assert not (shared / "run" / "metrics.jsonl").exists()
    assert untimed(train(shared)) == alone

    # Two at once: either trains, and the other takes what it finds, which JSON has made lists of tuples.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        both = list(pool.map(train, [tmp_path / "both"] * 2))
    assert [json.loads(json.dumps(untimed(one))) for one in both] == [json.loads(json.dumps(alone))] * 2
    assert both[0].seconds == both[1].seconds
    assert [record["step"] for record in records(tmp_path / "both" / "run")] == [4, 8, 12, 16]


def test_a_configuration_may_gain_a_field(tmp_path: Path) -> None:
    """A run from before a field was there is the run of that field's default, under the same name."""
    outcome = train(tmp_path)
    file = tmp_path / "run" / "config.json"
    older = json.loads(file.read_text(encoding="utf-8"))
    del older["weight_decay"]
    file.write_text(json.dumps(older), encoding="utf-8")
    assert untimed(train(tmp_path)) == json.loads(json.dumps(untimed(outcome)))
    with refused("weight_decay", "0.5 now"):
        train(tmp_path, weight_decay=0.5)
    assert digest({**older, "hyper": {}}) == digest(plain(config()))
    assert config().name != config(weight_decay=0.5).name


def test_a_run_of_another_default_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hyperparameter that nobody set is part of a run's record, as its default may change between versions."""
    train(tmp_path, method="distn")
    monkeypatch.setattr(
        "kdgan.training.config.hyperparameters", lambda name: {**hyperparameters(name), "weight": 0.5}
    )
    with refused("hyper", "'weight': 0.9"):
        train(tmp_path, method="distn")


def test_the_interval_of_a_configuration_reaches_its_method() -> None:
    assert Run(config(method="kdgan", interval=3), Machine()).method.interval == 3


def test_a_record_that_lacks_a_hyperparameter_has_its_default() -> None:
    now = complete(config(method="distn", hyper={"weight": 0.5}))
    assert "0.9" in differences({**now, "hyper": {}}, now)
    now = complete(config(method="kdgan"))
    assert "'supervision': 0.0" in differences({**now, "hyper": {}}, now)
    assert not differences({**now, "hyper": {"supervision": 1.0}}, now)


def test_the_machine_has_no_part_in_the_result(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    one = train(tmp_path / "one")
    watched = Machine(checkpoint_seconds=0.0, progress=lambda *what: told.append(what))
    other = train(tmp_path / "other", watched)
    assert untimed(one) == untimed(other)
    files = [tmp_path / name / "run" / "student.safetensors" for name in ("one", "other")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {what: total for what, _, total in told} == {
        "student": 4,
        "teacher": 10,
        "discriminator": 10,
        "kdgan": 16,
    }


def test_the_global_random_state_has_no_part_in_the_result(tmp_path: Path) -> None:
    outcomes = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        outcomes.append(untimed(train(tmp_path / str(seed))))
    assert outcomes[0] == outcomes[1]


def test_stopped_everywhere_the_run_ends_as_it_would_have(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    asked, stops = iter(range(10_000)), 0
    while True:
        try:
            # Twenty updates of two players, then sixteen of all: a stop after every seventh.
            outcome = train(tmp_path / "stopped", Machine(stop=lambda: next(asked) % 7 == 6))
            break
        except Interrupted:
            stops += 1
    assert stops >= 4
    assert untimed(outcome) == untimed(whole)
    student = "run/student.safetensors"
    assert (tmp_path / "stopped" / student).read_bytes() == (tmp_path / "whole" / student).read_bytes()


def test_players_start_alike_in_every_method_and_differ_by_seed() -> None:
    weights = {}
    for method, seed in (("supervised", 1), ("kdgan", 1), ("mimic", 1), ("kdgan", 2)):
        run = Run(config(method=method, seed=seed), Machine())
        weights[method, seed] = {
            role: torch.cat([p.flatten() for p in module.parameters()])
            for role, module in run.modules.items()
        }
    kdgan = weights["kdgan", 1]
    assert torch.equal(kdgan["student"], weights["supervised", 1]["student"])
    assert torch.equal(kdgan["student"], weights["mimic", 1]["student"])
    assert torch.equal(kdgan["teacher"], weights["mimic", 1]["teacher"])
    for role, mine in kdgan.items():
        assert not torch.equal(mine, weights["kdgan", 2][role])
    assert not torch.equal(kdgan["teacher"], kdgan["discriminator"])


def test_views_are_moved_in_every_update_of_the_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, calls = Method.moved, []

    def counted(self: Method, batch: Any) -> Any:
        calls.append(type(self).__name__)
        return moved(self, batch)

    monkeypatch.setattr(Method, "moved", counted)
    for method in ("supervised", "nagan", "kdgan"):
        calls.clear()
        train(tmp_path / method, method=method, reach=0.1, student_pretraining=0.2)
        assert len(calls) == 20, calls  # of which 4 before the game, and none of T or D


def test_methods_of_a_seed_share_one_pretrained_teacher(tmp_path: Path) -> None:
    outcomes = {
        method: Run(config(method=method), Machine()).train(tmp_path / method, tmp_path / "pretrained")
        for method in ("distn", "mimic", "noisy")
    }
    assert len({outcome.teacher_accuracy for outcome in outcomes.values()}) == 1
    assert len({outcome.pretraining_seconds for outcome in outcomes.values()}) == 1
    assert len({outcome.student_accuracy for outcome in outcomes.values()}) > 1


def test_a_teacher_run_ahead_teaches_the_same(tmp_path: Path) -> None:
    """Without augmentation its logits are computed once: the student must learn what it would have learnt."""
    run = Run(config(method="distn", augment="none"), Machine())
    run.train(tmp_path / "run", tmp_path / "pretrained")
    slow = Run(config(method="distn", augment="none"), Machine())
    slow.pretrain("teacher", tmp_path / "pretrained")
    method, feed = slow._method(), slow._feed(1)
    for step in range(20):
        method.update(feed(step), step / 20)
    for ours, theirs in zip(
        run.modules["student"].parameters(), slow.modules["student"].parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_the_student_file_is_the_student(tmp_path: Path) -> None:
    outcome = train(tmp_path)
    measured = evaluate_run(tmp_path / "run", torch.device("cpu"))
    assert measured == {
        "accuracy": outcome.student_accuracy,
        "examples": 360,
        "parameters": outcome.student_parameters,
        "data": "digits",
        "method": "kdgan",
    }
    student = Student.load(tmp_path / "run" / "student.safetensors")
    assert not student.module.training
    task = Run(TINY, Machine()).task
    assert isinstance(task, Classification)
    data = task.split
    assert accuracy(student.module, data.test) == outcome.student_accuracy
    raw = (data.test.inputs * data.scale.std + data.scale.mean)[:7]
    chances = student(raw)
    torch.testing.assert_close(chances.sum(1), torch.ones(7))
    torch.testing.assert_close(chances, student.module(data.test.inputs[:7]).softmax(-1).detach())


def test_what_does_not_fit_is_found_before_anything_is_written(tmp_path: Path) -> None:
    wrong = [
        ({"labels": 5}, "5 labels"),
        ({"student": "foo"}, "foo"),
        ({"teacher": "resnet-9"}, "9"),
        ({"hyper": {"delta": 1}}, "delta"),
        ({"hyper": {"beta": -1.0}}, "beta"),
        ({"augment": "mirror"}, "mirror"),
        ({"hyper": {"estimator": "guess"}}, "guess"),
    ]
    for changes, part in wrong:
        with refused(part):
            train(tmp_path / "out", **changes)
        assert not (tmp_path / "out").exists(), changes
    for name in ("steps", "batch", "teacher_steps", "evaluations"):
        with refused(name, "at least 1", "0"):
            config(**{name: 0})
    with refused("student_pretraining", "1.0"):
        config(student_pretraining=1.0)
    with refused("unknown method", "gan"):
        config(method="gan")


def test_tiny_numbers_of_steps(tmp_path: Path) -> None:
    for steps in (1, 2, 3):
        outcome = train(tmp_path / str(steps), steps=steps, teacher_steps=1)
        assert outcome.student_updates == steps
        assert outcome.curve[-1][0] == steps


def test_a_diverging_run_keeps_no_result(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RunError, match=r"at step \d+ the loss term '\w+' was (nan|inf)"):
            train(tmp_path, lr=1e30, augment="none")
    assert not (tmp_path / "run" / "result.json").exists()
    assert not (tmp_path / "run" / "student.safetensors").exists()


def test_configurations_survive_json() -> None:
    whole = config(privileged=("a", "b"), hyper={"alpha": 0.25}, target="y")
    assert from_plain(json.loads(json.dumps(plain(whole)))) == whole
    for broken in ({}, {"data": "digits"}, {**plain(whole), "extra": 1}):
        with refused("not the configuration"):
            from_plain(broken)
    assert set(whole.without("seed", "data")) == set(plain(whole)) - {"seed", "data"}


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    claim(tmp_path / "mine", "config.json", {"a": 1, "b": [1, 2]})
    claim(tmp_path / "mine", "config.json", {"a": 1, "b": [1, 2]})
    with refused("mine", "a 1 there and 2 now", "--out"):
        claim(tmp_path / "mine", "config.json", {"a": 2, "b": [1, 2]})
    with refused("c None there and 3 now"):
        claim(tmp_path / "mine", "config.json", {"a": 1, "b": [1, 2], "c": 3})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("work", encoding="utf-8")
    with refused("other", "is not a folder of kdgan", "--out"):
        claim(tmp_path / "other", "config.json", {})
    with refused("thesis.tex", "is not a folder of kdgan"):
        claim(tmp_path / "other" / "thesis.tex", "config.json", {})
    (tmp_path / "mine" / "config.json").write_text("{", encoding="utf-8")
    with refused("config.json", "cannot be read"):
        claim(tmp_path / "mine", "config.json", {"a": 1})
    (tmp_path / "mine" / "config.json").write_text("[]", encoding="utf-8")
    with refused("config.json", "holds no object"):
        read_json(tmp_path / "mine" / "config.json")
    (tmp_path / "empty").mkdir()
    claim(tmp_path / "empty", "config.json", {"a": 1})


def test_a_run_killed_while_it_first_writes_can_begin_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.4242.tmp").write_text('{"data', encoding="utf-8")
    claim(folder, "config.json", {"a": 1})
    assert read_json(folder / "config.json") == {"a": 1}


def test_what_a_killed_run_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, Machine(stop=lambda: True))
    left = tmp_path / "run" / ".checkpoint.safetensors.999999999.tmp"
    left.write_bytes(b"half of it")
    train(tmp_path)
    assert not left.exists()


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("tpu", "cuda:99", "meta", "", "gpu"):
        with refused(repr(name), "there is cpu"):
            find_device(name)


# --- comparisons -------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers forked from a server that has imported torch: a second instead of five for each."""
    context = served()
    monkeypatch.setattr("kdgan.experiments.pool.multiprocessing.get_context", lambda method: context)


def compared(
    out: Path, methods: list[str], seeds: int, *, workers: int = 2, **changes: Any
) -> tuple[list[str], str]:
    """What failed, and what was printed."""
    with (out.parent / "said").open("w+", encoding="utf-8") as said:
        study = Comparison(config(**changes), {method: Variant(method) for method in methods}, range(seeds))
        done = compare(
            study, Machine(), out, workers=workers, threads=1, console=Console(file=said, width=100), facts={}
        )
        said.seek(0)
        return done.failures, said.read()


def accuracies(out: Path) -> dict[tuple[str, int], tuple[Any, ...]]:
    return {
        (record.method, record.seed): tuple(getattr(record, name) for name in MEASURED)
        for record in read_results(out / "results.csv")
    }


@pytest.mark.usefixtures("quick_workers")
def test_a_comparison_can_be_extended_and_does_not_depend_on_workers(tmp_path: Path) -> None:
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    assert compared(grown, ["supervised", "mimic"], 1, workers=1)[0] == []
    kept = {path: path.stat().st_mtime_ns for path in grown.rglob("*/result.json")}
    assert len(kept) == 2
    first = accuracies(grown)
    _, table = compared(grown, ["kdgan", "supervised", "mimic"], 2)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert {key: accuracies(grown)[key] for key in first} == first
    compared(whole, ["supervised", "mimic", "kdgan"], 2, workers=1)
    assert accuracies(whole) == accuracies(grown)
    assert len(accuracies(whole)) == 6
    assert (grown / "report.html").stat().st_size > 1000
    for method in ("supervised", "mimic", "kdgan"):
        assert f"\n {method}" in table
    with refused("grown", "steps", "--out"):
        compared(grown, ["supervised"], 1, steps=21)


@pytest.mark.usefixtures("quick_workers")
def test_variants_that_agree_share_a_run(tmp_path: Path) -> None:
    variants = {name: Variant("supervised", {"smoothing": value}) for name, value in (("a", 0.1), ("b", 0.1))}
    study = Comparison(config(), variants, range(2))
    console = Console(file=(tmp_path / "said").open("w", encoding="utf-8"))
    with console.file:
        found = compare(study, Machine(), tmp_path / "c", workers=2, threads=1, console=console, facts={})
    assert len(list((tmp_path / "c" / "runs").iterdir())) == 2
    assert set(found.records) == {("a", 0), ("b", 0), ("a", 1), ("b", 1)}
    for seed in (0, 1):
        assert found.records["a", seed].student_accuracy == found.records["b", seed].student_accuracy


@pytest.mark.usefixtures("quick_workers")
def test_a_failed_run_is_told_and_others_go_on(tmp_path: Path) -> None:
    failures, table = compared(tmp_path / "c", ["supervised", "mimic"], 1, lr=1e30, augment="none")
    assert len(failures) == 2
    assert any(failure.startswith("supervised seed 0: training diverged: at step") for failure in failures)
    assert any(failure.startswith("teacher seed 0: ") for failure in failures)  # mimic was not even begun
    assert "mimic" not in table
    assert not list((tmp_path / "c" / "runs").glob("mimic-*"))
