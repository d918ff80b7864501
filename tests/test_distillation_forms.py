"""`distill` over inputs of every form: the same numbers give the same student, however they are said."""

from collections import UserDict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from kdgan import Batch, Result, distill
from kdgan.methods import Method
from kdgan.training.execution import Execution
from support import refused
from tiny import weights

X = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)
KNOWN = nn.functional.one_hot(Y, 3).float()


class Net(nn.Module):
    """Sees six numbers, said as one tensor, two, or two by name, and maybe what is privileged."""

    def __init__(self, width: int, seed: int, privileged: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Linear(6 + 3 * privileged, width), nn.ReLU(), nn.Linear(width, 3))

    def forward(
        self,
        x: Tensor,
        more: Tensor | None = None,
        privileged: Tensor | None = None,
        known: Tensor | None = None,
    ) -> Any:
        known = privileged if known is None else known
        if more is not None and more.shape[1] == 3 and x.shape[1] == 6:
            more, known = None, more  # one tensor, and what is privileged
        return {"logits": self.net(torch.cat([part for part in (x, more, known) if part is not None], 1))}


class Items(Dataset[Any]):
    def __init__(self, whole: Any, count: int) -> None:
        self.whole, self.count = whole, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> Any:
        def of(part: Any) -> Any:
            if isinstance(part, dict):
                return {name: of(each) for name, each in part.items()}
            return tuple(map(of, part)) if isinstance(part, tuple) else part[row]

        return of(self.whole)


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, :2], x[:, 2:]


def named(x: Tensor) -> dict[str, Tensor]:
    return dict(zip(("x", "more"), split(x), strict=True))


def forms(rows: slice, known: bool) -> dict[str, Any]:
    x, y, k = X[rows], Y[rows], KNOWN[rows]
    more = (k,) if known else ()
    by_name: dict[str, Any] = {**named(x), "labels": y} | ({"privileged": {"known": k}} if known else {})
    count = len(x)
    return {
        "tensor": (x, y, *more),
        "Batch": Batch(x, y, *more),
        "arrays": tuple(part.numpy() for part in (x, y, *more)),
        "tuple": (split(x), y, *more),
        "mapping": (named(x), y, *more),
        "names": by_name,
        "encoding": UserDict(by_name),
        "pairs": [Items((x, y, *more), count)[row] for row in range(count)],
        "dicts": [Items(by_name, count)[row] for row in range(count)],
        "Dataset of dicts": Items(by_name, count),
        "Dataset of tuples": Items((split(x), y, *more), count),
    }


FORMS = [*forms(slice(0, 6), False)]


def run(train: Any, validation: Any, known: bool = False, **options: Any) -> Result:
    given = {"steps": 12, "batch": 8, "lr": 0.01, "method": "distn", "progress": False, **options}
    return distill(Net(8, 0), Net(16, 1, known), train, validation, **given)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_numbers_give_the_same_student(form: str, known: bool) -> None:
    train, validation = forms(slice(0, 60), known), forms(slice(60, 90), known)
    whole = run(train["tensor"], validation["tensor"], known)
    result = run(train[form], validation[form], known)
    assert torch.equal(weights(result.student), weights(whole.student))
    assert result.report.metrics == whole.report.metrics
    assert [row["accuracy"] for row in result.history] == [row["accuracy"] for row in whole.history]


@pytest.mark.parametrize("method", ["supervised", "codis", "kdgan"])
@pytest.mark.parametrize("form", ["tuple", "names", "Dataset of dicts"])
def test_other_methods_too(form: str, method: str) -> None:
    train, validation = forms(slice(0, 60), False), forms(slice(60, 90), False)
    results = [run(train[each], validation[each], method=method) for each in ("tensor", form)]
    assert torch.equal(*(weights(result.student) for result in results))


class Texts(nn.Module):
    """A bag of words, which knows padding."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.words = nn.Embedding(12, width)
            self.out = nn.Linear(width, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        mask = attention_mask.unsqueeze(2)
        return {"logits": self.out((self.words(input_ids) * mask).sum(1) / mask.sum(1))}


def texts(count: int, seed: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed)
    found: list[dict[str, Any]] = []
    for _ in range(count):
        size = int(torch.randint(1, 9, (), generator=generator))
        ids = torch.randint(1, 12, (size,), generator=generator)
        found.append({"input_ids": ids, "labels": int(ids[0]) % 3})
    return found


def padded(rows: list[dict[str, Any]]) -> UserDict[str, Tensor]:
    ids = nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], batch_first=True)
    labels = torch.tensor([row["labels"] for row in rows])
    return UserDict(input_ids=ids, attention_mask=(ids > 0).long(), labels=labels)


@pytest.mark.parametrize("method", ["distn", "kdgan"])
def test_texts_of_other_lengths_in_training_and_validation(method: str) -> None:
    train, validation = texts(60, 0), texts(30, 1)

    def distilled(size: int) -> Result:
        loaders = (
            DataLoader(train, 8, shuffle=True, collate_fn=padded),  # type: ignore[arg-type]
            DataLoader(validation, size, collate_fn=padded),  # type: ignore[arg-type]
        )
        return distill(
            Texts(4, 0), Texts(8, 1), *loaders, method=method, steps=12, progress=False, device="cpu"
        )

    one, other = distilled(7), distilled(30)
    assert torch.equal(weights(one.student), weights(other.student))
    right = 0
    for row in validation:
        batch = padded([row])
        logits = one.student(batch["input_ids"], batch["attention_mask"])["logits"]
        right += int(logits.argmax(1)) == row["labels"]
    assert one.report.metrics["student"]["accuracy"] == pytest.approx(100 * right / 30)


# --- examples without labels -----------------------------------------------------------------------------------------

LABELLED = slice(0, 12)
UNLABELLED: dict[str, Any] = {
    "beside": ((X[LABELLED], Y[LABELLED]), X[12:60]),
    "with labels": ((X[LABELLED], Y[LABELLED]), (X[12:60], Y[12:60])),
    "in one": ((X[:60], torch.cat([Y[LABELLED], torch.full((48,), -1)])), None),
    "list": ([(x, int(y)) for x, y in zip(X[LABELLED], Y[LABELLED], strict=True)], list(X[12:60])),
    "None": ([(X[row], int(Y[row]) if row < 12 else None) for row in range(60)], None),
}


@pytest.mark.parametrize("method", ["distn", "kdgan"])
@pytest.mark.parametrize("form", UNLABELLED)
def test_without_labels_however_they_are_said(form: str, method: str) -> None:
    def trained(form: str) -> Result:
        train, more = UNLABELLED[form]
        return run(train, (X[60:], Y[60:]), method=method, unlabelled=more, teacher_trained=False)

    one, other, without = trained("beside"), trained(form), run(*labelled_alone(), method=method)
    assert torch.equal(weights(one.student), weights(other.student))
    assert not torch.equal(weights(one.student), weights(without.student))
    assert one.control is not None
    assert without.control is not None
    assert torch.equal(weights(one.control), weights(without.control))  # it learns from labels alone


def labelled_alone() -> tuple[Any, Any]:
    return UNLABELLED["beside"][0], (X[60:], Y[60:])


@pytest.mark.parametrize("form", ["tensors", "loaders"])
@pytest.mark.parametrize("at", [15, 22])
def test_a_stopped_call_goes_on_with_the_same_bits(
    form: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(**options: Any) -> Result:
        data: Any = (X[LABELLED], Y[LABELLED])
        more: Any = X[12:60]
        if form == "loaders":
            data = DataLoader(TensorDataset(*data), 4, shuffle=True)
            more = DataLoader(TensorDataset(more), 6, shuffle=True)
        return run(data, (X[60:], Y[60:]), method="kdgan", unlabelled=more, control=False, **options)

    whole, update, calls = call(), Method.update, iter(range(1, 10_000))

    def failing(self: Any, batch: Batch, progress: float) -> Any:
        if next(calls) == at:
            raise KeyboardInterrupt
        return update(self, batch, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Method, "update", failing)
        patch.setattr("kdgan.training.loop.WINDOW", 1)
        patch.setattr("kdgan.distillation.Execution", partial(Execution, checkpoint_seconds=0.0))
        with pytest.raises(KeyboardInterrupt):
            call(folder=tmp_path / "run")
    assert torch.equal(weights(call(folder=tmp_path / "run").student), weights(whole.student))
    with refused("another configuration (data"):
        run(
            (X[LABELLED], Y[LABELLED]),
            (X[60:], Y[60:]),
            method="kdgan",
            control=False,
            folder=tmp_path / "run",
        )
