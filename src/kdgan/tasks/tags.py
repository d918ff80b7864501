"""Tag recommendation as a task of a run: the student sees the photo, the others also what its owner wrote."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdgan.data.augment import augmentation
from kdgan.data.batch import Batch
from kdgan.data.split import Scale
from kdgan.errors import UsageError
from kdgan.nets import Blind, ImageText, TextEncoder, image_tagger, widths
from kdgan.tagging.data import TagData, choose, read_photos
from kdgan.tagging.embeddings import Embeddings, read_embeddings
from kdgan.tasks.ranking import ranking
from kdgan.ship.recommender import Recommender
from kdgan.tagging.scenes import world
from kdgan.training.config import Config
from kdgan.training.evaluate import logits_of
from kdgan.tasks.run import Run
from kdgan.tasks.base import Task


class TagTask(Task):
    """Photos of one choice of target tags; the true label of a photo with m tags gives each 1/m.

    Args:
        config: `data` is a Parquet file, or `world` for generated scenes; `tags`, `tag_count`, `reader` and
            `embeddings` as they say.

    Raises:
        UsageError: if the configuration does not fit the data.
    """

    def __init__(self, config: Config) -> None:
        if config.tags is None:
            raise UsageError("tags must be popular or random")
        if config.augment not in ("none", "noise"):
            raise UsageError(
                f"augmentation {config.augment!r} is for images, and these are features: use none or noise"
            )
        self.config = config
        self.photos = (
            world().photos if config.data == "world" else read_photos(Path(config.data), config.data_sha256)
        )
        self.data: TagData = choose(self.photos, config.tags, count=config.tag_count, seed=config.seed)
        known = torch.from_numpy(self.data.features)
        self.scale = Scale.of(known[torch.from_numpy(self.data.rows["train"])])
        self.augment = augmentation(config.augment, torch.zeros(1))
        self.train, self.validation, self.test = (
            self._part(part) for part in ("train", "validation", "test")
        )

    def _part(self, part: str) -> Batch:
        rows = self.data.rows[part]
        targets = torch.from_numpy(self.data.targets[rows]).float()
        return Batch(
            inputs=self.scale(torch.from_numpy(self.data.features[rows])),
            targets=targets / targets.sum(1, keepdim=True),
            privileged=torch.from_numpy(self.data.tokens[rows]),
        )

    def features(self, part: str) -> NDArray[np.float32]:
        """Image features of a part as they were read, `(N, F)`."""
        return self.data.features[self.data.rows[part]]

    @cached_property
    def embeddings(self) -> Embeddings | None:
        """Pretrained embeddings of the words of the texts, read when they are first asked for; None without a file.

        Raises:
            UsageError: if the file is not of the form that `kdgan.tagging.embeddings` reads, or another one than it was.
        """
        config = self.config
        if config.embeddings is None:
            return None
        if config.embeddings_sha256 is None:
            raise UsageError("embeddings need embeddings_sha256, see kdgan.tagging.embeddings.named")
        return read_embeddings(Path(config.embeddings), config.embeddings_sha256, self.data.vocabulary)

    def build(self, network: str, role: str) -> nn.Module:
        """`mlp-WIDTH-WIDTH` on the product of image and text; for the student, `kdgan.nets.image_tagger`."""
        features, count, dropout = self.data.features.shape[1], len(self.data.tags), self.config.dropout
        if network == "blind":
            return Blind(count)
        if role == "student":
            return image_tagger(network, features, count, dropout=dropout)
        hidden = widths(network, "mlp")
        words, given = len(self.data.vocabulary), self.embeddings
        table = None if given is None else given.table(words)
        text = TextEncoder(words + 2, reader=self.config.reader, embeddings=table)
        return ImageText(features, text, hidden, count, dropout=dropout)

    def measure(self, module: nn.Module, data: Batch, *, role: str = "student") -> dict[str, float]:
        """MAP, then the other ranking measures, in per cent."""
        scores: Tensor = logits_of(module, data, role=role)
        found = ranking(scores.cpu().numpy(), (data.targets > 0).cpu().numpy()).means()
        return {name: 100 * found[name] for name in ("MAP", "P@3", "P@5", "F@3", "F@5", "MRR")}

    def save(self, module: nn.Module, network: str, path: Path) -> None:
        """As a `Recommender`."""
        assert isinstance(module, nn.Sequential)
        Recommender(
            module, network, self.data.features.shape[1], self.data.tags, self.scale, self.photos.network
        ).save(path)


class TagRun(Run):
    """A run of any method on photos and tags."""

    def _task(self) -> Task:
        return TagTask(self.config)
