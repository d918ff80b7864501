"""What all tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from kdgan.cli import main
from support import served


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests may run in several processes at a time, on machines with few cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it skip visibly where there is none."""
    folder = Path(os.environ.get("KDGAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "mnist" / "train-images-idx3-ubyte.gz").exists():
        pytest.skip(f"no real data at {folder} (set KDGAN_DATA)")
    return folder


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Carries out a command of kdgan in this process, with quick workers: exit code, stdout, stderr."""
    context = served()
    monkeypatch.setattr("kdgan.experiments.pool.multiprocessing.get_context", lambda method: context)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        output = capfd.readouterr()
        return code, output.out, output.err

    yield run
    # `kdgan train` makes its process deterministic, which the next test need not be.
    torch.use_deterministic_algorithms(False)
