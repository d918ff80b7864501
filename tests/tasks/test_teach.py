"""A teacher that is asked once: what is written, what a stop leaves, and whose logits they are."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset

from kdgan import Result, RunError, distill, nets, teach
from kdgan.data import kept
from kdgan.tasks import teach as room
from kdgan.tasks.logits_file import LogitsFile
from support import refused
from tiny import weights

X = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)


def drawn(hidden: int, seed: int, inputs: int = 6) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.mlp(inputs, [hidden], 3)


def big(seed: int = 1, inputs: int = 6) -> nn.Module:
    return drawn(16, seed, inputs).eval()


def told(module: nn.Module, *inputs: Tensor, **named: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = module(*inputs, **named)
    return found


def run(teacher: Any, train: Any = (X, Y), **options: Any) -> Result:
    given: dict[str, Any] = {"steps": 6, "batch": 16, "progress": False, "method": "distn", "control": False}
    return distill(drawn(4, 0), teacher, train, (X, Y), **{**given, **options})


def ask(teacher: Any, data: Any, path: Any, **options: Any) -> Path:
    return teach(teacher, data, path, progress=False, **options)


class Counting:
    """A function that counts what it is asked, and fails at some time."""

    def __init__(self, fails_at: int = 10**9) -> None:
        self.fails_at = fails_at

    def __call__(self, x: Tensor) -> Tensor:
        asked.extend(range(len(x)))
        if len(asked) > self.fails_at:
            raise ConnectionError("no answer")
        return told(big(), x)


asked: list[int] = []


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    asked.clear()


class Items(Dataset[Any]):
    def __init__(self, noise: float = 0.0, shift: float = 0.0) -> None:
        self.noise, self.shift = noise, shift

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return X[row] + self.shift + self.noise * torch.randn(6), int(Y[row])


def loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(Items(**options), batch_size=16, shuffle=True)


FORMS: dict[str, Any] = {"tensors": lambda: (X, Y), "Dataset": Items, "DataLoader": loader}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_teaches_what_the_module_does(tmp_path: Path, form: str) -> None:
    teacher = big()
    teacher.train()
    path = ask(teacher, FORMS[form](), tmp_path / "t.safetensors", batch=1000)
    assert path == tmp_path / "t.safetensors"
    assert teacher.training
    torch.testing.assert_close(
        torch.as_tensor(load_file(path)["logits"]), told(big(), X), rtol=1e-5, atol=1e-6
    )
    result = run(path, FORMS[form]())
    expected = run(big(), FORMS[form](), teacher_trained=True)
    if form == "DataLoader":
        torch.testing.assert_close(weights(result.student), weights(expected.student), rtol=1e-5, atol=1e-6)
    else:
        assert torch.equal(weights(result.student), weights(expected.student))
    assert result.teacher == path
    assert "teacher" not in result.report.metrics
    # One's own order does not matter: rows are found by the place in the data set.
    run(path, (X, Y))
    assert {each.name for each in tmp_path.iterdir()} <= {"t.safetensors", ".lock"}


def test_a_finished_file_costs_nothing(tmp_path: Path) -> None:
    path = ask(Counting(), (X, Y), tmp_path / "t", batch=20, name="one that counts")
    assert len(asked) == 90
    before = path.read_bytes()
    ask(Counting(), (X, Y), str(path), batch=7, name="one that counts")
    assert len(asked) == 90
    assert path.read_bytes() == before
    # What it finds in its module has changed.
    with refused("another teacher or other data"):
        ask(Counting(), (X, Y), path)
    with refused("another teacher or other data"):
        ask(Counting(), (X, Y), path, name="another")


@pytest.mark.parametrize("form", FORMS)
def test_a_call_that_failed_goes_on_where_it_stopped(tmp_path: Path, form: str) -> None:
    whole = ask(Counting(), FORMS[form](), tmp_path / "whole", batch=16)
    asked.clear()
    failing = Counting(fails_at=60)
    with pytest.raises(RunError, match="the teacher fails with ConnectionError: no answer"):
        ask(failing, FORMS[form](), tmp_path / "t", batch=16)
    assert not (tmp_path / "t").exists()
    with refused("there is no file"):
        run(tmp_path / "t")
    assert len(asked) == 64
    asked.clear()
    with refused(".t.part holds the logits of another teacher or other data"):
        ask(Counting(), FORMS[form](), tmp_path / "t", batch=16)
    ask(failing, FORMS[form](), tmp_path / "t", batch=16)
    assert len(asked) == 90 - 48
    assert load_file(tmp_path / "t")["logits"].tolist() == load_file(whole)["logits"].tolist()
    assert load_file(tmp_path / "t")["examples"].tolist() == load_file(whole)["examples"].tolist()


SLOW = """
import sys, time, torch
from kdgan import teach
torch.set_num_threads(1)
class Slow(torch.nn.Module):
    def forward(self, x):
        time.sleep(float(sys.argv[2]))
        return x[:, :3] * 2
x = torch.arange(600.0).view(100, 6)
teach(Slow(), (x, torch.arange(100) % 3), sys.argv[1], batch=5, progress=False)
"""


def test_a_kill_leaves_what_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, path = tmp_path / "slow.py", tmp_path / "out" / "t"
    script.write_text(SLOW, encoding="utf-8")
    killed = subprocess.Popen([sys.executable, str(script), str(path), "0.4"])
    part = path.with_name(".t.part")
    for _ in range(600):
        time.sleep(0.1)
        if part.exists() and LogitsFile(part).done >= 10:
            break
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = LogitsFile(part).done
    assert 10 <= done < 100
    assert not path.exists()
    subprocess.run([sys.executable, str(script), str(path), "0"], check=True, env=os.environ)
    x = torch.arange(600.0).view(100, 6)
    assert load_file(path)["logits"].tolist() == (x[:, :3] * 2).tolist()
    assert LogitsFile(path).done == 100
    assert not part.exists()


def test_what_a_kill_left_at_the_beginning_is_gone(tmp_path: Path) -> None:
    left = tmp_path / "..t.part.0123.tmp"
    left.write_bytes(b"half")
    ask(big(), (X, Y), tmp_path / "t")
    assert not left.exists()


def test_a_full_disk_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with refused("t cannot be written: No space left on device"):
        ask(big(), (X, Y), tmp_path / "t")
    assert {each.name for each in tmp_path.iterdir()} <= {".lock"}


def test_answers_are_written_before_they_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_SECONDS", 0.0)
    seen = []

    def teacher(x: Tensor) -> Tensor:
        part = tmp_path / ".t.part"
        seen.append(LogitsFile(part).done if part.exists() else 0)
        return told(big(), x)

    ask(teacher, (X, Y), tmp_path / "t", batch=30)
    assert seen == [0, 30, 60]


# --- whose logits they are ---------------------------------------------------------------------------------------


def test_another_teacher_or_other_data(tmp_path: Path) -> None:
    path = ask(big(), (X, Y), tmp_path / "t")
    with refused("t holds the logits of another teacher or other data: choose another path, or delete it"):
        ask(big(2), (X, Y), path)
    other = X.clone()
    other[71, 3] += 1
    for data in ((other, Y), (X.flip(0), Y), (X[:80], Y[:80]), (X.double(), Y)):
        with refused("another teacher or other data"):
            ask(big(), data, path)
    with refused("another teacher or other data"):
        ask(lambda x: told(big(), x), (X, Y), path)
    with refused("another teacher or other data"):
        ask(big(), (X, Y), path, teacher_sees="inputs")
    ask(big(), (X, Y + 0), path)
    for data in ((other, Y), (X.flip(0), Y)):
        with refused("holds the logits of other training data, or of these in another order"):
            run(path, data)
    with refused("the teacher's logits are of 90 examples, but train has 80"):
        run(path, (X[:80], Y[:80]))
    run(path, (X, (Y + 1) % 3))  # labels are nothing that a teacher sees


def test_data_that_are_read_anew_are_looked_at(tmp_path: Path) -> None:
    path = ask(big(), loader(), tmp_path / "t")
    run(path, loader())
    with refused("of other training data"):
        run(path, loader(shift=1.0))
    with refused("another teacher or other data"):
        ask(big(), loader(shift=1.0), path)


def test_two_forests_are_two_teachers(tmp_path: Path) -> None:
    def forest(labels: Tensor) -> Any:
        return RandomForestClassifier(5, random_state=0).fit(X.numpy(), labels.numpy())

    path = ask(forest(Y), (X, Y), tmp_path / "t")
    ask(forest(Y), (X, Y), path)
    with refused("another teacher"):
        ask(forest((Y + 1) % 3), (X, Y), path)


def test_what_lies_under_the_path_and_is_none(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"something")
    with refused("t holds no logits that kdgan.teach wrote, or is damaged"):
        ask(big(), (X, Y), tmp_path / "t")
    assert (tmp_path / "t").read_bytes() == b"something"
    for path, part in (
        (tmp_path / "t.npy", "would be read as an array of your own"),
        (tmp_path, "is a folder"),
        (3, "path must be that of a file, not 3"),
        ("", "path must be"),
    ):
        with refused(part):
            ask(big(), (X, Y), path)
    with refused("cannot be written into"):
        ask(big(), (X, Y), tmp_path / "t" / "u")


# --- what is asked, and of what ----------------------------------------------------------------------------------


def test_an_estimator_and_an_ensemble(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(X.numpy(), Y.numpy())
    path = ask(forest, (X, Y), tmp_path / "forest")
    assert load_file(path)["logits"].shape == (90, 3)
    assert torch.equal(weights(run(path).student), weights(run(forest).student))
    several = [forest, big(), lambda x: told(big(2), x)]
    path = ask(several, (X, Y), tmp_path / "several", batch=1000)
    assert load_file(path)["logits"].shape == (90, 3 + 3 + 3)
    assert torch.equal(weights(run(path).student), weights(run(several).student))
    mixed = [path, big(3)]
    assert run(mixed).teacher is mixed


def test_probabilities_and_other_classes(tmp_path: Path) -> None:
    def teacher(x: Tensor) -> Tensor:
        return told(big(), x).softmax(1)

    path = ask(teacher, (X, Y), tmp_path / "t", teacher_gives="probabilities", batch=1000)
    expected = run(teacher, teacher_gives="probabilities")
    assert torch.equal(weights(run(path).student), weights(expected.student))
    turned = run(path, teacher_classes=[1, 2, 0])
    assert torch.equal(
        weights(turned.student),
        weights(run(teacher, teacher_gives="probabilities", teacher_classes=[1, 2, 0]).student),
    )
    with refused("of example 0 lie in"):
        ask(lambda x: told(big(), x), (X, Y), tmp_path / "u", teacher_gives="probabilities")


def test_what_is_privileged_need_not_be_there_later(tmp_path: Path) -> None:
    known = nn.functional.one_hot(Y, 3).float()
    teacher = big(inputs=3)
    path = ask(teacher, (X, Y, known), tmp_path / "t", teacher_sees="privileged")
    np.testing.assert_allclose(load_file(path)["logits"], told(teacher, known).numpy(), rtol=1e-5, atol=1e-6)
    run(path, (X, Y))
    run(path, (X, Y, known))
    with refused("of other training data"):
        run(path, (X, Y, 2 * known))


@pytest.mark.parametrize("form", ["tensors", "Dataset"])
def test_answers_depend_on_whether_something_privileged_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    if form == "Dataset":
        monkeypatch.setattr(kept, "MOST_BYTES", 1)
    known = nn.functional.one_hot(Y, 3).float()

    def data(*parts: Tensor) -> Any:
        return parts if form == "tensors" else [*zip(*parts, strict=True)]

    def teacher(x: Tensor, more: Tensor | None = None) -> Tensor:
        asked.extend(range(len(x)))
        if len(asked) > limit[0]:
            raise ConnectionError("no answer")
        return told(big(), x) + (0 if more is None else more)

    limit, options = [10**9], {"batch": 16, "name": "one"}
    whole = ask(teacher, data(X, Y), tmp_path / "whole", **options)
    limit = [len(asked) + 40]
    with pytest.raises(RunError, match="no answer"):
        ask(teacher, data(X, Y), tmp_path / "half", **options)
    limit = [10**9]
    for path in (whole, tmp_path / "half"):
        with refused("another teacher or other data"):
            ask(teacher, data(X, Y, known), path, **options)
    both = ask(teacher, data(X, Y, known), tmp_path / "both", **options)
    for other in ((X, Y), (X, Y, known + 1)):
        with refused("another teacher or other data"):
            ask(teacher, data(*other), both, **options)
    # Who does not look at it says the same.
    blind = ask(teacher, data(X, Y, known), tmp_path / "blind", teacher_sees="inputs", **options)
    before = len(asked)
    ask(teacher, data(X, Y, known + 1), blind, teacher_sees="inputs", **options)
    assert len(asked) == before


def test_rows_without_labels_and_more_of_them(tmp_path: Path) -> None:
    labels = Y.clone()
    labels[::3] = -1
    path = ask(big(), (X, labels), tmp_path / "t", unlabelled=X[:40] + 1)
    expected = told(big(), torch.cat([X, X[:40] + 1]))
    np.testing.assert_allclose(load_file(path)["logits"], expected.numpy(), rtol=1e-5, atol=1e-6)
    with refused("another teacher or other data"):
        ask(big(), (X, labels), path)
    ask(big(), (X, labels), path, unlabelled=X[:40] + 1)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        yield X[0], 0


def test_data_that_cannot_be_kept_in_a_file(tmp_path: Path) -> None:
    with refused("train has no order of its own"):
        ask(big(), Endless(), tmp_path / "t")
    for data in (Items(noise=0.1), loader(noise=0.1)):
        with refused("train gives another view of an example each time it is asked"):
            ask(big(), data, tmp_path / "t")
    with refused("logits that are there already need none"):
        ask(told(big(), X), (X, Y), tmp_path / "t")
    with refused("batch must be a whole number of at least 1, not 0"):
        ask(big(), (X, Y), tmp_path / "t", batch=0)
    assert not (tmp_path / "t").exists()


def test_a_teacher_that_changes_its_mind(tmp_path: Path) -> None:
    with refused("the teacher gives 2 numbers for an example, and gave another number before"):
        ask(lambda x: x[:, :3] if len(x) == 60 else x[:, :2], (X, Y), tmp_path / "t", batch=60)
    with refused("of example 0 are not finite"):
        ask(lambda x: x[:, :3] / 0, (X, Y), tmp_path / "u")


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    ask(lambda x: told(big(), x) + 0 * torch.rand(3), (X, Y), tmp_path / "t")
    assert torch.equal(state, torch.get_rng_state())


# --- batches that are padded to their own length -----------------------------------------------------------------


class Texts(Dataset[Any]):
    """40 examples of 3 to 9 tokens."""

    def __init__(self, form: str, shift: int = 0) -> None:
        draw = torch.Generator().manual_seed(5)
        lengths = torch.randint(3, 10, (40,), generator=draw).tolist()
        self.form = form
        self.tokens = [torch.randint(1, 20, (length,), generator=draw) + shift for length in lengths]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> Any:
        label = int(self.tokens[row].sum() % 3)
        return (self.tokens[row], label) if self.form == "tensors" else {"ids": self.tokens[row], "y": label}


def padded(rows: list[Any], *, left: bool = False) -> Any:
    """Each batch to its own length."""
    is_pair = isinstance(rows[0], tuple)
    tokens = [row[0] if is_pair else row["ids"] for row in rows]
    labels = torch.tensor([row[1] if is_pair else row["y"] for row in rows])
    ids = pad_sequence(tokens, batch_first=True, padding_side="left" if left else "right")
    return (
        (ids, labels) if is_pair else {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels}
    )


def backwards(rows: list[Any]) -> Any:
    """By length, as packed sequences want it."""
    return padded(sorted(rows, key=lambda row: -len(row[0])))


class Bag(nn.Module):
    """Means of embeddings; counts what it is asked."""

    def __init__(self, seed: int, fails_at: int = 10**9) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inner = nn.EmbeddingBag(40, 3, padding_idx=0, mode="sum")
        self.fails_at = fails_at

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        asked.extend(range(len(input_ids)))
        if len(asked) > self.fails_at:
            raise ConnectionError("no answer")
        found: Tensor = self.inner(input_ids)
        return found


def texts(form: str, size: int, *, shift: int = 0, **options: Any) -> DataLoader[Any]:
    return DataLoader(Texts(form, shift), size, **{"collate_fn": padded, "shuffle": True, **options})


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("form", ["tensors", "mappings"])
def test_an_example_is_the_same_in_whatever_company(tmp_path: Path, form: str, left: bool) -> None:
    def of_size(size: int, **options: Any) -> DataLoader[Any]:
        return texts(form, size, collate_fn=partial(padded, left=left), **options)

    teacher = Bag(1).eval()
    files = [
        ask(teacher, of_size(size, shuffle=shuffle), tmp_path / f"{size}{shuffle}", name="one")
        for size in (1, 8, 40)
        for shuffle in (False, True)
    ]
    contents = [load_file(path) for path in files]
    for content in contents[1:]:
        assert content["examples"].tolist() == contents[0]["examples"].tolist()
        np.testing.assert_allclose(content["logits"], contents[0]["logits"], rtol=1e-5, atol=1e-6)
    expected = torch.cat([teacher.inner(each.unsqueeze(0)) for each in Texts(form).tokens]).detach()
    np.testing.assert_allclose(contents[0]["logits"], expected.numpy(), rtol=1e-5, atol=1e-6)
    asked.clear()
    for size in (1, 8, 40):
        ask(teacher, of_size(size), files[2], name="one")
    assert not asked
    options: dict[str, Any] = {"steps": 12, "progress": False, "method": "distn", "control": False}
    for size in (1, 8, 40):
        one, other = Bag(0), Bag(0)
        distill(one, files[0], of_size(size), of_size(8), **options)
        distill(other, teacher, of_size(size), of_size(8), teacher_trained=True, **options)
        torch.testing.assert_close(weights(one), weights(other), rtol=1e-5, atol=1e-6)
    several = [files[3], lambda *x, **named: told(Bag(2), *x, **named)]
    distill(Bag(0), several, of_size(8), of_size(8), **options)
    with refused("another teacher or other data"):
        ask(teacher, texts(form, 8, shift=1), files[0], name="one")
    with refused("of other training data"):
        distill(Bag(0), files[0], texts(form, 8, shift=1), of_size(8), **options)


@pytest.mark.parametrize("sizes", [(1, 8), (8, 8), (8, 40), (40, 1)])
@pytest.mark.parametrize("form", ["tensors", "mappings"])
def test_a_break_loses_no_answer_about_padded_examples(
    tmp_path: Path, form: str, sizes: tuple[int, int]
) -> None:
    first, then = sizes
    whole = ask(Bag(1), texts(form, first), tmp_path / "whole")
    asked.clear()
    breaking = Bag(1, fails_at=20)
    done = 0 if first == 40 else 20 // first * first
    with pytest.raises(RunError, match="no answer"):
        ask(breaking, texts(form, first), tmp_path / "t", name="one")
    asked.clear()
    ask(Bag(1), texts(form, then), tmp_path / "t", name="one")
    assert len(asked) == 40 - done
    one, other = load_file(tmp_path / "t"), load_file(whole)
    assert one["examples"].tolist() == other["examples"].tolist()
    np.testing.assert_allclose(one["logits"], other["logits"], rtol=1e-5, atol=1e-6)


def test_batches_in_another_order_than_the_data(tmp_path: Path) -> None:
    with refused("train: among others example 0 is not what it is alone, but for padding", "collate_fn"):
        ask(Bag(1), texts("tensors", 8, collate_fn=backwards), tmp_path / "t")
