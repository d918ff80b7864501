"""Start of a run over several devices by Lightning Fabric, and what its processes must agree on."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from kdgan.data.batch import Batch
from kdgan.data.forms import leaves
from kdgan.errors import KdganError, UsageError, wrong
from kdgan.extras import needed
from kdgan.methods import Method
from kdgan.methods.player import Player
from kdgan.methods.sharing import TIMEOUT, Devices, devices, shared_by
from kdgan.training.devices import find_device

MOST_DEVICES = 1024
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_STRATEGIES = ("DDPStrategy", "SingleDeviceStrategy")
"""Strategies of Fabric in which every process has all weights of a network."""
_OBSERVER = "strategies.launchers.subprocess_script"
"""Part of Fabric that ends all processes some seconds after one that was killed, and says so to a log."""


def launch(count: int | None, device: str) -> Devices | None:
    """Starts the processes of a command, or joins those that torchrun or a scheduler has started.

    Processes that are started here carry out the same command.

    Args:
        count: devices of each machine; None for as many as torchrun has started processes for, else one.
        device: `auto`, `cpu` or `cuda`: what they are.

    Returns:
        The devices; None for one alone.

    Raises:
        UsageError: for a count that there is not, or without the extra.
    """
    count, machines = _count(count), _machines(count)
    find_device(device)
    if count in (None, 1) and machines == 1:
        return None
    kind, package = _kind(device, count or 1), _package()
    logging.getLogger(package).setLevel(logging.ERROR)
    observer = logging.getLogger(f"{package}.{_OBSERVER}")
    observer.handlers, observer.propagate = [_LastWord()], False
    observer.setLevel(logging.INFO)
    strategy = importlib.import_module(f"{package}.strategies").DDPStrategy(timeout=TIMEOUT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice of Fabric's on options of its own
        try:
            fabric = importlib.import_module(package).Fabric(
                accelerator=kind, devices=count or 1, num_nodes=machines, strategy=strategy
            )
            fabric.launch()
        except (ValueError, RuntimeError) as error:
            raise wrong(f"--devices {count} cannot be started: {error}") from error
    return Devices(fabric.device)


def devices_of(fabric: object, device: str = "auto") -> Devices | None:
    """The devices of a Fabric that is launched; None for one alone.

    Args:
        fabric: of `lightning.fabric` or `lightning_fabric`.
        device: what else a caller says of the device.

    Raises:
        UsageError: for anything else, for one that is not launched, or that shards or casts weights.
    """
    mine: Any = fabric
    if not any(
        each.__name__ == "Fabric" and each.__module__.startswith("lightning") for each in type(fabric).mro()
    ):
        raise wrong(f"fabric must be a lightning.fabric.Fabric, not {type(fabric).__name__} {fabric!r:.60}")
    if device != "auto":
        raise wrong(f"device={device!r:.60} and fabric both say where: give one of them")
    strategy = type(mine.strategy).__name__
    if strategy not in _STRATEGIES:
        raise UsageError(
            f"fabric has strategy {strategy}, and every device needs all weights: strategy='ddp'"
        )
    precision = mine.strategy.precision.precision
    if precision != "32-true":
        raise UsageError(
            f"fabric has precision {precision!r}: leave it, and say training=Training(precision='bfloat16')"
        )
    if mine.world_size == 1:
        return None
    if not dist.is_initialized():
        raise UsageError("fabric is not launched: call fabric.launch() before")
    return Devices(mine.device)


def check_unwrapped(shared: Devices | None, modules: Mapping[str, nn.Module]) -> None:
    """Raises a UsageError for players that Fabric or torch has wrapped: their gradients would be shared twice."""
    for role, module in modules.items() if shared is not None else ():
        if {"_FabricModule", "DistributedDataParallel"} & {type(each).__name__ for each in module.modules()}:
            raise UsageError(f"the {role} is wrapped: give it as it was before fabric.setup")


@contextmanager
def command_of(shared: Devices | None) -> Iterator[None]:
    """The block of a command that devices carry out together: the first process alone says what goes wrong."""
    try:
        with shared_by(shared):
            yield
    except (Exception, KeyboardInterrupt) as error:
        if shared is None or shared.is_first:
            raise
        # Where the first process has started this one, a code would make Fabric end all before that is done.
        by_others = _by_torchrun() or "SLURM_NTASKS" in os.environ
        code = error.exit_code if isinstance(error, KdganError) else 1
        raise SystemExit(code if by_others else 0) from None
    finally:
        if shared is not None and sys.exc_info()[0] is None:
            dist.destroy_process_group()


@contextmanager
def sharing(method: Method) -> Iterator[None]:
    """A block in which several devices, if there are, train with a method: what they cannot share is refused.

    Raises:
        UsageError: for a network that normalises over a batch, on CPUs, or in a way of its own.
    """
    shared = devices()
    if shared is None:
        yield
        return
    with ExitStack() as block:
        for player in method.players.values():
            if player.learns:
                block.enter_context(player.guarded())
                block.enter_context(_normalised_together(player, shared.device))
        yield


def check_same_data(shared: Devices, batch: Batch) -> None:
    """Raises a UsageError unless all processes have the same batch: each takes its rows of it by itself."""
    found = hashlib.sha256(batch.targets.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for leaf in leaves(batch.inputs):
        # Views of one batch may differ in last bits between kinds of devices.
        total = (leaf.real if leaf.is_complex() else leaf).double().sum().item()
        found.update(f"{tuple(leaf.shape)} {total:.3e}".encode())
    if not shared.alike(found.hexdigest()):
        raise UsageError(
            "the processes have different batches: give all of them the same data in the same order, as each takes its "
            "rows of a batch (no DistributedSampler, no fabric.setup_dataloaders)"
        )


@contextmanager
def _normalised_together(player: Player, device: torch.device) -> Iterator[None]:
    """Batch normalisation over all rows of a batch, for the block."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(player.module.modules()):
        tracks = isinstance(parent, _InstanceNorm) and parent.track_running_stats
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm) and type(child) in _NORMS and device.type == "cuda":
                replaced.append((parent, name, child))
        is_plain = type(parent) in (*_NORMS, nn.SyncBatchNorm) and device.type == "cuda"
        if (isinstance(parent, _BatchNorm) and not is_plain) or tracks:
            raise UsageError(
                f"the {player.role} has {type(parent).__name__}, whose statistics of a batch "
                f"{'several processes on CPUs' if device.type == 'cpu' else 'several devices'} cannot share: train on "
                "one device or, for torch's own BatchNorm, on GPUs; or normalise otherwise (GroupNorm, LayerNorm)"
            )
    for parent, name, child in replaced:
        setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for parent, name, child in replaced:
            # Weights and statistics are the same tensors.
            child.training = getattr(parent, name).training
            setattr(parent, name, child)


class _LastWord(logging.Handler):
    """Says in one line that a process was killed, before Fabric ends the others."""

    def emit(self, record: logging.LogRecord) -> None:
        print(  # noqa: T201
            "kdgan: another process of this run was killed; the same command goes on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )


def _by_torchrun() -> bool:
    return dist.is_available() and dist.is_torchelastic_launched()


def _count(count: int | None) -> int | None:
    """Devices of this machine."""
    if count is not None and not 1 <= count <= MOST_DEVICES:
        raise UsageError(f"--devices must be from 1 to {MOST_DEVICES:,}, not {count}")
    if not _by_torchrun():
        return count
    here = _said("LOCAL_WORLD_SIZE")
    if count not in (None, here):
        raise UsageError(
            f"--devices {count}, but torchrun has started {here} processes on this machine: leave it out"
        )
    return here


def _machines(count: int | None) -> int:
    if _by_torchrun():
        return _said("WORLD_SIZE") // _said("LOCAL_WORLD_SIZE")
    # A script of Slurm has this, too, and is one process: whoever has started several says --devices.
    return 1 if count is None or "SLURM_NNODES" not in os.environ else _said("SLURM_NNODES")


def _said(name: str) -> int:
    """The count that whoever has started this process says in the environment."""
    value = os.environ.get(name, "")
    if not (value.isascii() and value.isdigit() and int(value)):
        raise wrong(
            f"the environment has {name}={value!r:.60}, where torchrun or Slurm gives a count: start by one of them "
            "or unset its variables"
        )
    return int(value)


def _kind(device: str, count: int) -> str:
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device} is one, and --devices {count} are several: say cpu or cuda")
    have = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not have):
        return "cpu"
    if count > have:
        raise UsageError(
            f"--devices {count}, but there {'is 1 GPU' if have == 1 else f'are {have} GPUs'} here: ask for fewer, or "
            "say --device cpu"
        )
    return "cuda"


def _package() -> str:
    """Where Fabric is: a package of its own, or a part of lightning."""
    if importlib.util.find_spec("lightning_fabric") is None and importlib.util.find_spec("lightning"):
        return "lightning.fabric"
    needed("lightning_fabric", "scale", "--devices")
    return "lightning_fabric"
