"""`kdgan tags recommend` as a user types it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from commands import Command, refuses
from kdgan.tagging.images.features import attach
from kdgan.tagging.images.networks import load_network

POOLING = (
    "def pooled(images):\n    return images.reshape(len(images), 3, 8, 4, 8, 4).mean((3, 5)).flatten(1)\n"
)
MEANS = (
    "def colours(images):\n    return images.mean((2, 3))\n\n\n"
    "def nothing(images):\n    return images.mean((2, 3)) / 0 * 0\n"
)


def test_photos_get_tags_from_a_trained_student(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pooling.py").write_text(POOLING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    command = ["tags", "compare", "--methods", "supervised", "--baselines", "", "--seeds", 1, "--steps", 4]
    assert typed(*command, "--workers", 1, "--out", tmp_path / "tags")[0] == 0
    (student,) = (tmp_path / "tags").glob("runs/supervised-seed0-*/student.safetensors")
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    images = [tmp_path / name for name in ("a.png", "b.jpg", "c.webp")]
    for image in images:
        Image.fromarray(noise).save(image)
    rest = ["--student", student, "--network", "pooling:pooled", "--size", 32, "--most", 3]
    code, printed, errors = typed("tags", "recommend", *images, *rest)
    assert (code, errors) == (0, "")
    lines = printed.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(image) for image in images]
    assert all(line.count("%") == 3 for line in lines)
    # The others have tags all the same.
    code, printed, errors = typed("tags", "recommend", images[0], tmp_path / "no.jpg", images[2], *rest)
    assert code == 2
    assert [line.split(":")[0].rsplit("/")[-1] for line in printed.splitlines()] == ["a.png", "c.webp"]
    assert len(errors.splitlines()) == 1
    assert "no.jpg" in errors
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    (tmp_path / "half.png").write_bytes(images[0].read_bytes()[:500])
    for name in ("text.jpg", "half.png", "none.jpg"):
        assert refuses(typed, "tags", "recommend", tmp_path / name, *rest, parts=(name,))


def test_a_student_knows_which_network_its_features_are_of(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "means.py").write_text(MEANS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    chance = np.random.default_rng(0)
    photos = [f"p{row}" for row in range(120)]
    lists = [[["red", "green", "blue"][row % 3], "photo"] for row in range(120)]
    frame = pl.DataFrame({"photo": photos, "tags": lists, "text": ["by me"] * 120})
    frame.write_parquet(tmp_path / "t.parquet")
    network = load_network("means:colours", size=8)
    features = chance.random((120, 3), dtype=np.float32)
    attach(tmp_path / "t.parquet", photos, features, tmp_path / "with.parquet", network.identity)
    command = [
        "tags",
        "compare",
        "--data",
        tmp_path / "with.parquet",
        "--count",
        3,
        "--methods",
        "supervised",
    ]
    command += ["--baselines", "", "--seeds", 1, "--steps", 2, "--workers", 1, "--out", tmp_path / "o"]
    code, _, errors = typed(*command)
    assert (code, errors) == (0, "")
    (student,) = (tmp_path / "o").glob("runs/*/student.safetensors")
    Image.new("RGB", (9, 9), (10, 200, 30)).save(tmp_path / "a.png")
    recommend = ["tags", "recommend", tmp_path / "a.png", "--student", student, "--size", 8]
    assert typed(*recommend, "--network", "means:colours")[0] == 0
    # The folder of the run will do as well.
    folder = [*recommend[:4], student.parent, *recommend[5:]]
    assert typed(*folder, "--network", "means:colours")[0] == 0
    for wrong, parts in (
        (["--network", "means:colours", "--largest", 255], ("largest 1.0 there, 255.0 here",)),
        (["--network", "means:colours", "--most", 0], ("--most", "from 1 to 10,000")),
        (["--network", "means:colours", "--most", 10**12], ("--most", "from 1 to 10,000")),
        (["--network", "means:colours", "--deviation", "nan", "1", "1"], ("deviations", "nan")),
        (["--network", "means:nothing"], ("finite",)),
    ):
        assert refuses(typed, *recommend, *wrong, parts=parts)
    for other in ("t.parquet", "none.safetensors", "a.png"):
        wrong = [*recommend[:3], "--student", tmp_path / other, "--size", 8, "--network", "means:colours"]
        assert refuses(typed, *wrong, parts=(other,))
    # The same file with other photos is another table, and its results are not the old ones.
    attach(tmp_path / "t.parquet", photos, features + 1, tmp_path / "with.parquet", network.identity)
    assert refuses(typed, *command, parts=("another configuration (data.sha256",))
