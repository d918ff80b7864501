"""Where and how training is carried out has no part in its result."""

from pathlib import Path

import torch

from kdgan.training import Execution
from kdgan.training.execution import unseen
from tiny import train, untimed


def test_by_default_one_process_on_the_cpu_that_nobody_watches_or_stops() -> None:
    execution = Execution()
    assert execution.device == torch.device("cpu")
    assert (execution.workers, execution.threads, execution.data_dir) == (1, 1, None)
    assert execution.progress is unseen
    assert not execution.stop()


def test_the_execution_has_no_part_in_the_result(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    one = train(tmp_path / "one")
    watched = Execution(checkpoint_seconds=0.0, workers=3, progress=lambda *what: told.append(what))
    other = train(tmp_path / "other", watched)
    assert untimed(one) == untimed(other)
    files = [tmp_path / name / "run" / "student.safetensors" for name in ("one", "other")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {what: total for what, _, total in told} == {
        "student": 4,
        "teacher": 10,
        "discriminator": 10,
        "kdgan": 16,
    }
    for what, _, total in told:
        assert (what, total, total) in told
