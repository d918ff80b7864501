"""The choice of metrics: of all that are measured, which, and in what order.

The first is what comparisons, intervals and choices are about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from kdgan.data.targets import Kind
from kdgan.errors import UsageError, wrong
from kdgan.references import find_callable
from kdgan.ship.forms import FORMS, bare
from kdgan.tasks.metrics import DEFAULTS, METRICS, Metric, majority, metric, with_label
from kdgan.training.loop import BOOKKEEPING

RESERVED = (
    *BOOKKEEPING,
    *("data", "labels", "unlabelled", "method", "seed", "student_updates"),
    *("pretraining_seconds", "student_parameters", "teacher_parameters"),
)
"""Names in histories and results that are of no metric."""
UNEVEN = 1.5
"""Classes are uneven where the largest has more than so many times its share."""
_EXPECTED = "metrics must be functions by name, {name: function}, or a list of names and module:function"


def named(
    given: Iterable[str | Metric] | Mapping[str, Metric], taken: Iterable[str] = ()
) -> dict[str, Metric | None]:
    """The metrics that were asked for, in order: functions of one's own by name, and None for a ready-made one.

    Args:
        given: names of ready-made ones, references `module:function` and functions, which have the function's name; or
            functions by name. A name or reference of one's own that begins with "-" says that less is better.
        taken: names of other metrics, which none of one's own may have.

    Raises:
        UsageError: for an unknown name, a reference that leads to nothing that can be called, or a name that another
            metric has.
    """
    if isinstance(given, str):
        raise wrong(f"metrics must be a list, also of one, [{given!r:.60}], not {given!r:.60}")
    if not isinstance(given, Iterable):
        raise wrong(f"{_EXPECTED}, not {given!r:.60}")
    items = list(given.items()) if isinstance(given, Mapping) else [_item(each) for each in given]
    found: dict[str, Metric | None] = {}
    for name, function in items:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise wrong(f"the name of a metric must be a word, not {name!r:.60}")
        if function is None and not isinstance(given, Mapping):
            if name not in METRICS:
                raise wrong(
                    f"there is no metric {name}: take {', '.join(METRICS)}, or write module:name for your own"
                )
        elif not callable(function):
            raise wrong(f"metric {name} is no function of logits and targets, but {type(function).__name__}")
        elif bare(name) in RESERVED or "/" in name:
            raise wrong(
                f"metric {name} has the name of something that results hold anyway: call it otherwise"
            )
        elif not bare(name) or bare(name) in (*FORMS, *taken):
            raise wrong(f"metric {name} has the name of another one: call it otherwise")
        if name in found:
            raise wrong(f"metric {name} has the name of another one: call it otherwise")
        found[name] = function
    return found


def _item(each: object) -> tuple[str, Metric | None]:
    if isinstance(each, str) and ":" in each:
        reference = bare(each)
        return each[: len(each) - len(reference)] + each.rpartition(":")[2], find_callable(reference)
    if isinstance(each, str):
        return each, None
    name = getattr(each, "__name__", "")
    if not callable(each) or not name.isidentifier():
        raise wrong(f"{_EXPECTED}, not {each!r:.60}")
    return name, each


def in_order(given: Iterable[str], usual: Iterable[str]) -> tuple[str, ...]:
    """Names of all metrics: those that are given, in their order, the first of which is what a comparison is about, and
    then the usual ones."""
    return tuple(dict.fromkeys([*given, *usual]))


def chosen(
    given: Mapping[str, Metric | None], kind: Kind, classes: int, targets: Tensor
) -> dict[str, Metric]:
    """The metrics that a report shows: those that are given, see `named`, or the defaults.

    Given ones go first. The first of the defaults is always there, and all of them beside those of one's own. A
    default that is not defined for these targets, as `auroc` where all are of one class, is left out.

    Args:
        given: what `named` gave.
        kind: of the task.
        classes: K.
        targets: those that will be measured on.

    Raises:
        UsageError: for a given one that makes no sense for the task, or is not defined for these targets.
    """
    usual = _defaults(kind, classes, targets)
    if any(function is None for function in given.values()):
        usual = usual[:1]
    asked = {name: function or metric(name, kind, classes) for name, function in given.items()}
    check(asked, classes, targets)
    found = {**{name: metric(name, kind, classes) for name in usual}, **asked}
    return {name: found[name] for name in in_order(given, usual)}


def _defaults(kind: Kind, classes: int, targets: Tensor) -> list[str]:
    names = [*DEFAULTS[kind]]
    if kind == "classes" and majority(targets) > UNEVEN * 100 / classes:
        names.insert(1, "balanced_accuracy")
    defined = []
    for name in names:
        try:
            check({name: metric(name, kind, classes)}, classes, targets)
        except UsageError:
            continue
        defined.append(name)
    return defined


def check(metrics: Mapping[str, Metric], classes: int, targets: Tensor) -> None:
    """Finds before training what ready-made metrics are not defined for: tries them on targets, with logits of nothing.

    Raises:
        UsageError: for one that is not defined for these targets.
    """
    for name, function in metrics.items():
        if name in METRICS:
            function(torch.zeros(len(targets), classes, device=targets.device), targets)


def evaluated(metrics: Mapping[str, Metric], logits: Tensor, targets: Tensor) -> dict[str, float]:
    """The numbers that metrics give, of the rows that have a label.

    Raises:
        UsageError: for one that is no finite number.
    """
    found = {}
    logits, targets = with_label(logits, targets) if metrics else (logits, targets)
    for name, function in metrics.items():
        if name in METRICS:
            found[name] = function(logits, targets)
            continue
        try:
            # A metric that writes into what it is given must not change what the others see.
            found[name] = float(function(logits.clone(), targets.clone()))
        except (Exception, SystemExit) as error:  # of any kind: it is the user's code
            raise wrong(f"metric {name} fails ({type(error).__name__}: {error})") from error
        if not math.isfinite(found[name]):
            raise wrong(f"metric {name} gives {found[name]}, which is no finite number")
    return found
