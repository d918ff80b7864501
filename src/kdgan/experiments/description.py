"""Descriptions of a comparison for its report: its variants, and the facts beside its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from kdgan.data.batch import Batch
from kdgan.data.semi import Semi, labelled_part, sizes_of
from kdgan.experiments.own import Setting
from kdgan.experiments.variants import Comparison, Key, Variant
from kdgan.methods import described, find
from kdgan.references import find_object
from kdgan.tasks.config import BASELINES
from kdgan.tasks.run import Planned, count_parameters
from kdgan.tasks.sources import notes_of
from kdgan.training import identity
from kdgan.training.config import Training
from kdgan.training.execution import Execution
from kdgan.training.faces import is_network, networks
from kdgan.training.self_training import TEACHERS, takes_propagation


def describe(variant: Variant) -> str:
    """Description of a variant, in a sentence."""
    if isinstance(variant.method, str) and variant.method in BASELINES:
        return str(find_object(BASELINES[variant.method]).description)
    return described(find(variant.method))


def self_trained(runs: Mapping[Key, Planned]) -> frozenset[str]:
    """Variants whose teacher learns from examples without labels before the method begins, where there are any."""
    return frozenset(
        name
        for (name, _), run in runs.items()
        if {*TEACHERS} & {*run.pretrained}
        and run.training.self_training != "none"
        and find(run.method).uses_unlabelled
    )


def facts(comparison: Comparison, execution: Execution, command: str) -> dict[str, str]:
    """Facts about a comparison that its report states beside the numbers."""
    base = comparison.base
    players = {
        "Data": "; ".join((base.data.title, *notes_of(base, execution.data_dir))),
        "Student": base.student,
        "Teacher and discriminator": base.teacher,
    }
    variants = {name: variant.plain() for name, variant in comparison.variants.items()}
    known = facts_of(
        players,
        base.augment,
        base.training,
        variants,
        comparison.seeds,
        execution,
        unlabelled=base.data.unlabelled is not None,
    )
    return {**known, "Command": command}


def facts_of_own(
    players: Mapping[str, nn.Module],
    setting: Setting,
    settings: Training,
    variants: Mapping[str, Variant],
    seeds: Sequence[int],
    execution: Execution,
    title: str,
    teacher: str,
) -> dict[str, str]:
    """Facts about a comparison of a caller's own that its report states beside the numbers.

    Args:
        players: examples of them, by role.
        setting: what all runs share.
        settings: of training.
        variants: by name.
        seeds: of the runs.
        execution: where and how.
        title: name of the data.
        teacher: its kind in words.
    """
    task = setting.task
    train = labelled_part(task.train)
    count = f"{len(train):,} labelled" if isinstance(train, Batch) else "read anew in every pass"
    if isinstance(task.train, Semi):
        count += " and others without labels"
    parts = f"{len(task.validation):,} for validation, {len(setting.test.validation):,} for the test"
    forms = {
        role: "; ".join(
            f"{type(each).__name__}, {count_parameters(each):,} parameters" for each in networks(module)
        )
        for role, module in players.items()
    }
    state = "trained before" if setting.trained else "trained on the labels, once for each seed"
    if not is_network(players["teacher"]):
        forms["teacher"], state = teacher, "asked before training"
    named = {
        name: {
            "hyper": {key: identity.of_object(value) for key, value in variant.hyper.items()},
            "training": dict(variant.training),
            "config": {},
        }
        for name, variant in variants.items()
    }
    about = {
        "Data": f"{title}: {count}, {parts}; {task.classes} outputs",
        "Student": forms["student"],
        "Teacher": f"{forms['teacher']}, {state}",
        "Discriminator": forms.get("discriminator", "the teacher's form, drawn anew"),
    }
    augment = getattr(setting.augment, "__qualname__", type(setting.augment).__name__)
    stated = settings
    if isinstance(task.train, Semi):
        known, others = sizes_of(task.train, settings.batch, settings.labelled_share)
        how = settings.self_training
        if setting.trained or (how == "propagation" and task.kind != "classes"):
            how = "none"
        elif how == "propagation" and not takes_propagation(players["teacher"], task.train, "teacher"):
            how = "fixmatch"
        stated = replace(
            settings, batch=known + others, labelled_share=known / (known + others), self_training=how
        )
    return facts_of(
        about,
        "none" if setting.augment is None else augment,
        stated,
        named,
        seeds,
        execution,
        unlabelled=isinstance(task.train, Semi),
    )


def facts_of(
    players: Mapping[str, str],
    augment: str,
    training: Training,
    variants: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    execution: Execution,
    *,
    unlabelled: bool,
) -> dict[str, str]:
    """Facts about runs on any data and of any players.

    Args:
        players: what the data and the players are, by name.
        augment: other views of inputs.
        training: what all runs share.
        variants: the settings of each as `Variant.plain` gives them, by name.
        seeds: of the runs.
        execution: where and how.
        unlabelled: whether there are examples without labels.
    """
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
    if training.mixup or training.first_mixup:
        departures["Mixed examples"] = _mixtures(training)
    if training.teacher_every > 1:
        departures["Other players learn"] = (
            f"in the first of every {training.teacher_every} updates of the student"
        )
    if unlabelled:
        departures["Examples without labels"] = (
            f"{training.labelled_share:.0%} of each batch are labelled, for all methods that learn from the others; "
            "the control does not"
        )
        if training.self_training != "none":
            every = f"{training.rounds * training.round_updates:,} updates"
            how = {
                "propagation": "propagation of labels over its features, "
                f"rounds: {training.rounds}, updates in each: {training.round_updates:,}",
                "fixmatch": f"FixMatch, its own confident labels, {every}",
            }
            departures["Self-training of the teacher"] = (
                f"{how[training.self_training]}, shared by all methods whose teacher is trained here"
            )
    several = [*seeds] != [*range(min(seeds), max(seeds) + 1)]
    return {
        **players,
        "Updates of the student": f"{training.steps:,} of {training.batch} examples, the same for every method",
        "Updates in pretraining teacher and discriminator": f"{training.teacher_updates:,}{shared}",
        "Augmentation": f"{augment}, the same views for every method",
        "Learning rate": f"Adam, at most {training.lr:g}, warm-up and cosine",
        **departures,
        "Hyperparameters": json.dumps(tuned) if tuned else "defaults of each method",
        "Seeds": ", ".join(map(str, seeds)) if several else f"{min(seeds)} to {max(seeds)}",
        "Device": f"{execution.device}, {training.precision}",
        "Versions": f"kdgan {version('kdgan')}, torch {torch.__version__}",
    }


def _mixtures(training: Training) -> str:
    """How examples are mixed, for the student's updates and in the pretraining of the others."""
    later, first = training.mixup, training.first_mixup
    if later == first:
        return f"mixup, shares from Beta({later:g}, {later:g}), for every method"
    own = f"shares from Beta({first:g}, {first:g})" if first else "none"
    with_it = f"; after it from Beta({later:g}, {later:g})" if later else ", none after it"
    return f"mixup, {own} in the pretraining of the teacher and the discriminator{with_it}, for every method"
