"""Files that are written whole or not at all, and folders that one process has to itself."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock, SoftFileLock

from kdgan.errors import Held, Interrupted
from kdgan.files import locked, replacing, save_json, sha256_of, write_json
from support import refused


def _stopped_while_writing(file: Path) -> None:
    with replacing(file) as temporary:
        temporary.write_text("newer", encoding="utf-8")
        raise KeyboardInterrupt


def test_replacing_shows_nothing_before_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "text"
    with replacing(file) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not file.exists()
    assert file.read_text(encoding="utf-8") == "new"
    with pytest.raises(KeyboardInterrupt):
        _stopped_while_writing(file)
    assert file.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_and_its_name_are_on_the_disk_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("kdgan.files.sync", synced.append)
    write_json(tmp_path / "a.json", {})
    assert synced[0].name.startswith(".a.json.")
    assert synced[1:] == [tmp_path]


def test_a_folder_that_is_gone_does_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_json(tmp_path / "gone" / "a.json", {})
    assert not (tmp_path / "gone").exists()


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    write_json(file, {"a": [1, None]})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": [1, None]}
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": [1, None]}
    assert list(file.parent.iterdir()) == [file]


def test_the_checksum_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    content = os.urandom(300_000)
    file.write_bytes(content)
    assert sha256_of(file) == hashlib.sha256(content).hexdigest()
    assert sha256_of(tmp_path / "none") is None


def test_a_locked_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path):
            assert not free(tmp_path)
        assert free(tmp_path)
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0  # noqa: B018
    assert free(tmp_path)


def test_blocks_of_one_thread_may_be_within_each_other(tmp_path: Path) -> None:
    with locked(tmp_path):
        with locked(tmp_path, wait=False):
            pass
        assert not free(tmp_path)
    assert free(tmp_path)


def free(folder: Path) -> bool:
    """Whether another lock of the same file is to be had at once."""
    other = FileLock(folder / ".lock", timeout=0)
    try:
        with other:
            return True
    except TimeoutError:
        return False


def test_another_process_is_waited_for_until_it_ends_however_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from kdgan.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('mine', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        asked = []

        def stop() -> bool:
            asked.append(time.monotonic())
            return len(asked) == 2

        with pytest.raises(Interrupted, match="another command was at work"), locked(tmp_path, stop):
            pytest.fail("two are in the folder")
        assert 0.5 < asked[1] - asked[0] < 5  # every second
        said = f"kdgan: waiting for another command that is at work in {tmp_path}\n"
        assert capsys.readouterr().err == said
        with pytest.raises(Held, match="another command is at work"), locked(tmp_path, wait=False):
            pytest.fail("two are in the folder")
        threading.Timer(0.2, other.kill).start()
        started = time.monotonic()
        with locked(tmp_path):
            assert other.wait() != 0
        assert time.monotonic() - started < 5


def test_where_a_file_system_has_no_locks_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(self: SoftFileLock, timeout: float) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(FileLock, "acquire", unknown)
    with locked(tmp_path), locked(tmp_path):
        pass


def test_values_are_saved_whole_or_refused_in_one_line(tmp_path: Path) -> None:
    save_json(str(tmp_path / "a.json"), {"a": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"a": [1, None]}
    with refused(tmp_path / "none" / "a.json", "cannot be written"):
        save_json(tmp_path / "none" / "a.json", {})
    for path in (3, "", "a\0b"):
        with refused("path must be that of a file"):
            save_json(path, {})  # type: ignore[arg-type]
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
