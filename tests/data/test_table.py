"""Tables of one's own."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from data_files import both
from kdgan.data.reading import load
from support import refused

TABLE = {
    "age": [1.5, 2.0, 3.0, 4.0, 5.0, 6.0],
    "city": ["Oslo", "Rome", "Oslo", None, "Rome", "Bern"],
    "member": [True, False, True, True, False, False],
    "later": [10, 20, 30, 40, 50, 60],
    "kind": ["x", "y", "x", "y", "x", "y"],
    "split": ["train", "train", "train", "train", "test", "test"],
}


def write_table(tmp_path: Path, suffix: str = ".csv", **change: list[object] | None) -> Path:
    columns = {name: values for name, values in (TABLE | change).items() if values is not None}
    path = tmp_path / f"people[1]*{suffix}"
    frame = pl.DataFrame(columns, strict=False)
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_read_with_text_as_one_column_per_value(tmp_path: Path, suffix: str) -> None:
    source = load(write_table(tmp_path, suffix), target="kind", privileged=("later",))
    assert (source.name, source.kind, source.classes) == (f"people[1]*{suffix}", "vector", ("x", "y"))
    assert source.columns == ("age", "city=Oslo", "city=Rome", "member")
    assert source.train.inputs.dtype == torch.float64
    assert source.train.inputs.tolist() == [[1.5, 1, 0, 1], [2, 0, 1, 0], [3, 1, 0, 1], [4, 0, 0, 1]]
    # Bern is not in the training part: no column is made for it.
    assert source.test.inputs.tolist() == [[5, 0, 1, 0], [6, 0, 0, 0]]
    assert source.train.privileged.tolist() == [[10], [20], [30], [40]]
    assert source.test.privileged.tolist() == [[50], [60]]
    assert source.train.targets.tolist() == [0, 1, 0, 1]


def test_without_a_column_split_a_fixed_fifth_is_the_test_part(tmp_path: Path) -> None:
    source = load(write_table(tmp_path, city=None, split=None), target="kind")
    assert (len(source.train), len(source.test)) == (4, 2)
    assert source.columns == ("age", "member", "later")
    assert sorted(both(source)[:, 2].tolist()) == TABLE["later"]


@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        ([3, 11, 3, 11, 3, 11], ("3", "11")),
        ([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], ("0.0", "1.0")),
        ([True, False] * 3, ("False", "True")),
        (["10", "x"] * 3, ("10", "x")),
    ],
)
def test_labels_may_be_numbers_truth_values_or_text(
    tmp_path: Path, kind: list[object], classes: tuple[str, ...]
) -> None:
    source = load(write_table(tmp_path, kind=kind), target="kind")
    classes = tuple(name.lower() for name in classes) if kind[0] is True else classes  # as Polars writes them
    assert source.classes == classes
    assert source.test.targets.tolist() == [classes.index(str(value).lower()) for value in kind[4:]]


def test_a_column_split_may_be_the_target(tmp_path: Path) -> None:
    assert load(write_table(tmp_path, kind=None), target="split").classes == ("test", "train")


def test_categories_and_decimals_of_parquet_are_read(tmp_path: Path) -> None:
    path = write_table(tmp_path, ".parquet", split=None)
    frame = pl.read_parquet(path, glob=False).with_columns(
        pl.col("city").cast(pl.Categorical),
        pl.col("later").cast(pl.Decimal(10, 2)),
        pl.col("kind").cast(pl.Categorical),
    )
    frame.write_parquet(path)
    source = load(path, target="kind")
    assert source.classes == ("x", "y")
    assert sorted(both(source)[:, -1].tolist()) == TABLE["later"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {},
            {},
            "is a table: name its column of labels with --target; its columns are 'age', 'city', 'member'",
        ),
        (
            {},
            {"target": "Kind"},
            "has no column 'Kind': its columns are 'age', 'city', 'member', 'later', 'kind'",
        ),
        ({}, {"target": "kind", "privileged": ("z",)}, "has no column 'z': its columns are"),
        (
            {},
            {"target": "kind", "privileged": ("kind",)},
            "column 'kind' can be only one of: the target, privileged",
        ),
        ({}, {"target": "kind", "privileged": ("age", "age")}, "column 'age' can be only one of"),
        (
            {"city": None, "member": None, "later": None},
            {"target": "kind", "privileged": ("age",)},
            "no columns are left for the inputs besides 'kind', 'age'",
        ),
        (
            {"age": [1, 2, None, 4, None, 6]},
            {"target": "kind", "missing": "refuse"},
            "column 'age' has no value in 2 rows, the first of them row 3",
        ),
        (
            {"age": [1.0, 2, 3, 4, 5, float("-inf")]},
            {"target": "kind"},
            "column 'age' holds '-inf' in row 6, and must hold numbers up to 1e+100",
        ),
        ({"age": [1.0, 1e300, 3, 4, 5, 6]}, {"target": "kind"}, "in row 2, and must hold numbers up to"),
        (
            {"later": [1.0, None, 3, 4, 5, 6]},
            {"target": "kind", "privileged": ("later",), "missing": "refuse"},
            "column 'later' has no value in 1 rows, the first of them row 2",
        ),
        (
            {"kind": [None] * 6},
            {"target": "kind"},
            "column 'kind', the target, has no label in any row",
        ),
        (
            {"split": None},
            {"target": "age"},
            "6 of 6 labels ('1.5', '2.0', '3.0' and 3 more) have only one example, so they are no classes",
        ),
        (
            {"split": ["train"] * 5 + ["holdout"]},
            {"target": "kind"},
            "column 'split' holds 'holdout' in row 6: it must hold",
        ),
        ({"split": ["train"] * 5 + [None]}, {"target": "kind"}, "column 'split' holds None in row 6"),
        ({"split": [0, 0, 0, 0, 1, 1]}, {"target": "kind"}, "in row 1: it must hold 'train' or 'test'"),
        ({"split": ["train"] * 6}, {"target": "kind"}, "column 'split' holds 'test' in no row"),
        (
            {"split": ["test"] * 6},
            {"target": "kind", "privileged": ("later",)},
            "column 'split' holds 'train' in no row",
        ),
        (
            {"later": [None] * 6},
            {"target": "kind", "privileged": ("later",)},
            "no privileged columns are left (later: has no value",
        ),
        (
            {"kind": ["x", "x", "x", "x", "y", "y"]},
            {"target": "kind"},
            "class 'y' is in the test part but not",
        ),
        ({"kind": ["x"] * 6}, {"target": "kind"}, "all 6 examples are of the class 'x'"),
        (
            {},
            {"target": "kind", "exclude": ("kind",)},
            "column 'kind' can be only one of: the target, privileged",
        ),
        ({}, {"target": "kind", "exclude": ("z",)}, "has no column 'z'"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_that_do_not_fit_are_refused(
    tmp_path: Path, suffix: str, change: dict[str, list[object] | None], options: dict[str, Any], message: str
) -> None:
    with refused("" if "only one of" in message else f"people[1]*{suffix}", message):
        load(write_table(tmp_path, suffix, **change), **options)


def test_text_of_too_many_values_is_refused(tmp_path: Path) -> None:
    names = [f"person{number}" for number in range(120)]
    path = tmp_path / "t.csv"
    pl.DataFrame({"name": names[:50] * 10, "y": [0, 1] * 250}).write_csv(path)
    assert load(path, target="y").train.inputs.shape[1] == 50
    pl.DataFrame({"name": names, "z": [0, 2] * 60, "y": [0, 1] * 60}).write_csv(path)
    with refused("column 'name' is text with 96 different values in 96 rows", "at most 50", "--exclude"):
        load(path, target="y")
    assert load(path, target="y", exclude=("name",)).columns == ("z",)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = (
        f"name{i},{i % 5 if i else 'oops'},{'inf' if i == 3 else i % 4},{i % 7},{i % 2}" for i in range(60)
    )
    path.write_text("\n".join(["name,a,b,c,y", *lines]), encoding="utf-8")
    with refused(
        "t.csv: 3 problems: (1) ",
        "'a' holds numbers and",
        "(2) ",
        "'b' holds 'inf'",
        "(3) ",
        "'name' is text",
    ):
        load(path, target="y")
    assert load(path, target="y", exclude=("name", "a", "b")).columns == ("c",)


def test_missing_values_are_imputed_beside_a_column_that_says_where(tmp_path: Path) -> None:
    age = [1.0, None, 3.0, 5.0, None, 6.0]
    source = load(write_table(tmp_path, age=age, city=None, member=None, later=[None] * 6), target="kind")
    assert source.columns == ("age", "age missing")
    assert source.train.inputs.tolist() == [[1, 0], [3, 1], [3, 0], [5, 0]]  # 3 is the mean of 1, 3 and 5
    assert source.test.inputs.tolist() == [[3, 1], [6, 0]]
    assert source.notes == (
        "column 'split' decides the parts",
        "age: 2 missing",
        "later: has no value in any training row and is left out",
        "1 of 2 test examples are among the training ones, too",
    )


def test_a_column_split_may_give_a_validation_part(tmp_path: Path) -> None:
    path = write_table(tmp_path, split=["Train", "train", "train", "train", "test", "val"])
    source = load(path, target="kind", exclude=("city",))
    assert source.validation is not None
    assert (source.test.inputs[:, 0].tolist(), source.validation.inputs[:, 0].tolist()) == ([5], [6])


def test_a_class_of_one_example_is_for_training(tmp_path: Path) -> None:
    path = write_table(tmp_path, kind=["x", "y", "x", "y", "x", "rare"], split=None)
    source = load(path, target="kind")
    assert source.classes == ("rare", "x", "y")
    assert source.train.targets.bincount()[0] == 1
    assert source.notes == ("city: 1 missing", "one example alone, which is for training, of 'rare'")


def test_missing_texts_are_counted_as_numbers_are(tmp_path: Path) -> None:
    city = ["Oslo", None, "Oslo", "Rome", "Bern", None]
    source = load(write_table(tmp_path, city=city, later=["a", "a", "b", "b", None, "a"]), target="kind")
    assert source.notes[1:3] == (
        "city: 2 missing; 1 rows hold what no training row holds",
        "later: 1 missing",
    )


def test_nested_columns_are_refused(tmp_path: Path) -> None:
    with refused("column 'age' holds List(Int64), of which no numbers can be made"):
        load(write_table(tmp_path, ".parquet", age=[[1, 2]] * 6), target="kind")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv is empty"),
        (b"a,y\n", "t.csv has no rows"),
        (b"a,y,a\n1,2,3\n", "t.csv has more than one column 'a'"),
        (b"a,y\n1,2\n1,2,3\n", "t.csv has 3 cells in line 3 ('1', '2', '3'), but 2 in its header"),
        (b"a,b,y\n1,2,3\n1,2\n", "t.csv has 2 cells in line 3 ('1', '2'), but 3 in its header"),
        (b"a,y\n\0,2\n", "t.csv holds NUL characters"),
        (b"\xff\xfea,y", "t.csv begins like UTF-16 and is none"),
        (b'a,y\n"open,2\n', "t.csv "),
    ],
)
def test_malformed_csv_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with refused(message):
        load(tmp_path / "t.csv", target="y")


def test_a_byte_order_mark_does_not_belong_to_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfy,a\r\n0,1\r\n1,2\r\n0,3\r\n1,4\r\n")
    assert load(tmp_path / "t.csv", target="y").columns == ("a",)


def test_malformed_parquet_files_are_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path, ".parquet")
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content in (b"", b"PAR1", whole[:-20], whole[:middle] + b"\xff" * 30 + whole[middle + 30 :]):
        path.write_bytes(content)
        with refused("people[1]*.parquet"):
            load(path, target="kind")


def test_a_panic_of_polars_is_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(_: object) -> None:
        raise pl.exceptions.PanicException("called unwrap\nat a line")

    path = write_table(tmp_path, ".parquet")
    monkeypatch.setattr(pl, "read_parquet", panic)
    with refused("cannot be read as a .parquet table: called unwrap"):
        load(path, target="kind")


def test_a_table_that_is_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with refused("holds no folders of images"):
        load(tmp_path / "t.csv")


def test_all_columns_that_are_not_there_are_named_at_once(tmp_path: Path) -> None:
    with refused("no column 'nope', 'foo', 'bar'", "'age'"):
        load(write_table(tmp_path), target="nope", privileged=("foo",), exclude=("bar", "foo"))
