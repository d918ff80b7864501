"""The student leaves: what it costs to keep and to run."""

from kdgan.ship.cost import Cost, cost

__all__ = ["Cost", "cost"]
