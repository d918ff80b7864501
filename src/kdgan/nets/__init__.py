"""Ready-made players."""

from kdgan.nets.build import build, hidden_widths
from kdgan.nets.classifiers import ResidualBlock, WideBlock, WithPrivileged, lenet, mlp, resnet, wide_resnet
from kdgan.nets.text import ImageText, TextEncoder, normed, projected

__all__ = [
    "ImageText",
    "ResidualBlock",
    "TextEncoder",
    "WideBlock",
    "WithPrivileged",
    "build",
    "hidden_widths",
    "lenet",
    "mlp",
    "normed",
    "projected",
    "resnet",
    "wide_resnet",
]
