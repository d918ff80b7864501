"""Ready-made players."""

from kdgan.nets.build import build
from kdgan.nets.classifiers import Blind, ResidualBlock, WithPrivileged, lenet, mlp, resnet
from kdgan.nets.text import ImageText, TextEncoder, image_tagger, widths

__all__ = [
    "Blind",
    "ImageText",
    "ResidualBlock",
    "TextEncoder",
    "WithPrivileged",
    "build",
    "image_tagger",
    "lenet",
    "mlp",
    "resnet",
    "widths",
]
