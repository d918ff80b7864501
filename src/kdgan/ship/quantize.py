"""Eight-bit integers in place of a network's numbers, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from kdgan.errors import wrong
from kdgan.extras import needed
from kdgan.ship.forms import form_of
from kdgan.ship.raw import Arrays

MOST_CALIBRATION = 1000
"""Training examples from which ranges of activations are found."""
_LAYERS = ("Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Add", "Reshape")
"""Operators whose numbers become integers; scaling and probabilities stay in float32."""


@dataclass(frozen=True, slots=True)
class Price:
    """What quantisation costs, on the same examples before and after.

    Attributes:
        metric: its name; in its unit are the next four.
        before: in float32.
        after: in eight bits.
        low: lower end of the 95 % interval of after − before.
        high: upper end.
        examples: how many.
    """

    metric: str
    before: float
    after: float
    low: float
    high: float
    examples: int

    def __str__(self) -> str:
        """Such as `accuracy 98.61 % becomes 98.59 %: −0.02 points (95 % interval −0.10 to +0.06, ...)`."""
        form = form_of(self.metric)
        return (
            f"{self.metric} {form.with_unit(self.before)} becomes {form.with_unit(self.after)}: "
            f"{form.signed(self.after - self.before)} {form.points} (95 % interval {form.signed(self.low)} to "
            f"{form.signed(self.high)}, paired over {self.examples:,} test examples)"
        )


def price(metric: str, before: NDArray[Any], after: NDArray[Any]) -> Price:
    """What quantisation costs by the values `(N,)` of each example, 0 to 1 (1 where it is right), as per cent.

    The interval is Wald's over paired differences; of right and wrong with half an example more in each cell of the
    table (Agresti and Min, Statistics in Medicine 24, 2005), so that it is none of length zero where all agree.

    Example:
        >>> print(price("accuracy", np.ones(1000), np.ones(1000)))
        accuracy 100.00 % becomes 100.00 %: 0.00 points (95 % interval −0.20 to +0.20, paired over 1,000 test examples)
    """
    if len(before) != len(after) or len(before) < 2:
        raise wrong(f"{len(before)} values before and {len(after)} after: expected as many, at least 2")
    before, after = before.astype(np.float64), after.astype(np.float64)
    change, count = after - before, len(before)
    if np.isin(np.concatenate([before, after]), (0.0, 1.0)).all():
        lost, won, total = (change < 0).sum() + 0.5, (change > 0).sum() + 0.5, count + 2
        mean = (won - lost) / total
        error = math.sqrt((won + lost) - (won - lost) ** 2 / total) / total
    else:
        mean, error = change.mean(), change.std(ddof=1) / math.sqrt(count)
    half = float(ndtri(0.975)) * error
    return Price(
        metric,
        before=100 * float(before.mean()),
        after=100 * float(after.mean()),
        low=100 * float(mean - half),
        high=100 * float(mean + half),
        examples=count,
    )


def quantized(source: Path, target: Path, calibration: Arrays) -> None:
    """Writes an ONNX file of eight-bit weights and activations, statically quantised, weights by output channel.

    Weights use seven of the eight bits: processors without instructions for such products add them up in pairs of
    sixteen bits, where full weights overflow without a word.

    Args:
        source: the ONNX file in float32.
        target: where the result goes.
        calibration: raw inputs of training.
    """
    library = needed("onnxruntime.quantization", "export", "--quantize")
    library.quantize_static(
        source,
        target,
        _feeds(calibration, library.CalibrationDataReader),
        quant_format=library.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=library.QuantType.QUInt8,
        weight_type=library.QuantType.QInt8,
        op_types_to_quantize=list(_LAYERS),
    )


def _feeds(raw: Arrays, base: Any) -> Any:
    """The examples, some at a time, as the library asks for them."""

    def parts() -> Iterator[Arrays]:
        for start in range(0, min(len(next(iter(raw.values()))), MOST_CALIBRATION), 50):
            yield {name: each[start : min(start + 50, MOST_CALIBRATION)] for name, each in raw.items()}

    class Feeds(base):  # type: ignore[misc]
        """Parts one after the other, then None."""

        def __init__(self) -> None:
            self.parts = parts()

        def get_next(self) -> Arrays | None:
            """The next."""
            return next(self.parts, None)

    return Feeds()
