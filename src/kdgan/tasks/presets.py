"""Sensible settings for each kind of data, the same for every method: what a command uses where nothing is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kdgan.data.source import Source
from kdgan.files import sha256_of
from kdgan.methods import CONTROL
from kdgan.tasks.config import ClassesData, Config, TagsData
from kdgan.tasks.sources import identified
from kdgan.training.config import Training

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "digits": {
            "labels": 100,
            "student": "mlp-32",
            "teacher": "lenet-16-32-128",
            "augment": "affine",
            "steps": 1000,
            "batch": 32,
            "lr": 2e-3,
        },
        "breast-cancer": {
            "labels": 60,
            "student": "mlp-64",
            "teacher": "mlp-256-256",
            "augment": "none",
            "steps": 2000,
        },
        "mnist": {
            "student": "mlp-800-800",
            "teacher": "lenet-20-50-500",
            "augment": "elastic",
            "steps": 2000,
            "batch": 128,
            "lr": 2e-3,
            "evaluations": 10,
        },
        "cifar10": {
            "student": "lenet-64-128-1024",
            "teacher": "resnet-32",
            "augment": "crop-flip",
            "steps": 10000,
            "batch": 64,
            "lr": 1e-3,
            "evaluations": 10,
        },
        "image": {
            "student": "lenet-8-16-64",
            "teacher": "lenet-32-64-512",
            "augment": "crop-flip",
            "steps": 2000,
        },
        "large-image": {
            "student": "lenet-8-16-64",
            # The last maps of a LeNet grow with the image: a wider layer behind them would be most of the memory.
            "teacher": "lenet-32-64-128",
            "augment": "crop-flip",
            "batch": 32,
            # The same update in two parts, for less memory (benchmarks/large_photos.py).
            "accumulate": 2,
            "steps": 2000,
        },
        "vector": {
            "student": "mlp-64",
            "teacher": "mlp-256-256",
            "augment": "none",
            "steps": 2000,
        },
    }
)
"""By name of the data, or by kind for one's own. The paper's networks where the paper has the data."""
_UNLABELLED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "digits": {
            "steps": 1400,
            "lr": 5e-3,
            "teacher_steps": 400,
            "rounds": 2,
            "round_steps": 500,
            "evaluations": 10,
            "teacher_every": 4,
        }
    }
)
"""What differs where some have no labels: C has more to follow, and T's self-training begins before it has learned the
labels by heart. Chosen on validation images of seeds 100 to 103, within 90 seconds for all methods on two cores."""
_TAGS_UNLABELLED: Mapping[str, Any] = MappingProxyType({"self_training": "none"})
"""Photos with tags: labels that are propagated over what T sees in them make it worse, by one to three points of MAP on
validation photos of seeds 100 to 102 (200 of the scenes with tags); C follows T's own."""
_SCENES_UNLABELLED: Mapping[str, Any] = MappingProxyType({"steps": 300})
LARGE = 64
"""Side from which on an image is large, in pixels."""

FIRST_SEED = 100
"""Tuning uses seeds from here up; results are reported for seeds below."""

_TAGS: Mapping[str, Any] = MappingProxyType(
    {
        "student": "normed-800-800",
        "teacher": "mlp-1200-1200",
        "batch": 128,
        "lr": 1e-3,
        "weight_decay": 1.0,
        "dropout": 0.3,
        "smoothing": 0.0,
        "evaluations": 5,
        "steps": 1500,
    }
)


def classes(data: Mapping[str, Any], given: Mapping[str, Any], *, data_dir: Path | None = None) -> Config:
    """The configuration of runs on classes, of the control with seed 0.

    Args:
        data: fields of `ClassesData`; None for what was not given. Data that have examples without labels are learned
            from with them (`unlabelled="rest"`), unless it says otherwise.
        given: fields of `Config` and `Training`, likewise: the data's preset has what is None there.
        data_dir: where the files of mnist or cifar10 are.

    Raises:
        UsageError: for data that cannot be read.
    """
    own = {name: value for name, value in data.items() if value is not None}
    examples, found = identified(ClassesData(**{**own, "source": str(data["source"])}), data_dir)
    if "unlabelled" not in own and found is not None and found.unlabelled is not None:
        examples = replace(examples, unlabelled="rest")
    known = PRESETS.get(examples.source) or ({} if found is None else _own(found)) or PRESETS["vector"]
    if examples.unlabelled is not None:
        known = {**known, **_UNLABELLED.get(examples.source, {})}
    if examples.labels is None and "labels" in known:
        examples = replace(examples, labels=known["labels"])
    return _config(examples, {name: value for name, value in known.items() if name != "labels"}, given)


def _own(source: Source) -> Mapping[str, Any]:
    """The preset for data of one's own."""
    if source.kind != "image":
        return PRESETS[source.kind]
    channels, *sides = source.train.tensor.shape[1:]
    known = PRESETS["large-image" if max(sides) > LARGE else "image"]
    # Grey images are often of digits, letters or drawings, which mean something else in a mirror.
    return {**known, "augment": "affine"} if channels == 1 else known


def tags(data: Mapping[str, Any], given: Mapping[str, Any]) -> Config:
    """The configuration of runs on photos with tags, with the paper's widths; of the control with seed 0.

    Args:
        data: fields of `TagsData`; None for what was not given.
        given: fields of `Config` and `Training`, likewise.
    """
    own = {name: value for name, value in data.items() if value is not None}
    scenes, known = own["source"] == "scenes", _TAGS
    if own.get("unlabelled") not in (None, "none"):
        known = {**known, **_TAGS_UNLABELLED, **(_SCENES_UNLABELLED if scenes else {})}
    usual = {"count": 12 if scenes else 200, "dropout": _TAGS["dropout"]}
    content = None if scenes else sha256_of(Path(own["source"]))
    return _config(TagsData(**{**usual, **own, "sha256": content}), known, given)


def teacher_steps(data: ClassesData | TagsData, steps: int) -> int:
    """Updates in the pretraining of T and D where nobody says how many: as many as of the student.

    For photos with tags two fifths: T, which reads the text, knows the training photos by heart long before C does, and
    is of no more use then.
    """
    return steps if isinstance(data, ClassesData) else max(1, round(0.4 * steps))


def _config(data: ClassesData | TagsData, known: Mapping[str, Any], given: Mapping[str, Any]) -> Config:
    values = {**known, **{name: value for name, value in given.items() if value is not None}}
    values.setdefault("teacher_steps", teacher_steps(data, values["steps"]))
    of_training = {each.name for each in fields(Training)}
    training = Training(**{name: value for name, value in values.items() if name in of_training})
    rest = {name: value for name, value in values.items() if name not in (*of_training, "dropout")}
    return Config(data=data, method=CONTROL, training=training, **rest)
