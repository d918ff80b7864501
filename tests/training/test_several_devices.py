"""Two processes that share each batch compute what one computes."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import device_jobs
from processes import Together


def compare(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    """Holds losses and weights of two runs against each other."""
    assert one.keys() == two.keys()
    bounds = {"loss": (1e-5, 0.0), "term": (1e-5, 1e-6)}  # terms may be small differences of large numbers
    for name, value in one.items():
        relative, absolute = bounds.get(name.partition("/")[0], (0.0, 1e-4))
        torch.testing.assert_close(two[name], value, rtol=relative, atol=absolute, msg=name)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have found, by name."""
    folder = tmp_path_factory.mktemp("together")
    ended = Together(folder / "processes", device_jobs.share_all, folder).end()
    assert [(each.code, each.out) for each in ended] == [(0, "")] * 2, ended
    return folder


@pytest.mark.parametrize("name", device_jobs.HYPER)
def test_200_updates_have_the_losses_and_the_weights_of_one_process(together: Path, name: str) -> None:
    compare(device_jobs.trained(name, None), torch.load(together / f"{name}.pt"))


def test_so_have_batches_in_parts(together: Path) -> None:
    compare(device_jobs.trained("kdgan", None, **device_jobs.PARTS), torch.load(together / "parts.pt"))


def test_distill_over_two_processes_is_that_of_one(together: Path) -> None:
    for name in device_jobs.CALLS:
        one = device_jobs.call(name, None, None)
        asked = [torch.load(together / f"{name}-{rank}.pt")["asked"] for rank in (0, 1)]
        if name == "asked":  # each process about its share of train, and of a few examples to begin with
            assert max(asked) < 0.6 * sum(device_jobs.ASKED)
        for rank in (0, 1):
            two = torch.load(together / f"{name}-{rank}.pt")
            for mine, theirs in zip(one.history, two["history"], strict=True):
                assert mine["losses"] == pytest.approx(theirs["losses"], rel=1e-4, abs=1e-6)
                assert mine["accuracy"] == pytest.approx(theirs["accuracy"], abs=1e-6)
            assert one.report.metrics == {
                role: pytest.approx(found, abs=1e-3) for role, found in two["report"].items()
            }
            for key, weight in one.student.state_dict().items():
                torch.testing.assert_close(weight, two["student"][key], rtol=0, atol=1e-4)
    # Checkpoints are those of one process: the same call without Fabric finds itself done, and has the same student.
    written = {file: file.stat().st_mtime_ns for file in (together / "run").rglob("checkpoint.safetensors")}
    again = device_jobs.distilled(None, together / "run")
    two = torch.load(together / "plain-0.pt")
    assert all(torch.equal(each, two["student"][key]) for key, each in again.student.state_dict().items())
    assert written == {file: file.stat().st_mtime_ns for file in written}
    lines = (together / "run" / "student" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 20, 30]


def test_what_cannot_be_shared_is_refused_in_every_process(together: Path) -> None:
    told = [(together / f"{rank}.txt").read_text().splitlines() for rank in (0, 1)]
    assert told[0] == told[1]
    for line, part in zip(
        told[0],
        (
            "a batch of 1 cannot be shared by 2 devices",
            "the student has BatchNorm1d, whose statistics of a batch several processes on CPUs cannot share",
            "the processes have different batches",
            "the method calls the module of the student itself",
            "the student is wrapped: give it as it was before fabric.setup",
            "device='cpu' and fabric both say where",
        ),
        strict=True,
    ):
        assert line.startswith("UsageError: "), line
        assert part in line
