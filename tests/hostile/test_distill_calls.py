"""Whatever `distill` is called with ends in a line that says what is wrong, or in a student; nothing else changes."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hostile.distill_calls import Case, cases
from hostile.judging import asked
from kdgan import Batch, Result, distill
from kdgan.errors import RunError, UsageError
from tiny import weights


def tensors_in(case: Case) -> Iterator[Tensor]:
    """Those of the caller's that are no student's and no discriminator's."""
    yield from case.keep
    for name in ("train", "validation"):
        data: Any = case.call[name]
        data = getattr(data, "dataset", data)
        data = getattr(data, "data", getattr(data, "tensors", data))
        parts = data.parts() if isinstance(data, Batch) else data
        yield from (
            (part for part in parts or () if isinstance(part, Tensor))
            if isinstance(parts, list | tuple)
            else ()
        )
    teacher = case.call["teacher"]
    if isinstance(teacher, nn.Module):
        yield from (each for each in teacher.state_dict().values() if isinstance(each, Tensor))


def seen(case: Case) -> list[Tensor]:
    return [
        part.detach().clone()
        for part in tensors_in(case)
        if not part.is_meta and not nn.parameter.is_lazy(part) and part.layout == torch.strided
    ]


def outcome(case: Case) -> str:
    """`` for a student that is all right, the line for a call that is refused or fails."""
    before, state = seen(case), torch.get_rng_state()
    try:
        with case.around(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = distill(**case.call)
            if case.call.get("folder"):
                trained = weights(result.student)
                again = go_on(case).student
                assert torch.equal(weights(again), trained), "another student in the same folder"
        assert isinstance(result, Result)
        assert all(weight.isfinite().all() for weight in result.student.parameters())
        assert str(result.report)
        line = ""
    except (UsageError, RunError) as error:
        line = str(error)
        assert line.isprintable(), repr(line)
        assert len(line) < 700 + len(str(case.call.get("folder", ""))), line
    assert torch.equal(state, torch.get_rng_state()), "random state"
    after = seen(case)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(
            one.nan_to_num() if one.is_floating_point() else one,
            other.nan_to_num() if one.is_floating_point() else other,
        )
    return line


def go_on(case: Case) -> Result:
    try:
        return distill(**case.call)
    except (UsageError, RunError) as error:
        raise AssertionError(f"the same call is refused: {error}") from error


def test_calls_of_every_kind(tmp_path: Path) -> None:
    faults, lines = [], []
    for case in cases(*asked(0, 120), folder=tmp_path):
        try:
            lines.append(outcome(case))
        except Exception as error:
            faults.append(f"{case.name}: {type(error).__name__}: {error}")
    assert not faults, "\n".join(faults)
    assert 0.1 < lines.count("") / len(lines) < 0.85, "neither all may be refused nor none"
