"""Ready-made players."""

from kdgan.nets.build import build, hidden_widths
from kdgan.nets.classifiers import ResidualBlock, WithPrivileged, lenet, mlp, resnet
from kdgan.nets.text import ImageText, TextEncoder, normed, projected

__all__ = [
    "ImageText",
    "ResidualBlock",
    "TextEncoder",
    "WithPrivileged",
    "build",
    "hidden_widths",
    "lenet",
    "mlp",
    "normed",
    "projected",
    "resnet",
]
