"""Examples without labels out of files of their own, and out of those that hold others with labels."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from data_files import IMAGES, write_idx
from kdgan.data import Source
from kdgan.data.reading import load
from support import refused

ROWS = 12
VECTORS = np.arange(2 * ROWS, dtype=np.float64).reshape(ROWS, 2)
LABELS = np.array([0, 1, 2] * (ROWS // 3))


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def pictures(folder: Path, *shades: int, size: int = 6) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for shade in shades:
        Image.fromarray(np.full((size, size), shade, np.uint8)).save(folder / f"{shade}.png")
    return folder


def unlabelled(source: Source) -> list[float]:
    """The first number of each example without a label, which has none."""
    assert source.unlabelled is not None
    assert source.unlabelled.targets.tolist() == [-1] * len(source.unlabelled)
    return source.unlabelled.tensor.flatten(1)[:, 0].tolist()


@pytest.mark.parametrize("none", [-1, np.nan, ""])
def test_rows_of_arrays_that_have_no_label_are_set_apart(tmp_path: Path, none: object) -> None:
    labels = np.array([none if row in (1, 6) else label for row, label in enumerate(LABELS)])
    source = load(npz(tmp_path / "a.npz", x=VECTORS, y=labels, privileged=-VECTORS))
    assert unlabelled(source) == [2, 12]
    assert source.unlabelled is not None
    assert torch.equal(source.unlabelled.privileged, -source.unlabelled.tensor)
    assert len(source.classes) == 3
    seen = torch.cat([source.train.tensor, source.test.tensor])[:, 0]
    assert sorted(seen.tolist()) == [x for x in VECTORS[:, 0] if x not in (2, 12)]
    assert any("2 of 9 training examples have no label" in note for note in source.notes)
    assert any("-1 is taken for no label" in note for note in source.notes) == (none == -1)


def test_two_classes_that_are_minus_one_and_one_stay(tmp_path: Path) -> None:
    source = load(npz(tmp_path / "a.npz", x=VECTORS, y=np.array([-1, 1] * (ROWS // 2))))
    assert (source.classes, source.unlabelled) == (("-1", "1"), None)
    assert "-1 is taken for a class" in " ".join(source.notes)


def test_what_is_measured_needs_labels(tmp_path: Path) -> None:
    arrays = {"x": VECTORS, "y": LABELS, "test_inputs": VECTORS[:3]}
    source = load(npz(tmp_path / "a.npz", **arrays, test_targets=np.array([0, -1, 2])))
    assert source.test.tensor[:, 0].tolist() == [0, 4]
    assert source.unlabelled is None
    assert "1 of 3 test examples have no label and are left out" in source.notes
    with refused("a.npz: no example of the test part has a label"):
        load(npz(tmp_path / "a.npz", **arrays, test_targets=np.array([-1, -1, -1])))
    with refused("a.npz: no example has a label"):
        load(npz(tmp_path / "a.npz", x=VECTORS, y=np.full(ROWS, "")))


def test_a_hash_covers_what_has_no_label(tmp_path: Path) -> None:
    def of(change: float = 0.0, **options: Path) -> str:
        inputs = VECTORS.copy()
        inputs[1] += change
        return load(
            npz(tmp_path / "a.npz", x=inputs, y=np.where(np.arange(ROWS) == 1, -1, LABELS)), **options
        ).sha256

    assert of() == of()
    other = npz(tmp_path / "more.npz", x=VECTORS[:1])
    assert len({of(), of(1.0), of(unlabelled=other)}) == 3


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_tables_that_have_no_label_are_set_apart(tmp_path: Path, suffix: str) -> None:
    kinds = ["x" if row % 2 else "y" for row in range(ROWS)]
    kind = [None if row in (0, 5) else label for row, label in enumerate(kinds)]
    parts = ["test" if row > 8 else "train" for row in range(ROWS)]
    frame = pl.DataFrame({"a": VECTORS[:, 0], "b": VECTORS[:, 1], "kind": kind, "split": parts})
    source = load(write(frame, tmp_path / f"t{suffix}"), target="kind", privileged=("b",))
    assert unlabelled(source) == [0, 10]
    assert source.unlabelled is not None
    assert source.unlabelled.privileged.tolist() == [[1], [11]]
    assert (len(source.train), len(source.test)) == (7, 3)
    assert "2 of 9 training examples have no label" in source.notes
    # Without a split what has no label is all for training.
    apart = load(write(frame.drop("split"), tmp_path / f"t{suffix}"), target="kind")
    assert unlabelled(apart) == [0, 10]
    numbered = frame.with_columns(kind=pl.Series([0, 1, 2, -1] * (ROWS // 4)))
    assert unlabelled(load(write(numbered, tmp_path / f"n{suffix}"), target="kind")) == [6, 14]
    flags = frame.with_columns(kind=pl.Series([True, False, None] * (ROWS // 3)))
    assert load(write(flags.drop("split"), tmp_path / f"f{suffix}"), target="kind").classes in (
        ("False", "True"),
        ("false", "true"),
    )
    with refused("the target, has no label in any row"):
        load(write(frame.with_columns(kind=pl.lit(None, pl.String)), tmp_path / f"e{suffix}"), target="kind")


def write(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_another_table_gives_rows_without_labels_by_the_names_of_its_columns(
    tmp_path: Path, suffix: str
) -> None:
    count = 24
    frame = pl.DataFrame(
        {
            "row": range(count),
            "a": [float(row % 5) for row in range(count)],
            "city": ["Oslo", "Rome"] * (count // 2),
            "later": [row % 3 for row in range(count)],
            "kind": ["x", "y"] * (count // 2),
            "part": ["train"] * 20 + ["test"] * 4,
        }
    )
    more = pl.DataFrame(
        {"later": [7, 8], "city": ["Bern", "Rome"], "z": [1, 1], "a": [9.5, None], "row": [0, 1]}
    )
    files = write(frame, tmp_path / f"t{suffix}"), write(more, tmp_path / f"more{suffix}")
    source = load(files[0], target="kind", privileged=("later",), unlabelled=files[1])
    # A number of each row, which is left out, is that of the table with labels.
    assert source.columns == ("a", "a missing", "city=Bern", "city=Oslo", "city=Rome")
    assert source.unlabelled is not None
    assert source.unlabelled.tensor[0].tolist() == [9.5, 0, 1, 0, 0]
    assert source.unlabelled.tensor[1, 1:].tolist() == [1, 0, 0, 1]
    assert source.unlabelled.privileged.tolist() == [[7], [8]]
    assert (len(source.train), len(source.test)) == (20, 4)
    assert f"more{suffix}: not read: 'z'" in source.notes
    with refused(f"more{suffix} has no column 'city'"):
        load(files[0], target="kind", unlabelled=write(more.drop("city"), files[1]))
    other = write(more, tmp_path / ("o.parquet" if suffix == ".csv" else "o.csv"))
    with refused("must be a table of the same kind"):
        load(files[0], target="kind", unlabelled=other)
    if suffix == ".parquet":
        with refused("holds numbers in column 'city', and the table with labels text"):
            load(files[0], target="kind", unlabelled=write(more.with_columns(city=pl.lit(3)), files[1]))


@pytest.mark.parametrize("name", ["unlabelled", "Unlabeled"])
@pytest.mark.parametrize("beside", ["classes", "train", "parts"])
def test_a_folder_of_images_without_labels(tmp_path: Path, name: str, beside: str) -> None:
    root = tmp_path if beside == "classes" else tmp_path / "train"
    for label in "abc":
        pictures(root / label, 10, 20, 30)
        pictures(tmp_path / "test" / label, 5) if beside != "classes" else None
    where = tmp_path if beside == "parts" else root
    # Those with labels decide the size.
    pictures(where / name, 77, size=9)
    source = load(tmp_path)
    assert source.classes == ("a", "b", "c")
    assert source.train.tensor.shape[1:] == (1, 6, 6)
    assert unlabelled(source) == [77]
    notes = " ".join(source.notes)
    assert "taken for images without labels" in notes
    assert "training examples have no label" in notes
    assert "not read" not in notes


def test_images_for_testing_without_labels_are_left_out(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "test/a", "test/b", "test/unlabelled"):
        pictures(tmp_path / place, 10, 20)
    source = load(tmp_path)
    assert (len(source.test), source.unlabelled) == (4, None)
    assert "2 of 6 test examples have no label and are left out" in source.notes


def test_images_of_another_folder_take_the_form_of_those_with_labels(tmp_path: Path) -> None:
    for label in "ab":
        pictures(tmp_path / "main" / label, 10, 20, 30)
    more = pictures(tmp_path / "more", 50, size=3)
    Image.fromarray(np.full((9, 9, 3), 200, np.uint8)).save(pictures(more / "deeper") / "x.png")
    source = load(tmp_path / "main", unlabelled=more)
    assert source.unlabelled is not None
    assert source.unlabelled.tensor.shape == (2, 1, 6, 6)
    assert unlabelled(source) == [50, 200]
    (more / "y.png").write_bytes(b"no image")
    with refused("y.png", "--skip-damaged"):
        load(tmp_path / "main", unlabelled=more)
    assert unlabelled(load(tmp_path / "main", unlabelled=more, skip_damaged=True)) == [50, 200]
    with refused("holds no images"):
        load(tmp_path / "main", unlabelled=pictures(tmp_path / "nothing"))


def test_arrays_and_known_files_may_stand_beside_one_another(tmp_path: Path) -> None:
    idx = write_idx(tmp_path / "idx")
    more = npz(tmp_path / "more.npz", inputs=IMAGES[:3], test_inputs=IMAGES)
    assert unlabelled(load(idx, unlabelled=more)) == IMAGES[:3, 0, 0].tolist()
    assert unlabelled(load(idx, unlabelled=idx)) == IMAGES[:, 0, 0].tolist()
    digits = load("digits", unlabelled=pictures(tmp_path / "pictures", 10, 20))
    assert unlabelled(digits) == [10, 20]
    # Beside examples of the data's own that have no label.
    labels = np.where(np.arange(ROWS) == 3, -1, LABELS)
    own = npz(tmp_path / "own.npz", x=VECTORS, y=labels)
    assert unlabelled(load(own, unlabelled=npz(tmp_path / "v.npz", x=VECTORS[:1], y=LABELS[:1]))) == [6, 0]


def test_examples_in_other_units_are_refused(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).random((20, 4)).astype(np.float32)
    own = npz(tmp_path / "own.npz", x=shares, y=np.arange(20) % 2)
    with refused("bytes.npz", "in size", "own.npz", "the same units"):
        load(own, unlabelled=npz(tmp_path / "bytes.npz", x=shares * 255))
    odd = shares.copy()
    odd[:, 0] *= 1e6
    notes = load(own, unlabelled=npz(tmp_path / "odd.npz", x=odd)).notes
    assert any("inputs of odd.npz in column 0" in note and "are the units the same" in note for note in notes)
    assert not any("units" in note for note in load(own, unlabelled=npz(tmp_path / "v.npz", x=shares)).notes)
    grey = (16 * np.random.default_rng(1).random((20, 8, 8))).astype(np.uint8)
    pictures = npz(tmp_path / "grey.npz", x=grey, y=np.arange(20) % 2)
    with refused("bright.npz", "the same units"):
        load(pictures, unlabelled=npz(tmp_path / "bright.npz", x=grey * 16))
    thin = np.where(np.arange(8) == 3, grey, 0)  # drawings, most of which is black
    assert (
        load(pictures, unlabelled=npz(tmp_path / "thin.npz", x=thin.astype(np.uint8))).unlabelled is not None
    )


def test_a_column_of_a_table_in_other_units_is_told(tmp_path: Path) -> None:
    own, other = tmp_path / "own.csv", tmp_path / "other.csv"
    own.write_text("g,r,y\n" + "".join(f"{50 + row}.5,{row % 3}.1,{row % 2}\n" for row in range(20)))
    other.write_text(
        "g,r\n"
        + "".join(f"{50 + row}500,\n" for row in range(9))
        + "".join(f",{row}.1\n" for row in range(9))
    )
    notes = load(own, target="y", unlabelled=other).notes
    assert [note for note in notes if "units" in note] == [
        "g: in other.csv more than 50 times as large or as small as in own.csv: are the units the same?"
    ]


def test_beside_a_table_stands_another(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("x,y\n" + "".join(f"{row}.5,{row % 2}\n" for row in range(20)))
    for other in (npz(tmp_path / "other.npz", x=VECTORS), tmp_path):
        with refused(f"{other.name} is no table"):
            load(own, target="y", unlabelled=other)


def test_test_examples_among_those_without_labels_are_told(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).random((40, 4)).astype(np.float32)
    own = npz(tmp_path / "own.npz", x=shares, y=np.arange(40) % 2)
    tested = load(own).test
    more = npz(tmp_path / "more.npz", x=np.concatenate([shares[:3], tested.tensor.numpy()]))
    notes = load(own, unlabelled=more).notes
    assert f"{len(tested)} of {len(tested)} test examples are among those of more.npz, too" in notes


def test_no_table_can_be_read_below_a_bundled_one(tmp_path: Path) -> None:
    with refused("breast-cancer is a bundled table", "'rest'"):
        load("breast-cancer", unlabelled=npz(tmp_path / "more.npz", x=np.zeros((3, 30))))


@pytest.mark.parametrize(
    ("labelled", "more", "parts"),
    [
        (["2024-01-15", "2024-02-16", "2024-03-17"], ["01/15/2024", "02/20/2024"], ("dates", "01/15/2024")),
        (["57", "60", "61"], ["57 kg", "60 kg", "70 kg", "71 kg"], ("numbers", "57 kg")),
        (["true", "false", "false"], ["maybe", "perhaps"], ("truth values", "maybe")),
    ],
)
def test_a_table_without_labels_does_not_change_how_columns_are_read(
    tmp_path: Path, labelled: list[str], more: list[str], parts: tuple[str, ...]
) -> None:
    own, other = tmp_path / "own.csv", tmp_path / "other.csv"
    lines = [f"{value},{row % 2},{row / 7}" for row, value in enumerate(labelled * 4)]
    own.write_text("\n".join(["c,y,z", *lines]) + "\n")
    other.write_text("\n".join(["c,z", *(f"{value},{row / 3}" for row, value in enumerate(more))]) + "\n")
    with refused("column 'c'", "other.csv", *parts):
        load(own, target="y", unlabelled=other)


def test_categories_of_which_none_has_a_label_are_told(tmp_path: Path) -> None:
    own, other = tmp_path / "own.csv", tmp_path / "other.csv"
    own.write_text("c,y\n" + "".join(f"{'abc'[row % 3]},{row % 2}\n" for row in range(12)))
    other.write_text("c\nA\nB\nC\n")
    notes = load(own, target="y", unlabelled=other).notes
    assert any("c: no value of other.csv is among those with labels" in note for note in notes)


def test_examples_of_another_form_are_refused(tmp_path: Path) -> None:
    own = npz(tmp_path / "own.npz", x=VECTORS, y=LABELS, privileged=VECTORS)
    for arrays, parts in (
        ({"x": VECTORS}, ("has no privileged columns", "own.npz 2")),
        ({"x": VECTORS, "privileged": VECTORS[:, :1]}, ("has 1 privileged columns",)),
        ({"x": VECTORS[:, :1], "privileged": VECTORS}, ("vectors of shape (1,)", "(2,)")),
        ({"x": IMAGES}, ("images of shape (1, 5, 4)", "own.npz vectors")),
        ({"y": LABELS}, ("no array 'inputs'",)),
        ({"x": VECTORS, "privileged": VECTORS[:2]}, ("unequal lengths",)),
        ({"x": VECTORS[:0], "privileged": VECTORS[:0]}, ("holds no examples",)),
    ):
        with refused("more.npz", *parts):
            load(own, unlabelled=npz(tmp_path / "more.npz", **arrays))
    with refused("is a folder of images", "own.npz"):
        load(own, unlabelled=pictures(tmp_path / "images", 1))
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    with refused("t.csv holds no examples that fit own.npz"):
        load(own, unlabelled=tmp_path / "t.csv")
    with refused("the path nowhere.npz does not exist"):
        load(own, unlabelled="nowhere.npz")
