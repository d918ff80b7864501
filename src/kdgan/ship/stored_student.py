"""What a student's file holds, checked before anything is built of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data.images import ImageReader
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableReader
from kdgan.data.targets import Kind
from kdgan.errors import KdganError, failed, wrong
from kdgan.nets import build
from kdgan.references import find_callable, is_reference
from kdgan.training import checkpoint


@dataclass(frozen=True, slots=True)
class StoredStudent:
    """What a student's file holds, see `kdgan.Student`."""

    network: str | None
    make: str | None
    shape: list[int] | None
    labels: list[str]
    kind: Kind
    mean: Tensor | None
    std: Tensor | None
    images: ImageReader | None
    table: TableReader | None
    features: dict[str, Any] | None
    weights: dict[str, Tensor]

    @staticmethod
    def read(path: Path) -> StoredStudent:
        """What is in a file.

        Raises:
            UsageError: if it is missing, damaged, or describes what no student can be.
        """
        if not path.exists():
            raise wrong(f"{path} does not exist: {_instead(path.parent)}")
        if not path.is_file():
            raise wrong(f"{path} is neither the file of a student nor the folder of a run")
        stored = checkpoint.load(path, StoredStudent, "it should hold a student")
        stored._check(f"{path}, which should hold a student,")
        return stored

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all.

        Raises:
            UsageError: if there can be no file of that name.
        """
        self._check(f"what {path} should hold")
        tree = {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "images": None if self.images is None else asdict(self.images),
            "table": None if self.table is None else asdict(self.table),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(path, tree)
        except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise wrong(f"{path} cannot be written: {error.strerror or error}") from error

    @property
    def scale(self) -> Scale | None:
        """Of raw inputs, or None."""
        return None if self.mean is None or self.std is None else Scale(self.mean, self.std)

    @property
    def outputs(self) -> int:
        """K, logits of the module for each instance."""
        return 1 if self.kind == "binary" else len(self.labels)

    def module(self, path: Path, given: nn.Module | None, *, trust: bool) -> nn.Module:
        """The module with its weights, in `eval()` mode.

        Args:
            path: of the file, for messages.
            given: takes the weights, or None.
            trust: whether to import what the file names.

        Raises:
            UsageError: if the weights are of another module, or nobody knows of which.
        """
        if given is None and self.network is not None and not is_reference(self.network):
            with torch.device("meta"):  # nothing is allocated before the file's weights are known to fit
                module = build(self.network, self.shape or (), self.outputs)
            checkpoint.check_state(module, self.weights, str(path))
            module.to_empty(device="cpu")
        else:
            module = self._own(path, trust=trust) if given is None else given
            checkpoint.check_state(module, self.weights, str(path))
        module.load_state_dict(self.weights)
        return module.eval()

    def _own(self, path: Path, *, trust: bool) -> nn.Module:
        """A fresh module of its owner's."""
        named = self.network or self.make
        if named is None:
            raise wrong(f"{path} has a network of its owner's: pass a fresh one as module=")
        if not trust:
            raise wrong(
                f"{path} has the network {named[:100]}: pass a fresh one as module=, or trust=True imports it"
            )
        if self.network is not None:
            return build(self.network, self.shape or (), self.outputs)
        make = find_callable(named)
        try:
            made: Any = make()
        except KdganError:
            raise
        except Exception as error:  # of any kind: it is somebody's own
            raise failed(error, f"{named}, which makes the network of {path},") from error
        if not isinstance(made, nn.Module):
            raise wrong(
                f"{named}, which makes the network of {path}, gives {type(made).__name__}, no torch.nn.Module"
            )
        return made

    def _check(self, what: str) -> None:
        """Raises a UsageError for what no student can be."""
        shape = None if self.shape is None else tuple(self.shape)
        count = len(self.labels)
        if len(set(self.labels)) < count or count < (1 if self.kind == "multilabel" else 2):
            raise wrong(f"{what} has {count} labels, which do not tell classes apart")
        if self.kind == "binary" and count != 2:
            raise wrong(f"{what} is of a binary task and has {count} labels")
        if shape is not None and (not shape or min(shape) < 1):
            raise wrong(f"{what} has inputs of shape {shape}")
        if self.network is not None and (shape is None or len(shape) not in (1, 3)):
            raise wrong(f"{what} has the network {self.network[:100]} and inputs of shape {shape}")
        if self.images is not None and self.images.shape != shape:
            raise wrong(f"{what} has inputs of shape {shape} and reads images of shape {self.images.shape}")
        if self.table is not None and (self.table.width,) != shape:
            raise wrong(f"{what} has inputs of shape {shape} and reads {self.table.width} numbers of a table")
        if (self.mean is None) != (self.std is None) or (self.mean is not None and shape is None):
            raise wrong(f"{what} has half a scale, or one of inputs without a shape")
        if self.mean is None or self.std is None or shape is None:
            return
        fits = self.mean.shape == self.std.shape == (shape[0], *[1] * (len(shape) - 1))
        if not fits or not self.mean.isfinite().all() or not (self.std.isfinite() & (self.std > 0)).all():
            raise wrong(f"{what} has a scale that does not fit inputs of shape {shape}")


def _instead(folder: Path) -> str:
    """What to do where a folder holds no student."""
    if (folder / "comparison.json").is_file():
        return f"name one of the runs in {folder / 'runs'}"
    if (folder / "distill.json").is_file() or (folder.parent / "distill.json").is_file():
        return "save(PATH) of what kdgan.distill gave writes one"
    return "has its run finished?"
