"""Devices, precision, and computing the same bits again."""

import os

import pytest
import torch

from kdgan.training import devices
from kdgan.training.devices import computing_alike, deterministic, find_device, precision_on, slow_in
from support import refused


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("tpu", "cuda:99", "meta", "", "gpu"):
        with refused(repr(name), "there is cpu"):
            find_device(name)


def test_a_cpu_computes_in_full_precision() -> None:
    assert precision_on(torch.device("cpu")) == "float32"


@pytest.mark.parametrize("there", [True, False])
def test_bfloat16_without_instructions_for_it_is_said_to_be_slow(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: there)
    cpu = torch.device("cpu")
    assert slow_in("float32", cpu) is None
    note = slow_in("bfloat16", cpu)
    assert note is None if there else "no instructions for bfloat16" in str(note)


def test_a_deterministic_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    try:
        deterministic(1)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert torch.get_num_threads() == 1
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = benchmark
        torch.set_num_threads(threads)


def test_a_block_that_computes_alike_leaves_the_process_as_it_was() -> None:
    threads = torch.get_num_threads()
    with computing_alike(threads + 1):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == threads + 1
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
