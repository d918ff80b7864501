"""A trained student for tags in a file of its own: from image features to ranked tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kdgan.data.split import Scale
from kdgan.errors import UsageError
from kdgan.nets import image_tagger
from kdgan.training import checkpoint


@dataclass(frozen=True, slots=True)
class Recommender:
    """A student with what it was trained on.

    Attributes:
        module: takes features in standard units `(B, F)`, gives logits `(B, K)`.
        network: its name, as `kdgan.nets.image_tagger` takes it.
        features: F.
        tags: the K tags.
        scale: brings features to standard units.
        images: `kdgan.tagging.images.networks.Network.identity` of the network whose features these are, None if unknown.
    """

    module: nn.Module
    network: str
    features: int
    tags: tuple[str, ...]
    scale: Scale
    images: Mapping[str, Any] | None = None

    def check(self, network: Mapping[str, Any]) -> None:
        """Checks that features of this network are what the student was trained on, as far as that is known.

        Raises:
            UsageError: if they are not.
        """
        known = self.images or {}
        # The same network may lie in a file of another name.
        other = [name for name in known if name != "network" and known[name] != network.get(name)]
        if other:
            said = ", ".join(f"{name} {known[name]} there, {network.get(name)} here" for name in other)
            raise UsageError(
                f"this student was trained on features of another network, or scaled otherwise: {said}"
            )

    def save(self, path: Path) -> None:
        """Writes it to one safetensors file."""
        tree = {
            "network": self.network,
            "features": self.features,
            "tags": list(self.tags),
            "mean": self.scale.mean,
            "std": self.scale.std,
            "images": None if self.images is None else dict(self.images),
            "weights": self.module.state_dict(),
        }
        checkpoint.save(path, tree)

    @staticmethod
    def load(path: Path) -> Recommender:
        """The recommender in that file.

        Raises:
            UsageError: if the file is missing, damaged or something else.
        """
        if not path.is_file():
            raise UsageError(f"{path} does not exist: has its run finished?")
        try:
            tree = checkpoint.load(path)
        except UsageError as error:
            raise UsageError(f"{path} is no student that kdgan tags compare has written") from error
        try:
            features, tags = int(tree["features"]), tuple(tree["tags"])
            with torch.random.fork_rng(devices=[]):
                module = image_tagger(tree["network"], features, len(tags))
            module.load_state_dict(tree["weights"])
            scale = Scale(tree["mean"], tree["std"])
        except (UsageError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise UsageError(f"{path} does not hold a recommender of tags") from error
        return Recommender(module.eval(), tree["network"], features, tags, scale, tree.get("images"))

    def __call__(self, features: NDArray[np.float32], most: int = 5) -> list[list[tuple[str, float]]]:
        """For each image the tags with the highest scores, the best first, as (tag, probability).

        Raises:
            UsageError: if the features are not those of this student.
        """
        if features.ndim != 2 or features.shape[1] != self.features:
            raise UsageError(
                f"this student takes {self.features} features for each image, not {features.shape}"
            )
        if not np.isfinite(features).all():
            raise UsageError("features must be finite: this network gives NaN or infinity for an image")
        with torch.no_grad():
            chances = self.module(self.scale(torch.from_numpy(features).float())).softmax(-1)
        values, places = chances.sort(dim=1, descending=True, stable=True)
        return [
            [(self.tags[place], value) for value, place in zip(row[:most], ranked[:most], strict=True)]
            for row, ranked in zip(values.tolist(), places.tolist(), strict=True)
        ]
