"""Calls of `distill` as people and accidents make them: right, odd and wrong, drawn from a seed."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from kdgan import Batch, Training, nets
from kdgan.data import Noise
from kdgan.losses import l2
from kdgan.methods import METHODS

COUNT, FEATURES, CLASSES = 14, 6, 3
Call = dict[str, Any]


@dataclass
class Case:
    """A call by name, and what the caller is in the midst of."""

    name: str
    call: Call
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    keep: list[Tensor] = field(default_factory=list)
    """Tensors of the caller's that must stay as they are."""


def cases(seed: int, count: int, folder: Path) -> Iterator[Case]:
    """So many cases, each with one or two things that are not as in the plain call."""
    draw = random.Random(seed)
    for number in range(count):
        torch.manual_seed(draw.randrange(2**31))
        case = Case("", plain(draw))
        # Each kind comes first, and then pairs of them.
        first = ODD[(number + seed * count) % len(ODD)]
        for change in [first, *([draw.choice(ODD)] if draw.random() < 0.25 else [])]:
            case.name += f" {change.__name__}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch would rather have other ways to do such things
                change(case, draw, folder / str(number))
        yield case


def plain(draw: random.Random) -> Call:
    method = draw.choice([*METHODS])
    return {
        **{"student": nets.mlp(FEATURES, [4], CLASSES), "teacher": nets.mlp(FEATURES, [8], CLASSES)},
        **{"train": examples(), "validation": examples()},
        **{
            "method": method,
            "steps": draw.choice([2, 3, 5]),
            "batch": draw.choice([4, 8]),
            "progress": False,
        },
        **{"control": draw.random() < 0.5, "teacher_trained": draw.choice([None, True, False])},
    }


def examples(count: int = COUNT, known: bool = False) -> Batch:
    x = torch.randn(count, FEATURES)
    y = x[:, :CLASSES].argmax(1)
    return Batch(x, y, nn.functional.one_hot(y, CLASSES).float() if known else None)


ODD: list[Callable[[Case, random.Random, Path], None]] = []


def odd(change: Callable[[Case, random.Random, Path], None]) -> Callable[[Case, random.Random, Path], None]:
    ODD.append(change)
    return change


def choosing(name: str, values: Callable[[], list[Any]]) -> None:
    """A kind of case: an argument that has one of these values."""

    def change(case: Case, draw: random.Random, folder: Path) -> None:
        case.call[name] = value = draw.choice(values())
        case.name += f"={value!r:.40}"

    change.__name__ = name
    ODD.append(change)


NUMBERS = [
    0,
    -1,
    1.5,
    "3",
    None,
    True,
    np.int64(3),
    np.float32(0.1),
    float("nan"),
    float("inf"),
    10**30,
    [2],
    2**70,
]
choosing("steps", lambda: [each for each in NUMBERS if each is not None])
for _name in ("batch", "lr", "teacher_lr", "teacher_every", "seed"):
    choosing(_name, lambda: [*NUMBERS, np.array([1, 2]), torch.tensor(3), Fraction(1, 2), b"3", {}, "a\nb"])
choosing(
    "method",
    lambda: ["gan", ["kdgan"], None, 3, "a:b", "\x1b[2J", "math:pi", nn.Linear, object(), ("kdgan",)],
)
choosing(
    "hyper",
    lambda: [
        *[[], 3, "alpha", {"alpha": "x"}, {3: 4}, {"alpha": float("nan")}, {"alpha": np.float32(0.5)}],
        *[{"distillation": lambda a, b: a}, {"distillation": lambda a, b: 1 / 0}, {"distillation": l2}],
        *[
            {"distillation": lambda a, b: (a - b).detach().sum(1)},
            {"temperature": 0},
            {"c_steps": np.int64(2)},
        ],
    ],
)
choosing("metrics", lambda: [None, 3, "x", ["x"], {"a": 3}, {1: len}, {"a\nb": len}, {"a": lambda z, y: "b"}])
choosing(
    "metrics", lambda: [{"n": lambda z, y: len(y)}, {"z": lambda z, y: z.zero_().sum()}, {"step": len}, [len]]
)
choosing(
    "augment",
    lambda: [3, "noise", Noise(0.1), lambda x, g: x[:1], lambda x, g: None, lambda x: x, nn.Identity()],
)
choosing(
    "augment",
    lambda: [lambda x, g: x.mul_(2), lambda x, g: x * float("nan"), lambda x, g: x + np.random.randn()],
)
choosing("training", lambda: [3, {}, Training, Training(epsilon=0.1), Training(smoothing=0.5, evaluations=7)])
choosing("device", lambda: ["gpu", "cuda:99", None, 5, "meta", "", "auto", torch.device("cpu"), "\n"])
choosing("control", lambda: ["no", 1, None, np.True_, []])
choosing("progress", lambda: ["no", 0, None, True])
choosing("teacher_trained", lambda: ["yes", 1, np.False_, []])
choosing(
    "student",
    lambda: [None, nn.Linear, lambda x: x, "mlp", nets.mlp(5, [3], 3), nets.mlp(6, [3], 2), nn.Identity()],
)
choosing("teacher", lambda: [None, nn.Linear, 3, nets.mlp(5, [3], 3), nets.mlp(6, [3], 1), nn.Flatten()])
choosing(
    "teacher",
    lambda: [
        *[
            torch.randn(COUNT, CLASSES),
            torch.randn(COUNT, 2),
            np.random.rand(COUNT, CLASSES),
            np.zeros((3, CLASSES)),
        ],
        *[
            lambda x: x[:, :CLASSES],
            lambda x: x[0],
            lambda x: None,
            lambda x: 1 / 0,
            "nowhere.safetensors",
            [],
        ],
        *[
            [nets.mlp(FEATURES, [4], CLASSES), lambda x: x[:, :CLASSES]],
            torch.full((COUNT, CLASSES), torch.nan),
        ],
    ],
)
choosing(
    "discriminator", lambda: [3, nn.Linear, nets.mlp(6, [3], 4), nets.mlp(6, [3], 3), nets.mlp(5, [3], 3)]
)
choosing(
    "train", lambda: [None, 3, [], {}, "x", (1, 2), iter([]), [[1.0], [0]], (torch.zeros(3, 6),), range(3)]
)
choosing(
    "validation", lambda: [None, 3, [], {}, examples(0), examples(1), (np.zeros((3, 6)), np.zeros(3, int))]
)
choosing("teacher_gives", lambda: ["probabilities", "odds", None, 3])
choosing("teacher_sees", lambda: ["inputs", "privileged", "all", None, 0])
choosing(
    "teacher_classes",
    lambda: [{0: 1, 1: 2, 2: 0}, [2, 1, 0], [0, 1], {"a": 0}, [0, 0, 1], 3, "x", [None, 0, 1], [9, 8, 7]],
)
choosing(
    "unlabelled",
    lambda: [
        *[
            torch.randn(9, FEATURES),
            torch.randn(9, 5),
            np.zeros((4, FEATURES)),
            "rest",
            3,
            [],
            torch.zeros(0, 6),
        ],
        *[examples(), {"x": torch.randn(9, FEATURES)}, torch.full((9, FEATURES), torch.nan), iter([]), None],
    ],
)
choosing("labelled_share", lambda: [*NUMBERS, 0.5, "half"])
choosing("task", lambda: ["classes", "binary", "multilabel", "regression", None, 3, ["classes"]])
choosing(
    "loss",
    lambda: [
        *[
            lambda z, y: nn.functional.cross_entropy(z, y, reduction="none"),
            nn.functional.cross_entropy,
            len,
            3,
        ],
        *[
            lambda z, y: z.sum(),
            lambda z, y: None,
            lambda z, y: 1 / 0,
            lambda z, y: z.sum(1) * float("nan"),
            "x:y",
        ],
    ],
)
choosing(
    "class_weights",
    lambda: [
        [1, 2, 3],
        torch.ones(3),
        [1, 2],
        "balanced",
        "even",
        [0, 0, 0],
        [-1, 1, 1],
        [float("nan")] * 3,
        5,
        {},
    ],
)
choosing("label_smoothing", lambda: [*NUMBERS, 0.1, 0.999])
choosing(
    "metrics", lambda: [["log_loss", "ece"], ["top5"], ["auroc", "a"], [None], {"accuracy": None}, "accuracy"]
)
choosing(
    "features", lambda: [{}, {"0": "0"}, {"1": "1"}, {"x": "0"}, {"": ""}, {0: 1}, 3, "0", ["0"], {"0": None}]
)
choosing("feature_loss", lambda: ["attention", "relational", "none", 3, lambda a, b: a.sum(), None])
choosing("epochs", lambda: [*NUMBERS, 2])
choosing("patience", lambda: [*NUMBERS, 1])
choosing("keep", lambda: ["best", "first", None, 3])
choosing("evaluations", lambda: [*NUMBERS, 2])
choosing("eval_batch", lambda: [*NUMBERS, 2])
choosing(
    "test",
    lambda: [examples(), examples(0), 3, (torch.zeros(3, 5), torch.zeros(3).long()), examples(known=True)],
)
choosing("on_evaluation", lambda: [print, 3, [], [len], [None], lambda e: 1 / 0, "x", lambda e: exit()])
choosing(
    "optimizers",
    lambda: [
        *[
            lambda p: torch.optim.SGD(p, 0.1),
            torch.optim.Adam,
            {"student": lambda p: torch.optim.SGD(p, 0.1)},
            3,
            {},
        ],
        *[
            {"nobody": torch.optim.Adam},
            lambda p: None,
            lambda p: 1 / 0,
            lambda p: torch.optim.LBFGS(p),
            "adam",
        ],
    ],
)
choosing(
    "schedulers",
    lambda: [
        *[
            lambda o: torch.optim.lr_scheduler.StepLR(o, 2),
            lambda o: None,
            3,
            {"student": 3},
            lambda o: 1 / 0,
        ],
        *[{}, torch.optim.lr_scheduler.LambdaLR],
    ],
)


@odd
def folder(case: Case, draw: random.Random, folder: Path) -> None:
    file = folder.with_suffix(".file")
    file.write_text("x", encoding="utf-8")
    full = folder.with_suffix(".full")
    full.mkdir(exist_ok=True)
    (full / "distill.json").write_text(draw.choice(["{}", "5", "null", "{"]), encoding="utf-8")
    choices: list[Any] = [folder, str(folder), file, file / "below", full, 3, "", "a\0b", "x" * 5000, b"x"]
    case.call["folder"] = chosen = draw.choice(choices)
    case.name += f"={str(chosen)[-20:]!r}"


@odd
def around(case: Case, draw: random.Random, folder: Path) -> None:
    case.around = draw.choice(
        [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
    )
    if draw.random() < 0.3:
        with torch.inference_mode():
            role = draw.choice(["student", "teacher"])
            case.call[role] = nets.mlp(FEATURES, [4], CLASSES)
            case.call["train"] = examples()


# --- data ------------------------------------------------------------------------------------------------------------


def targets_of(draw: random.Random, y: Tensor) -> Any:
    hot = nn.functional.one_hot(y, CLASSES).float()
    ways: list[Callable[[], Any]] = [
        *[lambda: y.unsqueeze(1), y.float, y.bool, y.int, y.to_sparse, lambda: hot, hot.double, hot.bfloat16],
        *[lambda: hot + hot.flip(1), lambda: -hot, lambda: hot[:, :2], lambda: hot * float("nan")],
        *[
            lambda: y + 1,
            lambda: y - 1,
            lambda: y + 10**12,
            lambda: torch.full_like(hot, 1 / 3),
            lambda: y[:-1],
        ],
        *[lambda: hot.unsqueeze(1), lambda: y.tolist(), y.numpy, lambda: y.numpy().astype(str)],
        *[lambda: y.to(torch.cfloat), lambda: y.numpy().astype(np.uint64), lambda: torch.randn(len(y), 3)],
    ]
    return draw.choice(ways)()


def inputs_of(draw: random.Random, x: Tensor) -> Any:
    spoilt = x.clone()
    spoilt[3] = draw.choice([float("nan"), float("inf")])
    read_only = x.numpy().copy()
    read_only.flags.writeable = False
    ways: list[Callable[[], Any]] = [
        *[
            lambda: spoilt,
            x.double,
            x.half,
            x.byte,
            x.long,
            x.bool,
            x.to_sparse,
            lambda: x.to("meta"),
            lambda: x[0, 0],
        ],
        *[
            lambda: x.clone().requires_grad_(),
            lambda: x.numpy().astype(">f4"),
            lambda: x.numpy()[::-1],
            lambda: read_only,
        ],
        *[
            lambda: x.numpy().astype(np.float16),
            lambda: x[:, 0],
            lambda: x.view(-1, 2, 3),
            lambda: x.t(),
            lambda: x[:0],
        ],
        *[lambda: x.numpy().astype(object), lambda: x.to(torch.cfloat), lambda: x * 1e30, lambda: x.tolist()],
        *[
            lambda: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
            lambda: nn.Parameter(x.clone()),
            lambda: x * 2,
        ],
    ]
    return draw.choice(ways)()


@odd
def tuples(case: Case, draw: random.Random, folder: Path) -> None:
    data = examples()
    x, y = data.inputs, data.targets
    if draw.random() < 0.5:
        x = inputs_of(draw, x)
    else:
        y = targets_of(draw, y)
    part = draw.choice(["train", "validation"])
    case.call[part] = draw.choice([(x, y), [x, y], (x, y, None)])
    case.keep += [each for each in (x, y) if isinstance(each, Tensor)]
    case.name += (
        f" {part} {getattr(x, 'dtype', type(x))} {getattr(y, 'dtype', type(y))} {getattr(y, 'shape', '')}"
    )


ODD += [tuples] * 5


@odd
def privileged(case: Case, draw: random.Random, folder: Path) -> None:
    seeing = nets.WithPrivileged(nn.Identity(), nets.mlp(FEATURES + CLASSES, [8], CLASSES))
    case.call["teacher"] = draw.choice([seeing, case.call["teacher"]])
    case.call["train"] = examples(known=draw.random() < 0.7)
    case.call["validation"] = examples(known=draw.random() < 0.4)


class Items(Dataset[Any]):
    """Examples that `change` makes others of, by their place."""

    def __init__(self, change: Callable[[Tensor, int, int], Any], count: int = COUNT) -> None:
        self.data, self.change, self.count, self.calls = examples(), change, count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        self.calls += 1
        x, y = self.data.inputs[index].clone(), int(self.data.targets[index])
        return self.change(x, y, index)


class Stream(IterableDataset[Any]):
    def __init__(self, items: Items, ends: bool = True) -> None:
        self.items, self.ends = items, ends

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from (self.items[index] for index in range(COUNT))
            if self.ends:
                return


def late(index: int) -> bool:
    return index == COUNT - 2


OTHERS: dict[str, Callable[[Tensor, int, int], Any]] = {
    "same": lambda x, y, i: (x, y),
    "numpy": lambda x, y, i: (x + float(np.random.randn()), y),
    "random": lambda x, y, i: (x + random.random(), y),
    "torch": lambda x, y, i: (x + torch.randn(FEATURES), y),
    "none": lambda x, y, i: (x, y, None),
    "pil": lambda x, y, i: (Image.new("L", (2, 2)), y),
    "ragged": lambda x, y, i: (x[: 3 if late(i) else 6], y),
    "label": lambda x, y, i: (x, 99 if late(i) else y),
    "negative": lambda x, y, i: (x, -100 if late(i) else y),
    "nan": lambda x, y, i: (x * float("nan") if late(i) else x, y),
    "raises": lambda x, y, i: (x, y) if not late(i) else [][1],
    "dict": lambda x, y, i: {"x": x, "y": y},
    "single": lambda x, y, i: x,
    "array": lambda x, y, i: (x.numpy().astype(float), np.int64(y)),
    "text": lambda x, y, i: (x, str(y)),
    "float": lambda x, y, i: (x, float(y)),
    "soft": lambda x, y, i: (x, torch.eye(CLASSES)[y] * (2 if late(i) else 1)),
    "sometimes": lambda x, y, i: (x, y, None) if late(i) else (x, y, x),
    "bytes": lambda x, y, i: (x.byte(), y),
    "long": lambda x, y, i: (x.long(), y),
    "exits": lambda x, y, i: (x, y) if not late(i) else exit(3),
}


@odd
def items(case: Case, draw: random.Random, folder: Path) -> None:
    kind = draw.choice([*OTHERS])
    data: Any = Items(OTHERS[kind], count=draw.choice([COUNT, COUNT, COUNT, 0, 1, COUNT + 1]))
    if draw.random() < 0.2:
        data = Stream(data)
    form = draw.choice(["dataset", "loader", "shuffled", "generator", "unbatched", "workers"])
    torch_generator = torch.Generator().manual_seed(1)
    with warnings.catch_warnings():
        shuffle = form in ("shuffled", "generator") and isinstance(data, Items) and len(data) > 0
        if form != "dataset":
            options: dict[str, Any] = {"batch_size": draw.choice([1, 4, 5, 13, 99]), "shuffle": shuffle}
            options |= {"generator": torch_generator} if form == "generator" else {}
            options |= {"batch_size": None, "shuffle": False} if form == "unbatched" else {}
            options |= {"drop_last": True} if draw.random() < 0.2 and form != "unbatched" else {}
            if form == "workers" and draw.random() < 0.2:
                options |= {"num_workers": 1, "persistent_workers": draw.random() < 0.5}
            data = DataLoader(data, **options)
    part = draw.choice(["train", "train", "validation"])
    case.call[part] = data
    if draw.random() < 0.3:
        case.call["folder"] = folder
    case.name += f" {part} {form} {kind}"


ODD += [items] * 8


# --- players ---------------------------------------------------------------------------------------------------------


class Writing(nn.Module):
    """Changes what it is given, always or only while it is trained."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.net, self.always = nets.mlp(FEATURES, [4], CLASSES), always

    def forward(self, x: Tensor) -> Tensor:
        if self.always or self.training:
            x.mul_(0.5)
        return self.net(x)


class Giving(nn.Module):
    """Gives something else than its logits, always or only while it is trained."""

    def __init__(self, change: Callable[[Tensor], Any], always: bool = True) -> None:
        super().__init__()
        self.net, self.change, self.always = nets.mlp(FEATURES, [4], CLASSES), change, always

    def forward(self, x: Tensor) -> Any:
        return self.change(self.net(x)) if self.always or self.training else self.net(x)


class Locked(nn.Module):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.lock = nets.mlp(FEATURES, [4], CLASSES), threading.Lock()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Words(nn.Module):
    """Embeds whole numbers."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(20, 4, sparse=sparse), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x).mean(1))


def fail(*_: Any) -> Any:
    raise KeyError("two\nlines \x1b[2J")


def networks() -> dict[str, Callable[[], nn.Module]]:
    mlp = lambda: nets.mlp(FEATURES, [4], CLASSES)  # noqa: E731
    gives = {
        "tuple": lambda z: (z, z),
        "dict": lambda z: {"logits": z},
        "none": lambda z: None,
        "flat": lambda z: z[:, 0],
    }
    gives |= {"nan": lambda z: z * float("nan"), "ints": lambda z: z.long(), "detached": lambda z: z.detach()}
    gives |= {
        "raises": fail,
        "narrow": lambda z: z[:, :2],
        "one": lambda z: z[:1],
        "double": lambda z: z.double(),
    }
    gives |= {
        "complex": lambda z: z.to(torch.cfloat),
        "inf": lambda z: z / 0,
        "inplace": lambda z: z.relu_(),
        "exits": exit,
    }
    found: dict[str, Callable[[], nn.Module]] = {
        **{f"gives {name}": (lambda way=way: Giving(way)) for name, way in gives.items()},
        **{f"trains {name}": (lambda way=way: Giving(way, False)) for name, way in gives.items()},
        "writes": lambda: Writing(True),
        "writes late": lambda: Writing(False),
        "inplace": lambda: nn.Sequential(nn.ReLU(inplace=True), mlp()),
        "locked": Locked,
        "norm": lambda: nn.Sequential(nn.Linear(FEATURES, 4), nn.BatchNorm1d(4), nn.Linear(4, CLASSES)),
        "instance norm": lambda: nn.Sequential(
            nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2), nn.Flatten(), mlp()
        ),
        "lazy": lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(CLASSES)),
        "meta": lambda: mlp().to("meta"),
        "half": lambda: mlp().half(),
        "bfloat16": lambda: mlp().bfloat16(),
        "double": lambda: mlp().double(),
        "frozen": lambda: mlp().requires_grad_(False),
        "part frozen": lambda: nn.Sequential(mlp().requires_grad_(False), nn.Linear(CLASSES, CLASSES)),
        "scripted": lambda: torch.jit.script(mlp()),
        "traced": lambda: torch.jit.trace(mlp(), torch.randn(2, FEATURES)),
        "compiled": lambda: torch.compile(mlp(), backend="eager"),
        "quantized": lambda: torch.ao.quantization.quantize_dynamic(mlp(), {nn.Linear}, dtype=torch.qint8),
        "words": lambda: Words(False),
        "sparse words": lambda: Words(True),
        "weight norm": lambda: nn.utils.weight_norm(nn.Linear(FEATURES, CLASSES)),
        "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(FEATURES, CLASSES)),
        "no weights": lambda: nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(CLASSES)),
        "module list": lambda: nn.ModuleList([mlp()]),
        "channels last": lambda: nn.Sequential(
            nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, CLASSES, (2, 3)), nn.Flatten()
        ).to(memory_format=torch.channels_last),
        "dropout": lambda: nn.Sequential(mlp(), nn.Dropout(0.9)),
        "prelu": lambda: nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.PReLU()),
    }
    return found


@odd
def network(case: Case, draw: random.Random, folder: Path) -> None:
    kinds = networks()
    kind, role = draw.choice([*kinds]), draw.choice(["student", "student", "teacher", "discriminator"])
    case.call[role] = kinds[kind]()
    if "words" in kind:
        case.call["train"] = case.call["validation"] = (
            torch.randint(0, 20, (COUNT, 5)),
            torch.arange(COUNT) % CLASSES,
        )
        case.call["student"], case.call["teacher"] = kinds[kind](), Words(False)
        case.call["discriminator"] = None
    if kind == "double":
        for part in ("train", "validation"):
            case.call[part] = (torch.randn(COUNT, FEATURES).double(), torch.arange(COUNT) % CLASSES)
    if draw.random() < 0.3:
        case.call["folder"] = folder
    case.name += f" {role} {kind}"


ODD += [network] * 8


@odd
def shared(case: Case, draw: random.Random, folder: Path) -> None:
    layer = nn.Linear(FEATURES, CLASSES)
    case.call[draw.choice(["student", "discriminator"])] = nn.Sequential(layer)
    case.call["teacher"] = draw.choice([nn.Sequential(layer, nn.Identity()), layer])


@odd
def methods(case: Case, draw: random.Random, folder: Path) -> None:
    """Every method in a folder, and again."""
    case.call |= {
        "method": draw.choice([*METHODS]),
        "folder": folder,
        "train": TensorDataset(*examples().parts()[:2]),
    }
