"""The digits that come with scikit-learn."""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from kdgan.data.reading import load


def test_digits_are_the_bundled_ones_scaled_to_bytes() -> None:
    source = load("digits")
    assert (source.name, source.kind, source.classes) == ("digits", "image", tuple("0123456789"))
    assert (len(source.train), len(source.test)) == (1437, 360)
    assert source.train.inputs.dtype == torch.uint8
    assert source.train.inputs.shape[1:] == (1, 8, 8)
    assert source.train.targets.dtype == torch.int64
    counts, labels = load_digits(return_X_y=True)
    together = torch.cat([source.train.inputs, source.test.inputs]).flatten(1).double() * 16 / 255
    rows = {(tuple(image), label) for image, label in zip(counts.tolist(), labels.tolist(), strict=True)}
    targets = torch.cat([source.train.targets, source.test.targets]).tolist()
    assert {(tuple(i), t) for i, t in zip(together.round().tolist(), targets, strict=True)} == rows


def test_digits_are_split_by_class_and_always_alike() -> None:
    first, second = load("digits"), load(Path("digits"))
    assert torch.equal(first.test.inputs, second.test.inputs)
    assert torch.equal(first.train.targets, second.train.targets)
    everything = torch.cat([first.train.targets, first.test.targets]).bincount()
    assert ((first.test.targets.bincount() - everything * 0.2).abs() < 1).all()
