"""Concepts of photos as several labels of an example: independent sigmoids beside a softmax over them.

    python benchmarks/several_labels.py flickr.npz --out results/several_labels.json

The student sees features of a photo, teacher and discriminator its owner's tags, too. 1,000 photos are labelled
(`--labelled`), others for each seed; of the rest there are features and tags without labels. A photo with m concepts
is m bits for the sigmoids, and weighs each of them 1/m for the softmax. Both are judged by the same: `photo_map` (MAP,
the ranking of the concepts of each photo) and `concept_map` (the ranking of photos by a concept's probability, mean
over concepts).

The settings are those of the best student of the sigmoids (results/several_labels_looks.json) on validation photos of
seeds 100 to 102 (`--validation --first-seed 100 --seeds 3`), among two learning rates, two weight decays, noise or
none, l2 and KL, and runs of 600 to 2,000 updates. The control would like others: `--noise 1 --weight-decay 1 --lr
1e-3 --steps 2000` are its best.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import kdgan
from kdgan.data import Noise
from kdgan.experiments.statistics import holm, mean_interval, paired_difference
from kdgan.experiments.tables import plus_minus
from kdgan.files import write_json
from kdgan.methods import CONTROL
from kdgan.tasks.ranking import ranking
from kdgan.tasks.scores import bits_average_precision

HELD_OUT = 2000
CONCEPTS = 24
HYPER = {
    "distn": {"distillation": "kl", "temperature": 1.0, "weight": 0.9},
    "kdgan": {"distillation": "kl", "temperature": 1.0, "beta": 4.0},
}


class Reader(nn.Module):
    """Features of a photo and the tags beside it to logits of concepts."""

    def __init__(self, features: int, tags: int) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Dropout(0.3), nn.Linear(features, 200))
        self.text = nn.Sequential(nn.Dropout(0.3), nn.Linear(tags, 200))
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.3), nn.Linear(200, CONCEPTS))

    def forward(self, inputs: Tensor, privileged: Tensor) -> Tensor:
        return self.head(self.image(inputs) + self.text(privileged))


def make_student() -> nn.Module:
    return nn.Sequential(
        nn.Dropout(0.3), nn.Linear(512, 200), nn.ReLU(), nn.Dropout(0.3), nn.Linear(200, CONCEPTS)
    )


def make_teacher() -> nn.Module:
    return Reader(512, 1386)


def photo_map(logits: Tensor, targets: Tensor) -> float:
    """MAP over photos, in %."""
    return 100 * ranking(logits.cpu().numpy(), (targets > 0).cpu().numpy()).means()["MAP"]


def concept_map(logits: Tensor, targets: Tensor) -> float:
    """Mean over concepts of the average precision over photos, in %."""
    return bits_average_precision(logits.cpu(), (targets > 0).double().cpu())


def concept_map_of_shares(logits: Tensor, targets: Tensor) -> float:
    """The same for a softmax, whose logits may differ by any constant between photos: by its probabilities."""
    return concept_map(logits.double().log_softmax(-1), targets)


METRICS = {
    "sigmoid": {"photo_map": photo_map, "concept_map": concept_map},
    "softmax": {"photo_map": photo_map, "concept_map": concept_map_of_shares},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="flickr.npz")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--methods", default="distn,kdgan")
    parser.add_argument("--hyper", type=json.loads, default=HYPER, help="by method, as JSON")
    parser.add_argument("--teacher-lr", type=float, default=2e-4)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--labelled", type=int, default=1000, help="photos with labels")
    parser.add_argument("--labelled-share", type=float)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--forms", default="sigmoid,softmax")
    parser.add_argument("--validation", action="store_true", help="judge on validation photos")
    given = parser.parse_args()
    given.hyper = {name: values for name, values in given.hyper.items() if name in given.methods.split(",")}
    found = {}
    for form in given.forms.split(","):
        seeds = range(given.first_seed, given.first_seed + given.seeds)
        found[form] = [record for seed in seeds for record in compared(form, seed, given)]
        show(form, found[form])
    if given.out is not None:
        what = {"labelled": given.labelled, "steps": given.steps, "hyper": given.hyper}
        write_json(given.out, {**what, "runs": found})


def compared(form: str, seed: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """What each method reaches with the labelled photos of a seed."""
    train, unlabelled, validation, test = data(given.source, given.labelled, seed, softmax=form == "softmax")
    verdict = kdgan.compare(
        make_student,
        make_teacher,
        train,
        validation,
        validation if given.validation else test,
        unlabelled=unlabelled,
        methods=given.methods.split(","),
        hyper=given.hyper,
        augment=Noise(given.noise) if given.noise else None,
        task="classes" if form == "softmax" else "multilabel",
        labelled_share=given.labelled_share,
        metrics=METRICS[form],
        seeds=[seed],
        training=kdgan.Training(
            steps=given.steps,
            teacher_steps=400,
            batch=128,
            lr=given.lr,
            pretraining_lr=3e-3,
            teacher_lr=given.teacher_lr,
            weight_decay=given.weight_decay,
            smoothing=0.0,
            evaluations=1,
            self_training="none",
        ),
        teacher_trained=False,
        workers=given.workers,
        title=f"Flickr concepts, {form}",
    )
    return [
        {
            "method": record.method,
            "seed": record.seed,
            **{name: record.metrics[name] for name in METRICS[form]},
        }
        for record in verdict.records
    ]


def show(form: str, runs: list[dict[str, Any]]) -> None:
    """Prints each method beside the control, paired by seed, corrected for how many are compared (Holm)."""
    methods = [name for name in dict.fromkeys(run["method"] for run in runs) if name != CONTROL]
    for metric in METRICS[form]:
        of = {
            name: {run["seed"]: run[metric] for run in runs if run["method"] == name}
            for name in (CONTROL, *methods)
        }
        print(f"{form}, {metric}: {CONTROL} {plus_minus(mean_interval(of[CONTROL].values()))}")
        gains = holm([paired_difference(of[name], of[CONTROL]) for name in methods])
        for name, gain in zip(methods, gains, strict=True):
            own = plus_minus(mean_interval(of[name].values()))
            print(f"  {name} {own}, {plus_minus(gain, difference=True)} to it", flush=True)


def data(source: Path, labelled: int, seed: int, *, softmax: bool) -> tuple[tuple, tuple, tuple, tuple]:
    """Labelled photos, others without labels, validation and test photos, of those with a concept.

    The last two are the same for all seeds.
    """
    with np.load(source, allow_pickle=False) as arrays:
        features, concepts = arrays["features"].astype(np.float32), arrays["concepts"].astype(bool)
        start, columns = arrays["tag_indptr"], arrays["tag_indices"]
    tags = np.zeros((len(features), 1386), np.float32)
    tags[np.repeat(np.arange(len(features)), np.diff(start)), columns] = 1
    order = np.random.default_rng(0).permutation(np.flatnonzero(concepts.any(1)))
    test, validation, rest = np.split(order, [HELD_OUT, 2 * HELD_OUT])
    known, others = np.split(np.random.default_rng(seed).permutation(rest), [labelled])
    learned = features[np.concatenate([known, others])]
    inputs = torch.from_numpy((features - learned.mean(0)) / learned.std(0))
    targets = torch.from_numpy(concepts).float()
    if softmax:
        targets = targets / targets.sum(1, keepdim=True).clamp_min(1)
    text = torch.from_numpy(tags)

    def part(rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        return inputs[rows], targets[rows], text[rows]

    return part(known), (inputs[others], text[others]), part(validation), part(test)


if __name__ == "__main__":
    main()
