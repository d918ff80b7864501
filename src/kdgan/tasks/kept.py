"""The teacher that a run's folder keeps, for whoever wants to see it beside the student."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from kdgan.errors import UsageError, wrong
from kdgan.methods import find
from kdgan.nets import build
from kdgan.references import is_reference
from kdgan.ship.student import Student
from kdgan.stored import as_kind, read_json
from kdgan.tasks.config import BASELINES, ClassesData, Config, from_plain
from kdgan.tasks.run import TEACHER, pretraining_folder
from kdgan.training import checkpoint
from kdgan.training.self_training import last_stage


def kept_teacher(path: Path, student: Student, *, trust: bool = False) -> tuple[Student | None, str]:
    """The teacher of the run that a student is of, as a `Student` of the same inputs.

    Of a teacher that goes on learning, runs of earlier versions keep only what it was before, among the pretrained
    players that runs share.

    Args:
        path: of the run's folder, or of the file of the student in it.
        student: what takes the same inputs.
        trust: import the network or method of one's own that the run names: importing runs code.

    Returns:
        The teacher, and what it is in words; or None, and why there is none to be seen.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / "config.json").is_file():
        return None, f"{folder} is no run's folder, so no teacher is known"
    try:
        config = from_plain(read_json(folder / "config.json", dict[str, Any]))
        return _teacher(folder, config, student, trust=trust)
    except UsageError as error:
        return None, f"the teacher cannot be shown: {error}"


def _teacher(folder: Path, config: Config, student: Student, *, trust: bool) -> tuple[Student | None, str]:
    own = [name for name in (config.method, config.teacher) if is_reference(name)]
    if own and not trust:
        return None, f"the teacher is not shown, as that takes {own[0]}, which --trust imports"
    if config.method in BASELINES or "teacher" not in config.pretrained:
        return None, f"{config.method} has no teacher"
    if not isinstance(config.data, ClassesData) or config.data.privileged:
        return None, "the teacher is not shown, as it sees what the student does not"
    if student.shape is None:
        return None, "the teacher is not shown, as the student takes several tensors"
    found = teacher_weights(folder, config)
    if found is None:
        return None, f"{folder} keeps no teacher"
    file, weights = found
    with torch.device("meta"):
        module = build(config.teacher, student.shape, student.outputs)
    checkpoint.check_state(module, weights, str(file))
    module.to_empty(device="cpu").load_state_dict(weights)
    learned_on = "teacher" in find(config.method).trains
    when = f", as it was before {config.method}" if learned_on and file.name != TEACHER else ""
    return replace(student, module=module.eval(), network=config.teacher), f"{config.teacher}{when}"


@dataclass(frozen=True, slots=True)
class _Weights:
    """Content of the file of a teacher that went on learning."""

    weights: dict[str, torch.Tensor]


def teacher_weights(folder: Path, config: Config) -> tuple[Path, dict[str, torch.Tensor]] | None:
    """Weights of a run's teacher, and the file that holds them: in its folder where it went on learning, else among the
    pretrained players that runs share. None where they are gone.

    Raises:
        UsageError: for a damaged file.
    """
    own = folder / TEACHER
    if own.is_file():
        return own, checkpoint.load(own, _Weights, "it should hold a teacher").weights
    # Of `kdgan train` they lie in the folder; runs of one comparison share them.
    for store in (folder / "pretrained", folder.resolve().parent.parent / "pretrained"):
        file = last_stage(pretraining_folder(config, "teacher", store)[0])
        if file.is_file():
            return file, _pretrained(file)
    return None


def _pretrained(file: Path) -> dict[str, torch.Tensor]:
    """Of the teacher in the checkpoint of its pretraining.

    Raises:
        UsageError: for another file, and for a pretraining that has not ended.
    """
    state = checkpoint.load(file, dict[str, Any])
    if state.get("step") != state.get("steps"):
        raise wrong(f"{file} is of a teacher that is not trained to its end")
    players = as_kind(state.get("method"), dict[str, Any], str(file)).get("players")
    teacher = as_kind(players, dict[str, dict[str, Any]], str(file)).get("teacher", {})
    return as_kind(teacher.get("module"), dict[str, torch.Tensor], str(file))
