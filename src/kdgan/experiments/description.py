"""Descriptions of a comparison for its report: its variants, and the facts beside its numbers."""

from __future__ import annotations

import json
from importlib.metadata import version

import torch

from kdgan.experiments.variants import Comparison, Variant
from kdgan.methods import described, find
from kdgan.references import find_object
from kdgan.tasks.config import BASELINES
from kdgan.tasks.sources import notes_of
from kdgan.training.execution import Execution


def describe(variant: Variant) -> str:
    """Description of a variant, in a sentence."""
    if isinstance(variant.method, str) and variant.method in BASELINES:
        return str(find_object(BASELINES[variant.method]).description)
    return described(find(variant.method))


def facts(comparison: Comparison, execution: Execution, command: str) -> dict[str, str]:
    """Facts about a comparison that its report states beside the numbers."""
    base, training = comparison.base, comparison.base.training
    variants = {name: variant.plain() for name, variant in comparison.variants.items()}
    tuned = {
        name: own
        for name, each in variants.items()
        if (own := {**each["hyper"], **each["training"], **each["config"]})
    }
    differ = any("teacher_steps" in each["training"] for each in variants.values())
    shared = ", or as long as a method's own settings say" if differ else " each, shared by all methods"
    departures = {}
    if training.epsilon:
        departures["Adversarial perturbation"] = f"epsilon {training.epsilon:g}, for every method"
    if training.teacher_every > 1:
        departures["Other players learn"] = (
            f"in the first of every {training.teacher_every} updates of the student"
        )
    if base.data.unlabelled is not None:
        departures["Examples without labels"] = (
            f"{training.labelled_share:.0%} of each batch are labelled, for all methods that learn from the others; "
            "the control does not"
        )
    return {
        "Data": "; ".join((base.data.title, *notes_of(base, execution.data_dir))),
        "Student": base.student,
        "Teacher and discriminator": base.teacher,
        "Updates of the student": f"{training.steps:,} of {training.batch} examples, the same for every method",
        "Updates in pretraining teacher and discriminator": f"{training.teacher_updates:,}{shared}",
        "Augmentation": f"{base.augment}, the same views for every method",
        "Learning rate": f"Adam, at most {training.lr:g}, warm-up and cosine",
        **departures,
        "Hyperparameters": json.dumps(tuned) if tuned else "defaults of each method",
        "Seeds": f"{min(comparison.seeds)} to {max(comparison.seeds)}",
        "Device": f"{execution.device}, {training.precision}",
        "Versions": f"kdgan {version('kdgan')}, torch {torch.__version__}",
        "Command": command,
    }
