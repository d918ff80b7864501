"""A student as a module that takes raw inputs and gives probabilities: what exporters are given."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from kdgan.data.split import real
from kdgan.data.table_reader import TableReader
from kdgan.nets.classifiers import Halve
from kdgan.ship.raw import RawForm


class RawStudent(nn.Module):
    """A student that takes raw inputs, categories by their codes, and gives probabilities `(N, K)` of its labels.

    Args:
        form: of its inputs. The student's own module stays as it is.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, form: RawForm) -> None:
        super().__init__()
        student = form.student
        self.kind = student.kind
        self.rows = _Rows(form) if isinstance(student.reader, TableReader) else None
        self.has_scale = student.scale is not None
        if student.scale is not None:
            self.register_buffer("mean", student.scale.mean.clone())
            self.register_buffer("std", student.scale.std.clone())
        # Plain order in memory: of other layouts the exporter makes index arithmetic.
        network = copy.deepcopy(student.module).to("cpu")
        self.network = _with_pooling(network.to(memory_format=torch.contiguous_format)).eval()  # type: ignore[call-overload]

    def forward(self, *raw: Tensor) -> Tensor:
        """Probabilities `(N, K)` of raw inputs `(N, ...)`."""
        inputs = raw[0] if self.rows is None else self.rows(*raw)
        if self.has_scale:
            inputs = ((real(inputs).to(self.mean.dtype) - self.mean) / self.std).float()
        found = self.network(inputs)
        logits: Tensor = getattr(found, "logits", found)
        if self.kind == "classes":
            return logits.softmax(1)
        p = logits.sigmoid()
        return torch.cat([1 - p, p], 1) if self.kind == "binary" else p


class _Rows(nn.Module):
    """Numbers and coded categories of a table as inputs float64 `(N, F)`, in a few operations however many columns."""

    means: Tensor
    marked: Tensor
    of_column: Tensor
    code: Tensor
    order: Tensor

    def __init__(self, form: RawForm) -> None:
        super().__init__()
        numbers = [column.encoding for column in form.numbers]
        categories = [column.encoding for column in form.categories]
        self.count_numbers, self.has_categories = len(numbers), bool(categories)
        marked = [place for place, each in enumerate(numbers) if each.marks_missing]
        pairs = [
            (place, form.codes[text]) for place, each in enumerate(categories) for text in each.categories
        ]
        buffers = {
            "means": torch.tensor([each.mean for each in numbers], dtype=torch.float64),
            "marked": torch.tensor(marked, dtype=torch.int64),
            "of_column": torch.tensor([place for place, _ in pairs], dtype=torch.int64),
            "code": torch.tensor([code for _, code in pairs], dtype=torch.int64),
            "order": torch.tensor(_order(form, marked), dtype=torch.int64),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values)

    def forward(self, *raw: Tensor) -> Tensor:
        """Inputs `(N, F)`."""
        parts = []
        if self.count_numbers:
            absent = raw[0].isnan()
            parts.append(torch.where(absent, self.means, raw[0]))
            if len(self.marked):
                parts.append(absent.index_select(1, self.marked).double())
        if self.has_categories:
            parts.append(raw[-1].index_select(1, self.of_column).eq(self.code).double())
        return torch.cat(parts, 1).index_select(1, self.order)


def _order(form: RawForm, marked: list[int]) -> list[int]:
    """For each of the F inputs its place among all numbers, then all marks, then all categories."""
    assert isinstance(form.student.reader, TableReader)
    number, mark = 0, len(form.numbers)
    category = mark + len(marked)
    order = []
    for column in form.student.reader.columns:
        encoding = column.encoding
        if encoding.kind == "numbers":
            order.append(number)
            number += 1
            if encoding.marks_missing:
                order.append(mark)
                mark += 1
        else:
            order += range(category, category + encoding.width)
            category += encoding.width
    return order


def _with_pooling(module: nn.Module) -> nn.Module:
    """The network with torch's own pooling, which other runtimes have an operator for."""
    if isinstance(module, Halve):
        return nn.MaxPool2d(2)
    for name, part in module.named_children():
        setattr(module, name, _with_pooling(part))
    return module
