"""Augmentation of whole batches on their device; the same views for every method, since the feed seeds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.errors import UsageError

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Images `(B, C, H, W)` and a random generator of their device to other views of the same shape."""


@dataclass(frozen=True, slots=True)
class AffineElastic:
    """Random rotation, shift, zoom, shear, and a smooth random displacement: for digits and other drawings.

    Attributes:
        background: value of what comes in from outside the image, `(C, 1, 1)`.
        rotation: largest angle, in degrees.
        shift: largest shift, as a share of the image.
        zoom: largest change of size, as a share.
        shear: largest shear, as a share.
        elastic: standard deviation of the displacement, in pixels; 0 for none.
        grid: the displacement is drawn on a grid of this many points a side and interpolated.
    """

    background: Tensor
    rotation: float = 15.0
    shift: float = 0.1
    zoom: float = 0.1
    shear: float = 0.1
    elastic: float = 1.0
    grid: int = 6

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Other views of `images` `(B, C, H, W)`."""
        count, _, height, width = images.shape
        draw = torch.rand(6, count, generator=generator, device=images.device) * 2 - 1
        angle = draw[0] * torch.pi / 180 * self.rotation
        cos, sin = angle.cos(), angle.sin()
        shear = draw[1] * self.shear
        zoom_x, zoom_y = 1 + self.zoom * draw[2], 1 + self.zoom * draw[3]
        x, y = 2 * self.shift * draw[4], 2 * self.shift * draw[5]
        to_x = torch.stack([cos * zoom_x, (shear * cos - sin) * zoom_y, x], 1)
        to_y = torch.stack([sin * zoom_x, (shear * sin + cos) * zoom_y, y], 1)
        weights = torch.stack([to_x, to_y], 1)  # (B, 2, 3)
        if self.elastic:
            bend = torch.randn(count, 2, self.grid**2, generator=generator, device=images.device)
            # Sampling places run from -1 to 1 across the image.
            bend *= torch.tensor(
                [[2 * self.elastic / width], [2 * self.elastic / height]], device=images.device
            )
            weights = torch.cat([weights, bend], 2)
        places = weights @ _place_functions(height, width, self.grid if self.elastic else 0, images.device)
        grid = places.view(count, 2, height, width).permute(0, 2, 3, 1).to(images.dtype)
        # What lies outside is 0 to grid_sample, so the background is made 0 while it samples.
        background = self.background.to(images)
        return F.grid_sample(images - background, grid, align_corners=False) + background


@lru_cache(maxsize=8)
def _place_functions(height: int, width: int, grid: int, device: torch.device) -> Tensor:
    """Functions of the place in an image, whose sums say where to sample: x, y, 1, and a bump per grid point.

    The bumps are what bicubic interpolation of the grid multiplies its values with: computed once, they turn
    the interpolation of every displacement field into one matrix product. `(3 + grid², H · W)`.
    """
    identity = torch.eye(2, 3, device=device).unsqueeze(0)
    x, y = F.affine_grid(identity, [1, 1, height, width], align_corners=False).view(-1, 2).T
    plane = torch.stack([x, y, torch.ones_like(x)])
    if not grid:
        return plane
    points = torch.eye(grid**2, device=device).view(-1, 1, grid, grid)
    bumps = F.interpolate(points, (height, width), mode="bicubic", align_corners=True)
    return torch.cat([plane, bumps.flatten(1)])


@dataclass(frozen=True, slots=True)
class CropFlip:
    """Random crop of the padded image, and a horizontal flip of every other: for photographs (CIFAR).

    Attributes:
        background: value of the padding, `(C, 1, 1)`.
        padding: pixels added on each side before cropping; None for an eighth of the shorter side, at most 4.
        flip: whether to flip.
        reflect: whether the padding mirrors the image, in place of the background.
    """

    background: Tensor
    padding: int | None = None
    flip: bool = True
    reflect: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Other views of `images` `(B, C, H, W)`."""
        count, channels, height, width = images.shape
        device = images.device
        p = min(4, min(height, width) // 8) if self.padding is None else self.padding
        top, left = torch.randint(0, 2 * p + 1, (2, count, 1), generator=generator, device=device)
        rows = top + torch.arange(height, device=device)
        columns = left + torch.arange(width, device=device)
        if self.flip:
            mirrored = torch.rand(count, 1, generator=generator, device=device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        if self.reflect:
            source = images
            rows, columns = _reflected(rows - p, height), _reflected(columns - p, width)
        else:
            size = count, channels, height + 2 * p, width + 2 * p
            source = self.background.to(images).expand(size).clone()
            source[:, :, p : p + height, p : p + width] = images
        index = rows.view(count, 1, height, 1), columns.view(count, 1, 1, width)
        example = torch.arange(count, device=device).view(-1, 1, 1, 1)
        return source[example, torch.arange(channels, device=device).view(1, -1, 1, 1), *index]


def _reflected(places: Tensor, size: int) -> Tensor:
    """Places outside of so many, thrown back from the first and the last."""
    period = max(1, 2 * (size - 1))
    places = places.remainder(period)
    return torch.minimum(places, period - places).clamp_max(size - 1)


@dataclass(frozen=True, slots=True)
class Photographic:
    """Views of a photograph that show the same thing: place, mirror image, light, and an erased square.

    Place as `place` says; light as random brightness, contrast and saturation; the square as in cutout
    (DeVries & Taylor, 2017), filled with the image's mean.

    Attributes:
        background: value of what comes in from outside the image, `(C, 1, 1)`.
        place: how the image is moved; it need not mirror.
        light: largest change of brightness, in the units of the inputs, and of contrast and saturation, as a share.
        erased: side of the square, as a share of the image's; its centre may lie anywhere.
        erasing: probability of a square.
    """

    background: Tensor
    place: AffineElastic | CropFlip
    light: float = 0.4
    erased: float = 0.5
    erasing: float = 1.0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Other views of `images` `(B, C, H, W)`."""
        count, _, height, width = images.shape
        draw = torch.rand(6, count, 1, 1, 1, generator=generator, device=images.device)
        views = self.place(images, generator)
        views = torch.where(draw[0] < 0.5, views.flip(-1), views)
        brightness, contrast, saturation = (self.light * (2 * draw[1:4] - 1)).to(images.dtype)
        grey, mean = views.mean(1, keepdim=True), views.mean((1, 2, 3), keepdim=True)
        coloured = grey + (1 + saturation) * (views - grey)
        views = mean + (1 + contrast) * (coloured - mean) + brightness
        rows = torch.arange(height, device=images.device).view(1, 1, -1, 1)
        columns = torch.arange(width, device=images.device).view(1, 1, 1, -1)
        inside = ((rows + 0.5) / height - draw[4]).abs() < self.erased / 2
        inside = inside & (((columns + 0.5) / width - draw[5]).abs() < self.erased / 2)
        if self.erasing < 1:
            chance = torch.rand(count, 1, 1, 1, generator=generator, device=images.device)
            inside = inside & (chance < self.erasing)
        return torch.where(inside, mean + brightness, views)


@dataclass(frozen=True, slots=True)
class Noise:
    """Independent normal noise on every number: for features, of which nobody knows what else leaves them the same.

    It punishes a network for depending steeply on any of them (Bishop, 1995: training with noise is regularisation).

    Attributes:
        sigma: its standard deviation, in the units of the inputs.
    """

    sigma: float = 1.0

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """`inputs` of any shape, moved at random."""
        noise = torch.randn(inputs.shape, generator=generator, device=inputs.device, dtype=inputs.dtype)
        return inputs + self.sigma * noise


def augmentation(name: str, background: Tensor) -> Augmentation | None:
    """The augmentation of that name: one of `AUGMENTATIONS`; `elastic` includes `affine`.

    Raises:
        UsageError: for any other name.
    """
    if name not in AUGMENTATIONS:
        raise UsageError(f"unknown augmentation {name!r}: choose from {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name](background)


AUGMENTATIONS: dict[str, Callable[[Tensor], Augmentation | None]] = {
    "none": lambda background: None,
    "noise": lambda background: Noise(),
    "affine": lambda background: AffineElastic(background, elastic=0.0),
    "elastic": AffineElastic,
    "elastic-strong": lambda background: AffineElastic(
        background, rotation=20.0, shift=0.12, zoom=0.2, shear=0.25, elastic=1.2
    ),
    "crop-flip": CropFlip,
    "photo": lambda background: Photographic(
        background, AffineElastic(background, rotation=15.0, shift=0.125, zoom=0.2, shear=0.1, elastic=0.0)
    ),
    "photo-light": lambda background: Photographic(
        background, CropFlip(background, flip=False, reflect=True), light=0.2, erased=0.375, erasing=0.7
    ),
}
