"""Which of the held-out examples are for what."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.data.heldout import held_out
from kdgan.tasks.judging import LEAST, LEAST_TO_CHOOSE, Judge, check_choice
from kdgan.tasks.own import OwnTask
from kdgan.training import Training
from support import refused


class Counting(nn.Module):
    """Scores its inputs, and counts the examples it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return x


def examples(count: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(count, 3, generator=generator), torch.arange(count) % 3)


def task(count: int) -> OwnTask:
    device = torch.device("cpu")
    players = {"student": Counting()}
    metrics: dict[str, Any] = {"accuracy": None}
    return OwnTask.read(examples(6), examples(count), players, metrics, device, size=2, seed=0, augment=None)


def judge(count: int, training: Training, **options: Any) -> Judge:
    given = {"seed": 0, "chooses": False, "given": False, "test": None, **options}
    return Judge.of(task(count), training, **given)


def of_a_test(count: int) -> OwnTask:
    made = task(30)
    return made.judging_on(held_out(examples(count, seed=5), "test"), {"student": Counting()})


@pytest.mark.parametrize("steps", [20, 3000, 20_000])
@pytest.mark.parametrize("count", [30, 1000, 10_000])
@pytest.mark.parametrize("evaluations", [1, 20, 100])
def test_evaluations_on_the_way_cost_two_per_cent_in_examples(
    steps: int, count: int, evaluations: int
) -> None:
    training = Training(steps=steps, batch=64, evaluations=evaluations)
    found = judge(count, training)
    looked = len(found.way.validation)
    assert found.evaluations == evaluations
    assert found.report is found.last is not None
    assert len(found.report.validation) == count
    if looked > LEAST:
        assert evaluations * looked / 3 <= 0.02 * steps * 64
    assert looked >= min(count, LEAST)
    more = looked + 20
    assert looked == count or evaluations * more / 3 > 0.02 * steps * 64


def test_the_part_on_the_way_is_the_same_each_time_and_has_each_class() -> None:
    training = Training(steps=100, batch=8)
    one, same, other = (judge(1000, training, seed=seed).way.validation for seed in (1, 1, 2))
    assert torch.equal(one.sample.tensor, same.sample.tensor)
    assert not torch.equal(one.sample.tensor, other.sample.tensor)
    assert one.targets.bincount().tolist() == pytest.approx([LEAST / 3] * 3, abs=1)


def inputs(task: OwnTask) -> set[float]:
    return set(torch.cat([batch.tensor for batch in task.validation])[:, 0].tolist())


def test_a_half_chooses_and_the_other_reports() -> None:
    whole = examples(301)
    found = judge(301, Training(), chooses=True)
    assert found.last is None
    assert not inputs(found.way) & inputs(found.report)
    assert inputs(found.way) | inputs(found.report) == set(whole.tensor[:, 0].tolist())
    assert (len(found.way.validation), len(found.report.validation)) == (150, 151)
    assert found.way.validation.targets.bincount().tolist() == pytest.approx([50] * 3, abs=1)
    assert "half of validation" in found.name
    assert inputs(judge(301, Training(), chooses=True).way) == inputs(found.way)


def test_test_data_report_and_all_of_validation_chooses() -> None:
    apart = of_a_test(40)
    found = judge(301, Training(), chooses=True, test=apart)
    assert (len(found.way.validation), found.name) == (301, "test data")
    assert found.report is apart
    found = judge(301, Training(), test=apart)
    assert found.report is apart
    assert found.last is not None
    assert len(found.last.validation) == 301


def test_a_student_is_chosen_among_as_many_evaluations_as_are_cheap_but_ten() -> None:
    for count, steps, expected in ((200, 3000, 20), (4000, 3000, LEAST_TO_CHOOSE), (4000, 9000, 17)):
        assert judge(count, Training(steps=steps), chooses=True).evaluations == expected
    assert judge(4000, Training(steps=3000, evaluations=5), chooses=True).evaluations == 5
    assert judge(4000, Training(steps=3000, evaluations=50), chooses=True, given=True).evaluations == 50


def test_nothing_is_looked_at_twice() -> None:
    found = judge(300, Training(steps=20))
    student, teacher = Counting(), Counting()
    found.whole.is_trained(teacher)
    assert teacher.seen == 300
    way = found.on_the_way("student", student)
    assert student.seen == LEAST
    last = found.at_last("student", student)
    assert student.seen == LEAST + 300
    assert found.measured("student", student) == last != way
    before = found.measured("teacher before", teacher)
    assert before == last
    assert (student.seen, teacher.seen) == (LEAST + 300, 300)
    # What it is now is another question.
    assert found.measured("teacher", teacher) == before
    assert teacher.seen == 600
    assert found.seconds > 0


@pytest.mark.parametrize("apart", [True, False])
def test_the_report_is_of_its_own_examples(apart: bool) -> None:
    found = judge(300, Training(steps=20), chooses=True, test=of_a_test(33) if apart else None)
    teacher = Counting()
    found.whole.is_trained(teacher)
    of_half = found.measured("teacher before", teacher)
    data = found.report.validation
    right = torch.cat([batch.tensor.argmax(1) for batch in data]) == data.targets
    assert of_half == {"accuracy": pytest.approx(100 * right.double().mean().item())}
    assert teacher.seen == 300 + (33 if apart else 0)


def test_one_example_cannot_be_split() -> None:
    with refused("validation has one example", "test="):
        judge(1, Training(), chooses=True)


def test_choices_that_are_none() -> None:
    assert check_choice("best", 3) == 3
    assert check_choice("last", None) is None
    with refused("keep must be 'last' or 'best'", "'first'"):
        check_choice("first", None)
    for patience in (0, 2.5, True, "3"):
        with refused("patience must be a whole number of evaluations", repr(patience)):
            check_choice("best", patience)


def test_the_first_metric_chooses_and_less_may_be_better() -> None:
    device, players = torch.device("cpu"), {"student": Counting()}
    for metrics, name, better in (
        ({"log_loss": None, "accuracy": None}, "log_loss", (0.1, 0.2)),
        ({"accuracy": None}, "accuracy", (0.2, 0.1)),
    ):
        whole = OwnTask.read(
            examples(6), examples(60), players, metrics, device, size=2, seed=0, augment=None
        )
        found = Judge.of(whole, Training(), seed=0, chooses=True, given=False, test=None)
        choice = found.choice(keep=True, patience=3)
        assert (choice.metric, choice.keep, choice.patience) == (name, True, 3)
        assert choice.better(*better)
        assert not choice.better(*better[::-1])
        assert not choice.better(0.1, 0.1)


def test_a_metric_that_needs_more_than_a_part_looks_at_all() -> None:
    """Of 1,000 examples one is on: a part of 256 has none, and no ranking."""
    device, players = torch.device("cpu"), {"student": Counting()}
    rare = Batch(torch.randn(1000, 3), torch.zeros(1000, 3))
    rare.targets[::2, :2] = 1.0
    rare.targets[7, 2] = 1.0
    train = Batch(torch.randn(8, 3), torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).repeat(4, 1))
    metrics: dict[str, Any] = {"auroc": None}
    whole = OwnTask.read(
        train, rare, players, metrics, device, size=2, seed=0, augment=None, asked="multilabel"
    )
    found = Judge.of(whole, Training(steps=20, batch=8), seed=0, chooses=False, given=False, test=None)
    assert len(found.way.validation) in (LEAST, 1000)
    assert set(found.on_the_way("student", Counting())) >= {"auroc"}
