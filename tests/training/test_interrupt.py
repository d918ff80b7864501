"""Ctrl-C once is a wish, twice an end."""

import os
import signal
import threading
import time

import pytest

from kdgan.training.interrupt import stop_on_signal


def raised(number: int) -> None:
    """Sends this process a signal and lets Python handle it."""
    os.kill(os.getpid(), number)
    time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_wish_and_the_second_an_end(number: int) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with stop_on_signal() as stop:
        assert not stop()
        raised(number)
        assert stop()
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            raised(signal.SIGINT)
    assert {each: signal.getsignal(each) for each in before} == before


def test_handlers_are_put_back_whatever_happens() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), stop_on_signal():
        raise RuntimeError("in between")
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_caught() -> None:
    before, asked = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_on_signal() as stop:
            asked.append((stop(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [(False, True)]
