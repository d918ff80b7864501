"""Ctrl-C once is a wish, twice an end."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kdgan.interrupt import SIGNALS, STOPPED, stop_on_signal


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


BEGIN = "import os, signal, sys, time\nfrom kdgan.interrupt import end_on_signals\nend_on_signals()\n"
SENT = "os.kill(os.getpid(), signal.{name}); time.sleep(0.05)"
AT = {
    "a module is imported": "sys.path.insert(0, {folder!r}); import sends",
    "a finalizer runs": "class A:\n    def __del__(self): {sent}\nA()",
    "it has been interrupted": "try:\n    {sent}\nexcept BaseException:\n    time.sleep(0.6); {sent}",
}


@pytest.mark.skipif(os.name == "nt", reason="it sends signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("moment", AT)
def test_a_signal_at_any_moment_ends_a_process_in_one_line(tmp_path: Path, moment: str, name: str) -> None:
    sent = SENT.format(name=name)
    (tmp_path / "sends.py").write_text(f"import os, signal, time\n{sent}", encoding="utf-8")
    code = BEGIN + AT[moment].format(folder=str(tmp_path), sent=sent) + "\nprint('it went on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"kdgan: {STOPPED}\n")


@pytest.mark.skipif(os.name == "nt", reason="it sends signals")
def test_two_signals_at_once_are_one_and_a_terminal_may_close() -> None:
    sent = SENT.format(name="SIGINT")
    code = f"{BEGIN}try:\n    {sent}\nexcept KeyboardInterrupt:\n    {sent}\n    print('put in order')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "put in order\n", "")
    # As `nohup` starts it.
    code = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{BEGIN}{SENT.format(name='SIGHUP')}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
