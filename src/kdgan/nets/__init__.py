"""Ready-made players."""

from kdgan.nets.build import build
from kdgan.nets.classifiers import Blind, ResidualBlock, WithPrivileged, lenet, mlp, resnet

__all__ = ["Blind", "ResidualBlock", "WithPrivileged", "build", "lenet", "mlp", "resnet"]
