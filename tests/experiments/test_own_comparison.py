"""`kdgan.compare`: methods against each other on a student, a teacher and data of one's own."""

import copy
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from html_pages import Page
from kdgan import Batch, Method, Training, Verdict, compare, distill, nets
from kdgan.data.seeds import mixed
from kdgan.errors import Interrupted, RunError
from kdgan.experiments.own import OwnRun
from kdgan.experiments.records import read_records
from kdgan.experiments.statistics import paired_difference
from kdgan.methods import Signals, Terms, looks_at
from kdgan.tasks.scores import accuracy
from kdgan.training.evaluate import logits_of
from support import refused, served
from tiny import thrice


def problem(count: int, seed: int) -> Batch:
    """Three classes; the largest of three numbers names them."""
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return Batch(x, x[:, :3].argmax(1))


TRAIN, VALIDATION, TEST = problem(60, 0), problem(30, 1), problem(40, 2)


def small() -> nn.Sequential:
    return nets.mlp(6, [4], 3)


def big() -> nn.Sequential:
    return nets.mlp(6, [16], 3)


def made(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def run(make: Any = small, teacher: Any = None, **options: Any) -> Verdict:
    given = {"methods": ["distn"], "seeds": 2, "steps": 20, "progress": False, **options}
    parts = given.pop("train", TRAIN), given.pop("validation", VALIDATION), given.pop("test", TEST)
    return compare(make, made(big, 1) if teacher is None else teacher, *parts, **given)


def untimed(verdict: Verdict) -> list[Any]:
    return [
        (replace(record, seconds=0, pretraining_seconds=0), verdict.curves[record.method, record.seed])
        for record in verdict.records
    ]


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A teacher that knows the labels."""
    teacher = made(big, 1)
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(teacher(TRAIN.inputs), TRAIN.targets).backward()
        optimizer.step()
    return teacher


def error_of(logits: Tensor, targets: Tensor) -> float:
    """What accuracy lacks."""
    return 100 - accuracy(logits, targets)


class Own(Method):
    """A method of one's own."""

    roles = trains = ("student",)
    pretrained = ()

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The labels alone."""
        return {"labels": (1.0, nn.functional.cross_entropy(logits, batch.targets, reduction="none"))}


def distilled(seed: int, teacher: nn.Module, method: str, **options: Any) -> tuple[float, list[Any]]:
    """What `distill` makes of the student that a seed begins with: accuracy on test data, and its history."""
    student = made(small, mixed(seed, "student", "weights"))
    result = distill(
        student,
        copy.deepcopy(teacher),
        TRAIN,
        VALIDATION,
        method=method,
        seed=seed,
        steps=20,
        control=False,
        progress=False,
        **options,
    )
    history = [(record["step"], record["accuracy"]) for record in result.history]
    return accuracy(logits_of(result.student, TEST), TEST.targets), history


@pytest.mark.parametrize("state", ["trained", "untrained", "goes on learning"])
def test_a_run_is_what_distill_trains_from_its_seed(state: str, trained: nn.Module) -> None:
    teacher = made(big, 1) if state == "untrained" else trained
    rate = {"teacher_lr": 1e-2} if state == "goes on learning" else {}
    verdict = run(teacher=teacher, methods=["distn", "kdgan", "codis"], seeds=[3, 7], **rate)
    found = {(record.method, record.seed): record for record in verdict.records}
    assert len(found) == 8
    for (method, seed), record in found.items():
        expected, history = distilled(seed, teacher, method, **rate)
        assert record.metrics["accuracy"] == expected
        assert [*map(tuple, verdict.curves[method, seed]["validation/accuracy"])] == history


def test_all_methods_of_a_seed_begin_alike_and_other_seeds_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: dict[tuple[str, int], Tensor] = {}
    first = OwnRun.carry_out

    def carry_out(self: OwnRun, *places: Path) -> Any:
        weights = self.trainer.modules["student"].parameters()
        begun[str(self.config.method), self.config.seed] = torch.cat(
            [w.detach().flatten().clone() for w in weights]
        )
        return first(self, *places)

    monkeypatch.setattr(OwnRun, "carry_out", carry_out)
    run(methods=["distn", "mimic"])
    for seed in (0, 1):
        assert torch.equal(begun["supervised", seed], begun["distn", seed])
        assert torch.equal(begun["supervised", seed], begun["mimic", seed])
    assert not torch.equal(begun["supervised", 0], begun["supervised", 1])


def test_what_the_caller_has_stays_as_it_was(trained: nn.Module) -> None:
    teacher = copy.deepcopy(trained)
    teacher[1].eval()  # type: ignore[index]
    before = copy.deepcopy(teacher.state_dict())
    modes = [part.training for part in teacher.modules()]
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    first = torch.random.get_rng_state()
    run(teacher=teacher, methods=["kdgan"], threads=1)
    assert torch.equal(first, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert modes == [part.training for part in teacher.modules()]
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_untrained_teacher_is_pretrained_once_for_all_methods_of_a_seed(tmp_path: Path) -> None:
    verdict = run(methods=["distn", "mimic", "kdgan"], folder=tmp_path / "f")
    teachers = [*(tmp_path / "f" / "pretrained").glob("teacher-*")]
    assert len(teachers) == 2
    taught = {
        (record.seed, record.metrics["teacher/accuracy"])
        for record in verdict.records
        if record.method in ("distn", "mimic")
    }
    assert len(taught) == 2


def test_a_function_may_give_a_teacher_for_each_seed() -> None:
    verdict = run(teacher=big, methods=["mimic"], seeds=[0])
    expected, _ = distilled(0, made(big, mixed(0, "teacher", "weights")), "mimic")
    (record,) = (record for record in verdict.records if record.method == "mimic")
    assert record.metrics["accuracy"] == expected


def test_a_discriminator_of_ones_own(trained: nn.Module) -> None:
    verdict = run(teacher=trained, methods=["kdgan"], seeds=[4], make_discriminator=small, teacher_lr=1e-3)
    mine = made(small, mixed(4, "discriminator", "weights"))
    expected, _ = distilled(4, trained, "kdgan", discriminator=mine, teacher_lr=1e-3)
    assert verdict.records[1].metrics["accuracy"] == expected


def test_the_numbers_are_those_of_the_records() -> None:
    verdict = run(seeds=3, metrics={"thrice": thrice})
    assert verdict.metrics == ["thrice", "accuracy", "log_loss", "ece"]
    by = {
        method: {r.seed: r.metrics["thrice"] for r in verdict.records if r.method == method}
        for method in ("supervised", "distn")
    }
    (row,) = (row for row in verdict.rows if row.name == "distn")
    assert row.minus("supervised", "thrice") == paired_difference(by["distn"], by["supervised"])
    for record in verdict.records:
        assert {"accuracy", "thrice", "validation/accuracy", "majority/accuracy"} <= {*record.metrics}
        assert ("teacher/accuracy" in record.metrics) == (record.method == "distn")
        assert (record.labels, record.student_updates) == (60, 20)
    assert verdict.title == "own data, 60 labels"
    means = {row.name: row.mean("thrice").mean for row in verdict.rows}  # type: ignore[union-attr]
    assert means[verdict.best] == max(means.values())
    printed = str(verdict)
    assert printed.splitlines()[-2:] == [verdict.earned, verdict.sentences[-1]]
    assert verdict.sentences[0] == verdict.earned
    assert verdict.earned.startswith("From 60 labelled examples alone the student reaches ")
    assert "control" in verdict.sentences[-1]
    assert "paired 95 % interval" in verdict.sentences[-1]
    for row in verdict.rows:
        assert re.search(rf"^ {row.name} ", printed, re.M)


def test_less_may_be_better_of_a_metric_of_ones_own() -> None:
    options: dict[str, Any] = {"methods": ["distn", "mimic"], "hyper": {"mimic": {"lr": 0.05}}}
    errors, rights = run(metrics={"-error": error_of}, **options), run(metrics=["accuracy"], **options)
    assert errors.metrics == ["-error", "accuracy", "log_loss", "ece"]
    means = {row.name: row.mean("-error").mean for row in errors.rows}  # type: ignore[union-attr]
    assert means[errors.best] == min(means.values()) < max(means.values())
    assert errors.best == rights.best
    assert f"{errors.best} has the lowest mean error on test data" in errors.sentences[1]
    assert "less error is better" in str(errors).replace("\n", " ")


def test_a_method_has_settings_of_its_own() -> None:
    hyper = {"distn": {"temperature": 3, "lr": 0.01}, Own: {}}
    verdict = run(methods=["distn", Own], hyper=hyper, seeds=[2])
    assert [row.name for row in verdict.rows] == ["supervised", "distn", f"{__name__}:Own"]
    mine = Training(steps=20, lr=0.01, pretraining_lr=2e-3)
    student = made(small, mixed(2, "student", "weights"))
    options = {"method": "distn", "seed": 2, "hyper": {"temperature": 3.0}, "training": mine}
    distill(student, made(big, 1), TRAIN, VALIDATION, control=False, progress=False, **options)  # type: ignore[arg-type]
    (record,) = (record for record in verdict.records if record.method == "distn")
    assert record.metrics["accuracy"] == accuracy(logits_of(student, TEST), TEST.targets)
    assert json.loads(verdict.facts["Hyperparameters"]) == {"distn": {"temperature": 3, "lr": 0.01}}


def test_processes_give_the_bits_of_this_one(
    monkeypatch: pytest.MonkeyPatch, trained: nn.Module, tmp_path: Path
) -> None:
    context = served()
    monkeypatch.setattr("kdgan.experiments.processes.multiprocessing.get_context", lambda method: context)
    here = run(teacher=trained, methods=["distn", "kdgan"], teacher_lr=1e-3)
    there = run(
        teacher=trained, methods=["distn", "kdgan"], teacher_lr=1e-3, workers=2, folder=tmp_path / "f"
    )
    assert untimed(here) == untimed(there)
    assert read_records(tmp_path / "f" / "results.csv") == [*there.records]


def test_what_cannot_be_sent_is_carried_out_here_and_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(method: str) -> Any:
        raise AssertionError("a process is started")

    monkeypatch.setattr("kdgan.experiments.processes.multiprocessing.get_context", refuse)
    here = run(lambda: nets.mlp(6, [4], 3), workers=2, progress=True)
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("Runs go one after another in this process")
    assert untimed(here) == untimed(run())


def test_held_out_data_that_are_read_anew_go_to_other_processes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], trained: nn.Module
) -> None:
    monkeypatch.setattr("kdgan.data.kept.MOST_BYTES", 1)
    context = served()
    monkeypatch.setattr("kdgan.experiments.processes.multiprocessing.get_context", lambda method: context)
    held = {
        name: DataLoader(TensorDataset(part.inputs, part.targets), batch_size=7)
        for name, part in (("validation", VALIDATION), ("test", TEST))
    }
    here = run(teacher=trained, **held)
    there = run(teacher=trained, workers=2, progress=True, **held)
    assert "Runs go one after another" not in capfd.readouterr().err
    assert untimed(here) == untimed(there)


def test_a_loader_is_compared_on_as_it_is() -> None:
    loader = DataLoader(TensorDataset(TRAIN.inputs, TRAIN.targets), batch_size=10, shuffle=True)
    verdict = run(
        train=loader, seeds=[0], test=[(x, y) for x, y in zip(TEST.inputs, TEST.targets, strict=True)]
    )
    assert verdict.title == "own data"  # nobody counts what is read anew
    student = made(small, mixed(0, "student", "weights"))
    options = {"method": "distn", "steps": 20, "control": False, "progress": False}
    distill(student, made(big, 1), loader, VALIDATION, **options)  # type: ignore[arg-type]
    assert verdict.records[1].metrics["accuracy"] == accuracy(logits_of(student, TEST), TEST.targets)


def test_several_labels_and_examples_without_any() -> None:
    labels = [(part.inputs[:, :3] > 0).float() for part in (TRAIN, VALIDATION, TEST)]
    parts = [Batch(part.inputs, y) for part, y in zip((TRAIN, VALIDATION, TEST), labels, strict=True)]
    more = torch.randn(80, 6, generator=torch.Generator().manual_seed(3))
    verdict = run(
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        unlabelled=more,
        methods=["distn"],
        seeds=1,
        task="multilabel",
        metrics=["average_precision"],
    )
    assert {row.name for row in verdict.rows} == {"supervised", "selftrain", "distn"}
    assert verdict.metrics[0] == "average_precision"
    assert "and others without labels" in verdict.facts["Data"]
    student = made(small, mixed(0, "student", "weights"))
    result = distill(
        student,
        made(big, 1),
        parts[0],
        parts[1],
        unlabelled=more,
        method="distn",
        steps=20,
        task="multilabel",
        metrics=["average_precision"],
        control=False,
        progress=False,
    )
    (record,) = (record for record in verdict.records if record.method == "distn")
    expected = result.report.metrics["student"]["average_precision"]
    assert record.metrics["validation/average_precision"] == expected
    assert (record.labels, record.unlabelled) == (60, 80)
    assert verdict.title == "own data, 60 labels, 80 unlabelled"
    assert verdict.to_dict()["runs"][0]["unlabelled"] == 80


def test_a_teacher_that_is_trained_there_trains_itself(tmp_path: Path) -> None:
    """One for all methods of a seed; how, matters where there is something to learn from."""
    more = torch.randn(80, 6, generator=torch.Generator().manual_seed(3))
    training = Training(steps=6, batch=8, rounds=2, round_steps=3)
    options: dict[str, Any] = {"teacher": big, "methods": ["distn", "mimic"], "seeds": 1, "steps": 6}
    for name, unlabelled in (("with", more), ("without", None)):
        for number, own in enumerate((training, replace(training, rounds=3))):
            folder = tmp_path / f"{name}-{number}"
            run(unlabelled=unlabelled, training=own, folder=folder, **options)
            (teacher,) = folder.glob("pretrained/teacher-*")
            rounds = [*teacher.glob("self-training-*/checkpoint.safetensors")]
            assert len(rounds) == (own.rounds if name == "with" else 0)
            values = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
            assert ("rounds" in values) == (name == "with")


def test_the_file_of_results_says_how_many_have_no_label(tmp_path: Path) -> None:
    more = torch.randn(80, 6, generator=torch.Generator().manual_seed(3))
    run(unlabelled=more, seeds=1, folder=tmp_path / "f")
    rows = read_records(tmp_path / "f" / "results.csv")
    assert [(row.labels, row.unlabelled) for row in rows] == [(60, 80)] * 3


def test_the_same_call_takes_what_is_there_and_another_extends_it(tmp_path: Path) -> None:
    folder, whole = tmp_path / "f", run(methods=["distn", "mimic"], seeds=3)
    run(folder=folder, seeds=[1])
    run(folder=folder, seeds=2)
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
    assert len(kept) == 4
    found = run(folder=folder, methods=["distn", "mimic"], seeds=3)
    assert untimed(found) == untimed(whole)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert (folder / "report.html").exists()
    changes: list[tuple[str, dict[str, Any]]] = [
        ("training.steps 20 there and 21 now", {"steps": 21}),
        ("data.train differs", {"train": problem(60, 9)}),
        ("data.test differs", {"test": problem(40, 9)}),
        ("weights.student differs, players.student differs", {"make": big}),
        ("metrics.thrice differs", {"metrics": {"thrice": thrice}}),
        ("family.label_smoothing 0.0 there and 0.1 now", {"label_smoothing": 0.1}),
    ]
    for what, change in changes:
        with refused(f"{folder} holds another configuration ({what}", "choose another folder (folder=)"):
            run(folder=folder, **change)


def test_a_run_that_was_stopped_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(methods=["kdgan"])
    asked = 0

    def stopped(stop: Callable[[], bool]) -> bool:
        nonlocal asked
        asked += 1
        return asked == 57 or stop()

    from kdgan.experiments import work

    watched = work._watched

    def watching(execution: Any, report: Any, stop: Any, only: Any = None) -> Any:
        return watched(execution, report, partial(stopped, stop), only)

    monkeypatch.setattr(work, "_watched", watching)
    with pytest.raises(Interrupted, match="the same call goes on from there"):
        run(methods=["kdgan"], folder=tmp_path / "f")
    assert [*(tmp_path / "f").rglob("checkpoint.safetensors")]
    found = run(methods=["kdgan"], folder=tmp_path / "f")
    assert untimed(found) == untimed(whole)
    asked = 0
    with pytest.raises(Interrupted, match="nothing is kept"):
        run(methods=["kdgan"])


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from experiments.test_own_comparison import run, untimed
from kdgan.errors import Interrupted
try:
    run(seeds=1, steps=200_000, folder={folder!r}, progress=True)
except Interrupted as error:
    print(error)
"""


def test_ctrl_c_saves(tmp_path: Path) -> None:
    code = SCRIPT.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path / "f"))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not [*(tmp_path / "f").rglob("metrics.jsonl")] and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "the same call goes on from there" in out, err
    assert [*(tmp_path / "f").rglob("checkpoint.safetensors")]


def test_the_page_has_what_that_of_the_command_has(tmp_path: Path) -> None:
    verdict = run(seeds=3, report=tmp_path / "r.html", title="mine")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    text = Page(page).text
    for sentence in verdict.sentences:
        assert sentence in text.replace("\xa0", " ")
    for part in (
        "mine, 60 labels, 3 seeds",
        "Accuracy on test data per method, and what it earned.",
        "Accuracy while training. On validation data.",
        "The comparison in numbers",
        "All 6 runs",
        "How to read this",
        "The study",
        "Sequential, 43 parameters",
        "60 labelled, 30 for validation, 40 for the test",
        "0 to 2",
    ):
        assert part in text.replace("\xa0", " "), part
    assert page.count("<svg") == 2
    verdict.report(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "r.html").read_bytes()


def test_passes_and_evaluations_are_counted_as_in_distill(trained: nn.Module) -> None:
    verdict = run(teacher=trained, seeds=[5], steps=None, epochs=3, batch=10, evaluations=4, eval_batch=7)
    student = made(small, mixed(5, "student", "weights"))
    options: dict[str, Any] = {"method": "distn", "seed": 5, "control": False, "progress": False}
    result = distill(
        student, trained, TRAIN, VALIDATION, epochs=3, batch=10, evaluations=4, eval_batch=7, **options
    )
    (record,) = (record for record in verdict.records if record.method == "distn")
    assert record.student_updates == result.report.updates == 18
    history = [(each["step"], each["accuracy"]) for each in result.history]
    assert [*map(tuple, verdict.curves["distn", 5]["validation/accuracy"])] == history
    assert len(history) == 4
    assert record.metrics["accuracy"] == accuracy(logits_of(student, TEST), TEST.targets)


def test_a_method_of_its_own_rate_has_the_bits_of_distill(trained: nn.Module) -> None:
    hyper = {"lr": 0.05, "teacher_lr": 1e-2, "student_pretraining": 0.5}
    for method in ("codis", "nagan"):
        mine = {key: value for key, value in hyper.items() if looks_at(method, key)}
        verdict = run(teacher=trained, methods=[method], seeds=[3], hyper={method: mine})
        assert verdict.records[1].metrics["accuracy"] == distilled(3, trained, method, hyper=mine)[0]


def test_an_option_is_for_those_methods_that_have_a_use_for_it() -> None:
    run(methods=["distn", "codis"], seeds=1, teacher_every=2)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"teacher_every": 2}, ("none of supervised, distn has a use for teacher_every",)),
        ({"make_discriminator": small}, ("has a use for make_discriminator",)),
        ({"labelled_share": 0.5}, ("labelled_share", "some have no label")),
        ({"methods": [], "labelled_share": 0.5}, ("method supervised has no use for labelled_share",)),
        ({"epochs": 2}, ("steps=20 and epochs=2",)),
        ({"steps": None, "epochs": 0}, ("epochs", "0")),
        ({"evaluations": 0}, ("evaluations", "0")),
    ],
    ids=lambda value: None if isinstance(value, tuple) else "-".join(value),
)
def test_options_without_use_are_refused(options: dict[str, Any], parts: tuple[str, ...]) -> None:
    with refused(*parts):
        run(**options)


def test_both_calls_have_their_options_in_one_order() -> None:
    mine, theirs = ([*inspect.signature(call).parameters] for call in (compare, distill))
    shared = [name for name in mine if name in theirs and name != "test"]  # which compare needs
    assert shared == [name for name in theirs if name in shared]
    alone = {"method", "discriminator", "control", "seed", "student"}
    assert compare.__doc__ is not None
    for name in {*theirs} - {*mine} - alone:
        assert f"`{name}`" in compare.__doc__


def test_a_verdict_as_plain_values(tmp_path: Path) -> None:
    verdict = run(seeds=3)
    verdict.save(tmp_path / "v.json")
    there = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert there == verdict.to_dict()
    assert there["best"] == verdict.best
    assert len(there["runs"]) == 6
    (row,) = (row for row in verdict.rows if row.name == "distn")
    difference = row.minus("supervised", "accuracy")
    assert difference is not None
    assert there["methods"]["distn"]["to_control"]["accuracy"]["low"] == difference.low
    assert there["methods"]["supervised"]["to_control"] == {}
    assert there["curves"][0]["points"]["validation/accuracy"][-1][0] == 20
    with refused(tmp_path, "cannot be written"):
        verdict.save(tmp_path / "none" / "v.json")
    with refused(tmp_path, "cannot be written"):
        verdict.report(tmp_path / "none" / "v.html")
    with refused("path", "7"):
        verdict.save(7)  # type: ignore[arg-type]


class Diverges(Own):
    """Diverges."""

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """No number."""
        return {"labels": (1.0, logits.sum(1) * float("nan"))}


def test_a_run_that_fails_is_said_and_the_others_count(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = run(methods=[Diverges], seeds=1)
    assert [row.name for row in verdict.rows] == ["supervised"]
    assert len(verdict.failures) == 1
    assert "diverged" in verdict.failures[0]
    assert verdict.failures[0] in str(verdict)

    def fail(self: OwnRun, *places: Path) -> Any:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(OwnRun, "carry_out", fail)
    with pytest.raises(RunError, match=r"every run failed.*no such thing"):
        run(seeds=1)


ONE = small()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"make": small()}, ("make_student", "function", "Sequential")),
        ({"make": lambda: 3}, ("student", "Module", "int")),
        ({"make": lambda: ONE}, ("student", "same one", "new")),
        ({"make": lambda: nets.mlp(5, [4], 3)}, ("student fails on a batch",)),
        ({"teacher": 3}, ("teacher", "int")),
        ({"make_discriminator": small()}, ("make_discriminator", "function")),
        ({"methods": "kdgan"}, ("methods must be a list, also of one, ['kdgan'], not 'kdgan'",)),
        ({"methods": 3}, ("methods must be a list of names", "not 3")),
        ({"metrics": "auroc"}, ("metrics must be a list, also of one, ['auroc'], not 'auroc'",)),
        ({"metrics": error_of}, ("a list of names and module:function, not <function error_of",)),
        ({"metrics": [3]}, ("a list of names and module:function, not 3",)),
        ({"methods": ["kdgun"]}, ("kdgun", "choose from")),
        ({"seeds": 0}, ("seeds", "0")),
        ({"seeds": [1, 1]}, ("seeds", "different")),
        ({"seeds": [-1]}, ("seed", "-1")),
        ({"seeds": "ab"}, ("seeds", "'ab'")),
        ({"hyper": {"kdgan": {}}}, ("kdgan", "not compared", "supervised, distn")),
        ({"hyper": {"distn": {"alpha": 1}}}, ("distn", "alpha", "temperature")),
        ({"hyper": {"distn": 3}}, ("distn", "int")),
        ({"hyper": {"supervised": {"teacher_lr": 0.1}}}, ("supervised", "teacher_lr")),
        ({"workers": 0}, ("workers", "0")),
        ({"threads": "x"}, ("threads", "'x'")),
        ({"executor": "dask"}, ("executor", "'dask'", "'processes' or 'ray'")),
        ({"address": "auto"}, ("address", "executor='ray'")),
        ({"title": "a\nb"}, ("title",)),
        ({"folder": ""}, ("folder",)),
        ({"test": (TEST.inputs[:, :5], TEST.targets)}, ("student fails on a batch",)),
        ({"test": None}, ("test", "None")),
        ({"train": Batch(TRAIN.inputs, None)}, ("no example with a label", "the control learns from labels")),  # type: ignore[arg-type]
        ({"test": (TEST.inputs, TEST.targets + 5)}, ("test",)),
        ({"steps": 0}, ("steps", "0")),
    ],
    ids=lambda value: None if isinstance(value, tuple) else "-".join(value),
)
def test_wrong_calls_are_refused_in_one_line(options: dict[str, Any], parts: tuple[str, ...]) -> None:
    with refused(*parts):
        run(**options)


def test_data_are_not_read_where_there_is_no_test() -> None:
    class Untouched(Dataset[Any]):
        def __len__(self) -> int:
            raise AssertionError("somebody looks")

        def __getitem__(self, row: int) -> Any:
            raise AssertionError("somebody looks")

    with refused("test", "None"):
        run(train=Untouched(), test=None)


def test_a_student_that_ignores_the_seed_is_refused() -> None:
    generator = torch.Generator()

    def make() -> nn.Module:
        student = small()
        with torch.no_grad():
            student[1].weight.copy_(torch.randn(4, 6, generator=generator))
        return student

    with refused("other weights from the same seed"):
        run(make)
