from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

import support


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    """`with refused("part", ...)`: a UsageError whose one line holds every part."""
    return support.refused
