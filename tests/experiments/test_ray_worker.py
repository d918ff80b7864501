"""A process of a Ray cluster, without Ray: what it needs, what it says of jobs."""

import os
import pickle
import socket
import sys
import threading
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch

import pool_jobs
from kdgan.errors import Held, Interrupted, RunError, UsageError
from kdgan.experiments import ray_worker
from kdgan.experiments.ray_cluster import Wishes, check, check_address, machines
from kdgan.experiments.ray_worker import Beginning, RayWorker, check_machine, versions
from kdgan.experiments.worker import Done
from support import refused


@pytest.fixture
def beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Beginning:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(ray_worker, "LAG", 0.3)
    (tmp_path / "token").write_text("secret", encoding="utf-8")
    (tmp_path / "here").mkdir()
    return Beginning(
        1, ["/some/where"], str(tmp_path / "here"), str(tmp_path), "token", "secret", versions(), None
    )


def ended(worker: RayWorker) -> tuple[list[float], Done]:
    """How far it says that its job is, and what became of it."""
    shares = []
    while not isinstance(said := worker.hear(5.0), bytes):
        assert said is not None
        shares.append(said)
    done = ForkingPickler.loads(said)
    assert isinstance(done, Done)
    return shares, done


@pytest.fixture
def deterministic() -> Any:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
def test_it_does_jobs_in_one_thread_and_says_what_became_of_them(
    beginning: Beginning, tmp_path: Path
) -> None:
    worker = RayWorker(replace(beginning, prepare=pickle.dumps(pool_jobs.prepare)))
    try:
        assert worker.ready() == b""
        assert pool_jobs.prepared == ["prepared"]
    finally:
        pool_jobs.prepared.clear()
    assert Path.cwd() == tmp_path / "here"
    assert sys.path[0] == "/some/where"
    assert worker.hear(0.01) is None
    worker.give(pickle.dumps((pool_jobs.add, (1, 2))), None)
    shares, done = ended(worker)
    assert (shares in ([], [0.5]), done.value, done.error) == (True, 3, None)
    for kind, error in (("run", RunError), ("bug", RunError), ("usage", UsageError), ("disk", OSError)):
        worker.give(pickle.dumps((pool_jobs.fail, (kind,))), None)
        assert type(ended(worker)[1].error) is error
    worker.give(pickle.dumps((pool_jobs.always_held, ())), None)
    assert isinstance(ended(worker)[1].error, Held)
    worker.give(b"no pickle", None)
    assert "a process of Ray fails with UnpicklingError" in str(ended(worker)[1].error)
    worker.give(pickle.dumps((threading.Lock, ())), None)  # takes no arguments
    assert isinstance(ended(worker)[1].error, RunError)
    worker.give(pickle.dumps((pool_jobs.until_stopped, (tmp_path / "job",))), None)
    worker.stop()
    assert isinstance(ended(worker)[1].error, Interrupted)
    assert (tmp_path / "job.saved").exists()


def test_a_process_that_cannot_begin_says_why(beginning: Beginning) -> None:
    for wrong, kind, part in (
        (replace(beginning, token="other"), UsageError, "does not see"),
        (replace(beginning, folder="/nowhere"), UsageError, "/nowhere"),
        (replace(beginning, versions={"torch": "1.0"}), UsageError, "torch"),
        (replace(beginning, prepare=b"no pickle"), RunError, "could not begin"),
    ):
        error = ForkingPickler.loads(RayWorker(wrong).ready())
        assert type(error) is kind
        assert part in str(error)
    torch.use_deterministic_algorithms(False)


def test_machines_of_other_versions_are_refused(beginning: Beginning) -> None:
    found = beginning.machine()
    check_machine(found, versions())
    with refused("torch 1.0", versions()["torch"], "install the same"):
        check_machine({**found, "torch": "1.0"}, versions())
    with refused("does not see /shared", "--out"):
        check_machine({**found, "misses": "/shared"}, versions())


class Nodes:
    """Ray, as far as it counts machines."""

    def __init__(self, *resources: dict[str, float] | None) -> None:
        self.resources = resources

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": has is not None, "Resources": has or {"CPU": 99.0}, "NodeID": str(place)}
            for place, has in enumerate(self.resources)
        ]


def test_a_machine_has_room_for_as_many_as_have_threads_and_gpus(beginning: Beginning) -> None:
    ray = Nodes({"CPU": 5.0, "GPU": 1.0}, None, {"CPU": 1.0}, {"memory": 3.0}, {"CPU": 8.0})
    two = Wishes("auto", None, False, replace(beginning, threads=2))
    assert machines(ray, two) == [("0", 2), ("4", 4)]
    assert machines(ray, replace(two, gpu=True)) == [("0", 1)]


def test_addresses() -> None:
    check_address("auto")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        check_address(f"127.0.0.1:{listening.getsockname()[1]}")
    free = listening.getsockname()[1] if listening.fileno() >= 0 else 1
    for address, *parts in (
        ("nonsense", "HOST:PORT", "'nonsense'"),
        ("ray://1.2.3.4:10001", "HOST:PORT"),
        ("host:", "HOST:PORT"),
        (":6379", "HOST:PORT"),
        ("host:99999", "HOST:PORT"),
        (f"{'a' * 300}:6379", "no Ray cluster listens", "ray start --head"),
        ("\udcff:6379", "no Ray cluster listens", "ray start --head"),
        (f"127.0.0.1:{free}", "no Ray cluster listens", "refused", "ray start --head"),
    ):
        with refused(*parts):
            check_address(address)


def test_nothing_heavy_is_imported_before_a_job() -> None:
    import subprocess

    code = "import sys, kdgan.experiments.ray_bridge; assert not {'torch', 'ray', 'numpy'} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


def test_a_run_that_has_no_room_anywhere_is_refused(beginning: Beginning) -> None:
    many = Wishes("auto", None, False, replace(beginning, threads=64))
    with refused("64 CPUs for a run", "threads"):
        check(Nodes({"CPU": 2.0}), many)
    with refused("1 CPUs and a GPU for a run", "device"):
        check(Nodes({"CPU": 2.0}), Wishes("auto", None, True, replace(beginning, threads=1)))
