"""The columns of the paper's Tables 1 and 2 as comparisons under an honest protocol, and the published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.resources import as_file, files
from types import MappingProxyType
from typing import Any

from kdgan.errors import UsageError
from kdgan.experiments.study import Cell
from kdgan.experiments.tuned import read_tuned
from kdgan.tasks import presets
from kdgan.tasks.config import Config
from kdgan.training.config import Training

_MNIST = {"source": "mnist", "batch": 128, "lr": 2e-3, "evaluations": 10, "precision": "bfloat16"}
_FEW = {"epsilon": 0.14, "steps": 1000, "teacher_lr": 5e-4, "teacher_every": 4}
_CIFAR = {"source": "cifar10", "batch": 64, "lr": 1e-3, "evaluations": 10, "precision": "bfloat16"}

CLASSES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "mnist-100": {**_MNIST, **_FEW, "labels": 100, "augment": "elastic-strong"},
        "mnist-1000": {**_MNIST, **_FEW, "labels": 1000},
        # In runs as long as these students come close to their teachers, so that those must be good: on validation
        # images of seed 100, T is better by a quarter of a point at a rate of 1e-3 than at 2e-3. What T learns before
        # is shorter: ten seeds of eight methods take two cores an hour and a half as it is.
        "mnist-10000": {
            **_MNIST,
            "labels": 10_000,
            "batch": 256,
            "steps": 8000,
            "teacher_steps": 2500,
            "evaluations": 5,
            "pretraining_lr": 1e-3,
            "teacher_lr": 5e-4,
            "teacher_every": 8,
        },
        # As long as two cores can. On validation images of seed 100, T gains four points by views as of photographs and
        # as much by weight decay, and C under a point by twice as many updates (results/changes/cifar10-500.csv).
        "cifar10-500": {
            **_CIFAR,
            "labels": 500,
            "augment": "photo",
            "weight_decay": 1.0,
            "steps": 1500,
            "teacher_steps": 2000,
            "evaluations": 5,
            "pretraining_lr": 4e-3,
            "teacher_lr": 1e-3,
            "teacher_every": 4,
        },
        "cifar10-5000": {**_CIFAR, "labels": 5000, "steps": 10_000},
        "cifar10-50000": {**_CIFAR, "labels": 50_000, "steps": 40_000},
    }
)
"""Settings that all methods of a column of Table 1 share, beside the preset of the data."""

WRONG_LABELS = (0.2, 0.4)
"""Shares of wrong training labels."""
WRONG: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        f"{name}-wrong-{share:.0%}".rstrip("%"): (name, share)
        for name in CLASSES
        if name.startswith("mnist")
        for share in WRONG_LABELS
    }
)
"""Cells of MNIST with wrong labels: by name, the cell that they are otherwise, and the share."""

PHOTOS = ("popular", "random")
"""The halves of Table 2: 200 popular or random tags of a table of photos."""

_REST = {
    **_MNIST,
    "unlabelled": "rest",
    "augment": "elastic",
    "steps": 4500,
    "teacher_steps": 1200,
    "teacher_lr": 5e-4,
    "teacher_every": 4,
    "labelled_share": 0.125,
    "rounds": 5,
    "evaluations": 5,
}
REST: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "mnist-100-rest": {**_REST, "labels": 100},
        # So many labels alone bring T nearly as far as rounds do, so that it has to be better to begin with: wider,
        # trained for longer, and on mixtures, from which its student seemed to learn less than from images as they are
        # (results/changes/mnist-1000-rest.csv).
        "mnist-1000-rest": {
            **_REST,
            "labels": 1000,
            "teacher": "lenet-32-64-1024",
            "steps": 6000,
            "teacher_steps": 4000,
            "pretraining_mixup": 0.5,
            "labelled_share": 0.25,
            "rounds": 2,
            "round_steps": 1500,
        },
        "breast-cancer-60-rest": {"source": "breast-cancer", "labels": 60, "unlabelled": "rest"},
    }
)
"""Cells in which all other training examples are learned from without labels, and what all methods share: images, and
a table with privileged columns."""
PHOTOS_REST: Mapping[str, tuple[str, int]] = MappingProxyType(
    {f"{choice}-{labels}-rest": (choice, labels) for choice in PHOTOS for labels in (300, 1000, 3000)}
)
"""Cells of photos of which so many keep their tags, and all their text: by name, the choice of tags, and how many."""
_READER = {"distn": {"temperature": 2.0}}
"""Settings of methods there."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "mnist-100": "mnist-100",
        "mnist-1000": "mnist-1000",
        "mnist-10000": "mnist-10000",
        "popular": "tags-popular",
        "random": "tags-popular",
    }
)
"""The search that found a cell's settings, `settings/NAME.json`; cells without one have each method's defaults."""

PUBLISHED: Mapping[str, Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "accuracy": {
            "codis": (74.02, 95.77, 98.89, 54.17, 77.82, 85.12),
            "distn": (68.34, 93.97, 98.79, 50.92, 76.59, 83.32),
            "noisy": (66.53, 93.45, 98.58, 50.18, 75.42, 82.99),
            "mimic": (67.35, 93.78, 98.65, 51.74, 75.66, 84.33),
            "nagan": (64.90, 93.60, 98.95, 46.29, 76.11, 85.34),
            "kdgan": (77.95, 96.42, 99.25, 57.56, 79.36, 86.50),
        },
        "MAP": {
            "knn": (57.55, 39.70),
            "tprop": (61.77, 45.12),
            "tfeat": (64.17, 51.49),
            "rexmp": (70.15, 52.05),
            "nagan": (74.32, 57.91),
            "kdgan": (77.87, 63.02),
        },
    }
)
"""Published means in % (Wang et al., NeurIPS 2018, Tables 1 and 2), in the order of `CLASSES` and of `PHOTOS`; those
for photos are of another set of Flickr photos."""


def published(metric: str, cell: str, method: str) -> float | None:
    """The paper's mean for a method in a cell, in %; None where it has none."""
    cells = list(CLASSES if metric == "accuracy" else PHOTOS)
    values = PUBLISHED[metric].get(method)
    return None if values is None or cell not in cells else values[cells.index(cell)]


def cell(
    name: str, photos: Mapping[str, Any] | None = None, changes: Mapping[str, Any] | None = None
) -> Cell:
    """A cell with its frozen settings: what `kdgan tune` found on validation data.

    Args:
        name: of the cell.
        photos: for those of Table 2, the fields of `TagsData` that say which photos.
        changes: of what all runs share: fields of `Config` and `Training`.

    Raises:
        UsageError: if there is no such cell, or no photos where it needs them.
    """
    right, share = WRONG.get(name, (name, 0.0))
    base = _classes(right, share) if right in {**CLASSES, **REST} else _photos(name, photos)
    changes = dict(changes or {})
    if "steps" in changes:
        changes.setdefault("teacher_steps", presets.teacher_steps(base.data, changes["steps"]))
    training = {f.name: changes[f.name] for f in fields(Training) if f.name in changes}
    own = {key: value for key, value in changes.items() if key not in training}
    base = replace(base, training=replace(base.training, **training), **own)
    return Cell(name, base, _READER if name in PHOTOS_REST else settings(SETTINGS.get(right)))


def settings(name: str | None) -> dict[str, dict[str, Any]]:
    """The frozen settings of each method in `settings/NAME.json`; none for None, where methods keep their defaults."""
    if name is None:
        return {}
    with as_file(files("kdgan.paper") / "settings" / f"{name}.json") as file:
        return read_tuned(file)


def _classes(name: str, wrong_labels: float) -> Config:
    own = {**CLASSES, **REST}[name]
    data = {key: own[key] for key in ("source", "labels", "unlabelled") if key in own}
    own = {key: value for key, value in own.items() if key not in data}
    data["wrong_labels"] = wrong_labels
    return presets.classes(data, own)


def of_photos(name: str) -> bool:
    """Whether a cell is of photos with tags, which need a table."""
    return name in PHOTOS or name in PHOTOS_REST


def _photos(name: str, photos: Mapping[str, Any] | None) -> Config:
    if not of_photos(name):
        known = [*CLASSES, *WRONG, *REST, *PHOTOS, *PHOTOS_REST]
        raise UsageError(f"unknown cell {name!r}: choose from {', '.join(known)}")
    if photos is None or photos.get("source") is None:
        raise UsageError(f"{name} needs --table FILE, a Parquet table of photos (see kdgan tags compare)")
    if name in PHOTOS_REST:
        choice, labels = PHOTOS_REST[name]
        data = {**photos, "choice": choice, "labels": labels, "unlabelled": "rest", "text_encoder": "bag"}
        return presets.tags(data, {"steps": 600, "augment": "noise", "evaluations": 1})
    given = {"steps": 600, "teacher_steps": 400, "precision": "bfloat16", "augment": "noise"}
    # More evaluations than elsewhere, as Figure 3b draws curves through them.
    return presets.tags({**photos, "choice": name}, {**given, "evaluations": 20})
