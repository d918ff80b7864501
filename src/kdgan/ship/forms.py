"""Forms of metrics: the unit and the digits that people see, and whether less is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Form:
    """How the values of a metric read.

    Attributes:
        unit: `%`, `nats`; empty for a plain number.
        digits: behind the point, for people; files keep every bit.
        less_is_better: whether the lower of two values is the better one.
        least: below which no value is; that of a metric of one's own is not known.
        most: above which no value is; likewise.
    """

    unit: str = ""
    digits: int = 2
    less_is_better: bool = False
    least: float = -math.inf
    most: float = math.inf

    @property
    def points(self) -> str:
        """The unit of a difference: points for per cent."""
        return "points" if self.unit == "%" else self.unit

    @property
    def in_unit(self) -> str:
        """The unit behind the name of the metric, e.g. " in %"; nothing where there is none."""
        return f" in {self.unit}" if self.unit else ""

    def text(self, value: float) -> str:
        """The value with its digits, without its unit, e.g. "91.20" or "−0.35"; "0.00" has no sign."""
        return self.signed(value).removeprefix("+")

    def signed(self, value: float) -> str:
        """A difference with its sign, e.g. "+1.20" or "−0.35"; "0.00" has none."""
        text = f"{value:+.{self.digits}f}".replace("-", "−")
        return text[1:] if float(text[1:]) == 0 else text

    def with_unit(self, value: float) -> str:
        """The value with its digits and its unit, e.g. "91.20 %"."""
        return f"{self.text(value)} {self.unit}".rstrip()

    def cut(self, low: float, high: float) -> tuple[float, float]:
        """The ends of an interval of values, cut where the metric ends: of few seeds, Student's t goes beyond."""
        return min(max(low, self.least), self.most), max(min(high, self.most), self.least)


PERCENT = Form("%", least=0.0, most=100.0)
SCALED = "_scaled"
"""Ends the name of a metric of probabilities after temperature scaling."""
_PROBABILITIES: Mapping[str, Form] = {
    "log_loss": Form("nats", 4, less_is_better=True, least=0.0),
    "brier": Form("", 4, less_is_better=True, least=0.0, most=2.0),
    "ece": Form("%", less_is_better=True, least=0.0, most=100.0),
}
LESS = "-"
"""Begins the name of a metric of one's own of which less is better."""
FORMS: Mapping[str, Form] = MappingProxyType(
    {
        **dict.fromkeys(("accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision"), PERCENT),
        **dict.fromkeys(("top5", "MAP", "P@3", "P@5", "F@3", "F@5", "MRR"), PERCENT),
        **_PROBABILITIES,
        **{f"{name}{SCALED}": form for name, form in _PROBABILITIES.items()},
    }
)
"""Of all metrics that are not of one's own, by name."""


def form_of(name: str) -> Form:
    """The form of a metric by its name in results, such as `accuracy` or `teacher/log_loss`.

    Of one's own, whose unit nobody knows: a plain number of which more is better, unless its name begins with `LESS`.
    """
    last = name.rpartition("/")[2]
    return FORMS.get(last, Form(less_is_better=last.startswith(LESS)))


def bare(name: str) -> str:
    """The name of a metric, or a reference to one, without what says that less is better."""
    return name.removeprefix(LESS)
