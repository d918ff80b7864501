"""Players for images with text: what is written about an image is seen by teacher and discriminator alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from kdgan.errors import UsageError
from kdgan.nets.classifiers import mlp

TextReading = Literal["lstm", "bag"]


class TextEncoder(nn.Module):
    """Token ids to one vector for each text.

    Args:
        words: how many ids there are; 0 pads and counts for nothing.
        size: of the result, and of the word embeddings where none are given.
        kind: `lstm` reads the words in their order (the paper's), `bag` takes the sum of their embeddings,
            for words without an order such as tags.
        embeddings: pretrained ones `(words, E)`, trained on from there; None draws them.
    """

    SPEED = 30.0
    """Factor by which an embedding learns faster than other weights: a batch holds few words, each of them rarely."""

    def __init__(
        self, words: int, size: int = 100, *, kind: TextReading = "lstm", embeddings: Tensor | None = None
    ) -> None:
        super().__init__()
        if kind not in ("lstm", "bag"):
            raise UsageError(f"unknown text encoder {kind!r}: choose lstm or bag")
        width = size if embeddings is None else embeddings.shape[1]
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        if embeddings is not None and embeddings.shape[0] != words:
            raise UsageError(f"{embeddings.shape[0]} embeddings do not fit a vocabulary of {words}")
        with torch.no_grad():
            # Small, so that what is learned of a word soon outweighs what was drawn for it.
            drawn = 0.05 * self.embedding.weight if embeddings is None else embeddings
            # Adam's steps have one size whatever the gradient's, so multiplied weights learn that much faster.
            self.embedding.weight[1:] = drawn[1:] / self.SPEED
        self.lstm = nn.LSTM(width, size, batch_first=True) if kind == "lstm" else None
        self.project = nn.Identity() if width == size else nn.Linear(width, size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors `(B, size)` of texts `(B, L)`; 0 for a text without words."""
        lengths = (tokens > 0).sum(1)
        embedded = self.SPEED * self.embedding(tokens)
        if self.lstm is None:
            total: Tensor = self.project(embedded.sum(1))
            return total
        # Padding comes last, so the state after the last word is that word's output.
        outputs, _ = self.lstm(embedded)
        last = (lengths - 1).clamp_min(0).view(-1, 1, 1).expand(-1, 1, outputs.shape[-1])
        state: Tensor = outputs.gather(1, last).squeeze(1) * (lengths > 0).unsqueeze(1)
        return state


class ImageText(nn.Module):
    """T and D of the paper's second experiment: an MLP on the product of image and text, element by element.

    Both vectors are offsets from one, so the product is that of the paper and yet lets each side through
    alone: (1 + i)·(1 + t) = 1 + i + t + i·t. Around zero, either would be noise to the other at first.

    Args:
        features: numbers per image.
        text: the encoder; its size is that of the product.
        hidden: widths of the MLP.
        classes: K.
        size: of image and text vectors.
        dropout: share of the image's features, of the product, and of every hidden layer that is left out in training.
    """

    IMAGE = 0.3
    """Weight of the image's vector. Text says more, but is learned later: an image that comes in at full strength is
    learned by heart before the text is read."""

    def __init__(
        self,
        features: int,
        text: TextEncoder,
        hidden: Sequence[int],
        classes: int,
        *,
        size: int = 100,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, size))
        self.text = text
        self.head = nn.Sequential(nn.Dropout(dropout), _mlp(size, hidden, classes, dropout))

    def forward(self, inputs: Tensor, privileged: Tensor) -> Tensor:
        """Logits `(B, K)` of image features `(B, F)` and token ids `(B, L)`."""
        logits: Tensor = self.head((1 + self.IMAGE * self.image(inputs)) * (1 + self.text(privileged)))
        return logits


def normed(features: int, hidden: Sequence[int], classes: int, dropout: float = 0.0) -> nn.Sequential:
    """An MLP on features, with layer normalisation (Ba et al., 2016) before each ReLU.

    On validation photos it recommends better than the paper's C: see docs/findings.md.

    Args:
        features: numbers per example.
        hidden: widths of the hidden layers.
        classes: K.
        dropout: share of every hidden layer that is left out in training.
    """
    return _mlp(features, hidden, classes, dropout, normed=True)


def projected(features: int, hidden: Sequence[int], classes: int, dropout: float = 0.0) -> nn.Sequential:
    """C of the paper's second experiment: a linear map of the features to 100 numbers, as in T, then an MLP.

    Args:
        features: numbers per example.
        hidden: widths of the hidden layers.
        classes: K.
        dropout: share of the features and of every hidden layer that is left out in training.
    """
    size = 100
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, size), _mlp(size, hidden, classes, dropout))


def _mlp(
    features: int, hidden: Sequence[int], classes: int, dropout: float, *, normed: bool = False
) -> nn.Sequential:
    """`mlp` that leaves out a share of every hidden layer in training, and may normalise each before its ReLU."""
    layers: list[nn.Module] = []
    before = iter(hidden)
    for layer in mlp(features, hidden, classes):
        if not isinstance(layer, nn.ReLU):
            layers.append(layer)
            continue
        width = next(before)
        layers += [*([nn.LayerNorm(width)] if normed else []), layer, nn.Dropout(dropout)]
    return nn.Sequential(*layers)
