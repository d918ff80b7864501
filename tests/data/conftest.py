from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from kdgan.errors import UsageError

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def refused() -> Refused:
    """`with refused("part", ...)`: a UsageError whose one line holds every part."""

    @contextmanager
    def check(*parts: object) -> Iterator[None]:
        with pytest.raises(UsageError) as caught:
            yield
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        for part in parts:
            assert str(part) in message, message

    return check
