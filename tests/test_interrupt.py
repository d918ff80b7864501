"""Ctrl-C once is a wish, twice an end."""

import os
import signal
import threading
import time

import pytest

from kdgan.interrupt import SIGNALS, stop_on_signal


def raised(number: int) -> None:
    """Sends this process a signal and lets Python handle it."""
    os.kill(os.getpid(), number)
    time.sleep(0.01)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_a_wish_and_a_later_one_an_end(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    with stop_on_signal() as stop:
        assert not stop()
        raised(number)
        assert stop()
        raised(number)  # `timeout` sends its own to the process and to its group
        assert stop()
        monkeypatch.setattr("kdgan.interrupt.TOGETHER", 0.0)
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
