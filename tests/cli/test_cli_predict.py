"""`kdgan predict` as a user types it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import kdgan
from commands import Command, refuses
from kdgan.tagging.images.features import attach
from kdgan.tagging.images.networks import load_network
from kdgan.tasks.config import from_plain
from kdgan.tasks.run import task_of
from kdgan.training.evaluate import logits_of

POOLING = (
    "def pooled(images):\n    return images.reshape(len(images), 3, 8, 4, 8, 4).mean((3, 5)).flatten(1)\n"
)
MEANS = (
    "def colours(images):\n    return images.mean((2, 3))\n\n\n"
    "def nothing(images):\n    return images.mean((2, 3)) / 0 * 0\n"
)


def trained(typed: Command, out: Path, *options: Any) -> Path:
    """The folder of a run."""
    code, _, errors = typed("train", *options, "--steps", 3, "--out", out)
    assert (code, errors) == (0, "")
    return out


def test_part(run: Path) -> tuple[tuple[str, ...], torch.Tensor]:
    """Labels and probabilities of the test part, as the run itself sees it."""
    task = task_of(from_plain(json.loads((run / "config.json").read_text())), None)
    module = task.load(run / "student.safetensors").module
    return task.labels, logits_of(module, task.test).softmax(1)


test_part.__test__ = False  # type: ignore[attr-defined]


def odd_photo(path: Path, row: int, rng: np.random.Generator) -> None:
    """A photo of one of many kinds."""
    size = tuple(int(side) for side in rng.integers(5, 90, 2))
    colour = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    kind = row % 9
    if kind == 0:
        exif = Image.Exif()
        exif[0x0112] = 1 + row % 8
        colour.save(path.with_suffix(".jpg"), exif=exif)
    elif kind == 1:
        colour.convert("CMYK").save(path.with_suffix(".jpg"))
    elif kind == 2:
        colour.quantize(16).save(path.with_suffix(".png"))
    elif kind == 3:
        alpha = Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
        colour.putalpha(alpha)
        colour.save(path.with_suffix(".png"))
    elif kind == 4:
        Image.fromarray(rng.integers(0, 2**16, size).astype(np.uint16)).save(path.with_suffix(".png"))
    elif kind == 5:
        colour.save(path.with_suffix(".webp"))
    elif kind == 6:
        colour.save(path.with_suffix(".gif"))
    elif kind == 7:
        colour.convert("L").save(path.with_suffix(".tiff"))
    else:
        colour.convert("1").save(path.with_suffix(".bmp"))


def test_photos_of_all_kinds_are_as_in_the_run(typed: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 27)):
        for name in ("cats", "dogs"):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for row in range(count):
                odd_photo(tmp_path / "photos" / part / name / f"{row:03}", row, rng)
    run = trained(
        typed, tmp_path / "run", "--data", tmp_path / "photos", "--method", "supervised", "--labels", 20
    )
    labels, chances = test_part(run)
    code, printed, errors = typed("predict", run, tmp_path / "photos" / "test", "--json")
    assert (code, errors) == (0, "")
    found = json.loads(printed)
    assert [Path(each["input"]).parent.name for each in found] == ["cats"] * 27 + ["dogs"] * 27
    for each, row in zip(found, chances, strict=True):
        likely = dict(zip(each["labels"], each["probabilities"], strict=True))
        assert [likely[label] for label in labels] == row.tolist()  # bit for bit
    student = kdgan.load(run)
    photos = [each["input"] for each in found]
    assert [each.probabilities for each in student.predict(photos)] == [
        tuple(each["probabilities"]) for each in found
    ]
    alone = [student.predict(photo)[0].probabilities for photo in photos[::7]]
    assert alone == [tuple(each["probabilities"]) for each in found[::7]]
    # The others are predicted all the same.
    code, printed, errors = typed("predict", run, photos[0], tmp_path / "none.jpg", photos[2], "--most", 1)
    assert code == 2
    assert [line.split(":")[0] for line in printed.splitlines()] == [photos[0], photos[2]]
    assert len(errors.splitlines()) == 1
    assert "none.jpg" in errors


def test_rows_of_a_table_are_as_in_the_run(typed: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["größe;ort;seit;preis;label;split"]
    for row in range(120):
        size = f"{rng.normal():.3f}".replace(".", ",") if row % 7 else "n/a"
        place = ["Köln", "Bonn", ""][int(rng.integers(3))]
        label, part = ["ja", "nein"][row % 2], "train" if row < 80 else "test"
        lines.append(f"{size};{place};{1 + row % 28}.3.2024;€{rng.integers(1, 999)};{label};{part}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines), encoding="cp1252")
    run = trained(typed, tmp_path / "run", "--data", table, "--target", "label", "--method", "supervised")
    labels, chances = test_part(run)
    rest = tmp_path / "rest.csv"
    rest.write_text("\n".join([lines[0], *lines[81:]]), encoding="cp1252")
    code, printed, errors = typed("predict", run, rest, "--csv")
    assert code == 0
    assert f"{rest}: not read: 'label', 'split'\n" in errors
    found = list(csv.DictReader(io.StringIO(printed)))
    assert len(found) == 80
    for row, likely in enumerate(chances):
        mine = {each["label"]: float(each["probability"]) for each in found[2 * row : 2 * row + 2]}
        assert [mine[label] for label in labels] == likely.tolist()
        assert found[2 * row]["input"] == f"{rest} row {row + 1}"
    with pytest.warns(UserWarning, match="not read"):
        one = kdgan.load(run).predict([dict(zip(lines[0].split(";"), lines[81].split(";"), strict=True))])
    assert one[0].probabilities == tuple(float(each["probability"]) for each in found[:2])
    rest.write_text("größe;ort;seit;preis\nviel;Bonn;1.3.2024;€5", encoding="utf-8")
    assert refuses(typed, "predict", run, rest, parts=("größe", "viel", "row 1"))
    rest.write_text("größe;ort;seit;preis", encoding="utf-8")
    code, _, errors = typed("predict", run, rest)
    assert (code, errors) == (2, f"kdgan: {rest}: rest.csv has no rows\n")
    rest.write_text("größe;ort;seit\n1,0;Bonn;1.3.2024", encoding="utf-8")
    assert refuses(typed, "predict", run, rest, parts=("no column 'preis'",))


def test_arrays_are_taken_as_they_are(typed: Command, tmp_path: Path) -> None:
    run = trained(typed, tmp_path / "run", "--data", "digits", "--method", "supervised")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    np.savez(tmp_path / "x.npz", inputs=pixels[:, 0])
    printed = [typed("predict", run, tmp_path / name, "--most", 2)[1] for name in ("x.npy", "x.npz")]
    assert printed[0].replace(".npy", ".npz") == printed[1]
    assert len(printed[0].splitlines()) == 5
    for wrong, parts in (
        ([tmp_path / "x.npy", "--most", 0], ("--most", "from 1 to 10,000")),
        ([tmp_path / "x.npy", "--json", "--csv"], ("--json and --csv",)),
        ([tmp_path / "run" / "config.json"], ("of no kind that can be predicted",)),
        ([tmp_path / "none"], ("none",)),
        ([tmp_path / "none.csv"], ("none.csv",)),
        ([tmp_path / "x.npy", "--device", "abacus"], ("abacus",)),
    ):
        assert refuses(typed, "predict", run, *wrong, parts=parts)
    (tmp_path / "empty").mkdir()
    assert refuses(typed, "predict", run, tmp_path / "empty", parts=("holds no images",))
    assert refuses(
        typed, "predict", tmp_path / "empty", tmp_path / "x.npy", parts=("does not exist", "finished")
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
    rest = ["--network", "pooling:pooled", "--size", 32, "--most", 3]
    code, printed, errors = typed("predict", student, *images, *rest)
    assert (code, errors) == (0, "")
    lines = printed.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(image) for image in images]
    assert all(line.count("%") == 3 for line in lines)
    # The others have tags all the same.
    code, printed, errors = typed("predict", student, images[0], tmp_path / "no.jpg", images[2], *rest)
    assert code == 2
    assert [line.split(":")[0].rsplit("/")[-1] for line in printed.splitlines()] == ["a.png", "c.webp"]
    assert len(errors.splitlines()) == 1
    assert "no.jpg" in errors
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    (tmp_path / "half.png").write_bytes(images[0].read_bytes()[:500])
    for name in ("text.jpg", "half.png", "none.jpg"):
        assert refuses(typed, "predict", student, tmp_path / name, *rest, parts=(name,))


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
    predict = ["predict", student, tmp_path / "a.png", "--size", 8]
    assert typed(*predict, "--network", "means:colours")[0] == 0
    # The folder of the run will do as well.
    folder = ["predict", student.parent, *predict[2:]]
    assert typed(*folder, "--network", "means:colours")[0] == 0
    for wrong, parts in (
        (["--network", "means:colours", "--largest", 255], ("largest 1.0 there, 255.0 here",)),
        (["--network", "means:colours", "--most", 0], ("--most", "from 1 to 10,000")),
        (["--network", "means:colours", "--most", 10**12], ("--most", "from 1 to 10,000")),
        (["--network", "means:colours", "--deviation", "nan", "1", "1"], ("deviations", "nan")),
        (["--network", "means:nothing"], ("finite",)),
    ):
        assert refuses(typed, *predict, *wrong, parts=parts)
    for other in ("t.parquet", "none.safetensors", "a.png"):
        wrong = ["predict", tmp_path / other, *predict[2:], "--network", "means:colours"]
        assert refuses(typed, *wrong, parts=(other,))
    # The same file with other photos is another table, and its results are not the old ones.
    attach(tmp_path / "t.parquet", photos, features + 1, tmp_path / "with.parquet", network.identity)
    assert refuses(typed, *command, parts=("another configuration (data.sha256",))
