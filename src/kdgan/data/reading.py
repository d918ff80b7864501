"""Read the data set that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdgan.data.arrays import read_npz
from kdgan.data.breast_cancer import read_breast_cancer
from kdgan.data.cifar10 import holds_cifar10, read_cifar10
from kdgan.data.delimited import PACKED, SUFFIXES
from kdgan.data.digits import read_digits
from kdgan.data.encoding import Missing
from kdgan.data.folder import read_folder
from kdgan.data.idx import holds_idx, read_mnist
from kdgan.data.source import Source, listing, unreadable
from kdgan.data.table import read_table
from kdgan.data.unlabelled import with_unlabelled
from kdgan.errors import wrong

KNOWN = ("digits", "breast-cancer", "mnist", "cifar10")
BUNDLED = {"digits": read_digits, "breast-cancer": read_breast_cancer}
# Which data each option of `load` belongs to, as the errors say it.
_BELONGS = {
    "data_dir": "it says where the files of mnist or cifar10 are",
    "target": "it names a column of a table (.csv, .tsv or .parquet)",
    "privileged": "it names columns of a table (.csv, .tsv or .parquet)",
    "exclude": "it names columns of a table (.csv, .tsv or .parquet)",
    "missing": "it is about values of a table (.csv, .tsv or .parquet)",
    "image_size": "it resizes a folder of images",
    "skip_damaged": "it is about a folder of images",
}


def load(
    data: str | Path,
    *,
    data_dir: str | Path | None = None,
    target: str | None = None,
    privileged: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    missing: Missing | None = None,
    image_size: int | None = None,
    skip_damaged: bool = False,
    unlabelled: str | Path | None = None,
    progress: bool = True,
) -> Source:
    """Read a data set.

    Args:
        data: "digits" or "breast-cancer" (bundled with scikit-learn), "mnist" or "cifar10" (downloaded once), or the
                path of
            - a folder that holds IDX files as MNIST does, or the binary batches of CIFAR-10;
            - a folder with one folder of images per class, or with such folders `train` and `test`, and `val`;
            - an `.npz` file of arrays, or a `.csv`, `.tsv` (both may be packed) or `.parquet` table.
        data_dir: for mnist and cifar10, the folder that has the files; then nothing is downloaded.
        target: for tables, the column of the labels.
        privileged: for tables, the columns known only while training.
        exclude: for tables, columns to leave out.
        missing: for tables, whether to impute (the default) or refuse values that are missing.
        image_size: for folders of images, the side in pixels to which all are resized.
        skip_damaged: for folders of images, leave out those that cannot be read.
        unlabelled: a file or folder of further examples for training, whose labels are not looked at: beside a table
            another one with the same inputs; otherwise see `kdgan.data.unlabelled`.
        progress: show bars on stderr, where that is a terminal.

    Returns:
        The source, with the test part that the data give or otherwise a fixed stratified fifth of them.

    Raises:
        UsageError: for everything that cannot be read, in one line that says what and where.

    Example:
        >>> source = load("digits")
        >>> len(source.train), len(source.test), source.train.inputs.shape[1:]
        (1437, 360, torch.Size([1, 8, 8]))
    """
    data = str(data)
    options = {
        "data_dir": data_dir,
        "target": target,
        "privileged": privileged or None,
        "exclude": exclude or None,
        "missing": missing,
        "image_size": image_size,
        "skip_damaged": skip_damaged or None,
    }
    given = {option for option, value in options.items() if value is not None}
    more = None if unlabelled is None else _existing(str(unlabelled))
    if data in KNOWN:
        _only(given, data, *([] if data in BUNDLED else ["data_dir"]))
        source = _known(data, None if data_dir is None else Path(data_dir), progress)
    else:
        source = _own(data, options, given, more, progress)
    if more is not None and data in BUNDLED and source.columns:
        raise wrong(
            f"{data} is a bundled table, below which no other can be read: say unlabelled='rest', or leave it out"
        )
    if more is None or source.columns:  # a table has been read with the other one below it
        return source
    return with_unlabelled(source, more, skip_damaged=skip_damaged, progress=progress)


def _known(data: str, folder: Path | None, progress: bool) -> Source:
    if data in BUNDLED:
        return BUNDLED[data]()
    return (read_mnist if data == "mnist" else read_cifar10)(folder, progress=progress)


def _own(
    data: str, options: dict[str, Any], given: set[str], unlabelled: Path | None, progress: bool
) -> Source:
    path = _existing(data)
    name = path.resolve().name or str(path)
    if path.is_dir():
        if holds_idx(path) or holds_cifar10(path):
            _only(given, data)
            return (read_mnist if holds_idx(path) else read_cifar10)(path, name=name)
        _only(given, data, "image_size", "skip_damaged")
        return read_folder(
            path,
            name=name,
            image_size=options["image_size"],
            skip_damaged=bool(options["skip_damaged"]),
            progress=progress,
        )
    if not path.is_file():
        raise wrong(f"{data} is neither a file nor a folder, but a device or something like it")
    packed = path.suffix.lower() in PACKED
    suffix = Path(path.stem if packed else path).suffix.lower()
    if suffix == ".npz" and not packed:
        _only(given, data)
        return read_npz(path, name=name)
    if suffix in SUFFIXES or (suffix == ".parquet" and not packed):
        _only(given, data, "target", "privileged", "exclude", "missing")
        return read_table(
            path,
            name=name,
            target=options["target"],
            privileged=options["privileged"] or (),
            exclude=options["exclude"] or (),
            missing=options["missing"] or "impute",
            unlabelled=unlabelled,
        )
    raise wrong(
        f"{data} is of no kind that can be read: expected a folder, or a file .npz, .parquet, .csv or .tsv (these two "
        f"may be packed: {', '.join(PACKED)})"
    )


def _existing(data: str) -> Path:
    try:
        if data and Path(data).exists():
            return Path(data)
    except OSError as error:
        raise unreadable(data, error) from error
    if "/" in data or "\\" in data or Path(data).suffix:
        raise wrong(f"the path {data} does not exist")
    raise wrong(f"unknown data {data!r}: known are {listing(KNOWN)}, or give the path of a folder or file")


def _only(given: set[str], data: str, *fitting: str) -> None:
    for option in sorted(given.difference(fitting)):
        raise wrong(f"{option} does not fit the data {data}: {_BELONGS[option]}")
