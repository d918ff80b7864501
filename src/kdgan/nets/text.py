"""Players for images with text: what is written about an image is seen by teacher and discriminator alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from kdgan.errors import UsageError
from kdgan.nets.classifiers import mlp

Reader = Literal["lstm", "bag"]


class TextEncoder(nn.Module):
    """Token ids to one vector for each text.

    Args:
        words: how many ids there are; 0 pads and counts for nothing.
        size: of the result, and of the word embeddings where none are given.
        reader: `lstm` reads the words in their order (the paper's), `bag` takes the mean of their embeddings,
            for words without an order such as tags.
        embeddings: pretrained ones `(words, E)`, trained on from there; None draws them.
    """

    def __init__(
        self, words: int, size: int = 100, *, reader: Reader = "lstm", embeddings: Tensor | None = None
    ) -> None:
        super().__init__()
        if reader not in ("lstm", "bag"):
            raise UsageError(f"unknown reader of texts {reader!r}: choose lstm or bag")
        width = size if embeddings is None else embeddings.shape[1]
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        if embeddings is not None:
            if embeddings.shape[0] != words:
                raise UsageError(f"{embeddings.shape[0]} embeddings do not fit a vocabulary of {words}")
            with torch.no_grad():
                self.embedding.weight[1:].copy_(embeddings[1:])
        self.lstm = nn.LSTM(width, size, batch_first=True) if reader == "lstm" else None
        self.project = nn.Linear(width, size) if reader == "bag" else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors `(B, size)` of texts `(B, L)`; a text without words gives the same vector always."""
        lengths = (tokens > 0).sum(1)
        embedded = self.embedding(tokens)
        if self.lstm is None:
            assert self.project is not None
            mean: Tensor = self.project(embedded.sum(1) / lengths.clamp_min(1).unsqueeze(1))
            return mean
        # Padding comes last, so the state after the last word is that word's output.
        outputs, _ = self.lstm(embedded)
        last = (lengths - 1).clamp_min(0).view(-1, 1, 1).expand(-1, 1, outputs.shape[-1])
        state: Tensor = outputs.gather(1, last).squeeze(1) * (lengths > 0).unsqueeze(1)
        return state


class ImageText(nn.Module):
    """T and D of the paper's second experiment: an MLP on the product of image and text, element by element.

    Args:
        features: numbers per image.
        text: the encoder; its size is that of the product.
        hidden: widths of the MLP.
        classes: K.
        size: of image and text vectors.
        dropout: share of the image's features, and of the product, that is left out in training.
    """

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
        self.head = nn.Sequential(nn.Dropout(dropout), mlp(size, hidden, classes))

    def forward(self, inputs: Tensor, privileged: Tensor) -> Tensor:
        """Logits `(B, K)` of image features `(B, F)` and token ids `(B, L)`."""
        logits: Tensor = self.head(self.image(inputs) * self.text(privileged))
        return logits


def image_tagger(
    features: int, hidden: Sequence[int], classes: int, *, size: int = 100, dropout: float = 0.0
) -> nn.Sequential:
    """C of the same experiment: image features to `size` numbers, and an MLP on them."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(features, size),
        nn.ReLU(),
        nn.Dropout(dropout),
        mlp(size, hidden, classes),
    )
