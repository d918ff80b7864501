"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch


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
