"""One batch, or one example, in the caller's form: inputs, targets and privileged information are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.forms import Form, as_form
from kdgan.errors import UsageError, wrong

LABELS = ("labels", "label", "targets", "target")
"""Names of the targets in a mapping, as tokenisers and data sets have it."""
_ONE_OF_THESE = (
    "(inputs, targets) or (inputs, targets, privileged), each tensors or arrays, a tuple or a mapping of them; a "
    f"mapping that names its targets ({', '.join(LABELS)}); or a kdgan.Batch"
)


def as_batch(data: object, what: str) -> Batch:
    """A batch from a `Batch`, a pair or triple (inputs, targets, privileged), or a mapping that names its targets.

    Raises:
        UsageError: if it is none of them.
    """
    if isinstance(data, Batch):
        if data.teacher_logits is not None:
            raise UsageError(
                f"{what} holds teacher_logits, but the teacher itself is asked here: leave them out"
            )
        return _made(*data.standardised().parts(), what)
    if isinstance(data, Mapping):
        return _of_mapping(data, what)
    parts: list[Any] = list(data) if isinstance(data, list | tuple) else []
    if len(parts) == 3 and parts[2] is None:
        parts.pop()
    if len(parts) in (2, 3) and _is_numbers(parts[1]) and all(_is_form(part) for part in parts):
        return _made(parts[0], parts[1], parts[2] if len(parts) == 3 else None, what)
    kinds = f" of {', '.join(type(part).__name__ for part in parts[:4])}" if parts else ""
    raise UsageError(f"{what} must give {_ONE_OF_THESE}; got {type(data).__name__}{kinds}")


def as_unlabelled(data: object, what: str, like: Batch) -> Batch:
    """A batch of examples without labels, from inputs, or (inputs, privileged) where training has privileged ones.

    Targets that are there are not looked at: a labelled data set may serve without its labels.

    Args:
        data: a batch in the caller's form.
        what: its name in messages.
        like: the labelled examples: what has the form of their inputs is inputs.

    Raises:
        UsageError: if it is none of them.
    """
    if isinstance(data, Batch):
        data = data.standardised()
        return _made(data.inputs, None, data.privileged, what)
    if isinstance(data, Mapping):
        inputs, privileged = _inputs_of(data, LABELS)
        return _made(inputs, None, privileged, what)
    if isinstance(data, list | tuple) and not (isinstance(like.inputs, tuple) and _is_tensors(data)):
        parts = list(data)
        if len(parts) == 3:
            return _made(parts[0], None, parts[2], what)
        if len(parts) == 2:
            # Beside the inputs lie either labels, or what is privileged.
            return _made(parts[0], None, parts[1] if like.privileged is not None else None, what)
        if len(parts) == 1:
            return _made(parts[0], None, None, what)
    return _made(data, None, None, what)


def _of_mapping(data: Mapping[Any, Any], what: str) -> Batch:
    names = [name for name in LABELS if name in data]
    if len(names) != 1:
        found = ", ".join(map(str, list(data)[:8]))
        raise wrong(
            f"{what} gives a mapping with {'no' if not names else 'several'} of {', '.join(LABELS)} to be its targets; "
            f"it has {found}"
        )
    inputs, privileged = _inputs_of(data, names)
    return _made(inputs, data[names[0]], privileged, what)


def _inputs_of(data: Mapping[Any, Any], labels: Sequence[str]) -> tuple[Any, Any]:
    """Inputs and privileged information: what is named so, or all that has another name."""
    rest = {name: each for name, each in data.items() if name not in (*labels, "privileged")}
    return rest["inputs"] if set(rest) == {"inputs"} else rest, data.get("privileged")


def _made(inputs: Any, targets: Any, privileged: Any, what: str) -> Batch:
    try:
        return Batch(
            _form(inputs, "inputs"),
            None if targets is None else to_tensor(targets, "targets"),  # type: ignore[arg-type]
            None if privileged is None else _form(privileged, "privileged"),
        )
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error


def _form(value: Any, what: str) -> Form:
    return as_form(value, what, lambda part: to_tensor(part, what))


def to_tensor(part: Any, what: str = "a part") -> Tensor:
    """The values alone, as a tensor: nothing is learned through them.

    Args:
        part: a tensor, an array, or what gives an array by `to_numpy()`, such as a table of pandas or polars.
        what: its name in messages.

    Raises:
        UsageError: for what is no dense array of numbers.
    """
    if _gives_array(part):
        part = part.to_numpy()
    if isinstance(part, np.ndarray):
        # Arrays are of double precision unless somebody says otherwise, networks are not.
        real = torch.get_default_dtype() if part.dtype.kind == "f" else None
        try:
            native = part.astype(part.dtype.newbyteorder("="), order="C", copy=not part.flags.writeable)
            return torch.as_tensor(native, dtype=real)
        except (TypeError, ValueError) as error:
            raise wrong(f"an array is not of numbers: {error}") from error
    if not isinstance(part, Tensor):
        hint = ""
        if isinstance(part, str) or (isinstance(part, list | tuple) and part and isinstance(part[0], str)):
            hint = ": texts become numbers by a tokeniser; leave the column out, or collate it"
        raise wrong(f"{what} hold {type(part).__name__}, and no tensor or array{hint}")
    if part.layout != torch.strided or part.is_nested or part.is_quantized or part.is_meta:
        raise UsageError("a tensor is sparse, nested, quantized or without values: give dense ones")
    values = part.detach()
    return values.clone() if values.is_inference() else values


def _gives_array(value: object) -> bool:
    return not isinstance(value, Mapping) and callable(getattr(value, "to_numpy", None))


def _is_numbers(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray) or _gives_array(value)


def _is_tensors(value: Sequence[object]) -> bool:
    return all(map(_is_numbers, value))


def _is_form(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_numbers, value.values()))
    return _is_numbers(value) or (isinstance(value, list | tuple) and _is_tensors(value))
