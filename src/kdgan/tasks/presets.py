"""Sensible settings for each kind of data, the same for every method: what a command uses where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kdgan.data.reading import load
from kdgan.files import sha256_of
from kdgan.methods import find
from kdgan.training.config import Config

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "digits": {
            "labels": 100,
            "student": "mlp-32",
            "teacher": "lenet-16-32-128",
            "augment": "affine",
            "steps": 1000,
            "teacher_steps": 1000,
            "batch": 32,
            "lr": 2e-3,
        },
        "mnist": {
            "student": "mlp-800-800",
            "teacher": "lenet-20-50-500",
            "augment": "elastic",
            "steps": 2000,
            "teacher_steps": 2000,
            "batch": 128,
            "lr": 2e-3,
            "evaluations": 10,
        },
        "cifar10": {
            "student": "lenet-64-128-1024",
            "teacher": "resnet-32",
            "augment": "crop-flip",
            "steps": 10000,
            "teacher_steps": 10000,
            "batch": 64,
            "lr": 1e-3,
            "evaluations": 10,
        },
        "image": {
            "student": "lenet-8-16-64",
            "teacher": "lenet-32-64-512",
            "augment": "crop-flip",
            "steps": 2000,
            "teacher_steps": 2000,
        },
        "vector": {
            "student": "mlp-64",
            "teacher": "mlp-256-256",
            "augment": "none",
            "steps": 2000,
            "teacher_steps": 1000,
        },
    }
)
"""By name of the data, or by kind for one's own. The paper's networks where the paper has the data."""

FIRST_SEED = 100
"""Tuning uses seeds from here up; results are reported for seeds below."""


def configuration(method: str, given: Mapping[str, Any], *, data_dir: Path | None = None) -> Config:
    """The configuration of a run of `method`: what is `given`, and the data's preset for what is None there.

    Raises:
        UsageError: for an unknown method, or data that cannot be read.
    """
    find(method)
    data = str(given["data"])
    known = PRESETS.get(data)
    if known is None:
        source = load(
            data,
            data_dir=data_dir,
            target=given.get("target"),
            privileged=given.get("privileged", ()),
            image_size=given.get("image_size"),
        )
        known = PRESETS["image" if source.kind == "image" else "vector"]
    said = {name: value for name, value in given.items() if value is not None}
    if "steps" in said:
        said.setdefault("teacher_steps", said["steps"])
    content = None if data in PRESETS else sha256_of(Path(data))
    return Config(**{**known, **said, "data_sha256": content, "method": method, "seed": 0})
