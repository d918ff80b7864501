"""The teacher that a run's folder keeps, for whoever wants to see it beside the student."""

from __future__ import annotations

from dataclasses import replace
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
from kdgan.tasks.run import pretraining_folder
from kdgan.training import checkpoint


def kept_teacher(path: Path, student: Student, *, trust: bool = False) -> tuple[Student | None, str]:
    """The teacher of the run that a student is of, as a `Student` of the same inputs.

    What a run keeps is the teacher as it was pretrained, among players that runs share; one that goes on learning in
    the method was another at its end.

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
    # Of `kdgan train` they lie in the folder; runs of one comparison share them.
    stores = (folder / "pretrained", folder.resolve().parent.parent / "pretrained")
    files = [pretraining_folder(config, "teacher", store)[0] / "checkpoint.safetensors" for store in stores]
    file = next((each for each in files if each.is_file()), None)
    if file is None:
        return None, f"{folder} keeps no teacher"
    weights = _weights(file)
    with torch.device("meta"):
        module = build(config.teacher, student.shape, student.outputs)
    checkpoint.check_state(module, weights, str(file))
    module.to_empty(device="cpu").load_state_dict(weights)
    learned_on = "teacher" in find(config.method).trains and config.training.teacher_lr is not None
    when = f", as it was before {config.method}" if learned_on else ""
    return replace(student, module=module.eval(), network=config.teacher), f"{config.teacher}{when}"


def _weights(file: Path) -> dict[str, torch.Tensor]:
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
