"""Starting several devices, and what is refused before any process is started."""

import logging
import sys
from typing import Any

import pytest
import torch
from torch import nn

from commands import is_one_line
from kdgan.errors import UsageError
from kdgan.methods.sharing import Devices
from kdgan.training import launch as launching
from kdgan.training.launch import check_unwrapped, devices_of, launch
from support import refused


@pytest.fixture(autouse=True)
def by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of no launcher."""
    for name in ("TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "SLURM_NNODES", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


def test_one_device_needs_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    assert launch(None, "cpu") is None
    assert launch(1, "auto") is None


@pytest.mark.parametrize("count", [0, -2, 5000])
def test_a_count_that_there_is_not_is_refused(count: int) -> None:
    with refused("--devices must be from 1 to 1,024", count):
        launch(count, "cpu")


@pytest.mark.parametrize(("have", "said"), [(1, "there is 1 GPU here"), (2, "there are 2 GPUs here")])
def test_more_devices_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, have: int, said: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: have)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for device in ("auto", "cuda"):
        with refused("--devices 3", said):
            launch(3, device)
    with refused("--device cuda:0 is one, and --devices 2 are several"):
        launch(2, "cuda:0")
    assert launching._kind("cpu", 3) == "cpu"
    assert launching._kind("auto", have) == "cuda"


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lightning_fabric", "lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(launching.importlib.util, "find_spec", lambda name: None)
    with refused("--devices needs lightning_fabric", "pip install 'kdgan[scale]'"):
        launch(2, "cpu")


def test_torchrun_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert (launching._count(None), launching._machines(None)) == (3, 2)
    with refused("--devices 2, but torchrun has started 3 processes on this machine"):
        launch(2, "cpu")


def test_a_scheduler_says_how_many_machines_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NNODES", "4")
    assert (launching._count(2), launching._machines(2)) == (2, 4)
    assert launching._machines(None) == 1  # one command within a job's script


@pytest.mark.parametrize(
    ("count", "name", "value"),
    [
        (None, "LOCAL_WORLD_SIZE", ""),
        (None, "LOCAL_WORLD_SIZE", "two"),
        (None, "WORLD_SIZE", "0"),
        (2, "SLURM_NNODES", "1-2"),
    ],
)
def test_an_environment_that_is_half_set_is_one_line(
    monkeypatch: pytest.MonkeyPatch, count: int | None, name: str, value: str
) -> None:
    if count is None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
        monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"the environment has {name}='{value}'"):
        launch(count, "cpu")


def test_what_is_no_fabric_for_this_is_refused() -> None:
    fabric = pytest.importorskip("lightning_fabric").Fabric
    with refused("fabric must be a lightning.fabric.Fabric, not int 3"):
        devices_of(3)
    assert devices_of(fabric(accelerator="cpu", devices=1)) is None
    with refused("device='cpu' and fabric both say where"):
        devices_of(fabric(accelerator="cpu", devices=1), "cpu")
    with refused("precision 'bf16-mixed'", "precision='bfloat16'"):
        devices_of(fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))
    with refused("fabric is not launched: call fabric.launch()"):
        devices_of(fabric(accelerator="cpu", devices=2, strategy="ddp"))


def test_a_fabric_of_the_other_import_path_is_taken() -> None:
    fabric = pytest.importorskip("lightning.fabric").Fabric
    assert devices_of(fabric(accelerator="cpu", devices=1)) is None


def test_strategies_that_shard_weights_are_refused() -> None:
    class Fabric:
        strategy = type("FSDPStrategy", (), {})()

    Fabric.__module__ = "lightning.fabric.fabric"
    with refused("fabric has strategy FSDPStrategy", "strategy='ddp'"):
        devices_of(Fabric())


def test_normalisation_over_a_batch_is_refused_on_cpus_and_shared_on_gpus() -> None:
    class Learner:
        role = "student"
        module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm1d(3)))

    player: Any = Learner()
    first, last = player.module[1], player.module[2][0]
    with (
        refused("the student has BatchNorm1d", "several processes on CPUs", "GroupNorm"),
        launching._normalised_together(player, torch.device("cpu")),
    ):
        pass
    with launching._normalised_together(player, torch.device("cuda")):
        made = player.module[1]
        assert isinstance(made, nn.SyncBatchNorm)
        assert isinstance(player.module[2][0], nn.SyncBatchNorm)
        assert made.weight is first.weight
        assert made.running_mean is first.running_mean
        player.module.eval()
    assert (player.module[1], player.module[2][0]) == (first, last)
    assert not first.training

    class Own(nn.BatchNorm1d):
        pass

    player.module = nn.Sequential(Own(3))
    with (
        refused("the student has Own", "several devices cannot share"),
        launching._normalised_together(player, torch.device("cuda")),
    ):
        pass
    player.module = nn.Sequential(nn.InstanceNorm1d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3))
    with launching._normalised_together(player, torch.device("cpu")):
        pass


def test_nothing_is_held_against_wrapped_players_where_nothing_is_shared() -> None:
    class DistributedDataParallel(nn.Module):
        pass

    shared: Any = object.__new__(Devices)
    check_unwrapped(None, {"student": DistributedDataParallel()})
    with refused("the teacher is wrapped", "before fabric.setup"):
        check_unwrapped(shared, {"student": nn.Linear(1, 1), "teacher": DistributedDataParallel()})


def test_what_fabric_says_before_it_ends_all_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("tests.observer")
    log.addHandler(launching._LastWord())
    log.setLevel(logging.INFO)
    log.propagate = False
    log.info("[rank: 1] Child process with PID 7 terminated with code -9. Forcefully terminating all others")
    assert is_one_line(capsys.readouterr().err, "another process of this run was killed", "last checkpoint")
