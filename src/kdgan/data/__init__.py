"""Batches, data sets and what is done to them before a player sees them."""

from kdgan.data.batch import Batch

__all__ = ["Batch"]
