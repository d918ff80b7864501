"""One loop for every method: updates, measurements, losses, stopping and going on."""

import contextlib
import json
import math
import operator
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgan.data import Batch, TensorFeed
from kdgan.errors import Diverged, Interrupted, RunError
from kdgan.methods import METHODS, Method, Optimization, Player, create
from kdgan.training import checkpoint
from kdgan.training.choice import Choice
from kdgan.training.loop import WINDOW, Loop
from support import refused

CPU = torch.device("cpu")


class Counting:
    """A method whose loss is the number of its update, from 1, and `odd` at the update where that is said."""

    def __init__(self, odd: Mapping[int, float] | None = None) -> None:
        self.count, self.odd = 0, odd or {}
        self.players: dict[str, Player] = {}
        self.progress: list[float] = []

    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.count += 1
        self.progress.append(progress)
        value = self.odd.get(self.count, -float(self.count))
        return {"count": torch.tensor(float(self.count)), "other": torch.tensor(value)}

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count = state["count"]


def nothing(step: int) -> Batch:
    return Batch(torch.zeros(1, 1), torch.zeros(1).long())


def counted(steps: int, folder: Path | None = None, **options: Any) -> tuple[Loop, Counting]:
    method = Counting(options.pop("odd", None))
    return Loop(method, nothing, steps, CPU, folder, **options), method  # type: ignore[arg-type]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def stopping_at(*steps: int) -> Callable[[], bool]:
    """Asked after every step; says stop at the given ones."""
    asked = iter(range(1, 10**9))
    return lambda: next(asked) in steps


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history]


@pytest.mark.parametrize("steps", [1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 7])
def test_every_step_is_one_update_with_the_batch_of_its_number(steps: int) -> None:
    asked: list[int] = []

    def feed(step: int) -> Batch:
        asked.append(step)
        return nothing(step)

    method = Counting()
    Loop(method, feed, steps, CPU).run()  # type: ignore[arg-type]
    assert asked == list(range(steps))
    assert method.progress == [step / steps for step in range(steps)]


@pytest.mark.parametrize("steps", [1, 3, 20, 55, 100, 101])
@pytest.mark.parametrize("evaluations", [1, 4, 20])
def test_measurements_are_evenly_spaced_and_end_with_the_last_step(steps: int, evaluations: int) -> None:
    loop, method = counted(steps, evaluations=evaluations)
    loop.evaluate = lambda: {"accuracy": float(method.count)}
    loop.run()
    at = [record["step"] for record in loop.history]
    assert len(at) == min(steps, evaluations)
    assert at[-1] == steps
    gaps = {after - before for before, after in zip([0, *at], at, strict=False)}
    assert max(gaps) - min(gaps) <= 1
    assert [record["accuracy"] for record in loop.history] == at


@pytest.mark.parametrize(("steps", "evaluations"), [(100, 4), (50, 7), (5, 20)])
def test_losses_are_means_since_the_last_measurement(steps: int, evaluations: int) -> None:
    loop, _ = counted(steps, evaluations=evaluations, evaluate=lambda: {})
    loop.run()
    before = 0
    for record in loop.history:
        mean = (before + 1 + record["step"]) / 2  # of the numbers from before + 1 to step
        assert record["losses"] == pytest.approx({"count": mean, "other": -mean}, abs=1e-9)
        before = record["step"]


def test_losses_that_come_and_go_are_means_over_the_steps_that_had_them() -> None:
    class Rare(Counting):
        def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
            losses = super().update(batch, progress)
            return losses if self.count % 3 == 1 else {"count": losses["count"]}

    loop = Loop(Rare(), nothing, 30, CPU, None, evaluate=lambda: {}, evaluations=2)  # type: ignore[arg-type]
    loop.run()
    first, second = (record["losses"] for record in loop.history)
    assert first == pytest.approx({"count": 8.0, "other": -(1 + 4 + 7 + 10 + 13) / 5})
    assert second == pytest.approx({"count": 23.0, "other": -(16 + 19 + 22 + 25 + 28) / 5})


def test_metrics_on_disk_are_the_history(tmp_path: Path) -> None:
    loop, _ = counted(50, tmp_path / "a" / "b", evaluate=lambda: {"accuracy": 12.5})
    loop.run()
    assert lines(tmp_path / "a" / "b") == loop.history
    assert set(loop.history[0]) == {"step", "seconds", "losses", "accuracy"}
    times = [record["seconds"] for record in loop.history]
    assert times == sorted(times)
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "checkpoint.safetensors",
        "metrics.jsonl",
    ]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loop, _ = counted(30, evaluate=lambda: {})
    loop.run()
    assert not list(tmp_path.iterdir())


def test_progress_is_told_to_the_last_step() -> None:
    told: list[int] = []
    counted(50, progress=told.append)[0].run()
    assert told == [20, 40, 50]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("step", [1, 7, WINDOW, WINDOW + 1, 49, 50])
def test_divergence_names_step_term_and_value(tmp_path: Path, step: int, value: float) -> None:
    loop, _ = counted(
        50, tmp_path, odd={step: value, step + 1: 0.5}, evaluate=lambda: {}, checkpoint_seconds=0
    )
    with pytest.raises(RunError, match=rf"at step {step} the loss term 'other' was {value}; ") as caught:
        loop.run()
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.exit_code == 1
    # What is kept is from before, and so a repetition says the same.
    saved = tmp_path / "checkpoint.safetensors"
    if saved.exists():
        assert checkpoint.load(saved, dict[str, Any])["step"] < step
    assert all(record["step"] < step for record in lines_if_any(tmp_path))
    again, method = counted(50, tmp_path, odd={step: value}, evaluate=lambda: {})
    with pytest.raises(RunError, match=f"at step {step} "):
        again.run()
    assert method.count >= step


def lines_if_any(folder: Path) -> list[dict[str, Any]]:
    return lines(folder) if (folder / "metrics.jsonl").exists() else []


def test_the_first_term_that_diverged_is_named() -> None:
    loop, _ = counted(20, odd={9: math.nan, 5: math.inf, 12: math.nan})
    with pytest.raises(RunError, match="at step 5 the loss term 'other' was inf"):
        loop.run()


@pytest.mark.parametrize("steps", [1, 7, WINDOW, 25, 49])
def test_stopping_saves_and_going_on_makes_the_rest(tmp_path: Path, steps: int) -> None:
    whole, _ = counted(50, evaluate=lambda: {}, evaluations=6)
    whole.run()
    first, method = counted(50, tmp_path, evaluate=lambda: {}, evaluations=6, stop=stopping_at(steps))
    with pytest.raises(Interrupted):
        first.run()
    assert method.count == steps
    assert checkpoint.load(tmp_path / "checkpoint.safetensors", dict[str, Any])["step"] == steps
    second, method = counted(50, tmp_path, evaluate=lambda: {}, evaluations=6)
    second.run()
    assert method.progress == [step / 50 for step in range(steps, 50)]
    assert (
        without_seconds(second.history) == without_seconds(whole.history) == without_seconds(lines(tmp_path))
    )
    assert second.seconds >= first.seconds > 0


def test_stopping_at_the_last_step_is_the_end(tmp_path: Path) -> None:
    loop, _ = counted(10, tmp_path, stop=stopping_at(10), evaluate=lambda: {})
    loop.run()
    again, method = counted(10, tmp_path, evaluate=lambda: {})
    again.run()
    assert method.progress == []
    assert again.history == loop.history
    assert again.seconds == loop.seconds


def test_a_stop_at_every_step_still_ends(tmp_path: Path) -> None:
    for step in range(1, 6):
        loop, method = counted(5, tmp_path, stop=lambda: True, evaluate=lambda: {})
        if step < 5:
            with pytest.raises(Interrupted):
                loop.run()
        else:
            loop.run()
        assert method.count == step
    assert [record["step"] for record in loop.history] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "tail", ['{"step": 48, "sec', "", "\n", '{"step": 48, "seconds": 1, "losses": {}}', "\0\0\0"]
)
def test_records_after_the_checkpoint_are_written_once(tmp_path: Path, tail: str) -> None:
    whole, _ = counted(50, evaluate=lambda: {}, evaluations=10)
    whole.run()
    first, _ = counted(50, tmp_path, evaluate=lambda: {}, evaluations=10, stop=stopping_at(27))
    with pytest.raises(Interrupted):
        first.run()
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        # What a run that was killed later has left: whole records, and the beginning of one.
        file.write(json.dumps({"step": 30, "seconds": 9.0, "losses": {}}) + "\n" + tail)
    second, _ = counted(50, tmp_path, evaluate=lambda: {}, evaluations=10)
    second.run()
    assert without_seconds(lines(tmp_path)) == without_seconds(whole.history)
    assert [record["step"] for record in lines(tmp_path)] == list(range(5, 51, 5))


def test_records_without_a_checkpoint_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 5, "seconds": 1}\n', encoding="utf-8")
    loop, _ = counted(10, tmp_path, evaluate=lambda: {}, evaluations=2)
    loop.run()
    assert [record["step"] for record in lines(tmp_path)] == [5, 10]
    assert "losses" in lines(tmp_path)[0]


def test_records_without_an_end_are_not_read_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    os.truncate(tmp_path / "metrics.jsonl", 2**40)
    loop, _ = counted(10, tmp_path, evaluate=lambda: {}, evaluations=2)
    loop.run()
    assert [record["step"] for record in lines(tmp_path)] == [5, 10]


@pytest.mark.parametrize("left", [None, b"", b'{"step": 5', b"\0" * 300, b"\xff\xfe"])
def test_a_curve_that_a_power_cut_took_is_in_the_checkpoint(tmp_path: Path, left: bytes | None) -> None:
    whole, _ = counted(50, evaluate=lambda: {}, evaluations=10)
    whole.run()
    for steps in (27, 23):  # in the middle, and at the end
        again, _ = counted(50, tmp_path, evaluate=lambda: {}, evaluations=10, stop=stopping_at(steps))
        with pytest.raises(Interrupted) if steps == 27 else nullcontext():
            again.run()
        (tmp_path / "metrics.jsonl").unlink()
        if left is not None:
            (tmp_path / "metrics.jsonl").write_bytes(left)
    last, _ = counted(50, tmp_path, evaluate=lambda: {}, evaluations=10)
    last.run()
    assert without_seconds(last.history) == without_seconds(whole.history) == without_seconds(lines(tmp_path))


def test_records_are_on_the_disk_before_the_checkpoint_that_covers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr("kdgan.training.loop.sync", lambda path: done.append(path.name))
    monkeypatch.setattr(checkpoint, "save", lambda path, tree: done.append(path.name))
    counted(40, tmp_path, evaluate=lambda: {}, evaluations=2, checkpoint_seconds=0)[0].run()
    assert done == ["metrics.jsonl", "checkpoint.safetensors"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"step": 10**9}, {"step": -5}, {"step": "3"}, {"step": None}, {"steps": 51}, {"history": []},
        {"history": [1, 2, 3, 4, 5]}, {"history": None}, {"seconds": []}, {"method": {}}, {"random": {}},
    ],
)  # fmt: skip
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    first, _ = counted(50, tmp_path, evaluate=lambda: {}, evaluations=10, stop=stopping_at(27))
    with pytest.raises(Interrupted):
        first.run()
    saved = tmp_path / "checkpoint.safetensors"
    checkpoint.save(saved, {**checkpoint.load(saved, dict[str, Any]), **change})
    again, _ = counted(50, tmp_path, evaluate=lambda: {}, evaluations=10)
    with refused(saved, "delete it"):
        again.run()


def test_what_a_killed_loop_was_writing_is_cleared_away(tmp_path: Path) -> None:
    for name in (".checkpoint.safetensors.9a.tmp", ".tmpA1b2", ".metrics.jsonl.9a.tmp"):
        (tmp_path / name).touch()
    counted(3, tmp_path, evaluate=lambda: {})[0].run()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.safetensors", "metrics.jsonl"}


def test_a_folder_that_is_removed_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def remove() -> dict[str, float]:
        shutil.rmtree(folder)
        return {}

    loop, _ = counted(40, folder, evaluate=remove, evaluations=1)
    with pytest.raises(FileNotFoundError):
        loop.run()
    assert not folder.exists()


def test_seconds_add_up_over_attempts_without_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    class Slow(Counting):
        def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
            now[0] += 1
            return super().update(batch, progress)

    def measure() -> dict[str, float]:
        now[0] += 1000
        return {}

    def loop(**options: Any) -> Loop:
        return Loop(Slow(), nothing, 50, CPU, tmp_path, measure, evaluations=5, **options)  # type: ignore[arg-type]

    for stop in (13, 20):
        one = loop(stop=stopping_at(stop))
        with pytest.raises(Interrupted):
            one.run()
    assert one.seconds == 33
    last = loop()
    last.run()
    assert last.seconds == 50
    assert [record["seconds"] for record in last.history] == [10, 20, 30, 40, 50]


def test_checkpoints_come_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = checkpoint.save

    def watch(path: Path, tree: dict[str, Any]) -> None:
        saved.append(tree["step"])
        save(path, tree)

    monkeypatch.setattr(checkpoint, "save", watch)
    counted(100, tmp_path / "often", checkpoint_seconds=0.0)[0].run()
    assert saved == [20, 40, 60, 80, 100]
    saved.clear()
    counted(100, tmp_path / "seldom", checkpoint_seconds=1000.0)[0].run()
    assert saved == [100]


# --- every method, on players whose state is more than weights ---------------------------------------------------


def player(hidden: int, seed: int, inputs: int = 6) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, 3),
        )


def data() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.randn(40, 6, generator=generator), torch.arange(40) % 3)


GAMES = [
    *(pytest.param(name, {}, id=name) for name in METHODS),
    *(
        pytest.param(n, {"estimator": e}, id=f"{n}-{e}")
        for n in ("kdgan", "nagan")
        for e in ("concrete", "reinforce")
    ),
]


def game(name: str, hyper: Mapping[str, Any], folder: Path | None, **options: Any) -> tuple[Loop, Method]:
    modules = {
        "student": player(5, 1),
        "teacher": player(8, 2),
        "discriminator": player(8, 3),
        "peer": player(8, 4),
    }
    method = create(
        name, modules, hyper, optimization=options.pop("optimization", Optimization(lr=0.01)), seed=7
    )
    feed = TensorFeed(data(), 16, seed=3, augment=lambda x, g: x + 0.1 * torch.randn(x.shape, generator=g))
    loop = Loop(method, feed, 45, CPU, folder, **options)
    student = method.student.module

    def measure() -> dict[str, float]:
        training = student.training
        student.eval()
        with torch.no_grad():
            total = student(data().inputs).square().sum().item()
        student.train(training)
        return {"total": total}

    loop.evaluate = measure
    return loop, method


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of a state by its path."""
    if isinstance(value, Mapping):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return {k: v for key, item in enumerate(value) for k, v in flat(item, f"{name}/{key}").items()}
    return {name: value}


def assert_same_state(one: Method, other: Method) -> None:
    mine, theirs = flat(one.state_dict()), flat(other.state_dict())
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        if isinstance(value, Tensor):
            assert torch.equal(value, theirs[name]), name
        else:
            assert value == theirs[name], name


@pytest.mark.parametrize(("name", "hyper"), GAMES)
def test_continuing_is_undisturbed_training_bit_for_bit(
    tmp_path: Path, name: str, hyper: dict[str, Any]
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        whole, undisturbed = game(name, hyper, None)
        whole.run()
        drawn = torch.rand(3)

        torch.manual_seed(11)
        for stop in (4, 19, 9):
            loop, _ = game(name, hyper, tmp_path, stop=stopping_at(stop))
            with pytest.raises(Interrupted):
                loop.run()
            torch.manual_seed(stop)  # another process would have another state
        last, method = game(name, hyper, tmp_path)
        last.run()
        assert torch.equal(torch.rand(3), drawn)  # dropout drew from the global generator
    assert_same_state(method, undisturbed)
    assert without_seconds(last.history) == without_seconds(whole.history)
    start = player(5, 1).state_dict()
    assert not torch.equal(method.student.module.state_dict()["0.weight"], start["0.weight"])
    assert int(method.student.module.state_dict()["1.num_batches_tracked"]) >= 45


def test_the_comparison_of_states_sees_a_single_bit() -> None:
    _, one = game("kdgan", {}, None)
    _, other = game("kdgan", {}, None)
    assert_same_state(one, other)
    with torch.no_grad():
        weight = other.players["teacher"].module.get_parameter("0.bias")
        weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
    with pytest.raises(AssertionError):
        assert_same_state(one, other)


@pytest.mark.parametrize("lr", [1e30])
def test_a_game_that_diverges_says_so(tmp_path: Path, lr: float) -> None:
    loop, _ = game("kdgan", {}, tmp_path, optimization=Optimization(lr=lr, schedule="constant"))
    with pytest.raises(
        RunError, match=r"training diverged: at step \d+ the loss term '\w+' was (nan|-?inf); try"
    ):
        loop.run()
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert not lines_if_any(tmp_path)


def test_logits_that_are_no_numbers_are_told_at_their_step(tmp_path: Path) -> None:
    loop, _ = game("kdgan", {}, tmp_path)

    def evaluate() -> dict[str, float]:
        raise Diverged("the student gives logits that are no numbers (NaN)")

    loop.evaluate = evaluate
    with pytest.raises(
        Diverged, match=r"^training diverged: at step \d+ the student gives logits .* \(NaN\); try a lower"
    ):
        loop.run()
    assert not (tmp_path / "checkpoint.safetensors").exists()


# --- a student that is chosen, and training that ends early ------------------------------------------------------


def chosen(
    folder: Path | None,
    values: list[float],
    *,
    keep: bool = True,
    patience: int | None = None,
    **options: Any,
) -> tuple[Loop, Method, list[Tensor]]:
    """A game whose evaluations give these values, and the student's weights at each."""
    loop, method = game("distn", {}, folder, evaluations=len(values), **options)
    loop.choice = Choice("value", options.pop("better", operator.gt), keep=keep, patience=patience)
    seen: list[Tensor] = []

    def measure() -> dict[str, float]:
        seen.append(torch.cat([each.detach().flatten().clone().double() for each in students(method)]))
        return {"value": values[len(loop.history)]}

    loop.evaluate = measure
    return loop, method, seen


def students(method: Method) -> list[Tensor]:
    return list(method.student.module.state_dict().values())


def now(method: Method) -> Tensor:
    return torch.cat([each.detach().flatten().double() for each in students(method)])


VALUES = [0.2, 0.6, 0.4, 0.6, 0.1]


@pytest.mark.parametrize(("better", "best"), [(operator.gt, 1), (operator.lt, 4)])
def test_the_student_is_as_at_its_best_evaluation(better: Any, best: int) -> None:
    loop, method, seen = chosen(None, VALUES)
    loop.choice = Choice("value", better)
    loop.run()
    assert torch.equal(now(method), seen[best])
    assert len(seen) == 5
    assert not torch.equal(seen[best], seen[0])
    loop, method, seen = chosen(None, VALUES, keep=False)
    loop.run()
    assert torch.equal(now(method), seen[-1])


@pytest.mark.parametrize(("patience", "count"), [(1, 3), (2, 4), (3, 5), (9, 5)])
def test_training_ends_after_so_many_evaluations_without_a_better_value(patience: int, count: int) -> None:
    """The second is the best; an equal value is no better one."""
    for keep in (True, False):
        told: list[tuple[int, bool]] = []
        loop, method, seen = chosen(None, VALUES, keep=keep, patience=patience)
        loop.evaluated = lambda records, last, told=told: told.append((len(records), last))  # type: ignore[misc]
        loop.run()
        assert len(loop.history) == count
        assert loop.done == loop.history[-1]["step"] == 9 * count
        assert torch.equal(now(method), seen[1 if keep else -1])
        assert told == [(number, number == count) for number in range(1, count + 1)]


@pytest.mark.parametrize("stops", [(4,), (9, 9), (18,), (20, 3), (26,), (27,), (31, 3)])
def test_a_choice_goes_on_after_a_stop_bit_for_bit(tmp_path: Path, stops: tuple[int, ...]) -> None:
    for keep, patience in ((True, None), (True, 2), (False, 2), (True, 3)):
        folder = tmp_path / f"{keep} {patience}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            whole, undisturbed, _ = chosen(None, VALUES, keep=keep, patience=patience)
            whole.run()
            torch.manual_seed(3)
            for stop in stops:
                loop, _, _ = chosen(folder, VALUES, keep=keep, patience=patience, stop=stopping_at(stop))
                with contextlib.suppress(Interrupted):
                    loop.run()
                torch.manual_seed(stop)
            for _ in range(2):  # and once more, when all is done
                last, method, _ = chosen(folder, VALUES, keep=keep, patience=patience)
                last.run()
                assert torch.equal(now(method), now(undisturbed))
                assert without_seconds(last.history) == without_seconds(whole.history)
                assert last.done == whole.done


def test_a_checkpoint_without_the_best_is_of_another_run(tmp_path: Path) -> None:
    first, _, _ = chosen(tmp_path, VALUES, stop=stopping_at(30))
    with pytest.raises(Interrupted):
        first.run()
    for other in ({"keep": False}, {"keep": True, "patience": None}):
        loop, _, _ = chosen(tmp_path, VALUES, **other)  # type: ignore[arg-type]
        if other["keep"]:
            loop.choice = Choice("another value")
        with refused("of another run"):
            loop.run()


def test_the_last_evaluation_may_be_of_more() -> None:
    loop, _ = counted(20, evaluate=lambda: {"accuracy": 1.0}, evaluations=4)
    loop.evaluate_last = lambda: {"accuracy": 2.0}
    loop.run()
    assert [record["accuracy"] for record in loop.history] == [1.0, 1.0, 1.0, 2.0]


def test_who_is_told_cannot_change_training() -> None:
    def run(evaluated: Any) -> tuple[Loop, Method]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            loop, method = game("kdgan", {}, None, evaluations=5)
            loop.evaluated = evaluated
            loop.run()
        return loop, method

    def spoils(records: list[dict[str, Any]], last: bool) -> None:
        torch.rand(7)
        records[0]["losses"].clear()
        records.clear()

    (loop, quiet), (other, told) = run(None), run(spoils)
    assert_same_state(quiet, told)
    assert without_seconds(loop.history) == without_seconds(other.history)


def test_evaluations_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def measure() -> dict[str, float]:
        clock[0] += 5
        return {}

    for stop in (23, 27):
        loop, _ = counted(50, tmp_path, evaluate=measure, evaluations=10, stop=stopping_at(stop))
        with contextlib.suppress(Interrupted):
            loop.run()
    assert loop.evaluation_seconds == 50
    assert loop.seconds == 0
