"""The choice of the reader, and options that do not fit it."""

from pathlib import Path
from typing import Any

import pytest

from kdgan.data.reading import load
from support import refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "cifar",
            "unknown data 'cifar': known are 'digits', 'breast-cancer', 'mnist', 'cifar10', or give the path",
        ),
        ("MNIST", "unknown data 'MNIST'"),
        ("", "unknown data ''"),
        ("no/such/folder", "the path no/such/folder does not exist"),
        ("table.csv", "the path table.csv does not exist"),
        ("a\nb\0", "unknown data 'a"),
    ],
)
def test_unknown_data_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with refused(message):
        load(data)


def test_a_name_too_long_for_the_system_is_refused() -> None:
    with refused("cannot read", "name too long"):
        load("a" * 5000)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.xls").write_text("a")
    with refused(
        "data.xls is of no kind that can be read: expected a folder, or a file .npz, .parquet, .csv or .tsv (these"
    ):
        load(tmp_path / "data.xls")


@pytest.mark.parametrize(
    ("data", "option", "message"),
    [
        ("digits", {"data_dir": Path()}, "data_dir does not fit the data digits: it says where"),
        ("mnist", {"target": "y"}, "target does not fit the data mnist: it names a column of a table"),
        (
            "cifar10",
            {"image_size": 8},
            "image_size does not fit the data cifar10: it resizes a folder of images",
        ),
        ("digits", {"privileged": ("a",)}, "privileged does not fit the data digits"),
        ("a.npz", {"target": "y"}, "target does not fit the data a.npz"),
        ("a.csv", {"image_size": 8}, "image_size does not fit the data a.csv"),
        ("a.csv", {"data_dir": Path()}, "data_dir does not fit the data a.csv"),
        ("pictures", {"target": "y"}, "target does not fit the data pictures"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str, option: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.npz").touch()
    Path("a.csv").touch()
    Path("pictures").mkdir()
    with refused(message):
        load(data, **option)


def test_a_folder_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def denied(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    with refused(f"cannot read {tmp_path}: Permission denied"):
        load(tmp_path)
