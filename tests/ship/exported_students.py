"""Students of every form of network and task, and the raw form of a table; for tests of exports."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from kdgan import nets
from kdgan.data.cells import Reading
from kdgan.data.encoding import Encoding
from kdgan.data.images import ImageReader
from kdgan.data.reading import load
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableColumn, TableReader
from kdgan.ship.student import Student
from kdgan.tagging.scenes import scenes

READER = TableReader(
    (
        TableColumn("age", Reading("number"), Encoding("numbers", mean=40.0, marks_missing=True)),
        TableColumn("city", Reading("category"), Encoding("categories", categories=("Oslo", "Köln"))),
        TableColumn("row", Reading("number"), Encoding("left out")),
        TableColumn("income", Reading("number"), Encoding("numbers", mean=5e5)),
        TableColumn(
            "mood",
            Reading("category", keeps_empty=True),
            Encoding("categories", categories=("", "Oslo", "good")),
        ),
    )
)

RAW = {
    "numbers": np.array([[31, 1000], [np.nan, np.nan], [7.5, 2e6], [-3, 0]]),
    "categories": np.array([["Oslo", ""], ["Rome", "good"], ["Köln", "Oslo"], ["?", "?"]], dtype=object),
}
"""Rows of a table in their raw form, by hand."""


def lively(module: nn.Module) -> nn.Module:
    """The network with statistics and weights as after training, in place of the zeros and ones of a fresh one."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.5, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, generator=generator)
        if isinstance(part, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.normal_(part.weight, 1, 0.3, generator=generator)
            nn.init.normal_(part.bias, 0, 0.3, generator=generator)
    return module.eval()


def of_digits(network: str) -> Student:
    """Of grey images 8×8."""
    source = load("digits")
    module = lively(nets.build(network, (1, 8, 8), 10))
    scale = Scale.of(source.train.tensor)
    return Student(module, source.classes, network, (1, 8, 8), scale, reader=ImageReader("L", 8, 8))


def of_scenes(network: str) -> Student:
    """Of features of generated scenes."""
    features = torch.from_numpy(scenes().photos.features)
    module = lively(nets.build(network, features.shape[1:], 6, dropout=0.5))
    labels = tuple("abcdef")
    return Student(
        module, labels, network, tuple(features.shape[1:]), Scale.of(features), features={"size": 32}
    )


def of_table() -> Student:
    """Of the rows that `READER` reads."""
    mean = torch.tensor([40.0, 0.1, 0.5, 0.4, 5e5, 0.1, 0.2, 0.3], dtype=torch.float64)
    scale = Scale(mean, mean / 3)
    return Student(
        nets.build("mlp-16", (8,), 3).eval(), ("a", "b", "c"), "mlp-16", (8,), scale, reader=READER
    )


def of_kind(kind: str, labels: int) -> Student:
    """Of four numbers, for a binary task or several labels."""
    names = tuple(f"label {place}" for place in range(labels))
    outputs = 1 if kind == "binary" else labels
    made = Student(nets.build("mlp-5", (4,), outputs).eval(), names, "mlp-5", (4,))
    return replace(made, kind=kind)  # type: ignore[arg-type]
