"""Which of the held-out examples are for what."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.data.own import HeldOut, held_out
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
    made = OwnTask.read(
        examples(6), examples(count), {"student": Counting()}, {}, device, size=2, seed=0, augment=None
    )
    made.first.clear()
    return made


def judge(count: int, training: Training, **options: Any) -> Judge:
    given = {"seed": 0, "chooses": False, "given": False, "test": None, **options}
    return Judge.of(task(count), training, **given)


@pytest.mark.parametrize("steps", [20, 3000, 20_000])
@pytest.mark.parametrize("count", [30, 1000, 10_000])
@pytest.mark.parametrize("evaluations", [1, 20, 100])
def test_evaluations_on_the_way_cost_two_per_cent_in_examples(
    steps: int, count: int, evaluations: int
) -> None:
    training = Training(steps=steps, batch=64, evaluations=evaluations)
    found = judge(count, training)
    looked = len(found.way)
    assert found.evaluations == evaluations
    assert found.report is found.last is not None
    assert len(found.report) == count
    if looked > LEAST:
        assert evaluations * looked / 3 <= 0.02 * steps * 64
    assert looked >= min(count, LEAST)
    more = looked + 20
    assert looked == count or evaluations * more / 3 > 0.02 * steps * 64


def test_the_part_on_the_way_is_the_same_each_time_and_has_each_class() -> None:
    training = Training(steps=100, batch=8)
    one, same, other = (judge(1000, training, seed=seed).way for seed in (1, 1, 2))
    assert torch.equal(one.sample.tensor, same.sample.tensor)
    assert not torch.equal(one.sample.tensor, other.sample.tensor)
    assert one.targets.bincount().tolist() == pytest.approx([LEAST / 3] * 3, abs=1)


def inputs(data: HeldOut) -> set[float]:
    return set(torch.cat([batch.tensor for batch in data])[:, 0].tolist())


def test_a_half_chooses_and_the_other_reports() -> None:
    whole = examples(301)
    found = judge(301, Training(), chooses=True)
    assert found.last is None
    assert not inputs(found.way) & inputs(found.report)
    assert inputs(found.way) | inputs(found.report) == set(whole.tensor[:, 0].tolist())
    assert (len(found.way), len(found.report)) == (150, 151)
    assert found.way.targets.bincount().tolist() == pytest.approx([50] * 3, abs=1)
    assert "half of validation" in found.name
    assert inputs(judge(301, Training(), chooses=True).way) == inputs(found.way)


def test_test_data_report_and_all_of_validation_chooses() -> None:
    apart = held_out(examples(40, seed=5), "test")
    found = judge(301, Training(), chooses=True, test=apart)
    assert (len(found.way), found.report, found.name) == (301, apart, "test data")
    found = judge(301, Training(), test=apart)
    assert found.report is apart
    assert found.last is not None
    assert len(found.last) == 301


def test_a_student_is_chosen_among_as_many_evaluations_as_are_cheap_but_ten() -> None:
    for count, steps, expected in ((200, 3000, 20), (4000, 3000, LEAST_TO_CHOOSE), (4000, 9000, 17)):
        assert judge(count, Training(steps=steps), chooses=True).evaluations == expected
    assert judge(4000, Training(steps=3000, evaluations=5), chooses=True).evaluations == 5
    assert judge(4000, Training(steps=3000, evaluations=50), chooses=True, given=True).evaluations == 50


def test_nothing_is_looked_at_twice() -> None:
    found = judge(300, Training(steps=20))
    student, teacher = Counting(), Counting()
    found.task.is_trained(teacher)
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


@pytest.mark.parametrize("test", [None, held_out(examples(33, seed=9), "test")])
def test_the_report_is_of_its_own_examples(test: HeldOut | None) -> None:
    found = judge(300, Training(steps=20), chooses=True, test=test)
    teacher = Counting()
    found.task.is_trained(teacher)
    of_half = found.measured("teacher before", teacher)
    targets = found.report.targets
    right = torch.cat([batch.tensor.argmax(1) for batch in found.report]) == targets
    assert of_half == {"accuracy": pytest.approx(100 * right.double().mean().item())}
    assert teacher.seen == 300 + (33 if test else 0)


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
