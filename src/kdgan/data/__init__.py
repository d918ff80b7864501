"""Batches, data sets and what is done to them before a player sees them."""

from kdgan.data.augment import AffineElastic, Augmentation, CropFlip, Noise, Photographic, augmentation
from kdgan.data.batch import Batch
from kdgan.data.feed import Feed, TensorFeed
from kdgan.data.reading import load
from kdgan.data.source import Source
from kdgan.data.split import Scale, Split, split

__all__ = [
    "AffineElastic",
    "Augmentation",
    "Batch",
    "CropFlip",
    "Feed",
    "Noise",
    "Photographic",
    "Scale",
    "Source",
    "Split",
    "TensorFeed",
    "augmentation",
    "load",
    "split",
]
