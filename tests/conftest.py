"""What all tests share."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from kdgan.cli import main
from kdgan.training import devices
from support import served, without_progress

settings.register_profile(
    "kdgan", deadline=None
)  # machines are shared: how long an example takes says nothing
settings.load_profile("kdgan")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests may run in several processes at a time, on machines with few cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def processor_with_bfloat16() -> Iterator[None]:
    """Precisions do not follow from the machine that tests run on."""
    with pytest.MonkeyPatch.context() as patch:
        asked = devices.has_bfloat16
        patch.setattr(devices, "has_bfloat16", lambda device: device.type == "cpu" or asked(device))
        yield


@pytest.fixture(autouse=True)
def modules_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test imports from its own folder is forgotten again: the next may write another module of that name."""
    before, folder = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        within = getattr(module, "__path__", ())  # a number, in what stands in for tensorflow
        places = [getattr(module, "__file__", None), *(within if isinstance(within, Iterable) else ())]
        if any(isinstance(place, str) and place.startswith(folder) for place in places):
            del sys.modules[name]


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
    """Carries out a command of kdgan in this process, with quick workers: exit code, stdout, stderr without the
    lines that a busy machine has time to say, which count updates."""
    context = served()
    monkeypatch.setattr("kdgan.experiments.processes.multiprocessing.get_context", lambda method: context)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        output = capfd.readouterr()
        return code, output.out, without_progress(output.err)

    yield run
    # `kdgan train` makes its process deterministic, which the next test need not be.
    torch.use_deterministic_algorithms(False)
