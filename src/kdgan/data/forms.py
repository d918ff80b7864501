"""Inputs of any form: a tensor, a tuple of tensors, or a mapping of them, with one row for each example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import torch
from torch import Tensor

from kdgan.errors import UsageError


class Pieces(tuple["Form", ...]):
    """Examples that lie in several forms, since they differ in size: texts padded to other lengths.

    A network is called with one after the other.
    """

    __slots__ = ()


Form: TypeAlias = "Tensor | tuple[Tensor, ...] | dict[str, Tensor] | Pieces"
"""What a network is called with: `module(x)`, `module(*x)` or `module(**x)`."""


def leaves(form: Form) -> list[Tensor]:
    """The tensors of a form, in order."""
    if isinstance(form, Tensor):
        return [form]
    if isinstance(form, Pieces):
        return [leaf for piece in form for leaf in leaves(piece)]
    return list(form.values() if isinstance(form, dict) else form)


def one_tensor(form: Form) -> Tensor:
    """The form, where it is one tensor.

    Raises:
        UsageError: if it is not.
    """
    if not isinstance(form, Tensor):
        raise UsageError("these are several tensors, and this is for one")
    return form


def mapped(change: Callable[[Tensor], Tensor], form: Form) -> Form:
    """The form with each of its tensors changed."""
    if isinstance(form, Tensor):
        return change(form)
    if isinstance(form, dict):
        return {name: change(leaf) for name, leaf in form.items()}
    if isinstance(form, Pieces):
        return Pieces(mapped(change, piece) for piece in form)
    return tuple(map(change, form))


def length(form: Form) -> int:
    """The number of examples."""
    if isinstance(form, Pieces):
        return sum(map(length, form))
    return len(leaves(form)[0])


def rows(form: Form, index: Tensor | slice) -> Form:
    """The examples at `index` (a slice, a boolean mask or integer positions), in its order."""
    if not isinstance(form, Pieces):
        return mapped(itemgetter(index), form)
    if isinstance(index, slice) and index.step in (None, 1):
        start, stop, _ = index.indices(length(form))
        found, before = [], 0
        for piece in form:
            size = length(piece)
            if max(start - before, 0) < min(stop - before, size):
                found.append(rows(piece, slice(max(start - before, 0), min(stop - before, size))))
            before += size
    else:
        found = _rows_of_pieces(form, index)
    if not found:
        return rows(form[0], slice(0, 0))
    return found[0] if len(found) == 1 else Pieces(found)


def _rows_of_pieces(form: Pieces, index: Tensor | slice) -> list[Form]:
    """One form for each run of positions that lie in the same piece."""
    ends = torch.tensor([length(piece) for piece in form]).cumsum(0)
    positions = torch.arange(int(ends[-1]))[index if isinstance(index, slice) else index.cpu()].contiguous()
    found = []
    numbered = zip(torch.bucketize(positions, ends, right=True).tolist(), positions.tolist(), strict=True)
    for home, run in groupby(numbered, key=itemgetter(0)):
        before = int(ends[home]) - length(form[home])
        places = torch.tensor([place - before for _, place in run], device=leaves(form[home])[0].device)
        found.append(rows(form[home], places))
    return found


def as_form(value: Any, what: str, change: Callable[[Any], Tensor] | None = None) -> Form:
    """A form out of tensors in a tuple, a list or a mapping.

    Args:
        value: the form, or what is to be one.
        what: its name in messages.
        change: makes a tensor of each of its parts; without it they must be tensors.

    Raises:
        UsageError: if it is none, has no tensor, or its tensors differ in length.
    """
    if isinstance(value, Pieces):
        return value
    if isinstance(value, Mapping):
        names = [name for name in value if not isinstance(name, str)]
        if names:
            raise UsageError(f"{what} have the name {names[0]!r:.60}: names must be text")
        form: Form = {name: _leaf(each, f"{what}[{name!r}]", change) for name, each in value.items()}
    elif isinstance(value, tuple | list):
        form = tuple(_leaf(each, f"{what}[{place}]", change) for place, each in enumerate(value))
    else:
        form = _leaf(value, what, change)
    found = leaves(form)
    if not found:
        raise UsageError(f"{what} hold no tensor")
    if any(leaf.ndim == 0 for leaf in found):
        raise UsageError(f"{what} are a single number: each row is an example")
    if len({len(leaf) for leaf in found}) > 1:
        sizes = " and ".join(str(len(leaf)) for leaf in found)
        raise UsageError(f"{what} have {sizes} rows: each of their tensors must have one for each example")
    return form


def _leaf(value: Any, what: str, change: Callable[[Any], Tensor] | None) -> Tensor:
    if change is not None:
        value = change(value)
    if not isinstance(value, Tensor):
        raise UsageError(f"{what} must be a tensor, not {type(value).__name__}")
    return value


def kind_of(form: Form | None) -> str:
    """What all batches of the same data have in common, in words; sizes may differ from batch to batch."""
    if form is None:
        return "none"
    if isinstance(form, Tensor):
        return f"of {form.ndim} axes, {form.dtype}"
    if isinstance(form, dict):
        return "by name: " + ", ".join(f"{name} {kind_of(form[name])}" for name in sorted(form))
    if isinstance(form, Pieces):
        return kind_of(form[0])
    return f"{len(form)} tensors: " + "; ".join(map(kind_of, form))


def named_as(form: Form, like: Form | None) -> Form:
    """The form with its tensors in the order that the names of another have, so that nobody who takes them one after
    the other takes them for each other; as it is where its names are not the same."""
    if isinstance(form, Pieces):
        return Pieces(named_as(piece, like) for piece in form)
    like = like[0] if isinstance(like, Pieces) else like
    if isinstance(form, dict) and isinstance(like, dict) and form.keys() == like.keys():
        return {name: form[name] for name in like}
    return form


def shapes(form: Form) -> str:
    """The shapes of its tensors, for messages."""
    return " and ".join(str(tuple(leaf.shape)) for leaf in leaves(form))


def fits(one: Form | None, other: Form | None) -> bool:
    """Whether two forms can lie in one: the same tensors, rows of the same shapes and types."""
    pairs = _pairs(one, other)
    return pairs is not None and all(a.shape[1:] == b.shape[1:] and a.dtype == b.dtype for a, b in pairs)


def equal(one: Form | None, other: Form | None) -> bool:
    """Whether two forms are the same in every number, NaN and NaN being so, too."""
    pairs = _pairs(one, other)
    return pairs is not None and all(
        a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
        for a, b in pairs
    )


def is_padded(form: Form, one: Form) -> bool:
    """Whether an example is another one but for what lies behind that, or before it, along axes in which it is longer.

    Args:
        form: an example `(1, ...)` as it is among others.
        one: as it is alone.
    """
    pairs = _pairs(form, one)
    return pairs is not None and all(_lies_in(whole, part) for whole, part in pairs)


def _lies_in(whole: Tensor, part: Tensor) -> bool:
    if whole.dtype != part.dtype or whole.ndim != part.ndim:
        return False
    spare = [long - short for long, short in zip(whole.shape, part.shape, strict=True)]
    ends = whole[tuple(slice(length) for length in part.shape)], whole[tuple(slice(n, None) for n in spare)]
    return min(spare) >= 0 and any(equal(end, part) for end in ends)


def _pairs(one: Form | None, other: Form | None) -> list[tuple[Tensor, Tensor]] | None:
    """The tensors that have the same place in two forms; None where the forms differ."""
    if one is None or other is None:
        return [] if one is other else None
    if type(one) is not type(other) or isinstance(one, Pieces):
        return None
    if isinstance(one, dict) and isinstance(other, dict):
        return [(one[name], other[name]) for name in one] if one.keys() == other.keys() else None
    pairs = list(zip(leaves(one), leaves(other), strict=False))
    return pairs if len(leaves(one)) == len(leaves(other)) else None


def joined(forms: Sequence[Form]) -> Form:
    """Forms that fit each other as one; those that do not as pieces."""
    first = forms[0]
    if len(forms) == 1:
        return first
    if not all(fits(first, other) for other in forms[1:]):
        return Pieces(piece for form in forms for piece in (form if isinstance(form, Pieces) else [form]))
    if isinstance(first, Tensor):
        return torch.cat([form for form in forms if isinstance(form, Tensor)])
    if isinstance(first, dict):
        return {name: torch.cat([form[name] for form in forms if isinstance(form, dict)]) for name in first}
    columns = zip(*map(leaves, forms), strict=True)
    return tuple(torch.cat(column) for column in columns)
