"""Several machines on one folder whose locks lag, as on network file systems: some work is done twice, none wrong."""

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from found_runs import found_in
from kdgan import files
from kdgan.experiments.comparison import compare
from kdgan.experiments.variants import Comparison, Variant
from kdgan.training.execution import Execution
from tiny import DIGITS, changed

COMPARISON = Comparison(
    changed(DIGITS, steps=30, teacher_steps=20),
    {name: Variant(name) for name in ("supervised", "mimic", "kdgan")},
    range(2),
)


def carry_out(out: Path, lag: float, begin: Any) -> None:
    """The comparison in a process whose locks others see only after a while, and which sees theirs as late."""
    locked, since = files.locked, time.monotonic()

    @contextlib.contextmanager
    def lagging(folder: Path, *arguments: Any, **options: Any) -> Iterator[None]:
        if time.monotonic() - since < lag:
            yield
            return
        with locked(folder, *arguments, **options):
            yield

    with pytest.MonkeyPatch.context() as patch:
        for place in ("training.config", "training.trainer", "experiments.results_file"):
            patch.setattr(f"kdgan.{place}.locked", lagging)
        begin.wait()
        execution = Execution(workers=0, checkpoint_seconds=0)
        found = compare(COMPARISON, execution, out, console=Console(quiet=True))
    assert found.failures == []


@pytest.mark.parametrize("lag", [1.0, 1000.0])
def test_two_processes_whose_locks_lag_end_with_what_one_finds(tmp_path: Path, lag: float) -> None:
    context = multiprocessing.get_context("fork")
    alone = context.Barrier(1)
    carry_out(tmp_path / "one", 0.0, alone)
    begin = context.Barrier(2)
    working = [context.Process(target=carry_out, args=(tmp_path / "two", lag, begin)) for _ in range(2)]
    for process in working:
        process.start()
    for process in working:
        process.join()
    assert [process.exitcode for process in working] == [0, 0]
    assert found_in(tmp_path / "two") == found_in(tmp_path / "one")
    assert (tmp_path / "two" / "report.html").exists()
