"""Examples without labels out of a file or folder of their own, in the form of those that have labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from kdgan.data.arrays import read_inputs
from kdgan.data.batch import Batch
from kdgan.data.cifar10 import holds_cifar10, read_cifar10
from kdgan.data.folder import read_images
from kdgan.data.forms import one_tensor
from kdgan.data.idx import holds_idx, read_mnist
from kdgan.data.images import ImageReader
from kdgan.data.join import join, without_labels
from kdgan.data.source import Part, Source, copies_in
from kdgan.data.unlike import check_range
from kdgan.errors import one_line, wrong


def with_unlabelled(
    source: Source, path: Path, *, skip_damaged: bool = False, progress: bool = True
) -> Source:
    """The source with the examples of a file or folder beside those of it that have no label.

    Labels that are there are not looked at, and of parts the training part alone is read.

    Args:
        source: images or vectors, of no table; what `kdgan.data.table.read_table` reads, it reads both.
        path: an `.npz` file, whose `targets` may be missing; or a folder of images (in it, or in folders within it), of
            IDX files or of the binary batches of CIFAR-10.
        skip_damaged: leave out images of a folder that cannot be read.
        progress: show bars on stderr, where that is a terminal.

    Raises:
        UsageError: for what cannot be read, or examples of another form.
    """
    shape = tuple(source.train.tensor.shape[1:])
    notes: list[str] = []
    if path.is_dir() and (holds_idx(path) or holds_cifar10(path)):
        found = (read_mnist if holds_idx(path) else read_cifar10)(path, name=path.name, progress=progress)
        kind, batch = found.kind, without_labels(found.train)
    elif path.is_dir():
        if source.kind != "image":
            raise wrong(f"{path} is a folder of images, and {source.name} has none")
        part, notes = read_images(path, ImageReader.of(shape), skip_damaged=skip_damaged, progress=progress)
        kind, batch = "image", _batch(part)
    elif path.suffix.lower() == ".npz":
        part, kind = read_inputs(path, name=path.name)
        batch = _batch(part)
    else:
        raise wrong(
            f"{path} holds no examples that fit {source.name}: expected an .npz file, a folder of images, of IDX files "
            "or of CIFAR-10 batches, or beside a table another one"
        )
    _check_form(source, path, kind, batch)
    told = check_range(batch, source.train, path.name, source.name)
    copies = copies_in(source.test.tensor.numpy(), batch.tensor.numpy())
    every = batch if source.unlabelled is None else join([source.unlabelled, batch])
    notes = [f"{path.name}: {note}" for note in notes]
    notes += [f"{len(batch):,} examples without labels from {path.name}", *told]
    if copies > len(source.test) / 100:
        notes.append(f"{copies:,} of {len(source.test):,} test examples are among those of {path.name}, too")
    return replace(source, unlabelled=every, notes=(*source.notes, *map(one_line, notes)))


def _batch(part: Part) -> Batch:
    privileged = None if part.privileged is None else torch.from_numpy(part.privileged)
    return Batch(torch.from_numpy(part.inputs.copy()), None, privileged)  # type: ignore[arg-type]


def _check_form(source: Source, path: Path, kind: str, batch: Batch) -> None:
    shapes = [tuple(part.tensor.shape[1:]) for part in (source.train, batch)]
    if kind != source.kind or shapes[0] != shapes[1]:
        raise wrong(
            f"{path} holds {kind}s of shape {shapes[1]}, but {source.name} {source.kind}s of shape {shapes[0]}"
        )
    if not len(batch):
        raise wrong(f"{path} holds no examples")
    known = [
        None if part.privileged is None else one_tensor(part.privileged) for part in (source.train, batch)
    ]
    widths = [0 if each is None else each.shape[1] for each in known]
    if widths[0] != widths[1]:
        raise wrong(
            f"{path} has {widths[1] or 'no'} privileged columns, but {source.name} {widths[0] or 'none'}: examples "
            "without labels need the same"
        )
