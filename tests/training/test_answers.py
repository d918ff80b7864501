"""What teachers say, brought to logits of the student's classes; against sums in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdgan.training.answers import SMOOTHING, Reading, as_values, mean_of, of_probabilities
from support import refused


def drawn(rows: int = 7, classes: int = 5, seed: int = 0) -> Tensor:
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


def naive_softmax(logits: Tensor) -> np.ndarray[Any, Any]:
    each = np.exp(logits.double().numpy())
    return each / each.sum(1, keepdims=True)


# --- probabilities -----------------------------------------------------------------------------------------------


def test_probabilities_of_classes_come_back_but_for_the_smoothing() -> None:
    p = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    found = of_probabilities(p, "classes").double().softmax(1)
    expected = (1 - SMOOTHING) * p.double() + SMOOTHING / 3
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_probabilities_of_bits_come_back_but_for_the_smoothing() -> None:
    p = torch.tensor([[1.0, 0.0, 0.25]])
    found = of_probabilities(p, "multilabel").double().sigmoid()
    torch.testing.assert_close(found, (1 - SMOOTHING) * p.double() + SMOOTHING / 2, rtol=1e-5, atol=0)


def test_rounded_probabilities_are_fine_and_others_are_not() -> None:
    reading = Reading("probabilities")
    reading.logits(torch.tensor([[0.333, 0.333, 0.333]]), "classes", 3)
    reading.logits(torch.tensor([[1.0, 1.0, 0.0]]), "multilabel", 3)
    with refused("probabilities of example 11 sum to 2, not to 1", "teacher_gives"):
        reading.logits(torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]), "classes", 3, first=10)
    for kind in ("classes", "multilabel"):
        with refused("probabilities of example 0 lie in -2..3, not in 0..1"):
            reading.logits(torch.tensor([[-2.0, 3.0, 0.0]]), kind, 3)  # type: ignore[arg-type]


def test_probabilities_that_are_called_logits() -> None:
    p = drawn(8).softmax(1)
    for kind in ("classes", "multilabel"):
        for rows in (p, torch.eye(5)[[0, 1, 2, 3, 4, 0, 1, 2]], p.half().float()):
            with refused("at least 0 and sum to 1 in each example", "teacher_gives='probabilities'"):
                Reading().check(rows, kind)  # type: ignore[arg-type]
    off = p.clone()
    off[3, 2] += 0.02
    below = p.clone()
    below[3, 2:4] += torch.tensor([-2.0, 2.0])
    for fine in (p[:7], off, below, torch.ones(8, 1)):
        Reading().check(fine, "classes")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite(number: float) -> None:
    with refused("of example 1 are not finite"):
        Reading().logits(torch.tensor([[0.0, 1.0], [0.0, number]]), "classes", 2)


# --- several -----------------------------------------------------------------------------------------------------


def test_the_mean_of_probabilities() -> None:
    several = [drawn(seed=seed) for seed in range(3)]
    found = mean_of(several, "classes").double().softmax(1).numpy()
    np.testing.assert_allclose(found, np.mean([naive_softmax(each) for each in several], axis=0), rtol=1e-5)
    bits = mean_of(several, "multilabel").double().sigmoid().numpy()
    each = [1 / (1 + np.exp(-logits.double().numpy())) for logits in several]
    np.testing.assert_allclose(bits, np.mean(each, axis=0), rtol=1e-5)


def test_one_alone_is_as_it_was() -> None:
    logits = drawn()
    assert mean_of([logits], "classes") is logits


def test_the_mean_of_very_sure_teachers_is_finite() -> None:
    sure = torch.tensor([[1e4, -1e4]])
    assert mean_of([sure, sure.flip(1)], "multilabel").abs().max() < 1e-3
    assert mean_of([sure, sure], "multilabel").isfinite().all()


# --- columns with names ------------------------------------------------------------------------------------------


def test_columns_go_where_their_classes_are() -> None:
    p = torch.tensor([[0.1, 0.7, 0.2]])
    found = Reading("probabilities", (2, 0, 1)).logits(p, "classes", 3).double().softmax(1)
    expected = (1 - SMOOTHING) * torch.tensor([[0.7, 0.2, 0.1]]).double() + SMOOTHING / 3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    for gives in ("logits", "probabilities"):
        for names, missing in (((3, 0, 1), 2), ((0, 1, 3), 2), ((4, 3, 2), 0)):
            with refused(f"the teacher knows no class {missing} of the student's 0..4"):
                Reading(gives, names).logits(p, "classes", 5)  # type: ignore[arg-type]


def test_margins_of_all_classes_stay_logits() -> None:
    logits = drawn(classes=3)
    found = Reading("logits", (2, 0, 1)).logits(logits, "classes", 3)
    assert torch.equal(found, logits[:, [1, 2, 0]])


def test_names_that_are_no_numbers_need_a_map() -> None:
    p = torch.tensor([[0.1, 0.9]])
    with refused("the teacher's classes are cat, dog, but the student scores 0..1", "teacher_classes"):
        Reading("probabilities", ("cat", "dog")).logits(p, "classes", 2)
    found = Reading("probabilities", ("cat", "dog"), {"dog": 0, "cat": 1}).logits(p, "classes", 2)
    assert found.argmax(1).tolist() == [0]
    with refused("names 'cow', but the teacher's classes are cat, dog"):
        Reading("probabilities", ("cat", "dog"), {"cow": 0, "cat": 1}).logits(p, "classes", 2)


def test_yes_or_no() -> None:
    p = torch.tensor([[0.1, 0.9], [0.8, 0.2]])
    yes = Reading("probabilities", (0, 1)).logits(p, "binary", 1)
    torch.testing.assert_close(yes.sigmoid()[:, 0], p[:, 1], rtol=0, atol=SMOOTHING)
    no = Reading("probabilities", (1, 0)).logits(p, "binary", 1)
    torch.testing.assert_close(no, -yes, rtol=1e-4, atol=1e-4)
    assert Reading("logits", (0, 1)).logits(torch.tensor([[1.0, 3.0]]), "binary", 1).tolist() == [[2.0]]
    named = Reading("probabilities", ("no", "yes"), {"no": 0, "yes": 1}).logits(p, "binary", 1)
    assert torch.equal(named, yes)
    with refused("the student says yes or no, but the teacher's classes are 0, not 0 and 1"):
        Reading("probabilities", (0,)).logits(torch.ones(2, 1), "binary", 1)
    with refused("says of no class of no, yes that it is 1"):
        Reading("probabilities", ("no", "yes"), {"yes": 0}).logits(p, "binary", 1)
    with refused("the teacher gives 3 columns for its 2 classes"):
        Reading("probabilities", (0, 1)).logits(torch.full((2, 3), 1 / 3), "binary", 1)
    with refused("the student says yes or no, but the teacher's classes are 0, 1, 2"):
        Reading("logits", (0, 1, 2)).logits(drawn(classes=3), "binary", 1)


@pytest.mark.parametrize("names", [None, ("a", "b", "c")])
def test_yes_is_what_is_mapped_against_what_is_not(names: Any) -> None:
    logits = drawn(classes=3)
    p = naive_softmax(logits)
    maps = {0: {2: 0}, 1: {0: 1, 1: 0, 2: 1}, 2: {0: 1, 2: 0}}

    def expected(p: Any) -> dict[int, Any]:
        return {0: p[:, 2], 1: p[:, 0] + p[:, 2], 2: p[:, 0] / (p[:, 0] + p[:, 2])}

    smoothed = (1 - SMOOTHING) * p + SMOOTHING / 3
    for case, given in maps.items():
        if names is not None:
            if case == 0:
                continue
            given = {names[theirs]: mine for theirs, mine in given.items()}
        found = Reading("logits", names, given).logits(logits, "binary", 1)
        np.testing.assert_allclose(found.double().sigmoid()[:, 0], expected(p)[case], rtol=1e-5)
        soft = Reading("probabilities", names, given).logits(torch.as_tensor(p), "binary", 1)
        np.testing.assert_allclose(soft.double().sigmoid()[:, 0], expected(smoothed)[case], rtol=1e-5)


def test_a_half_stays_a_half() -> None:
    even = torch.tensor([[5.0, 5.0]])
    for given in ({1: 0}, [None, 0], [0, 1], {0: 0}):
        assert Reading("logits", None, given).logits(even, "binary", 1).item() == 0  # type: ignore[arg-type]
        p = Reading("probabilities", None, given).logits(even / 10, "binary", 1)  # type: ignore[arg-type]
        assert p.item() == 0
    assert Reading("logits", None, [0]).logits(torch.tensor([[5.0]]), "binary", 1).item() == 5
    with refused("probabilities of example 0 sum to 1.8, not to 1"):
        Reading("probabilities", None, [0, 1]).logits(torch.tensor([[0.9, 0.9]]), "binary", 1)
    with refused(
        "of 2 classes, but the student scores 1: say which is which (teacher_classes=[0, 1] for no and yes)"
    ):
        Reading().logits(even, "binary", 1)


def test_labels_are_translated_one_by_one() -> None:
    logits = drawn(classes=3)
    found = Reading("logits", None, {2: 0, 0: 1}).logits(logits, "multilabel", 2)
    assert torch.equal(found, logits[:, [2, 0]])
    with refused("teacher_classes adds up classes that exclude each other"):
        Reading("logits", None, {2: 0, 0: 1, 1: 1}).logits(logits, "multilabel", 2)


def test_other_classes_without_a_map() -> None:
    with refused("the teacher's logits are of 5 classes, but the student scores 4", "teacher_classes"):
        Reading().logits(drawn(), "classes", 4)


# --- answers in any form -----------------------------------------------------------------------------------------


class Output:
    """As transformers give it."""

    def __init__(self, logits: Any) -> None:
        self.logits = logits


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        lambda x: x.numpy(),
        lambda x: x.double().numpy(),
        lambda x: x.tolist(),
        lambda x: {"logits": x.numpy()},
        Output,
        lambda x: nn.Parameter(x),
    ],
)
def test_numbers_in_every_form(form: Any) -> None:
    logits = drawn()
    found = as_values(form(logits), 7)
    assert torch.equal(found, logits)
    assert not found.requires_grad


def test_answers_are_in_memory_of_their_own() -> None:
    buffer = drawn().numpy()
    found = as_values(buffer, 7)
    buffer[:] = 0
    assert torch.equal(found, drawn())
    with torch.inference_mode():
        answer = drawn()
    weight = torch.ones(5, requires_grad=True)
    (as_values(answer, 7) * weight).sum().backward()  # type: ignore[no-untyped-call]


def test_one_number_for_each_is_a_column() -> None:
    assert as_values(np.arange(3), 3).tolist() == [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("yes", "the teacher must give"),
        (None, "the teacher must give"),
        (drawn(6), "a row of numbers for each of 7 examples, (7, K), not (6, 5)"),
        (drawn()[None], "not (1, 7, 5)"),
        (torch.zeros(7, 0), "not (7, 0)"),
        (torch.zeros(7, 2, dtype=torch.complex64), "complex64"),
        ({"scores": 3}, "the teacher must give numbers"),
    ],
)
def test_answers_that_are_none(answer: Any, part: str) -> None:
    with refused(part):
        as_values(answer, 7)
