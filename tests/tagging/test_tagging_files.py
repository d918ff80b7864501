"""What is read and written, looked at before any work is done."""

import os
from pathlib import Path

import pytest

from kdgan.tagging.files import check_output, check_regular, together
from support import refused


def test_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "new" / "first", tmp_path / "new" / "second"
    for said in ("old", "new"):
        with together(first, second) as temporaries:
            for temporary in temporaries:
                temporary.write_text(said, encoding="utf-8")
        assert [path.read_text(encoding="utf-8") for path in (first, second)] == [said] * 2

    def stop_while_writing() -> None:
        with together(first, second) as (one, _):
            one.write_text("newer", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_while_writing()
    assert [path.read_text(encoding="utf-8") for path in (first, second)] == ["new"] * 2
    assert sorted(first.parent.iterdir()) == [first, second]


def test_old_and_new_are_never_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / name for name in ("first", "second", "third")]
    seen = []

    def look() -> None:
        seen.append({path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()})

    unlink, replace = Path.unlink, Path.replace
    monkeypatch.setattr(Path, "unlink", lambda self, **given: (unlink(self, **given), look())[0])
    monkeypatch.setattr(Path, "replace", lambda self, to: (replace(self, to), look())[0])
    for said in ("old", "new"):
        with together(*paths) as temporaries:
            for temporary in temporaries:
                temporary.write_text(said, encoding="utf-8")
    look()
    assert all(len(set(found.values())) <= 1 for found in seen)
    assert all(len(found) == 3 for found in seen if "first" in found)
    assert seen[-1] == dict.fromkeys(("first", "second", "third"), "new")


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, why in (
        (tmp_path / "pipe", "a device or a pipe"),
        (Path("/dev/zero"), "a device or a pipe"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / ("n" * 300), "too long"),
        (tmp_path / "a\x00b", "null"),
        (tmp_path / "loop", "symbolic links"),
    ):
        with refused("cannot read", why):
            check_regular(path)


def test_an_output_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, why in (
        (tmp_path / "file" / "x", "is no folder"),
        (tmp_path / "link", "a link to nothing"),
        (tmp_path / "link" / "x", "is no folder"),
        (tmp_path / "new" / ("n" * 300), "too long"),
        (tmp_path / "a\x00b" / "x", "null"),
        (tmp_path, "it is a folder"),
        (Path("/dev/full"), "a device or a pipe"),
        (Path("/proc/x/y"), "cannot write to /proc/x/y"),
    ):
        with refused("cannot write to", why):
            check_output(path)
    check_output(tmp_path / "new" / "deep" / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}


def test_an_output_is_none_of_the_inputs(tmp_path: Path) -> None:
    table, link, hard = (tmp_path / name for name in ("table", "link", "hard"))
    table.write_text("rows", encoding="utf-8")
    link.symlink_to(table)
    hard.hardlink_to(table)
    (tmp_path / "folder").symlink_to(tmp_path)
    for path in (table, link, hard, tmp_path / "folder" / "table"):
        with refused(path, "which is read"):
            check_output(path, [tmp_path / "none", table])
    check_output(tmp_path / "other", [table])
