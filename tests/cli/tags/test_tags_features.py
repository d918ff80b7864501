"""`kdgan tags features` as a user types it."""

from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from commands import Command, refuses

MEANS = "def colours(images):\n    return images.mean((2, 3))\n"


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of four photos, and what img2dataset left of their images: one is no image, one did not come."""
    (tmp_path / "averages.py").write_text(MEANS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    pl.DataFrame({"photo": list("abcd"), "tags": [["x"]] * 4}).write_parquet(tmp_path / "photos.parquet")
    folder = tmp_path / "images"
    (folder / "00000").mkdir(parents=True)
    status = ["success", "success", "success", "failed_to_download", "success"]
    keys = [f"00000000{number}" for number in range(5)]
    frame = pl.DataFrame({"photo": ["a", "b", "c", "d", "of another table"], "key": keys, "status": status})
    frame.write_parquet(folder / "00000.parquet")
    for number, colour in ((0, (255, 0, 0)), (1, (0, 255, 0)), (4, (0, 0, 255))):
        Image.new("RGB", (9, 9), colour).save(folder / "00000" / f"{keys[number]}.jpg", quality=95)
    (folder / "00000" / f"{keys[2]}.jpg").write_text("no image", encoding="utf-8")
    return folder


def test_photos_get_their_features(typed: Command, downloads: Path, tmp_path: Path) -> None:
    command = ["tags", "features", tmp_path / "photos.parquet", "--images", downloads, "--size", 8]
    command += ["--network", "averages:colours", "--out", tmp_path / "with.parquet"]
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    assert printed == f"2 photos with 3 features in {tmp_path / 'with.parquet'}; 1 unreadable\n"
    table = pl.read_parquet(tmp_path / "with.parquet")
    assert table["photo"].to_list() == ["a", "b"]
    assert [[round(value) for value in row] for row in table["features"].to_list()] == [[1, 0, 0], [0, 1, 0]]
    assert typed(*command)[:2] == (0, printed)


def test_wrong_options(typed: Command, downloads: Path, tmp_path: Path) -> None:
    table, network = tmp_path / "photos.parquet", ["--network", "averages:colours"]
    (tmp_path / "nothing").mkdir()
    for options, part in (
        ([tmp_path / "no.parquet", "--images", downloads, *network], "no.parquet"),
        ([table, "--images", tmp_path / "nothing", *network], "nothing"),
        ([table, "--images", downloads, "--network", "a:b"], "a:b"),
        ([table, "--images", downloads, "--network", "averages"], "averages"),
        ([table, "--images", downloads, *network, "--batch", 0], "batch"),
        ([table, "--images", downloads, *network, "--size", 0], "size"),
        ([table, "--images", downloads, *network, "--size", 10**6], "at most 4,096"),
        ([table, "--images", downloads, *network, "--batch", 10**12], "batch must be from 1 to 1,337"),
        ([table, "--images", downloads, *network, "--threads", 10**6], "threads must be from 1 to 1,024"),
    ):
        assert refuses(typed, "tags", "features", *options, "--out", tmp_path / "o.parquet", parts=(part,))
        assert not (tmp_path / "o.parquet").exists()


def test_the_table_with_features_takes_no_place_of_what_is_read(
    typed: Command, downloads: Path, tmp_path: Path
) -> None:
    table = tmp_path / "photos.parquet"
    (tmp_path / "link.parquet").symlink_to(table)
    (tmp_path / "hard.parquet").hardlink_to(table)
    (tmp_path / "folder.parquet").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for own in (table, tmp_path / "link.parquet"):
        command = [
            "tags",
            "features",
            own,
            "--images",
            downloads,
            "--network",
            "averages:colours",
            "--size",
            8,
        ]
        for out, part in (
            (table, "which is read"),
            (tmp_path / "link.parquet", "which is read"),
            (tmp_path / "hard.parquet", "which is read"),
            (downloads / "00000.parquet", "among what is read"),
            (downloads / "1.parquet", "among what is read"),
            (downloads / "00000" / "x.parquet", "among what is read"),
            (tmp_path / "folder.parquet", "it is a folder"),
            (tmp_path / "t.features", "name a .parquet file"),
            ("/dev/full", "a device or a pipe"),
            (tmp_path / ("n" * 300), "too long"),
            (table / "x.parquet", "is no folder"),
        ):
            assert refuses(typed, *command, "--out", out, parts=(part,))
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: after.get(name) for name in before} == before


def test_a_table_may_lie_beside_the_downloads(typed: Command, downloads: Path, tmp_path: Path) -> None:
    command = ["tags", "features", tmp_path / "photos.parquet", "--images", downloads, "--size", 8]
    assert typed(*command, "--network", "averages:colours", "--out", downloads / "with.parquet")[0] == 0
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for images in (tmp_path / "loop", tmp_path / ("n" * 300), "/dev/zero"):
        wrong = [*command[:4], images, "--network", "averages:colours", "--out", tmp_path / "o.parquet"]
        assert refuses(typed, *wrong, parts=(images,))
