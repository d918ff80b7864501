"""Pictures of a report on runs, and the examples on which student and teacher differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from kdgan.experiments import run_figures
from kdgan.experiments.figures import colours_of
from kdgan.experiments.gathered import Gathered, Player
from kdgan.experiments.page import Example, Picture
from kdgan.experiments.run_tables import confusions_table, labels_table
from kdgan.experiments.tables import Table
from kdgan.tasks.base import Task
from kdgan.tasks.diagnosis import by_label, confusion, distances, reliability
from kdgan.tasks.run import likeliest

MOST_CLASSES = 30
"""Classes up to which a confusion matrix is drawn; of more, the most frequent confusions are listed."""
MOST_EXAMPLES, MOST_PANELS = 6, 9
_COLOURS = {"student": "#0072b2", "teacher": "#d55e00", "control": "#8a8f98"}


def colours(gathered: Gathered) -> dict[str, str]:
    """Of players: those of their methods where there are several, and the same three where there is one."""
    methods = {
        name: method
        for group in gathered.groups
        for name, method in ((group.student, group.method), (group.teacher, f"teacher of {group.method}"))
        if name
    }
    found = colours_of(methods.values())
    return {name: _COLOURS.get(name, found[method]) for name, method in methods.items()}


def pictures(gathered: Gathered) -> tuple[list[Picture], dict[str, Table]]:
    """Reliability, and confusions or single labels; and what the latter are in numbers, by heading."""
    task, targets, of = gathered.task, gathered.task.test.targets, colours(gathered)
    players = _shown(gathered)
    found = {name: reliability(player.logits, targets) for name, player in players.items()}
    drawn = [
        Picture(
            run_figures.reliability_figure(found, of),
            "How sure, and how often right (reliability).",
            "Each dot is the test examples of one range of confidence, as large as there are many; on the dotted "
            "line confidence is what it should be, below it the network is too sure. ECE: mean distance from it.",
        )
    ]
    if targets.ndim > 1:
        figure, table = _by_label(task, players, of)
        return [*drawn, figure], {"Average precision of every label": table}
    counts = {name: confusion(player.logits, targets) for name, player in players.items()}
    if len(task.labels) <= MOST_CLASSES:
        drawn.append(
            Picture(
                run_figures.confusion_figure(counts, task.labels),
                "Which classes are taken for which (confusion matrix).",
                "Rows: the true class. Columns: what it is named. Shade: share of the row.",
            )
        )
    return drawn, {"The most frequent confusions": confusions_table(counts, task.labels)}


def _shown(gathered: Gathered) -> dict[str, Player]:
    return dict(list(gathered.players.items())[:MOST_PANELS])


def _by_label(task: Task, players: Mapping[str, Player], of: Mapping[str, str]) -> tuple[Picture, Table]:
    found = {name: by_label(player.logits, task.test.targets) for name, player in players.items()}
    count = next(iter(found.values()))[1]
    order = np.argsort(-count, kind="stable")
    labels = [task.labels[place] for place in order]
    values = {name: each[order] for name, (each, _) in found.items()}
    picture = Picture(
        run_figures.labels_figure(values, labels, of),
        "How well each label is found (average precision).",
        f"The {min(len(labels), run_figures.MOST_LABELS)} labels that most test examples have, the most frequent "
        "first.",
    )
    return picture, labels_table(values, labels, count[order])


def differing(gathered: Gathered) -> tuple[str, list[Example]]:
    """The examples on which the first student and its teacher differ most, under their heading; none, and no heading,
    where there is no teacher to be seen."""
    subject, players = gathered.subject, gathered.players
    if subject.teacher is None or not {subject.student, subject.teacher} <= players.keys():
        return "", []
    one, other = players[subject.student], players[subject.teacher]
    apart = int((one.logits.argmax(1) != other.logits.argmax(1)).sum())
    heading = (
        f"Where {one.name} and {other.name} differ most (they name other labels for {apart:,} of "
        f"{len(one.logits):,} test examples)"
    )
    far = distances(one.logits, other.logits)
    places = far.sort(descending=True, stable=True).indices[:MOST_EXAMPLES]
    return heading, _examples(gathered.task, _shown(gathered), places)


def _examples(task: Task, players: Mapping[str, Player], places: torch.Tensor) -> list[Example]:
    said = {name: _said(player, places, task) for name, player in players.items()}
    return [
        Example(
            shown.name,
            shown.labels,
            shown.picture,
            {f"{name} ({sure[row]})": labels[row] for name, (labels, sure) in said.items()},
            shown.values,
        )
        for row, shown in enumerate(task.shown_at(places.tolist()))
    ]


def _said(player: Player, places: torch.Tensor, task: Task) -> tuple[Sequence[list[str]], list[str]]:
    """The likeliest labels of some examples, and how likely the first is."""
    logits = player.logits[places]
    most = 1 if player.run.config.data.kind == "classes" else 5
    sure = logits.double().softmax(1).amax(1)
    return likeliest(logits, task, most), [f"{100 * chance:.0f} %" for chance in sure.tolist()]
