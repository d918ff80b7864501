"""Wrong labels: how many, which, and that all depends on the seed alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdgan.data.wrong_labels import with_wrong_labels

TARGETS = torch.arange(1000) % 5


@given(st.integers(1, 60), st.integers(2, 7), st.floats(0, 1), st.integers(0, 99))
def test_the_share_is_exact_and_wrong_labels_are_other_classes(
    count: int, classes: int, share: float, seed: int
) -> None:
    targets = torch.arange(count) % classes
    found = with_wrong_labels(targets, share, classes, seed)
    assert int((found != targets).sum()) == round(share * count)
    assert 0 <= int(found.min()) <= int(found.max()) < classes
    assert torch.equal(targets, torch.arange(count) % classes)


def test_a_seed_says_which() -> None:
    found = with_wrong_labels(TARGETS, 0.4, 5, seed=3)
    assert torch.equal(found, with_wrong_labels(TARGETS, 0.4, 5, seed=3))
    assert not torch.equal(found, with_wrong_labels(TARGETS, 0.4, 5, seed=4))
    torch.manual_seed(9)
    assert torch.equal(found, with_wrong_labels(TARGETS, 0.4, 5, seed=3))


def test_what_is_wrong_at_a_small_share_is_as_wrong_at_a_larger_one() -> None:
    less, more = (with_wrong_labels(TARGETS, share, 5, seed=0) for share in (0.2, 0.4))
    wrong = less != TARGETS
    assert torch.equal(less[wrong], more[wrong])


def test_wrong_labels_are_drawn_evenly_from_the_other_classes() -> None:
    targets = torch.full((40_000,), 2)
    found = with_wrong_labels(targets, 0.5, 5, seed=0).bincount(minlength=5)
    assert found[2] == 20_000
    for label in (0, 1, 3, 4):
        assert int(found[label]) == pytest.approx(5000, abs=300)  # five standard deviations
