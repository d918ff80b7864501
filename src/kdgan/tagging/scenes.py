"""Generated scenes for first runs and tests, with captions and tags. Nothing in it is a photograph.

A scene has a place (beach, forest, town, mountains), a time of day, and a few things in it. What can be seen goes
into a picture of coloured shapes with noise. The caption tells the place, most things, and what no picture shows:
why the owner was there. Tags are what an owner might write: some of what is seen, some of what only the caption
tells. So a photo gives part of the tags away, and its text more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kdgan.data.seeds import mixed
from kdgan.tagging.data import Photos

SIDE, POOLED = 32, 4
"""Pixels of a picture's side, and of the squares whose means are its features."""

Colour = tuple[float, float, float]

_PLACES: dict[str, tuple[Colour, Colour]] = {
    # colours of the sky's lower end and of the ground
    "beach": ((0.65, 0.85, 0.95), (0.93, 0.85, 0.60)),
    "forest": ((0.70, 0.85, 0.80), (0.20, 0.42, 0.18)),
    "town": ((0.75, 0.78, 0.82), (0.50, 0.50, 0.52)),
    "mountains": ((0.60, 0.75, 0.95), (0.55, 0.50, 0.45)),
}
_TIMES: dict[str, float] = {"morning": 0.85, "noon": 1.0, "evening": 0.6, "night": 0.25}
_THINGS: dict[str, tuple[str, Colour]] = {
    "sun": ("disc", (1.0, 0.9, 0.3)),
    "balloon": ("disc", (0.9, 0.2, 0.2)),
    "tree": ("wedge", (0.1, 0.5, 0.15)),
    "tent": ("wedge", (0.9, 0.5, 0.1)),
    "house": ("box", (0.7, 0.35, 0.25)),
    "car": ("box", (0.2, 0.3, 0.8)),
    "boat": ("bowl", (0.95, 0.95, 0.95)),
    "dog": ("bowl", (0.45, 0.3, 0.2)),
    "flower": ("disc", (0.95, 0.5, 0.8)),
    "lake": ("box", (0.25, 0.5, 0.85)),
}
_REASONS: dict[str, tuple[str, ...]] = {
    # why the owner was there: the caption says it, the picture does not
    "holiday": ("our holiday in july", "first day of the holiday", "holiday again at last"),
    "family": ("with the whole family", "family visit", "my family and i"),
    "wedding": ("just before the wedding", "at the wedding of two friends", "wedding guests waited here"),
    "work": ("on the way to work", "after work", "a break from work"),
    "race": ("the race came through here", "waiting for the race", "third place in the race"),
    "birthday": ("birthday trip", "on her birthday", "a birthday to remember"),
}


@dataclass(frozen=True, slots=True)
class Scenes:
    """Generated scenes.

    Attributes:
        photos: with features, words and tags, as a table of real ones would give.
        pictures: uint8 `(N, SIDE, SIDE, 3)`.
        captions: of each.
    """

    photos: Photos
    pictures: NDArray[np.uint8]
    captions: list[str]


@lru_cache(maxsize=1)
def scenes(count: int = 3000, seed: int = 0) -> Scenes:
    """Scenes, the same for the same seed."""
    chance = np.random.default_rng(mixed(seed, "world"))
    pictures = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    captions, tags = [], []
    for row in range(count):
        place, time = str(chance.choice(list(_PLACES))), str(chance.choice(list(_TIMES)))
        things = [
            str(name) for name in chance.choice(list(_THINGS), size=chance.integers(1, 4), replace=False)
        ]
        reason = str(chance.choice(list(_REASONS)))
        pictures[row] = _picture(place, time, things, chance)
        captions.append(_caption(place, time, things, reason, chance))
        tags.append(_tags(place, time, things, reason, chance))
    photos = Photos(
        name="scenes",
        features=_features(pictures),
        words=[caption.split() for caption in captions],
        tags=tags,
        parts=None,
        names=[f"scene {row}" for row in range(count)],
    )
    return Scenes(photos, pictures, captions)


def _picture(place: str, time: str, things: list[str], chance: np.random.Generator) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    sky, ground = (np.array(colour) for colour in _PLACES[place])
    horizon = chance.uniform(0.45, 0.65)
    image = np.where((y < horizon)[..., None], sky * (0.7 + 0.3 * y[..., None]), ground)
    for thing in things:
        form, colour = _THINGS[thing]
        size = chance.uniform(0.1, 0.2)
        high = thing in ("sun", "balloon")
        cy = chance.uniform(0.1, 0.3) if high else chance.uniform(horizon, 0.95)
        image[_inside(form, (x - chance.uniform(0.1, 0.9)) / size, (y - cy) / size)] = colour
    image = image * _TIMES[time] + chance.normal(0, 0.06, image.shape)
    return (image.clip(0, 1) * 255).round().astype(np.uint8)


def _inside(form: str, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the places in a shape of size 1 around the origin."""
    inside: NDArray[np.bool_]
    if form == "disc":
        inside = u**2 + v**2 < 1
    elif form == "box":
        inside = (np.abs(u) < 1) & (np.abs(v) < 0.7)
    elif form == "wedge":
        inside = (v < 1) & (v > -1) & (np.abs(u) < (v + 1) / 2)
    else:
        inside = (v > -0.3) & (u**2 + v**2 < 1)
    return inside


def _caption(place: str, time: str, things: list[str], reason: str, chance: np.random.Generator) -> str:
    mentioned = [thing for thing in things if chance.random() < 0.8]
    seen = f"a {' and a '.join(mentioned)} " if mentioned else ""
    where = {"town": "in town", "beach": "at the beach", "forest": "in the forest"}.get(
        place, "in the mountains"
    )
    when = "" if chance.random() < 0.5 else f" at {time}" if time in ("noon", "night") else f" in the {time}"
    return f"{seen}{where}{when} {chance.choice(_REASONS[reason])}"


def _tags(place: str, time: str, things: list[str], reason: str, chance: np.random.Generator) -> list[str]:
    # An owner writes some of what is true, and now and then something that is not.
    tags = [thing for thing in things if chance.random() < 0.7]
    tags += [tag for tag, share in ((place, 0.6), (time, 0.3), (reason, 0.7)) if chance.random() < share]
    if chance.random() < 0.1 or not tags:
        tags.append(str(chance.choice([*_THINGS, *_REASONS])))
    return list(dict.fromkeys(tags))


def _features(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean colours of squares, `(N, 3 · (SIDE / POOLED)²)`."""
    side = SIDE // POOLED
    squares = pictures.reshape(-1, side, POOLED, side, POOLED, 3).mean((2, 4)) / 255
    features: NDArray[np.float32] = squares.reshape(len(pictures), -1).astype(np.float32)
    return features
