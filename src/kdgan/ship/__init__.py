"""The student leaves: its file, what it costs, and what it gained."""

from kdgan.ship.cost import Cost, cost
from kdgan.ship.report import Report
from kdgan.ship.student import Student

__all__ = ["Cost", "Report", "Student", "cost"]
