"""The default call of `distill` beside other methods: on data sets that scikit-learn brings, on tables with privileged
columns, on made-up classes with a teacher that has seen far more, and on MNIST with 100 labels.

Accuracy in per cent on held-out examples, seed by seed, written as JSON after each case. It measures nothing of speed.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import nn

from kdgan import Batch, distill, nets
from kdgan.data import load
from kdgan.data.join import without_labels


@dataclass(frozen=True)
class Case:
    """Players and data of one seed.

    Attributes:
        student: fresh.
        teacher: fresh, or trained on more examples than `train` has.
        train: the labelled examples.
        test: others.
        trained: whether the teacher is.
        unlabelled: further ones without labels, or None.
    """

    student: nn.Module
    teacher: nn.Module
    train: Batch
    test: Batch
    trained: bool = False
    unlabelled: Batch | None = None


def fitted(module: nn.Module, data: Batch, *, updates: int = 2000) -> nn.Module:
    """The module, trained on labels as people do it: Adam, batches of 64, no smoothing."""
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    for _ in range(updates):
        batch = data[torch.randint(len(data), (64,))]
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(batch.inputs), batch.targets).backward()
        optimizer.step()
    return module.eval()


def table(
    read: Callable[..., tuple[np.ndarray, np.ndarray]],
    seen: list[int] | None,
    labels: int,
    seed: int,
    *,
    unlabelled: bool = False,
) -> Case:
    """A bundled table, stratified; the student sees some of the columns only, the teacher the others too.

    Half of what has no label is learned from as such, or nothing.
    """
    x, y = read(return_X_y=True)
    if read is datasets.load_diabetes:  # a number, so: above the median or not
        y = (y > np.median(y)).astype(int)
    x, y = np.asarray(x, np.float64), np.asarray(y)
    train, test = train_test_split(np.arange(len(y)), train_size=labels, stratify=y, random_state=seed)
    x = (x - x[train].mean(0)) / np.where(x[train].std(0) > 0, x[train].std(0), 1)
    columns = list(range(x.shape[1])) if seen is None else seen
    others = [column for column in range(x.shape[1]) if column not in columns]

    def part(rows: np.ndarray) -> Batch:
        extra = torch.tensor(x[rows][:, others]).float() if others else None
        return Batch(torch.tensor(x[rows][:, columns]).float(), torch.tensor(y[rows]), extra)

    classes, width = int(y.max()) + 1, len(columns)
    privileged = {"privileged": len(others)} if others else {}
    teacher = nets.build("mlp-64", (width,), classes, **privileged)
    student, others_of = nets.build("mlp-8", (width,), classes), len(test) // 2 if unlabelled else 0
    free = without_labels(part(test[:others_of])) if unlabelled else None
    return Case(student, teacher, part(train), part(test[others_of:]), unlabelled=free)


def made_up(seed: int) -> Case:
    """Four classes of 20 features: a teacher of 20,000 rows, a student of 100."""
    x, y = datasets.make_classification(
        26_000, 20, n_informative=12, n_redundant=2, n_classes=4, n_clusters_per_class=3, random_state=seed
    )
    data = Batch(torch.tensor(x).float(), torch.tensor(y))
    teacher = fitted(nets.mlp(20, [128, 128], 4), data[:20_000], updates=4000)
    return Case(nets.mlp(20, [16], 4), teacher, data[20_000:20_100], data[20_100:], trained=True)


def images(
    name: str, labels: int, taught: int, seed: int, data_dir: Path | None, *, unlabelled: int = 0
) -> Case:
    """Images, a small MLP and a LeNet that has seen `taught` of them, or none yet; so many more have no label."""
    source = load(name, data_dir=None if name == "digits" else data_dir)
    order = torch.randperm(len(source.train), generator=torch.Generator().manual_seed(seed))
    inputs = source.train.inputs[order].float() / 255
    targets = source.train.targets[order]
    whole = Batch((inputs - inputs.mean()) / inputs.std(), targets)
    shape = tuple(whole.inputs.shape[1:])
    small, large = ("mlp-32", "lenet-16-32-128") if name == "digits" else ("mlp-800-800", "lenet-20-50-500")
    student, teacher = nets.build(small, shape, 10), nets.build(large, shape, 10)
    rest = whole[labels + taught :]
    if taught:
        fitted(teacher, whole[labels : labels + taught])
    free = without_labels(rest[:unlabelled]) if unlabelled else None
    test = rest[unlabelled : unlabelled + 5000]
    return Case(student, teacher, whole[:labels], test, trained=bool(taught), unlabelled=free)


CASES: dict[str, tuple[int | None, Callable[[int, Path | None], Case]]] = {
    "made-up classes, 100 labels, T of 20,000": (1500, lambda seed, _: made_up(seed)),
    "breast cancer, 60 labels, 5 columns and 25 for T": (
        None,
        lambda seed, _: table(datasets.load_breast_cancer, list(range(5)), 60, seed),
    ),
    "breast cancer, 60 labels": (None, lambda seed, _: table(datasets.load_breast_cancer, None, 60, seed)),
    "wine, 30 labels, 4 columns and 9 for T": (
        None,
        lambda seed, _: table(datasets.load_wine, list(range(4)), 30, seed),
    ),
    "diabetes, 100 labels, 4 columns and 6 for T": (
        None,
        lambda seed, _: table(datasets.load_diabetes, [0, 1, 2, 3], 100, seed),
    ),
    "digits, 100 labels": (None, lambda seed, where: images("digits", 100, 0, seed, where)),
    "digits, 100 labels, T of 800": (None, lambda seed, where: images("digits", 100, 800, seed, where)),
    "MNIST, 100 labels": (1500, lambda seed, where: images("mnist", 100, 0, seed, where)),
    "MNIST, 100 labels, T of 10,000": (1500, lambda seed, where: images("mnist", 100, 10_000, seed, where)),
    "breast cancer, 60 labels, 254 unlabelled": (
        None,
        lambda seed, _: table(datasets.load_breast_cancer, None, 60, seed, unlabelled=True),
    ),
    "wine, 30 labels, 74 unlabelled, 4 columns and 9 for T": (
        None,
        lambda seed, _: table(datasets.load_wine, list(range(4)), 30, seed, unlabelled=True),
    ),
    "diabetes, 100 labels, 171 unlabelled, 4 columns and 6 for T": (
        None,
        lambda seed, _: table(datasets.load_diabetes, [0, 1, 2, 3], 100, seed, unlabelled=True),
    ),
    "digits, 100 labels, 800 unlabelled": (
        None,
        lambda seed, where: images("digits", 100, 0, seed, where, unlabelled=800),
    ),
    "MNIST, 100 labels, 5,000 unlabelled": (
        1500,
        lambda seed, where: images("mnist", 100, 0, seed, where, unlabelled=5000),
    ),
}
"""By name the updates of the student, None for the default, and what gives the case of a seed."""


def main() -> None:
    """Measures each case with each method; what is in the file already is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/default_call.json"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--first-seed", type=int, default=0, help="from 100 for looks, in a file of their own"
    )
    parser.add_argument("--methods", nargs="*", default=["default", "distn", "kdgan"])
    parser.add_argument("--cases", default="", help="only cases whose name has this in it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    whole = json.loads(given.out.read_text()) if given.out.exists() else {"cases": {}}
    whole["command"], found = "python benchmarks/default_call.py --data-dir DIR", whole["cases"]
    for name, (steps, make) in CASES.items():
        if given.cases not in name or (name.startswith("MNIST") and given.data_dir is None):
            continue
        of_case = found.setdefault(name, {})
        for seed in range(given.seeds):
            for method in given.methods:
                done = of_case.setdefault(method, [])
                if len(done) > seed:
                    continue
                chosen = given.first_seed + seed
                torch.manual_seed(chosen)
                case = make(chosen, given.data_dir)
                metrics = distill(
                    case.student,
                    case.teacher,
                    case.train,
                    case.test,
                    unlabelled=case.unlabelled,
                    method=None if method == "default" else method,
                    steps=steps,
                    teacher_trained=case.trained,
                    control=method == given.methods[0],
                    seed=chosen,
                    progress=False,
                ).report.metrics
                done.append(round(metrics["student"]["accuracy"], 2))
                of_case.setdefault("teacher", {}).setdefault(method, []).append(
                    round(metrics["teacher"]["accuracy"], 2)
                )
                if "control" in metrics:
                    of_case.setdefault("control", []).append(round(metrics["control"]["accuracy"], 2))
        given.out.write_text(json.dumps(whole, indent=1) + "\n")
        print(
            name, {method: round(float(np.mean(of_case[method])), 2) for method in given.methods}, flush=True
        )


if __name__ == "__main__":
    main()
