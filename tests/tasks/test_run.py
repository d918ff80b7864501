"""One run from its configuration to its outcome."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from kdgan.errors import Interrupted, RunError
from kdgan.methods import METHODS
from kdgan.ship.student import Student
from kdgan.stored import read_json
from kdgan.tasks import Config, Outcome, evaluate_run, run_of
from kdgan.tasks.classes import Classes
from kdgan.tasks.run import NetworkRun, division_of, likeliest, outcome_in, remember, task_of
from kdgan.tasks.scores import accuracy
from kdgan.training import Execution
from kdgan.training.config import bind_folder
from kdgan.training.evaluate import logits_of
from support import refused
from tiny import DIGITS, TAGS, changed, network, records, train, untimed, weights


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_every_method(tmp_path: Path, method: str) -> None:
    outcome = train(tmp_path, method=method)
    metrics, kind = outcome.metrics, METHODS[method]
    curve = outcome.curves["accuracy"]
    assert outcome.student_updates == 20
    assert [step for step, _ in curve][-1] == 20
    assert (4 in [step for step, _ in curve]) == ("student" in kind.pretrained)
    assert metrics["accuracy"] == curve[-1][1]
    assert metrics["best_epoch/accuracy"] == max(value for _, value in curve)
    assert metrics["validation/accuracy"] == outcome.curves["validation/accuracy"][-1][1]
    assert all(0 <= value <= 100 for value in metrics.values())
    assert metrics["log_loss"] == outcome.curves["log_loss"][-1][1]
    has_teacher = "teacher" in kind.roles
    assert next(iter(metrics)) == "accuracy"
    assert {name for name in metrics if not name.startswith("teacher/")} == {
        *("accuracy", "validation/accuracy", "best_epoch/accuracy", "majority/accuracy"),
        *("log_loss", "brier", "ece", "log_loss_scaled", "brier_scaled", "ece_scaled"),
    }
    assert ("teacher/accuracy" in metrics) == (outcome.teacher_parameters is not None) == has_teacher
    assert set(outcome.curves) == {"accuracy", "log_loss", "ece", "validation/accuracy"}
    assert outcome.labels == 40
    assert outcome.student_parameters == 64 * 8 + 8 + 8 * 10 + 10
    assert outcome.seconds > 0
    assert (outcome.pretraining_seconds > 0) == bool(set(kind.pretrained) - {"student"})
    assert outcome.examples == []
    assert {path.name for path in (tmp_path / "run").iterdir()} - {".lock"} == {
        "config.json",
        "metrics.jsonl",
        "result.json",
        "student.safetensors",
        *(("teacher.safetensors",) if "teacher" in kind.trains else ()),
    }
    if (tmp_path / "pretrained").exists():
        there = {path.name for path in (tmp_path / "pretrained").iterdir()}
        assert {name.rpartition("-")[0] for name in there} == {f"{role}-seed1" for role in kind.pretrained}
    updates = 16 if "student" in kind.pretrained else 20
    assert [record["step"] for record in records(tmp_path / "run")] == [
        updates * n // 4 for n in (1, 2, 3, 4)
    ]


def test_a_finished_run_is_taken_as_it_is(tmp_path: Path) -> None:
    outcome = train(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    seen: list[str] = []
    again = train(tmp_path, Execution(progress=lambda what, done, total: seen.append(what)))
    assert untimed(again) == untimed(outcome)
    assert (again.seconds, again.pretraining_seconds) == (outcome.seconds, outcome.pretraining_seconds)
    assert not seen
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_folder_of_a_run_belongs_to_its_configuration(tmp_path: Path) -> None:
    train(tmp_path)
    for changes, part in (
        ({"steps": 21}, "training.steps 20 there and 21 now"),
        ({"labels": 50}, "data.labels 40 there and 50 now"),
        ({"hyper": {"alpha": 0.1}}, "hyper.alpha 0.5 there and 0.1 now"),
        ({"metrics": ("tiny:count",)}, "metrics"),
    ):
        with refused("run", part, "--out"):
            train(tmp_path, **changes)
        with refused(part):
            outcome_in(tmp_path / "run", changed(DIGITS, **changes))
    assert outcome_in(tmp_path / "elsewhere", DIGITS) is None


def test_commands_that_share_a_folder_wait_for_each_other(tmp_path: Path) -> None:
    alone = untimed(train(tmp_path / "alone"))
    shared = tmp_path / "shared"
    bind_folder(shared / "run", "config.json", DIGITS.plain())
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return True

    with FileLock(shared / "run" / ".lock"):
        with pytest.raises(Interrupted, match="another command was at work in"):
            train(shared, Execution(stop=stop))
        assert len(asked) == 1
        assert not (shared / "run" / "metrics.jsonl").exists()
    assert untimed(train(shared)) == alone

    # Two at once: either trains, and the other takes what it finds.
    context = get_context("spawn")
    with ProcessPoolExecutor(2, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        both = list(pool.map(train, [tmp_path / "both"] * 2))
    assert [untimed(one) for one in both] == [alone] * 2
    assert both[0].seconds == both[1].seconds
    assert [record["step"] for record in records(tmp_path / "both" / "run")] == [4, 8, 12, 16]


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
            outcome = train(tmp_path / "stopped", Execution(stop=lambda: next(asked) % 7 == 6))
            break
        except Interrupted:
            stops += 1
    assert stops >= 4
    assert untimed(outcome) == untimed(whole)
    student = "run/student.safetensors"
    assert (tmp_path / "stopped" / student).read_bytes() == (tmp_path / "whole" / student).read_bytes()


def test_players_start_alike_in_every_method_and_differ_by_seed() -> None:
    start = {}
    for method, seed in (("supervised", 1), ("kdgan", 1), ("mimic", 1), ("kdgan", 2)):
        run = NetworkRun(changed(DIGITS, method=method, seed=seed), Execution())
        start[method, seed] = {role: weights(module) for role, module in run.modules.items()}
    kdgan = start["kdgan", 1]
    assert torch.equal(kdgan["student"], start["supervised", 1]["student"])
    assert torch.equal(kdgan["student"], start["mimic", 1]["student"])
    assert torch.equal(kdgan["teacher"], start["mimic", 1]["teacher"])
    for role, mine in kdgan.items():
        assert not torch.equal(mine, start["kdgan", 2][role])
    assert not torch.equal(kdgan["teacher"], kdgan["discriminator"])


def test_methods_of_a_seed_share_one_pretrained_teacher(tmp_path: Path) -> None:
    outcomes = {
        method: run_of(changed(DIGITS, method=method), Execution()).train(
            tmp_path / method, tmp_path / "pretrained"
        )
        for method in ("distn", "mimic", "noisy")
    }
    assert len({outcome.metrics["teacher/accuracy"] for outcome in outcomes.values()}) == 1
    assert len({outcome.pretraining_seconds for outcome in outcomes.values()}) == 1
    assert len({outcome.metrics["accuracy"] for outcome in outcomes.values()}) > 1
    assert len(list((tmp_path / "pretrained").iterdir())) == 1


def test_a_player_may_be_pretrained_ahead(tmp_path: Path) -> None:
    one = NetworkRun(changed(DIGITS, method="mimic"), Execution())
    loop = one.pretrain("teacher", tmp_path / "pretrained")
    assert loop.steps == 10
    (folder,) = (tmp_path / "pretrained").iterdir()
    assert read_json(folder / "config.json", dict[str, Any]) == one.config.pretraining("teacher")
    seen: list[str] = []
    outcome = train(tmp_path, Execution(progress=lambda what, *_: seen.append(what)), method="mimic")
    assert set(seen) == {"teacher", "mimic"}  # that it is trained already is told, too
    assert outcome.pretraining_seconds == round(loop.seconds, 3)


def test_the_student_file_is_the_student(tmp_path: Path) -> None:
    outcome = train(tmp_path)
    measured = evaluate_run(tmp_path / "run", Execution())
    assert measured.config == changed(DIGITS, hyper=DIGITS.plain()["hyper"])
    assert measured.metrics == {name: outcome.metrics[name] for name in ("accuracy", "log_loss", "ece")}
    assert (measured.examples, measured.parameters) == (360, outcome.student_parameters)
    student = Student.load(tmp_path / "run")
    assert not student.module.training
    task = task_of(DIGITS, None)
    assert isinstance(task, Classes)
    data = task.split
    found = accuracy(logits_of(student.module, data.test), data.test.targets)
    assert found == outcome.metrics["accuracy"]
    raw = (data.test.inputs * data.scale.std + data.scale.mean)[:7]
    chances = student(raw)
    torch.testing.assert_close(chances.sum(1), torch.ones(7))
    torch.testing.assert_close(chances, student.module(data.test.inputs[:7]).softmax(-1).detach())


@pytest.mark.parametrize("augment", ["none", "noise"])
def test_evaluating_a_run_on_tags(tmp_path: Path, augment: str) -> None:
    outcome = train(tmp_path, base=TAGS, augment=augment, metrics=("tiny:count",))
    measured = evaluate_run(tmp_path / "run", Execution(), trust=True)
    assert measured.config == changed(
        TAGS, augment=augment, metrics=("tiny:count",), hyper=TAGS.plain()["hyper"]
    )
    assert list(measured.metrics) == ["count", "MAP", "P@3", "P@5", "F@3", "F@5", "MRR"]
    assert measured.metrics == {name: outcome.metrics[name] for name in measured.metrics}
    assert measured.examples == measured.metrics["count"] == len(task_of(TAGS, None).test)
    assert measured.parameters == outcome.student_parameters


def test_what_cannot_be_evaluated(tmp_path: Path) -> None:
    with refused(tmp_path / "config.json", "cannot be read"):
        evaluate_run(tmp_path, Execution())
    train(tmp_path / "knn", base=TAGS, method="knn")
    with refused("knn", "keeps no network", "result.json"):
        evaluate_run(tmp_path / "knn" / "run", Execution())
    with pytest.raises(Interrupted):
        train(tmp_path / "stopped", Execution(stop=lambda: True))
    with refused("student.safetensors", "has its run finished?"):
        evaluate_run(tmp_path / "stopped" / "run", Execution())


def test_what_does_not_fit_is_found_before_anything_is_written(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"labels": 5}, "5 labels"),
        ({"student": "foo"}, "foo"),
        ({"teacher": "resnet-9"}, "9"),
        ({"hyper": {"delta": 1}}, "delta"),
        ({"hyper": {"beta": -1.0}}, "beta"),
        ({"hyper": {"estimator": "guess"}}, "guess"),
        ({"augment": "mirror"}, "mirror"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"student": "tiny:count"}, "cannot be made"),
        ({"probe": "tiny:nothing"}, "cannot import tiny:nothing"),
    ]
    for changes, part in wrong:
        with refused(part):
            train(tmp_path / "out", **changes)
        assert not (tmp_path / "out").exists(), changes


@pytest.mark.parametrize("reference", ["tiny:nothing", "nowhere:metric", "tiny:DIGITS"])
def test_a_metric_that_is_none_is_found_before_anything_is_written(tmp_path: Path, reference: str) -> None:
    with refused(reference.rpartition(":")[2]):
        train(tmp_path / "out", metrics=(reference,))
    assert not (tmp_path / "out").exists()


def test_tiny_numbers_of_steps(tmp_path: Path) -> None:
    for steps in (1, 2, 3):
        outcome = train(tmp_path / str(steps), steps=steps, teacher_steps=1)
        assert outcome.student_updates == steps
        assert outcome.curves["accuracy"][-1][0] == steps


def test_steps_of_the_student_in_an_update_are_counted(tmp_path: Path) -> None:
    assert train(tmp_path, hyper={"c_steps": 3}).student_updates == 4 + 16 * 3


def test_a_diverging_run_keeps_no_result(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RunError, match=r"at step \d+ the loss term '\w+' was (nan|inf)"):
            train(tmp_path, lr=1e30, augment="none")
    assert not (tmp_path / "run" / "result.json").exists()
    assert not (tmp_path / "run" / "student.safetensors").exists()


def test_what_a_killed_run_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, Execution(stop=lambda: True))
    left = tmp_path / "run" / ".checkpoint.safetensors.999999999.tmp"
    left.write_bytes(b"half of it")
    train(tmp_path)
    assert not left.exists()


# --- things of one's own -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [DIGITS, TAGS], ids=["classes", "tags"])
def test_a_metric_of_ones_own(tmp_path: Path, base: Config) -> None:
    plain = train(tmp_path / "plain", base=base)
    outcome = train(tmp_path / "own", base=base, metrics=("tiny:thrice", "tiny:count"))
    task = task_of(base, None)
    # The first that is named is what counts, and is looked at on validation data in the place of the usual one.
    own = {"thrice", "count", "teacher/thrice", "teacher/count", "validation/thrice", "best_epoch/thrice"}
    usual = {f"{what}/{task.metrics[0]}" for what in ("validation", "best_epoch")}
    assert set(outcome.metrics) - set(plain.metrics) == own
    assert set(plain.metrics) - set(outcome.metrics) == usual
    assert all(outcome.metrics[name] == value for name, value in plain.metrics.items() if name not in usual)
    logits = logits_of(task.load(tmp_path / "own" / "run" / "student.safetensors").module, task.test)
    last = 3 * (logits.argmax(1) == len(task.labels) - 1).double().mean().item()
    assert outcome.metrics["thrice"] == last
    assert {value for _, value in outcome.curves["count"]} == {float(len(task.test))}
    assert [step for step, _ in outcome.curves["thrice"]] == [
        step for step, _ in plain.curves[task.metrics[0]]
    ]
    # Metrics watch, and change nothing.
    files = [tmp_path / name / "run" / "student.safetensors" for name in ("plain", "own")]
    assert files[0].read_bytes() == files[1].read_bytes()
    own = tmp_path / "own" / "run"
    assert evaluate_run(own, Execution(), trust=True).metrics["thrice"] == last
    assert "thrice" not in evaluate_run(own, Execution()).metrics  # nothing that a file names is imported


@pytest.mark.parametrize(
    ("name", "parts"), [("nan", ["nan", "no finite number"]), ("broken", ["RuntimeError", "no such thing"])]
)
def test_a_metric_that_gives_no_number(tmp_path: Path, name: str, parts: list[str]) -> None:
    with pytest.raises(ValueError, match=f"metric {name} ") as caught:
        train(tmp_path, metrics=(f"tiny:{name}",))
    for part in parts:
        assert part in str(caught.value)


def test_a_probe_finds_numbers_on_the_way_and_changes_nothing(tmp_path: Path) -> None:
    plain = train(tmp_path / "plain")
    outcome = train(tmp_path / "probed", probe="tiny:look")
    found = {name: points for name, points in outcome.curves.items() if name.startswith("probe/")}
    assert set(found) == {"probe/examples", "probe/seed", "probe/first"}
    # The probe looks once the method is at work, which is after the four updates of the student's pretraining.
    assert found["probe/examples"] == [(8, 8), (12, 8), (16, 8), (20, 8)]
    assert {value for _, value in found["probe/seed"]} == {1}
    assert len({value for _, value in found["probe/first"]}) == 1
    assert outcome.metrics == plain.metrics
    rest = {name: points for name, points in outcome.curves.items() if name not in found}
    assert rest == plain.curves
    files = [tmp_path / name / "run" / "student.safetensors" for name in ("plain", "probed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert untimed(train(tmp_path / "probed", probe="tiny:look")) == untimed(outcome)


@pytest.mark.parametrize("base", [DIGITS, TAGS], ids=["classes", "tags"])
def test_a_student_of_ones_own(tmp_path: Path, base: Config) -> None:
    outcome = train(tmp_path, base=base, student="tiny:network")
    task = task_of(base, None)
    count, features = len(task.labels), task.train.inputs[0].numel()
    assert outcome.student_parameters == features * 5 + 5 + 5 * count + count
    file = tmp_path / "run" / "student.safetensors"
    with refused(file, "tiny:network", "module="):
        Student.load(file)
    student = Student.load(tmp_path / "run", module=network(task.train.inputs.shape[1:], count))
    with refused("tiny:network", "--trust"):
        evaluate_run(tmp_path / "run", Execution())
    measured = evaluate_run(tmp_path / "run", Execution(), trust=True)
    assert measured.metrics[task.metrics[0]] == outcome.metrics[task.metrics[0]]
    assert student.network == "tiny:network"
    assert not student.module.training
    primary = task.metrics[0]
    assert task.measure(student.module, task.test)[primary] == outcome.metrics[primary]
    with refused("belongs to another network"):
        Student.load(file, module=torch.nn.Linear(2, 2))


def test_a_method_of_ones_own_has_a_name_and_a_result(tmp_path: Path) -> None:
    own = changed(DIGITS, method="kdgan.methods:Mimic")
    assert own.name.startswith("Mimic-seed1-")
    outcome = run_of(own, Execution()).train(tmp_path / "own", tmp_path / "pretrained")
    known = run_of(changed(DIGITS, method="mimic"), Execution()).train(
        tmp_path / "known", tmp_path / "pretrained"
    )
    assert untimed(outcome) == untimed(known)
    assert len(list((tmp_path / "pretrained").iterdir())) == 1


# --- parts -------------------------------------------------------------------------------------------------------


def test_the_likeliest_labels_come_first_and_equal_ones_in_their_order() -> None:
    task = task_of(DIGITS, None)
    scores = torch.tensor([[0.0] * 10, [0.1, 0.2, 0.9, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    assert likeliest(scores, task) == [["0", "1", "2", "3", "4"], ["2", "1", "3", "0", "4"]]
    assert likeliest(scores, task, most=1) == [["0"], ["2"]]


def test_the_likeliest_tags_of_the_first_photos_are_kept(tmp_path: Path) -> None:
    outcome = train(tmp_path, base=TAGS)
    task = task_of(TAGS, None)
    student = task.load(tmp_path / "run" / "student.safetensors")
    raw = task.test.inputs[:6] * student.scale.std + student.scale.mean
    expected = [[*each.labels] for each in student.predict(raw, most=5)]
    assert outcome.examples == expected
    assert len(expected) == task.count_shown == 6


@pytest.mark.parametrize("base", [DIGITS, TAGS])
def test_what_another_process_has_made_of_the_data_is_taken(
    base: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdgan.tasks.run._DIVISIONS", {})
    own = task_of(base, None)
    division = division_of(base, None)
    assert division is not None
    kind = type(own)

    def fails(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(kind, "read", fails)
    with pytest.raises(AssertionError, match="read again"):
        task_of(base, None)
    remember(division)
    found = task_of(changed(base, method="supervised", lr=0.5), None)
    for name in ("train", "validation", "test"):
        mine, theirs = getattr(own, name), getattr(found, name)
        for part, other in zip(mine.parts(), theirs.parts(), strict=True):
            assert (part is None) == (other is None)
            assert part is None or torch.equal(part, other)
    assert found.labels == own.labels
    assert own.trivial() == found.trivial()
    with pytest.raises(AssertionError, match="read again"):
        task_of(changed(base, seed=7), None)


def test_a_run_finds_the_same_in_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdgan.tasks.run._DIVISIONS", {})
    outcome = train(tmp_path)
    division = division_of(DIGITS, None)
    assert division is not None
    remember(division)
    before = Path(division.path).read_bytes()
    assert untimed(train(tmp_path / "again")) == untimed(outcome)
    assert Path(division.path).read_bytes() == before


def test_an_outcome_survives_json(tmp_path: Path) -> None:
    outcome = train(tmp_path)
    file = tmp_path / "run" / "result.json"
    assert untimed(Outcome(**json.loads(file.read_text(encoding="utf-8")))) == untimed(outcome)
