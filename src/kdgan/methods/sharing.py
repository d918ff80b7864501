"""Sharing of each batch among several devices: every process takes its rows through the networks.

A network is called with a process' own rows; then all processes have the logits of the whole batch. What follows is
the same on each of them: samples, losses, counts and means are of the whole batch, whatever rows fall to whom, and no
loss and no method knows of it. A backward pass reaches a process' own rows, and counts them as often as there are
processes; the mean of the gradients over the processes is that of the whole batch. So what each process has as a whole,
such as a penalty on weights, counts once, too.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.seeds import mixed, seeded
from kdgan.errors import KdganError, Lost, UsageError, one_line

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)
"""How long a process waits for another that is there before the run ends; that one is gone is told at once."""
_NUMBERS = itertools.count()
"""Of what devices share, the same in all processes."""
_WAIT = 1.0
"""Seconds for what a process that failed says of it."""


class Devices:
    """The processes of a run, each with a device of its own.

    Collectives are torch's own over the process group that Fabric made: Fabric's wrap each in a barrier, for which a
    GPU would be waited for in every step.

    Args:
        device: of this process.

    Attributes:
        rank: number of this process.
        world: how many there are.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.rank, self.world = device, dist.get_rank(), dist.get_world_size()
        # Wishes and plain values go between processors, so that no GPU is waited for.
        is_gloo = dist.get_backend() == "gloo"
        with self._together():
            self._control = None if is_gloo else dist.new_group(backend="gloo", timeout=TIMEOUT)
        # Which no two processes need to be at the same place for; no public name gives the group's own.
        self._notes: Any = dist.distributed_c10d._get_default_store()
        self._note = f"kdgan/{next(_NUMBERS)}/{{}}"
        self._drawn, self._calls = (0, 0), 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """The rows of this process among so many: one stretch, as stretches are views and together again in order.

        Raises:
            UsageError: if there are fewer rows than processes.
        """
        if count < self.world:
            raise UsageError(
                f"a batch of {count} cannot be shared by {self.world} devices: give larger batches, or fewer devices"
            )
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def gathered(self, own: Tensor, count: int) -> Tensor:
        """Rows of all processes out of the rows of this one; gradient reaches these alone, once for each process.

        Args:
            own: `(n, ...)`, for `rows(count)`.
            count: of all rows.
        """
        most = -(-count // self.world)
        sent = own.detach().to(self.device).contiguous()
        if len(sent) < most:
            sent = torch.cat([sent, sent.new_zeros(most - len(sent), *sent.shape[1:])])
        found = [torch.empty_like(sent) for _ in range(self.world)]
        with self._together():
            dist.all_gather(found, sent)
        if own.requires_grad:
            own = own.view_as(own)  # as others may use it beside this
            own.register_hook(lambda slope: slope * self.world)  # type: ignore[no-untyped-call]
        parts = [part[: self._size(rank, count)].to(own.device) for rank, part in enumerate(found)]
        return torch.cat([*parts[: self.rank], own, *parts[self.rank + 1 :]])

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Makes the gradient of each parameter the mean over the processes; one that none of them has stays None."""
        kinds: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
        for each in parameters:
            kinds.setdefault((each.dtype, each.device), []).append(each)
        for group in kinds.values():
            flat = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in group]
            # Whoever lacks a gradient must know whether others have one; nobody else waits to read this.
            there = flat[0].new_tensor([float(p.grad is not None) for p in group])
            total = torch.cat([there, *flat])
            with self._together():
                dist.all_reduce(total)
            counts, *means = torch.split(total.div_(self.world), [len(group), *(p.numel() for p in group)])
            lacking = any(p.grad is None for p in group)
            known = counts.tolist() if lacking else [1.0] * len(group)
            for parameter, count, found in zip(group, known, means, strict=True):
                if not count:
                    continue
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                # In the memory's order of the weights, in which a fused optimizer walks both.
                parameter.grad.copy_(found.view(parameter.shape))

    def anywhere(self, wish: bool) -> bool:
        """Whether any process wishes so; all of them ask at the same place."""
        said = torch.tensor([int(wish)])
        with self._together():
            dist.all_reduce(said, dist.ReduceOp.MAX, group=self._control)
        return bool(said.item())

    def from_first(self, value: T) -> T:
        """The value of the first process."""
        box: list[Any] = [value if self.is_first else None]
        with self._together():
            dist.broadcast_object_list(box, 0, group=self._control)
        found: T = box[0]
        return found

    def alike(self, value: object) -> bool:
        """Whether all processes have the same value."""
        found: list[object] = [None] * self.world
        with self._together():
            dist.all_gather_object(found, value, group=self._control)
        return all(each == found[0] for each in found)

    def as_first(self, modules: Sequence[nn.Module], *, buffers_alone: bool = False) -> None:
        """Gives networks the weights and buffers that the first process has."""
        for module in modules:
            tensors = module.buffers() if buffers_alone else module.state_dict().values()
            for tensor in tensors:
                if not isinstance(tensor, Tensor) or not tensor.numel():
                    continue
                sent = tensor.detach().to(self.device).contiguous()
                with self._together():
                    dist.broadcast(sent, 0)
                if not self.is_first:
                    tensor.detach().copy_(sent)

    def draws(self, seed: int, step: int) -> None:
        """What networks draw in a step follows from these and the process: dropout must differ between rows."""
        self._drawn, self._calls = (seed, step), 0

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """The call of a network: what it draws is this process' own, and what a method draws outside of such blocks
        stays the same in all of them."""
        self._calls += 1
        with seeded(mixed(*self._drawn, "rank", self.rank, self._calls), self.device):
            yield

    def failed(self, error: BaseException) -> None:
        """Tells the others why this process ends, for the first to say."""
        if not isinstance(error, Lost):
            said = str(error) if isinstance(error, KdganError) else f"{type(error).__name__}: {error}"
            with suppress(RuntimeError):  # where the first process is gone
                self._notes.set(self._note.format(self.rank), one_line(said))

    def _size(self, rank: int, count: int) -> int:
        return (rank + 1) * count // self.world - rank * count // self.world

    @contextmanager
    def _together(self) -> Iterator[None]:
        """What a collective says when another process is gone, as one line."""
        try:
            yield
        except RuntimeError as error:
            raise Lost(self._why()) from error

    def _why(self) -> str:
        """What the first process says of another that has ended: its own words, if there are any."""
        until = time.monotonic() + _WAIT
        while self.is_first and time.monotonic() < until:
            for rank in range(1, self.world):
                if self._notes.check([self._note.format(rank)]):
                    said: str = self._notes.get(self._note.format(rank)).decode()
                    return f"process {rank + 1} of {self.world}: {said}"
            time.sleep(0.05)
        return (
            f"another of the {self.world} processes of this run has ended or does not answer; the same call goes on "
            "from the last checkpoint"
        )


_now: ContextVar[Devices | None] = ContextVar("devices", default=None)


def devices() -> Devices | None:
    """Those that share what is computed now; None where this process is by itself."""
    return _now.get()


def is_first() -> bool:
    """Whether this process prints and writes."""
    shared = _now.get()
    return shared is None or shared.is_first


@contextmanager
def shared_by(found: Devices | None) -> Iterator[None]:
    """For the block these devices share what is computed; all their processes do the same in it. None shares nothing.

    Whatever ends the block early is told to the others.
    """
    token = _now.set(found)
    try:
        yield
    except BaseException as error:
        if found is not None:
            found.failed(error)
        raise
    finally:
        _now.reset(token)


@contextmanager
def alone() -> Iterator[None]:
    """In the block this process computes by itself, as others may not be at the same."""
    token = _now.set(None)
    try:
        yield
    finally:
        _now.reset(token)


def at_first(call: Callable[[], T]) -> T:
    """What the first process finds, by itself, for all; the call itself where nothing is shared.

    Tensors must be on the CPU: others may not have the same device.
    """
    shared = _now.get()
    if shared is None:
        return call()
    found: Any = None
    if shared.is_first:
        with alone():
            found = call()
    value: T = shared.from_first(found)
    return value


def by_rows(call: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """What a call gives for each row of a batch `(B, ...)`, of which each process computes its own.

    Few rows, which nobody can share, are computed by all.
    """
    shared = _now.get()
    if shared is None or len(batch) < shared.world:
        return call(batch)
    return shared.gathered(call(batch[shared.rows(len(batch))]), len(batch))
