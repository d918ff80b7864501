"""The errors that a user is meant to read."""

import pytest

from kdgan.errors import Interrupted, KdganError, RunError, UsageError, wrong


def test_errors_are_one_printable_line() -> None:
    assert str(wrong("a\n  b\r\n\u2028c\x1b[31m\ud800")) == "a b c?[31m?"
    assert isinstance(wrong("a"), UsageError)


@pytest.mark.parametrize(("kind", "code"), [(UsageError, 2), (Interrupted, 2), (RunError, 1)])
def test_every_error_knows_its_exit_code(kind: type[KdganError], code: int) -> None:
    assert issubclass(kind, KdganError)
    assert kind.exit_code == code


def test_errors_are_of_the_kinds_that_python_has() -> None:
    """Who calls the library need not know them."""
    assert issubclass(UsageError, ValueError)
    assert issubclass(RunError, RuntimeError)
