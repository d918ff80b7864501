"""The paper's tables and figures, and the questions its reviewers asked: each a few lines of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kdgan.errors import UsageError
from kdgan.experiments.study import Cell, Study
from kdgan.experiments.variants import Variant
from kdgan.methods import CONTROL, hyperparameters
from kdgan.paper import figures
from kdgan.paper import tables as of
from kdgan.paper.cells import CLASSES, PHOTOS, PHOTOS_REST, REST, WRONG, of_photos
from kdgan.paper.variance import MEASURED
from kdgan.tasks.config import BASELINES

GAME = (
    "A small network, the student, is to classify as well as it can. While it is trained there is more than it will "
    "have later: a larger network, the teacher. In KDGAN (Wang et al., NeurIPS 2018) student and teacher learn from "
    "each other, and a third network, the discriminator, learns to tell their labels from true ones; both learn to "
    "pass its judgement."
)
"""First paragraph of all pages."""

TABLE_1 = (CONTROL, "distn", "mimic", "noisy", "codis", "codis3", "nagan", "kdgan")
"""The control without a teacher, the paper's methods, and three networks in co-distillation."""
TABLE_2 = (*BASELINES, CONTROL, "distn", "mimic", "noisy", "codis", "nagan", "kdgan")
"""Baselines that see the photo alone, the control, and the paper's methods."""

ABLATIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "kdgan": {},
        "kdgan: no game": {"adversarial": 0.0},
        "kdgan: labels through D alone": {"supervision": 0.0},
        "kdgan: labels and game, no distillation": {"beta": 0.0, "gamma": 0.0},
        "kdgan: T learns nothing from C": {"gamma": 0.0},
        "kdgan: no distillation": {"beta": 0.0, "gamma": 0.0, "supervision": 0.0},
        "kdgan: C pretrained for a tenth": {"student_pretraining": 0.1},
        "kdgan: views not moved": {"epsilon": 0.0},
        "kdgan: all learn in every update": {"teacher_every": 1},
        "kdgan: concrete, τ annealed": {"estimator": "concrete"},
        "kdgan: concrete, τ = 1": {"estimator": "concrete", "tau_start": 1.0, "tau_end": 1.0},
        "kdgan: concrete, τ = 0.1": {"estimator": "concrete", "tau_start": 0.1, "tau_end": 0.1},
        "kdgan: reinforce": {"estimator": "reinforce"},
        "kdgan: reinforce, baseline": {"estimator": "reinforce-baseline"},
        "kdgan: D does not see x": {"discriminator": "kdgan.paper.ablations:blind"},
        "kdgan: D is the product of labels": {"method": "kdgan.paper.ablations:LabelOracle"},
    }
)
"""Changes of KDGAN by variant: a part left out, or something simpler in its place."""
ORACLE = ("kdgan", "kdgan: no game", "kdgan: D is the product of labels")
"""Ablations that show the worth of a discriminator that learns."""
PLAYED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {name: ABLATIONS[name] for name in ("kdgan", "kdgan: labels through D alone", "kdgan: no game")}
)
"""Three ways to play: with labels beside D, as in the paper, and without D."""
WEIGHTS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "alpha": (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
        "beta": (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0),
        "gamma": (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0),
    }
)
"""The paper's search ranges (Figure 4)."""
WIDTHS = (25, 50, 100, 200, 400, 800)
"""Widths of both hidden layers of the student, for accuracy against size."""


def _methods(*names: str) -> Any:
    return lambda cell: {name: cell.variant(name) for name in names}


def _changes(cell: Cell, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Variant]:
    return {name: cell.variant("kdgan").changed(change) for name, change in changes.items()}


def _ablations(cell: Cell) -> Mapping[str, Variant]:
    # MIMIC's teacher is T as it was before the game.
    return {"mimic": cell.variant("mimic"), **_changes(cell, ABLATIONS)}


def _oracle(cell: Cell) -> Mapping[str, Variant]:
    return _changes(cell, {name: ABLATIONS[name] for name in ORACLE})


def _weights(cell: Cell) -> Mapping[str, Variant]:
    game = cell.variant("kdgan")
    usual = {**hyperparameters("kdgan"), **game.hyper}
    # Where a weight has its usual value the game is that of the table, and said in the same way shares its run.
    return {"kdgan": game} | {
        f"kdgan: {name} = {value:g}": game if value == usual[name] else game.changed({name: value})
        for name, values in WEIGHTS.items()
        for value in values
    }


def _sizes(cell: Cell) -> Mapping[str, Variant]:
    return {
        f"{method}: {width}": cell.variant(method).changed({"student": f"mlp-{width}-{width}"})
        for width in WIDTHS
        for method in (CONTROL, "mimic", "codis", "kdgan")
    }


def _unlabelled(cell: Cell) -> Mapping[str, Variant]:
    if not of_photos(cell.name):
        found: dict[str, Variant] = _methods(CONTROL, "selftrain", *TABLE_1[1:])(cell)
        return found
    reader = cell.variant("distn")
    # The same networks on texts without words.
    alone = replace(reader, config={"data": {"text": False}})
    return {
        **_methods(CONTROL, "selftrain", "distn", "mimic", "codis")(cell),
        **_changes(cell, {name: ABLATIONS[name] for name in ("kdgan", "kdgan: no game")}),
        "distn: T sees the photo alone": alone,
    }


def _distribution(cell: Cell) -> Mapping[str, Variant]:
    # Baselines rank tags: what they give is no distribution.
    names = TABLE_1 if cell.name not in PHOTOS else [name for name in TABLE_2 if name not in BASELINES]
    return {**_methods(*names)(cell), **_changes(cell, PLAYED)}


_WEIGHTS_TEXT = (
    "α divides the discriminator's attention between student and teacher, β is how closely the student "
    "follows the teacher, γ how closely the teacher follows the student. One is changed at a time."
)

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "table1": Study(
            question="Which method trains the best student?",
            text=(
                "Seven methods, and co-distillation of three networks, which costs what KDGAN costs. All get the same "
                "labelled images of a seed, the same views of them, the same number of student updates and the same "
                "pretrained teacher. On MNIST their settings come from a search with as many trials for each, on "
                "validation images of other seeds; on CIFAR-10 they are each method's defaults."
            ),
            cells=tuple(CLASSES),
            variants=_methods(*TABLE_1),
            **of.TABLE_1,
        ),
        "table2": Study(
            question="Which method recommends the right tags?",
            text=(
                "At training time each photo comes with the text that its owner wrote; later there is the photo alone. "
                "Teacher and discriminator see both, the student sees the photo, and so do the baselines."
            ),
            cells=PHOTOS,
            variants=_methods(*TABLE_2),
            **of.TABLE_2,
            curves=(),
        ),
        "samples": Study(
            question="How many labels does each method need?",
            text="The columns of Table 1 as curves: accuracy against the number of labelled images.",
            cells=tuple(cell for cell in CLASSES if cell.startswith("mnist")),
            figure=figures.samples,
            caption="Error against the number of labels, both on logarithmic scales; bars: 95 % intervals.",
            variants=_methods(*TABLE_1),
            **of.TABLE_1,
        ),
        "figure3a": Study(
            question="Does a teacher make the game faster and steadier?",
            text="NaGAN is the same game without a teacher: the student against the discriminator alone.",
            cells=("mnist-100",),
            variants=_methods("nagan", "kdgan"),
            figure=figures.training_curves("accuracy"),
            caption="Training curves: NaGAN against KDGAN; band: lowest to highest seed.",
            **of.VARIANTS,
        ),
        "figure3b": Study(
            question="Does a teacher make the game faster and steadier on photos with tags?",
            text=(
                "NaGAN is the same game without a teacher: the student against the discriminator alone. The student "
                "sees features of a photo; in training the others see what its owner wrote, too. P@3 is the share of "
                "right tags among the first three."
            ),
            variants=_methods("nagan", "kdgan"),
            figure=figures.training_curves("P@3"),
            caption="Training curves on photos with tags, P@3; band: lowest to highest seed.",
            cells=PHOTOS,
            curves=("P@3",),
            **of.TAG_VARIANTS,
        ),
        "figure4": Study(
            question="How much do the weights of the game matter?",
            text=_WEIGHTS_TEXT,
            cells=("mnist-100",),
            variants=_weights,
            figure=figures.weights("accuracy"),
            caption="Accuracy of KDGAN when one of its weights changes; bars: 95 % intervals.",
            seeds=3,
            **of.VARIANTS,
        ),
        "figure5": Study(
            question="How much do the weights of the game matter on photos with tags?",
            text=f"{_WEIGHTS_TEXT} P@3 is the share of right tags among the first three.",
            variants=_weights,
            figure=figures.weights("P@3"),
            caption="P@3 of KDGAN on photos with tags when one of its weights changes; bars: 95 % intervals.",
            seeds=3,
            cells=PHOTOS,
            curves=(),
            **of.TAG_VARIANTS,
        ),
        "figure7": Study(
            question="Which part of the student's gradient is noise?",
            text=(
                "The paper's argument rests on the distillation gradient having less variance than the adversarial "
                "one. Here both are measured on the networks of a real game, for every way to estimate the second."
            ),
            cells=("mnist-100",),
            variants=_methods("kdgan"),
            columns=of.plain(
                "cell",
                "gradient of C",
                "variance",
                "signal",
                "variance / signal",
                "squared bias",
                words=("cell", "gradient of C"),
            ),
            note=(
                "Means over the game and over seeds. Variance: trace of the covariance between minibatches. Signal: "
                "squared norm of the mean gradient; the ratio of both does not depend on how a loss is weighed. "
                "Squared bias: squared norm of the mean difference to the exact gradient. What sampling adds is taken "
                "out of the last two, so that they may be slightly below 0."
            ),
            figure=figures.variance,
            caption="Variance of the student's gradients while the game is played.",
            seeds=3,
            curves=MEASURED,
            probe="kdgan.paper.variance:variances",
            tabulate=of.variance,
        ),
        "ablations": Study(
            question="Which part of KDGAN earns what it gains?",
            text="Each row takes one part away, or puts something simpler in its place.",
            cells=("mnist-100", "mnist-1000"),
            variants=_ablations,
            seeds=5,
            **of.VARIANTS,
        ),
        "oracle": Study(
            question="What is a discriminator worth that learns?",
            text=(
                "KDGAN beside itself without the game, and with a label oracle in place of the discriminator, on more "
                "seeds than the other ablations."
            ),
            cells=("mnist-100", "mnist-1000"),
            variants=_oracle,
            **of.VARIANTS,
        ),
        "distribution": Study(
            question="Does the game show in the distribution?",
            text=(
                "At the equilibrium of the game the student's distribution of labels is the true one. Here students "
                "are judged by their probabilities: by log loss, by the Brier score, which is the squared error of the "
                "probabilities summed over the classes, and by the expected calibration error; each also after "
                "temperature scaling, which takes away how sure a student is in general: one temperature divides all "
                "its logits, the one with the least log loss on validation data, whose labels are right. Some cells "
                "have 20 or 40 % of their training labels replaced by wrong ones. KDGAN is played in three ways: with "
                "labels that reach C and T also directly, as its default is; as in the paper, where, after T was "
                "pretrained on them, they reach both through D alone; and without D. The settings of methods are those "
                "found with right labels. Of photos the true distribution gives each of a photo's m tags 1/m."
            ),
            cells=(*(cell for cell in CLASSES if cell.startswith("mnist")), *WRONG, *PHOTOS),
            variants=_distribution,
            figure=figures.distribution,
            caption="Log loss against the share of wrong training labels, logarithmic; bars: 95 % intervals.",
            curves=(),
            **of.DISTRIBUTION,
        ),
        "unlabelled": Study(
            question="What are examples without labels worth?",
            text=(
                "Of MNIST 100 or 1,000 training images keep their labels, and all methods but the control learn from "
                "the others without. Before any method begins the teacher learns from them, too: it is trained on the "
                "labels, then in rounds on labels that are propagated to the others over its own features. selftrain "
                "is the student that teaches itself, without a teacher. Of photos 300, 1,000 or 3,000 keep their tags, "
                "and all have their owners' text: the teacher reads it, or it sees the photo alone."
            ),
            cells=(*REST, *PHOTOS_REST),
            variants=_unlabelled,
            curves=(),
            **of.UNLABELLED,
        ),
        "sizes": Study(
            question="How small can the student be?",
            text="The same methods with students of six widths.",
            cells=("mnist-1000",),
            variants=_sizes,
            columns=of.plain(
                "method",
                "parameters",
                "accuracy",
                "teacher's parameters to its",
                "remark",
                words=("method", "remark"),
            ),
            note="Test accuracy in % after the last step; ± half of the 95 % interval over seeds.",
            figure=figures.sizes,
            caption="Accuracy against the size of the student; bars: 95 % intervals.",
            seeds=3,
            tabulate=of.sizes,
        ),
    }
)
"""By name, as `kdgan reproduce` takes them."""


def find(name: str, cells: Sequence[str]) -> Study:
    """The study of that name, if it has these cells.

    Raises:
        UsageError: if it has not, or there is none.
    """
    if name not in STUDIES:
        raise UsageError(f"unknown study {name!r}: choose from {', '.join(sorted(STUDIES))}")
    for cell in cells:
        if cell not in STUDIES[name].cells:
            raise UsageError(f"{name} has no cell {cell!r}: choose from {', '.join(STUDIES[name].cells)}")
    return STUDIES[name]
