"""The folder of one call of `distill`: what tells the call from others, where it began, and its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from kdgan.data.heldout import HeldOut
from kdgan.errors import wrong
from kdgan.files import locked
from kdgan.methods import Method
from kdgan.methods.sharing import alone, devices, is_first
from kdgan.references import find_callable, is_reference
from kdgan.training import checkpoint, identity
from kdgan.training.config import bind_folder
from kdgan.training.trainer import Trainer


class Home:
    """The folder in which a call goes on after a stop, or none.

    Args:
        folder: where; None keeps nothing.

    Raises:
        UsageError: if that is no path.
    """

    def __init__(self, folder: Path | str | None) -> None:
        if folder is not None and (
            not isinstance(folder, Path | str) or not str(folder) or "\0" in str(folder)
        ):
            raise wrong(f"folder must be a path, not {folder!r:.60}")
        self.path = None if folder is None else Path(folder)

    @contextmanager
    def open(self, call: Callable[[], dict[str, Any]], student: nn.Module) -> Iterator[None]:
        """Keeps others out of the folder for the block, and gives the student the weights that the call began with.

        Args:
            call: gives what tells this call from others, see `described`.
            student: what the folder, when it is new, keeps as the beginning.

        Raises:
            UsageError: if the folder belongs to another call or cannot be used.
        """
        if self.path is None or not is_first():  # of several processes one writes
            yield
            return
        with alone():
            values = call()
        try:
            bind_folder(self.path, "distill.json", values, "folder=")
            with locked(self.path, wait=devices() is None):
                _start_alike(student, self.path / "initial.safetensors")
                yield
        except OSError as error:
            raise wrong(f"folder {str(self.path)[:200]} cannot be used: {error.strerror or error}") from error

    def places(self, method: str, name: str) -> Callable[[str], Path | None]:
        """The folder of each thing that is trained: `name` for the method itself."""

        def place(what: str) -> Path | None:
            if self.path is None:
                return None
            return self.path / (name if what == method else f"{what}-pretraining")

        return place


def described(
    trainer: Trainer,
    held_out: Mapping[str, HeldOut],
    *,
    hyper: Mapping[str, Any],
    metrics: Mapping[str, object],
    trained: Collection[str],
) -> dict[str, Any]:
    """All that the result of a call depends on, as JSON holds it.

    `held_out` is what players are judged by, and what the student is chosen by where it is chosen, by name: what judges
    may change where nobody chooses by it, but never become, unseen, what has chosen.

    Weights that were drawn are other ones each time a program is started, and no part of it; those of players that are
    `trained` are.

    Raises:
        UsageError: for what a folder cannot keep, or data that are not the same when they are read again.
    """
    own, choice = trainer.own, trainer.choice
    common = identity.of_call(
        trainer.data,
        held_out,
        trainer.modules,
        training=trainer.training,
        family=trainer.family,
        augment=trainer.augment,
        metrics=metrics,
        feeds=[trainer.feed(trainer.seed) for _ in range(2)],
        updates=trainer.batches_read(),
        weights=trained,
    )
    return {
        **identity.of_method(trainer.kind, hyper),
        **common,
        "seed": trainer.seed,
        "features": _features(trainer.method),
        "optimizers": {role: identity.of_object(each) for role, each in own.optimizers.items()},
        "schedulers": {role: identity.of_object(each) for role, each in own.schedulers.items()},
        "choice": None
        if choice is None
        else {field.name: identity.of_object(getattr(choice, field.name)) for field in fields(choice)},
    }


def _features(method: Method) -> dict[str, Any] | None:
    """What the student is to learn from layers of the teacher."""
    if method.features is None:
        return None
    settings = method.features.settings
    loss = settings.loss
    known = find_callable(loss) if isinstance(loss, str) and is_reference(loss) else loss
    return {"layers": settings.layers, "loss": identity.of_object(known), "weight": settings.weight}


def _start_alike(student: nn.Module, file: Path) -> None:
    """The student as it was when the folder was new: after a stop, the control must begin where the student did."""
    if not file.exists():
        checkpoint.save(file, dict(student.state_dict()))
        return
    weights = checkpoint.load(file, dict[str, Any])
    checkpoint.check_state(student, weights, str(file))
    student.load_state_dict(weights)
