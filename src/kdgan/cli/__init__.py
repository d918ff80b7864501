"""The command `kdgan`."""

from kdgan.cli.main import main

__all__ = ["main"]
