"""The handwritten digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

import numpy as np

from kdgan.data.labels import Labels
from kdgan.data.source import Part, Source, assemble


def read_digits() -> Source:
    """1,797 grey images in ten classes, uint8 `(N, 1, 8, 8)`, with a fixed stratified fifth for testing.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), as bundled by
    `sklearn.datasets.load_digits`. The original counts 0..16 are scaled to 0..255.
    """
    from sklearn.datasets import load_digits

    counts, labels = load_digits(return_X_y=True)
    images = np.rint(counts * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return assemble("digits", "image", Part(images, Labels.of(labels)))
