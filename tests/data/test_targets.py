"""What targets say of an example."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kdgan.data import Batch
from kdgan.data.targets import check_batch, check_labels, in_kind, kind_of_targets
from support import refused

ONE_HOT = torch.eye(3)[torch.tensor([0, 1, 2, 2])]
SOFT = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
BITS = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
INDICES, ANSWERS = torch.tensor([0, 2, 1]), torch.tensor([0, 1, 1])
NAN = float("nan")


@pytest.mark.parametrize(
    ("targets", "scores", "asked", "kind"),
    [
        (INDICES, 3, "auto", "classes"),
        (INDICES, 3, "classes", "classes"),
        (ANSWERS, 2, "auto", "classes"),
        (ANSWERS, 1, "auto", "binary"),
        (ANSWERS, 1, "binary", "binary"),
        (ANSWERS.float(), 1, "auto", "binary"),
        (torch.tensor([0.2, 0.9]), 1, "auto", "binary"),
        (ANSWERS.float().unsqueeze(1), 1, "auto", "binary"),
        (ANSWERS.float().unsqueeze(1), 1, "multilabel", "multilabel"),
        (ONE_HOT, 3, "auto", "classes"),
        (ONE_HOT, 3, "multilabel", "multilabel"),
        (SOFT, 3, "auto", "classes"),
        (SOFT.half(), 3, "auto", "classes"),
        (BITS, 3, "auto", "multilabel"),
        (BITS, 3, "multilabel", "multilabel"),
        (torch.cat([ONE_HOT, BITS]), 3, "auto", "multilabel"),
        (BITS * 0.75, 3, "auto", "classes"),  # of which `check_labels` says that it has to be said
        (BITS * 0.75, 3, "multilabel", "multilabel"),
    ],
)
def test_the_kind_is_seen_in_the_form(targets: Tensor, scores: int, asked: str, kind: str) -> None:
    assert kind_of_targets(targets, scores, asked) == kind


@pytest.mark.parametrize(
    ("targets", "scores", "asked", "parts"),
    [
        (torch.tensor([0.5, 3.2]), 3, "auto", ("real numbers (N,)", "not for regression", ".long()")),
        (torch.tensor([0.5, 2.0]), 1, "auto", ("real numbers (N,)", "not for regression")),
        (torch.tensor([0.0, 2.0]), 1, "auto", ("whole numbers as real ones", "an integer type")),
        (torch.tensor([0.0, 1.0]), 2, "auto", ("torch.float32", "-1 for a missing label", ".long()")),
        (torch.tensor([[0.5], [3.2]]), 1, "auto", ("(N, 1) outside 0 to 1", ".squeeze(1)", "regression")),
        (INDICES, 3, "multilabel", ("task='multilabel' needs bits (N, K)", "(3,) of torch.int64", "gives 3")),
        (INDICES, 3, "binary", ("task='binary' needs 0 or 1", "one logit", "the student gives 3")),
        (BITS, 3, "classes", ("task='classes' needs class indices (N,)",)),
        (ANSWERS, 1, "classes", ("task='classes' needs class indices", "the student gives 1")),
        (INDICES, 3, "regression", ("task must be auto, classes, binary, multilabel, not 'regression'",)),
    ],
)
def test_what_does_not_fit_is_told(targets: Tensor, scores: int, asked: str, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        kind_of_targets(targets, scores, asked)


@pytest.mark.parametrize(
    ("targets", "bits"),
    [
        (torch.tensor([0, -1, 1, -100]), [0, NAN, 1, NAN]),
        (torch.tensor([False, True, True, False]), [0, 1, 1, 0]),
        (torch.tensor([0.25, NAN, 1, 0]), [0.25, NAN, 1, 0]),
        (torch.tensor([[0.25], [NAN], [1], [0]]), [0.25, NAN, 1, 0]),
        (torch.tensor([[0], [-1], [1], [-100]]), [0, NAN, 1, NAN]),
    ],
)
def test_one_logit_has_one_target(targets: Tensor, bits: list[float]) -> None:
    batch = in_kind(Batch(torch.zeros(4, 2), targets, torch.ones(4, 1)), "binary")
    expected = torch.tensor(bits, dtype=torch.float32).unsqueeze(1)
    assert torch.allclose(batch.targets, expected, equal_nan=True)
    assert batch.targets.is_floating_point()
    assert batch.privileged is not None
    missing = expected.isnan().flatten()
    if missing.any():
        assert batch.labelled is not None
        assert torch.equal(batch.labelled, ~missing)
    else:
        assert batch.labelled is None
    for kind in ("classes", "multilabel"):
        plain = Batch(torch.zeros(4, 2), targets)
        assert in_kind(plain, kind) is plain


@pytest.mark.parametrize(
    ("targets", "classes", "kind", "parts"),
    [
        (INDICES, 2, "classes", ("targets lie in 0..2", "the student scores 2 classes, 0..1")),
        (torch.tensor([0, -3]), 3, "classes", ("lie in -3..0",)),
        (INDICES.float(), 3, "classes", ("whole numbers as real ones", "-1 for a missing label")),
        (INDICES + 0.5, 3, "classes", ("real numbers (N,)", "not for regression", ".long()")),
        (INDICES, 3, "multilabel", ("targets are class indices (N,)", "bits of labels (N, 3)")),
        (BITS, 4, "multilabel", ("weigh 3 labels", "scores 4 classes")),
        (INDICES.float().unsqueeze(1), 3, "classes", ("weigh 1 labels", ".squeeze(1)")),
        (BITS * 2, 3, "multilabel", ("targets of example 0 are no labels", "0, 1 or in between")),
        (torch.tensor([[1.0], [-1.0]]), 1, "binary", ("targets of example 1 are no labels",)),
        (torch.tensor([[1.0], [7.0]]), 1, "binary", ("targets of example 1 are no labels",)),
        (
            torch.cat([SOFT, BITS]),
            3,
            "classes",
            ("example 2 are no distribution", "sum to 2", "task='multilabel'"),
        ),
        (torch.tensor([[1.5, -0.5, 0.0]]), 3, "classes", ("example 0 are no distribution", "at least 0")),
    ],
)
def test_targets_that_nobody_can_be_right_about(
    targets: Tensor, classes: int, kind: Any, parts: tuple[str, ...]
) -> None:
    with refused("train: ", *parts):
        check_labels(targets, classes=classes, what="train", kind=kind)


def test_rows_without_a_label_are_held_to_nothing() -> None:
    check_batch(
        Batch(torch.zeros(3, 1), torch.tensor([-1, 2, -100])), classes=3, what="train", kind="classes"
    )
    check_batch(Batch(torch.zeros(2, 1), torch.tensor([-1, -1])), classes=3, what="train", kind="classes")
    check_batch(
        Batch(torch.zeros(2, 1), torch.tensor([[NAN, NAN, NAN], [1, 1, 0]])),
        classes=3,
        what="train",
        kind="multilabel",
    )
    with refused("lie in 2..3"):
        check_batch(
            Batch(torch.zeros(3, 1), torch.tensor([-1, 2, 3])), classes=3, what="train", kind="classes"
        )
    # One of several labels that is missing is no missing row: it would count as the label -1.
    with refused("targets of example 0 are no labels"):
        check_batch(
            Batch(torch.zeros(1, 1), torch.tensor([[1, -1, 0]])), classes=3, what="train", kind="multilabel"
        )
