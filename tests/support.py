"""What tests of several rooms need."""

import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kdgan.errors import UsageError


@contextmanager
def refused(*parts: object) -> Iterator[None]:
    """A UsageError whose one line holds every part."""
    with pytest.raises(UsageError) as caught:
        yield
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert str(part) in message, message


def served() -> Any:
    """Processes forked from a server that has imported torch: a second instead of five for each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "kdgan.experiments.comparison",
            "kdgan.tasks.presets",
            "sklearn.datasets",
            "sklearn.model_selection",
            "torch._dynamo",
        ]
    )
    return context


def without_progress(errors: str) -> str:
    """What is said on stderr beside how far training is, which a machine that is busy has time to say."""
    return re.sub(r"(?m)^.*: [\d,]+ of [\d,]+ updates.*\n", "", errors)
