"""Pictures of examples for pages."""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 160
"""Side of the pictures that a page shows, in pixels."""
Pixels: TypeAlias = NDArray[np.uint8]


def as_png(pixels: Pixels) -> bytes:
    """Pixels `(H, W)` of a grey image or `(H, W, 3)` of one in colours as a square PNG, without smoothing."""
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
