"""Tag recommendation: the student sees the photo, the others also what its owner wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kdgan.data.augment import augmentation
from kdgan.data.batch import Batch
from kdgan.data.join import without_labels
from kdgan.data.split import Scale
from kdgan.errors import UsageError
from kdgan.nets import ImageText, TextEncoder, build, hidden_widths
from kdgan.nets.build import check_size
from kdgan.references import is_reference
from kdgan.ship.student import Student
from kdgan.tagging.data import Photos, TagExamples, choose, read_photos
from kdgan.tagging.embeddings import Embeddings, read_embeddings
from kdgan.tagging.images.reading import read_image
from kdgan.tagging.scenes import scenes
from kdgan.tasks.base import Shown, Task
from kdgan.tasks.config import Config, TagsData
from kdgan.tasks.pictures import SIDE, Pixels, as_png
from kdgan.tasks.ranking import ranking

SCENES = "scenes"
"""The source that stands for generated scenes."""
_ABOUT = (
    "At training time each photo comes with the text that its owner wrote; later there is the photo alone. Teacher and "
    "discriminator see both, the student sees the photo, and so do the baselines."
)
_NO_TEXT = (
    "There is the photo alone, at training time and later: teacher and discriminator are the networks that would read "
    "its text, and have none."
)
_GENERATED = " These scenes are generated: nothing here is a photograph."


class Tags(Task):
    """Photos of one choice of target tags; the true label of a photo with m tags gives each 1/m.

    Args:
        config: says which photos, tags and texts.
        photos: what `read` gave; without the photos where the division is given.
        division: what `divide` gives of it; None for making it.

    Raises:
        UsageError: if the configuration does not fit the data.
    """

    metrics = ("MAP", "P@3", "P@5", "F@3", "F@5", "MRR")
    distribution = ("log_loss",)
    count_shown = 6

    def __init__(self, config: Config, photos: Photos, division: TagExamples | None = None) -> None:
        assert isinstance(config.data, TagsData)
        if config.augment not in ("none", "noise"):
            raise UsageError(
                f"augmentation {config.augment!r} is for images, and these are features: use none or noise"
            )
        self.config, self.settings, self.photos = config, config.data, photos
        self.data: TagExamples = division or self.divide(config, photos)
        self.labels = self.data.tags
        self.about = (_ABOUT if config.data.text else _NO_TEXT) + (
            _GENERATED if config.data.source == SCENES else ""
        )
        known = torch.from_numpy(self.data.features)
        learned = [known[torch.from_numpy(self.data.rows[part])] for part in ("train", "unlabelled")]
        self.scale = Scale.of(*learned)
        self.augment = augmentation(config.augment, torch.zeros(1))
        self.train, self.validation, self.test = (
            self._part(part) for part in ("train", "validation", "test")
        )
        if config.data.unlabelled is not None:
            self.unlabelled = without_labels(self._part("unlabelled"))

    @staticmethod
    def read(config: Config, data_dir: Path | None) -> Photos:
        """The photos."""
        data = config.data
        return scenes().photos if data.source == SCENES else read_photos(Path(data.source), data.sha256)

    @staticmethod
    def divide(config: Config, data: Photos) -> TagExamples:
        """The tags and photos of the seed."""
        assert isinstance(config.data, TagsData)
        return choose(
            data,
            config.data.choice,
            count=config.data.count,
            seed=config.seed,
            labels=config.data.labels,
            unlabelled=config.data.unlabelled is not None,
        )

    @staticmethod
    def outline(data: Photos) -> Photos:
        """The name of the table, and what gave its features."""
        return replace(data, features=data.features[:0].copy(), words=[], tags=[], names=[], parts=None)

    def _part(self, part: str) -> Batch:
        rows = self.data.rows[part]
        targets = torch.from_numpy(self.data.targets[rows]).float()
        tokens = torch.from_numpy(self.data.tokens[rows])
        return Batch(
            inputs=self.scale(torch.from_numpy(self.data.features[rows])),
            targets=targets / targets.sum(1, keepdim=True),
            privileged=tokens if self.settings.text else torch.zeros_like(tokens[:, :1]),
        )

    @cached_property
    def embeddings(self) -> Embeddings | None:
        """Pretrained embeddings of the words of the texts, read when they are first asked for; None without a file.

        Raises:
            UsageError: if the file is not of the form that `kdgan.tagging.embeddings` reads, or not the one it was.
        """
        settings = self.settings
        if settings.embeddings is None:
            return None
        if settings.embeddings_sha256 is None:
            raise UsageError("embeddings need embeddings_sha256, see kdgan.tagging.embeddings.named")
        return read_embeddings(Path(settings.embeddings), settings.embeddings_sha256, self.data.vocabulary)

    def build(self, network: str, role: str) -> nn.Module:
        """`mlp-WIDTH-WIDTH` on the product of image and text; for the student, a network for features."""
        features, count, dropout = self.data.features.shape[1], len(self.labels), self.settings.dropout
        words = len(self.data.vocabulary)
        if is_reference(network):
            return build(network, (features,), count, privileged=0 if role == "student" else words + 2)
        if role == "student":
            hidden_widths(network, "normed", "projected")
            return build(network, (features,), count, dropout=dropout)
        hidden, given = hidden_widths(network, "mlp"), self.embeddings
        table = None if given is None else given.table(words)

        def make() -> nn.Module:
            text = TextEncoder(words + 2, kind=self.settings.text_encoder, embeddings=table)
            return ImageText(features, text, hidden, count, dropout=dropout)

        check_size(network, make)
        return make()

    def metrics_of(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """MAP, then the other ranking metrics."""
        found = ranking(logits.cpu().numpy(), (targets > 0).cpu().numpy()).means()
        return {name: 100 * found[name] for name in self.metrics}

    def student(self, module: nn.Module) -> Student:
        """The student, with the tags, the scale of features, and the network that gave them."""
        shape = (self.data.features.shape[1],)
        return Student(
            module, self.labels, self.config.student, shape, self.scale, features=self.photos.network
        )

    def shown_at(self, places: Sequence[int]) -> list[Shown]:
        """Test photos, with pictures where they lie beside the table."""
        return [
            Shown(
                self.data.names[row],
                tuple(self.labels[place] for place in np.flatnonzero(self.data.targets[row])),
                self._picture(int(row)),
            )
            for row in self.data.rows["test"][list(places)]
        ]

    def _picture(self, row: int) -> bytes | None:
        pixels = self._pixels(row)
        if pixels is None:
            return None
        return as_png(pixels)

    def _pixels(self, row: int) -> Pixels | None:
        if self.settings.source == SCENES:
            scene: Pixels = scenes().pictures[row]
            return scene
        folder = Path(self.settings.source).resolve().parent
        try:
            path = (folder / self.data.names[row]).resolve()
            # A name out of a table must not reach beyond the table's own folder.
            if not path.is_relative_to(folder):
                return None
            picture: Pixels = read_image(path, SIDE).transpose(1, 2, 0)
        except (ValueError, RuntimeError):
            return None  # no image there, which a table of features need not have, or a name that no file can have
        return picture
