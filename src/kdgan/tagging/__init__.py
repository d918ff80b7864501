"""Photos with tags: data sets from YFCC100M, features of images, baselines, generated scenes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgan.tagging.baselines import KNN, RelExamples, TagFeature, TagProp

__all__ = ["KNN", "RelExamples", "TagFeature", "TagProp"]


def __getattr__(name: str) -> Any:
    # Reading metadata must not cost the memory of what baselines need.
    if name in __all__:
        return getattr(importlib.import_module("kdgan.tagging.baselines"), name)
    raise AttributeError(f"module 'kdgan.tagging' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
