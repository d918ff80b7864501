"""Ready-made players."""

from kdgan.nets.build import build
from kdgan.nets.classifiers import ResidualBlock, WithPrivileged, lenet, mlp, resnet

__all__ = ["ResidualBlock", "WithPrivileged", "build", "lenet", "mlp", "resnet"]
