"""The one call with training of one's own: optimizers, schedules, a choice, callbacks."""

import functools
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR

from kdgan import Batch, Result, Training, distill, nets
from kdgan.errors import Interrupted, RunError
from kdgan.tasks.scores import accuracy
from kdgan.training.callbacks import Evaluation
from kdgan.training.evaluate import logits_of
from kdgan.training.loop import Loop
from support import refused
from tiny import weights


def problem(count: int = 60, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator)
    return Batch(x, (x[:, :3] + 0.8 * torch.randn(count, 3, generator=generator)).argmax(1))


TRAIN, VALIDATION, TEST = problem(), problem(80, seed=1), problem(50, seed=2)


def net(hidden: int, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.mlp(6, [hidden], 3)


def run(**options: Any) -> Result:
    given = {"method": "distn", "steps": 20, "progress": False, "device": "cpu", **options}
    return distill(net(4), given.pop("teacher", net(16, 1)), TRAIN, VALIDATION, **given)


def learned(**options: Any) -> Tensor:
    return weights(run(control=False, **options).student)


ALL = [lambda p: SGD(p, lr=0.1), functools.partial(Adam, lr=0.02)]


def test_an_optimizer_of_ones_own_is_for_each_player_or_for_all() -> None:
    made: list[int] = []

    def optimizer(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        made.append(sum(p.numel() for p in parameters))
        return SGD(parameters, lr=0.1)

    small, large = 4 * 6 + 4 + 3 * 4 + 3, 16 * 6 + 16 + 3 * 16 + 3
    run(optimizers=optimizer)
    assert sorted(made) == [small, small, large]  # student and control; the teacher's pretraining
    made.clear()
    run(optimizers={"student": optimizer})
    assert made == [small, small]
    made.clear()
    run(method="kdgan", optimizers=optimizer, control=False)
    assert sorted(made) == [small, large, large, large, large]  # pretraining of T and D, then the game


def test_the_default_written_out_is_the_default() -> None:
    """AdamW with the rate and the shape of the default schedule is the default, bit for bit."""
    steps, warmup = 20, 0.1

    def rate(step: int) -> float:
        progress = step / steps
        if progress < warmup:
            return max(progress / warmup, 0.01)
        return 0.5 * (
            1
            + float(
                torch.cos(torch.tensor(torch.pi * (progress - warmup) / (1 - warmup), dtype=torch.float64))
            )
        )

    one = learned()
    same = learned(
        optimizers={"student": lambda p: AdamW(p, lr=2e-3, weight_decay=0.0, fused=True)},
        schedulers={"student": lambda o: torch.optim.lr_scheduler.LambdaLR(o, rate)},
    )
    torch.testing.assert_close(one, same, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(one, learned(optimizers=ALL[0]), rtol=1e-3)
    assert not torch.allclose(one, learned(schedulers=lambda o: ExponentialLR(o, 0.5)), rtol=1e-3)


def test_a_trained_teacher_goes_on_where_it_has_an_optimizer() -> None:
    teacher = net(16, 1)
    given = {"method": "kdgan", "teacher_trained": True, "control": False, "teacher": teacher}
    before = weights(teacher)
    assert run(**given, optimizers=ALL[0]).teacher is teacher  # for whoever learns, and the teacher does not
    result = run(**given, optimizers={"teacher": ALL[0]})
    assert result.teacher is not teacher
    assert not torch.equal(weights(result.teacher), before)
    assert "teacher before" in result.report.metrics


def test_epochs_are_passes() -> None:
    assert run(steps=None, epochs=3, batch=16).report.updates == 3 * 60 // 16
    assert run(steps=None, epochs=1, batch=64, control=False).report.updates == 1
    assert run(steps=None, epochs=2, training=Training(steps=99, batch=20)).report.updates == 6
    with refused("steps=20 and epochs=3 both say how long"):
        run(epochs=3)
    for epochs in (0, 1.5, "2"):
        with refused("epochs must be a whole number of at least 1", repr(epochs)):
            run(steps=None, epochs=epochs)


def test_evaluations_and_their_batches() -> None:
    sizes: list[int] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net(4)

        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                sizes.append(len(x))
            return self.inner(x)  # type: ignore[no-any-return]

    given = {"method": "distn", "steps": 20, "progress": False, "control": False}
    result = distill(Watched(), net(16, 1), TRAIN, VALIDATION, **given, evaluations=4, eval_batch=32)
    assert len(result.history) == 4
    assert [size for size in sizes if size > 10][:12] == [32, 32, 16] * 4
    with refused("eval_batch must be a whole number of at least 1, not 0"):
        run(eval_batch=0)
    with refused("evaluations must be a whole number of at least 1, not 0"):
        run(evaluations=0)


@pytest.mark.parametrize("test", [None, TEST])
def test_the_best_student_is_reported_on_examples_that_did_not_choose_it(test: Batch | None) -> None:
    given = {"method": "mimic", "steps": 120, "training": Training(lr=0.05, batch=8), "test": test}
    result = run(keep="best", **given)
    report = result.report
    best = max(result.history, key=lambda record: record["accuracy"])  # the first of several
    assert report.chosen["student"] == best["step"] < 120
    assert set(report.chosen) == {"student", "control"}
    assert result.control is not None
    if test is not None:
        assert accuracy(logits_of(result.student, VALIDATION), VALIDATION.targets) == best["accuracy"]
        assert report.metrics["student"]["accuracy"] == accuracy(
            logits_of(result.student, TEST), TEST.targets
        )
        assert report.metrics["control"]["accuracy"] == accuracy(
            logits_of(result.control, TEST), TEST.targets
        )
        assert "on test data" in str(report)
    else:
        assert report.data == "the half of validation data that chose nothing"
        # It is the mean of both halves.
        whole = accuracy(logits_of(result.student, VALIDATION), VALIDATION.targets)
        assert whole == pytest.approx((report.metrics["student"]["accuracy"] + best["accuracy"]) / 2)
    assert f"the student after {best['step']:,} updates" in str(report)
    assert not torch.equal(weights(result.student), weights(run(keep="last", **given).student))


def test_the_first_metric_of_ones_own_chooses_and_less_may_be_better() -> None:
    given = {"method": "mimic", "steps": 120, "training": Training(lr=0.05, batch=8), "test": TEST}

    def error(logits: Tensor, targets: Tensor) -> float:
        return 100 - accuracy(logits, targets)

    def sure(logits: Tensor, targets: Tensor) -> float:
        return logits.softmax(1).amax(1).mean().item()

    for chooses in ({"keep": "best"}, {"patience": 3}):
        plain = run(metrics=["accuracy"], **chooses, **given)
        mine = run(metrics={"-error": error}, **chooses, **given)
        assert list(mine.report.metrics["student"]) == ["-error", "accuracy", "log_loss", "ece"]
        assert (mine.report.chosen, mine.report.ended) == (plain.report.chosen, plain.report.ended)
        assert torch.equal(weights(mine.student), weights(plain.student))
        assert "less is better for error, log_loss and ece" in str(mine.report)
    other = run(metrics=[sure], keep="best", **given)
    assert other.report.chosen["student"] == max(other.history, key=lambda record: record["sure"])["step"]
    other = run(metrics={"-sure": sure}, keep="best", **given)
    assert other.report.chosen["student"] == min(other.history, key=lambda record: record["-sure"])["step"]


def test_test_data_are_reported_and_change_nothing() -> None:
    one, other = run(), run(test=TEST)
    assert torch.equal(weights(one.student), weights(other.student))
    assert [record["accuracy"] for record in one.history] == [record["accuracy"] for record in other.history]
    assert other.report.metrics["student"]["accuracy"] == accuracy(
        logits_of(other.student, TEST), TEST.targets
    )
    assert other.report.chosen == {}
    with refused("test has no example with a label"):
        run(test=Batch(TEST.inputs, torch.full((50,), -1)))


def test_patience_ends_the_training_of_each_by_itself() -> None:
    result = run(method="mimic", steps=400, patience=2, training=Training(lr=0.05), evaluations=40, test=TEST)
    report = result.report
    assert report.updates == result.history[-1]["step"] < 400
    assert report.ended["student"] == report.updates
    seen = [record["accuracy"] for record in result.history]
    assert max(seen[:-2]) >= max(seen[-2:])
    assert "Training ended early" in str(report)
    assert report.chosen == {}
    alone = run(
        method="supervised", steps=400, patience=2, training=Training(lr=0.05), evaluations=40, test=TEST
    )
    assert alone.report.ended["student"] == report.ended["control"]
    assert result.control is not None
    assert torch.equal(weights(result.control), weights(alone.student))


def test_a_call_that_was_stopped_ends_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "method": "kdgan", "steps": 60, "keep": "best", "patience": 6, "evaluations": 12,
        "optimizers": {"student": ALL[0], "discriminator": ALL[1]},
        "schedulers": {"student": lambda o: ExponentialLR(o, 0.97)},
        "training": Training(clip=0.5, accumulate=3, batch=10, lr=0.02),
    }  # fmt: skip
    whole = run(**given)
    update, left = Loop._train, [7, 21, 11, 33, 50, 19]

    def stopped(self: Loop, start: int) -> None:
        if left:
            after = iter([False] * (left.pop(0) - 1) + [True] + [False] * 1000)
            self.stop = lambda: next(after)
        update(self, start)

    monkeypatch.setattr(Loop, "_train", stopped)
    for _ in range(12):
        try:
            result = run(**given, folder=tmp_path / "call")
        except Interrupted:
            continue
        break
    again = run(**given, folder=tmp_path / "call")
    assert whole.control is not None
    for one in (result, again):
        assert torch.equal(weights(one.student), weights(whole.student))
        assert one.control is not None
        assert torch.equal(weights(one.control), weights(whole.control))
        assert one.report.metrics == whole.report.metrics
        assert (one.report.chosen, one.report.ended) == (whole.report.chosen, whole.report.ended)
    for other in ({"keep": "last"}, {"patience": 5}, {"optimizers": ALL[1]}, {"schedulers": None}):
        with refused("holds another configuration"):
            run(**{**given, **other}, folder=tmp_path / "call")


@pytest.mark.parametrize("chooses", [{"keep": "best"}, {"patience": 2}])
def test_what_chose_the_student_never_reports(tmp_path: Path, chooses: dict[str, Any]) -> None:
    given = {"steps": 20, "evaluations": 4, "control": False, **chooses}
    for first, then in (({"test": TEST}, {}), ({}, {"test": TEST})):
        folder = tmp_path / "-".join(["call", *first])
        run(**given, **first, folder=folder)
        with refused("holds another configuration (data.choosing differs)", "(folder=)"):
            run(**given, **then, folder=folder)


def test_test_data_may_come_later_where_nothing_was_chosen(tmp_path: Path) -> None:
    first = run(control=False, folder=tmp_path / "call")
    later = run(control=False, folder=tmp_path / "call", test=TEST)
    assert torch.equal(weights(later.student), weights(first.student))
    assert later.report.data == "test data"


class Peculiar(SGD):
    """Remembers what no file can keep."""

    def step(self, closure: Any = None) -> Any:
        found = super().step(closure)
        for each in self.param_groups[0]["params"]:
            self.state[each]["why"] = {1, 2}
        return found


def test_an_optimizer_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    assert run(optimizers=lambda p: Peculiar(p, lr=0.1)).report.updates == 20
    with refused("cannot be kept", "is a set"):
        run(optimizers=lambda p: Peculiar(p, lr=0.1), folder=tmp_path / "f")


def test_callbacks_are_told_and_change_nothing() -> None:
    told: list[Evaluation] = []

    def spoils(evaluation: Evaluation) -> None:
        torch.rand(3)
        evaluation.metrics.clear()  # type: ignore[attr-defined]

    quiet = run(method="nagan", evaluations=10)
    loud = run(method="nagan", evaluations=10, on_evaluation=[spoils, told.append])
    assert quiet.control is not None
    assert loud.control is not None
    assert torch.equal(weights(quiet.student), weights(loud.student))
    assert torch.equal(weights(quiet.control), weights(loud.control))
    student = [each for each in told if each.role == "student"]
    assert [each.step for each in student] == [record["step"] for record in loud.history]
    assert [each.metrics["accuracy"] for each in student] == [record["accuracy"] for record in loud.history]
    assert [each.last for each in student] == [False] * (len(student) - 1) + [True]
    assert {each.steps for each in told} == {20}
    assert [dict(each) for each in student[-1].history] == loud.history
    control = [each for each in told if each.role == "control"]
    assert {each.method for each in control} == {"supervised"}
    assert control[-1].metrics["accuracy"] == loud.report.metrics["control"]["accuracy"]


def test_a_callback_that_fails_is_one_line() -> None:
    def unlucky(evaluation: Evaluation) -> None:
        raise ValueError("no board")

    with pytest.raises(RunError, match=r"on_evaluation: .*unlucky fails with ValueError: no board") as caught:
        run(on_evaluation=unlucky)
    assert len(str(caught.value).splitlines()) == 1


def test_the_time_of_evaluations_is_told() -> None:
    def slow(logits: Tensor, targets: Tensor) -> float:
        time.sleep(0.01)
        return 1.0

    report = run(evaluations=5, metrics={"slow": slow}).report
    # Five of the student, of which the last is in the report; control and teacher.
    assert 0.07 <= report.evaluation_seconds < 2
    assert re.search(r"validation data; one example", str(report))


def test_features_are_of_whole_batches() -> None:
    with refused("features are compared over a whole batch", "accumulate"):
        run(features={"1": "1"}, training=Training(accumulate=2))


def test_a_small_network_in_parts_learns_what_it_learns_whole() -> None:
    for method in ("distn", "kdgan", "codis3", "nagan"):
        one, parts = (
            learned(method=method, steps=6, training=Training(accumulate=count, batch=12, lr=1e-3))
            for count in (1, 4)
        )
        torch.testing.assert_close(one, parts, rtol=2e-2, atol=2e-5)
