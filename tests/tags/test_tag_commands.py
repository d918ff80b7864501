"""The commands of tag recommendation as a user types them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from kdgan.paper.tag_comparison import MEASURES, TagRecord, read_records, table2, write_records
from kdgan.tagging.images.features import attach, load_network
from support import refused

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def compared(typed: Command, tmp_path: Path) -> Path:
    out = tmp_path / "tags"
    command = ["tags", "compare", "--methods", "supervised,mimic", "--baselines", "knn", "--seeds", 2]
    code, printed, errors = typed(*command, "--steps", 8, "--reader", "bag", "--workers", 1, "--out", out)
    assert (code, errors) == (0, "")
    assert "supervised" in printed
    return out


def test_a_comparison_of_tags_ends_in_a_table_and_a_page(compared: Path) -> None:
    with (compared / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["tags", "method", "seed", *MEASURES]
    assert {(row["method"], row["seed"]) for row in rows} == {
        (method, seed) for method in ("supervised", "mimic", "knn", "teacher") for seed in "01"
    }
    assert all(0 < float(row[name]) <= 1 for row in rows for name in MEASURES)
    page = (compared / "report.html").read_text(encoding="utf-8")
    assert "generated" in page
    assert page.count("<img") == 6
    assert "<script" not in page


def test_a_comparison_takes_pretrained_embeddings(typed: Command, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("holiday 1 2 3\nbirthday 3 2 1\nelsewhere 0 0 0\n", encoding="utf-8")
    command = [
        "tags",
        "compare",
        "--methods",
        "supervised,mimic",
        "--baselines",
        "",
        "--seeds",
        1,
        "--steps",
        4,
    ]
    command += ["--embeddings", words, "--workers", 1, "--out", tmp_path / "tags"]
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    assert "2 of " in printed.splitlines()[0]
    assert typed(*command)[0] == 0
    words.write_text("holiday 1 2 3\nbirthday 3 2\n", encoding="utf-8")
    code, _, errors = typed(*command[:-1], tmp_path / "other")
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert "words.txt, line 2" in errors
    assert not (tmp_path / "other").exists()
    words.write_text("holiday 1 2 3\nbirthday 3 2 2\n", encoding="utf-8")
    code, _, errors = typed(*command)
    assert code == 2
    assert "another configuration (embeddings_sha256" in errors


def test_photos_get_tags_from_a_trained_student(
    typed: Command, compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pooling.py").write_text(
        "def pooled(images):\n    return images.reshape(len(images), 3, 8, 4, 8, 4).mean((3, 5)).flatten(1)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    (student,) = compared.glob("runs/supervised-seed0-*/student.safetensors")
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for name in ("a.png", "b.jpg", "c.webp"):
        Image.fromarray(noise).save(tmp_path / name)
    rest = ["--student", student, "--network", "pooling:pooled", "--size", 32, "--most", 3]
    code, printed, errors = typed(
        "tags", "recommend", *(tmp_path / name for name in ("a.png", "b.jpg", "c.webp")), *rest
    )
    assert (code, errors) == (0, "")
    assert len(printed.splitlines()) == 3
    assert all(line.count("%") == 3 for line in printed.splitlines())
    code, printed, errors = typed(
        "tags", "recommend", tmp_path / "a.png", tmp_path / "no.jpg", tmp_path / "c.webp", *rest
    )
    assert code == 2
    assert [line.split(":")[0].rsplit("/")[-1] for line in printed.splitlines()] == ["a.png", "c.webp"]
    assert len(errors.splitlines()) == 1
    assert "no.jpg" in errors
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    (tmp_path / "half.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    for name in ("text.jpg", "half.png", "none.jpg"):
        code, _, errors = typed("tags", "recommend", tmp_path / name, *rest)
        assert code == 2
        assert len(errors.splitlines()) == 1
        assert name in errors


def test_a_student_knows_which_network_its_features_are_of(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "means.py").write_text(
        "def colours(images):\n    return images.mean((2, 3))\n\n\n"
        "def nothing(images):\n    return images.mean((2, 3)) / 0 * 0\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    chance = np.random.default_rng(0)
    photos = [f"p{row}" for row in range(120)]
    lists = [[["red", "green", "blue"][row % 3], "photo"] for row in range(120)]
    pl.DataFrame({"photo": photos, "tags": lists, "text": ["by me"] * 120}).write_parquet(
        tmp_path / "t.parquet"
    )
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
    for wrong, parts in (
        (["--network", "means:colours", "--largest", 255], ("largest 1.0 there, 255.0 here",)),
        (["--network", "means:colours", "--most", 0], ("--most",)),
        (["--network", "means:colours", "--deviation", "nan", "1", "1"], ("deviations", "nan")),
        (["--network", "means:nothing"], ("finite",)),
    ):
        code, printed, errors = typed(*recommend, *wrong)
        assert (code, printed) == (2, ""), wrong
        assert len(errors.splitlines()) == 1
        assert all(part in errors for part in parts), errors
    code, _, errors = typed(*recommend[:3], "--student", tmp_path / "t.parquet", "--network", "means:colours")
    assert (code, "t.parquet is no student" in errors) == (2, True)
    # The same file with other photos is another table, and its results are not the old ones.
    attach(tmp_path / "t.parquet", photos, features + 1, tmp_path / "with.parquet", network.identity)
    code, _, errors = typed(*command)
    assert (code, "another configuration (data_sha256" in errors) == (2, True)


def test_wrong_calls_are_told_in_a_line(typed: Command, tmp_path: Path) -> None:
    for command, part in (
        (["tags", "compare", "--data", tmp_path / "none.parquet", "--out", tmp_path / "o"], "none.parquet"),
        (["tags", "compare", "--seeds", 0], "--seeds"),
        (["tags", "compare", "--count", 0, "--out", tmp_path / "o"], "at least 1"),
        (["tags", "compare", "--baselines", "knn,foo", "--out", tmp_path / "o"], "'foo'"),
        (
            [
                "tags",
                "features",
                tmp_path / "no.parquet",
                "--images",
                tmp_path,
                "--out",
                tmp_path / "o",
                "--network",
                "a:b",
            ],
            "no.parquet",
        ),
        (["reproduce", "table2"], "--table"),
        (["reproduce", "table2", "--table", "x.parquet", "--cells", "many"], "many"),
        (["tags", "prepare", tmp_path / "none.bz2", "--out", tmp_path / "p"], "none.bz2"),
    ):
        code, _, errors = typed(*command)
        assert code == 2, command
        assert len(errors.splitlines()) == 1
        assert part in errors
        assert not (tmp_path / "o").exists()


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = [
        TagRecord("popular", "knn", 0, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        TagRecord("popular", "kdgan", 0, (0.2, 0.3, 0.4, 0.5, 0.7, 0.8)),
        TagRecord("popular", "kdgan", 1, (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)),
    ]
    write_records(tmp_path / "r.csv", records)
    assert read_records(tmp_path / "r.csv") == records
    knn, kdgan = table2(records)
    assert knn[:3] == ["popular", "knn", "1"]
    assert knn[-2:] == ["+0.2000", "0.5755"]
    assert kdgan[7].startswith("0.6500 ±")
    (tmp_path / "r.csv").write_text("tags,method\n", encoding="utf-8")
    assert read_records(tmp_path / "r.csv") == []
    (tmp_path / "r.csv").write_text("tags,method\na,b\n", encoding="utf-8")
    with refused("r.csv"):
        read_records(tmp_path / "r.csv")
