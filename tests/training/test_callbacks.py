"""Callbacks: what they are told, what they cannot do, and the ready-made ones against real files."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from kdgan.errors import RunError
from kdgan.training.callbacks import Evaluation, MLflow, TensorBoard, WandB, as_one
from support import refused


def record(step: int, **metrics: float) -> dict[str, Any]:
    return {"step": step, "seconds": step / 10, "losses": {"label": 1 / step, "distillation": 0.5}, **metrics}


RECORDS = [record(10, accuracy=50.0, f1=0.25), record(20, accuracy=75.0, f1=0.5)]


def evaluations(role: str) -> list[Evaluation]:
    method = "distn" if role == "student" else "supervised"
    return [Evaluation.of(RECORDS[:count], role, method, 20, last=count == 2) for count in (1, 2)]


def all_told(callback: Any) -> None:
    for role in ("student", "control"):
        for evaluation in evaluations(role):
            callback(evaluation)


needs = {
    name: pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
    for name in ("tensorboard", "mlflow", "wandb")
}


def test_an_evaluation_is_what_the_last_record_says() -> None:
    found = evaluations("student")[1]
    assert (found.role, found.method, found.step, found.steps, found.seconds) == (
        "student",
        "distn",
        20,
        20,
        2.0,
    )
    assert found.metrics == {"accuracy": 75.0, "f1": 0.5}
    assert found.losses == {"label": 0.05, "distillation": 0.5}
    assert [each["step"] for each in found.history] == [10, 20]
    assert found.last
    assert found.numbers() == {"accuracy": 75.0, "f1": 0.5, "loss/label": 0.05, "loss/distillation": 0.5}


def test_several_are_one_in_their_order_and_none_sees_what_another_writes() -> None:
    seen: list[Any] = []

    def spoils(evaluation: Evaluation) -> None:
        seen.append("first")
        evaluation.metrics["accuracy"] = -1.0  # type: ignore[index]

    def looks(evaluation: Evaluation) -> None:
        seen.append(evaluation.metrics["accuracy"])

    tell = as_one([spoils, looks])
    assert tell is not None
    tell(evaluations("student")[1])
    assert seen == ["first", 75.0]
    assert as_one(None) is None


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (3, "not int"),
        ("print", "not str"),
        ([print, 3], "not int"),
        (TensorBoard, "the class TensorBoard: make one"),
        ({"a": print}, "not dict"),
    ],
)
def test_what_cannot_be_called_is_refused(given: Any, part: str) -> None:
    with refused("on_evaluation must be a function of an evaluation, or several", part):
        as_one(given)


def test_what_one_raises_is_one_line_that_names_it() -> None:
    def unlucky(evaluation: Evaluation) -> None:
        raise KeyError("loss\nof nothing")

    class Unlucky:
        def __call__(self, evaluation: Evaluation) -> None:
            raise SystemExit(3)

    for each, name, what in ((unlucky, "unlucky", "KeyError"), (Unlucky(), "Unlucky", "SystemExit")):
        tell = as_one(each)
        assert tell is not None
        with pytest.raises(RunError, match=rf"^on_evaluation: .*{name} fails with {what}") as caught:
            tell(evaluations("student")[0])
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("made", [lambda: TensorBoard("x"), MLflow, WandB])
def test_without_its_package_one_is_refused(
    made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in needs:
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with refused("needs", "pip install 'kdgan["):
        made()
    assert not list(tmp_path.iterdir())


@needs["tensorboard"]
@pytest.mark.filterwarnings("default")
def test_tensorboard_finds_curves_of_student_and_control(tmp_path: Path) -> None:
    all_told(TensorBoard(tmp_path / "board"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for role in ("student", "control"):
        found = EventAccumulator(str(tmp_path / "board" / role))
        found.Reload()
        assert set(found.Tags()["scalars"]) == {"accuracy", "f1", "loss/label", "loss/distillation"}
        assert [(each.step, each.value) for each in found.Scalars("accuracy")] == [(10, 50.0), (20, 75.0)]
        assert [each.value for each in found.Scalars("loss/label")] == pytest.approx([0.1, 0.05])


@needs["tensorboard"]
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refused("cannot be made"):
        TensorBoard(tmp_path / "file" / "board")


@needs["mlflow"]
@pytest.mark.filterwarnings("default")
def test_mlflow_holds_a_run_of_student_and_control(tmp_path: Path) -> None:
    import mlflow

    uri = store(tmp_path)
    callback = MLflow("distilled", uri=uri, tags={"team": "small"})
    all_told(callback)
    strange = Evaluation.of([record(5, **{"f1 (macro), %": 0.5})], "student", "distn", 5, last=True)
    callback(strange)
    client = mlflow.MlflowClient(tracking_uri=uri)
    runs = client.search_runs([callback.experiment], order_by=["attributes.start_time"])
    by_role = {
        (run.data.tags["role"], run.data.tags["method"]): run
        for run in runs
        if "accuracy" in run.data.metrics
    }
    assert set(by_role) == {("student", "distn"), ("control", "supervised")}
    for run in by_role.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["team"] == "small"
        history = client.get_metric_history(run.info.run_id, "accuracy")
        assert sorted((each.step, each.value) for each in history) == [(10, 50.0), (20, 75.0)]
        assert run.data.metrics["loss/label"] == pytest.approx(0.05)
    assert any("f1 _macro__ _" in run.data.metrics for run in runs)
    assert mlflow.active_run() is None
    # The same experiment again.
    assert MLflow("distilled", uri=uri).experiment == callback.experiment


def store(folder: Path) -> str:
    """A real store without a server: a data base where its package is there, else files."""
    if importlib.util.find_spec("sqlalchemy") and importlib.util.find_spec("alembic"):
        return f"sqlite:///{folder / 'mlflow.db'}"
    return (folder / "mlruns").as_uri()


@needs["mlflow"]
@pytest.mark.filterwarnings("default")
def test_a_store_that_cannot_be_reached_is_refused() -> None:
    with refused("mlflow has no experiment 'kdgan' at strange://store"):
        MLflow(uri="strange://store")


@needs["wandb"]
@pytest.mark.filterwarnings("default")
def test_wandb_keeps_a_run_of_student_and_control_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    all_told(WandB("distilled", mode="offline", dir=str(tmp_path)))
    files = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2
    found = [history_in(file) for file in files]
    for steps in found:
        assert [(each["_step"], each["accuracy"]) for each in steps] == [(10, 50.0), (20, 75.0)]
        assert steps[-1]["loss/distillation"] == 0.5


def history_in(file: Path) -> list[dict[str, Any]]:
    """The history in an offline file of wandb: after seven bytes, a log as LevelDB writes it."""
    from wandb.proto import wandb_internal_pb2

    content, place, found, parts = file.read_bytes(), 7, [], b""
    while place + 7 <= len(content):
        if 2**15 - place % 2**15 < 7:  # the rest of a block is empty
            place += 2**15 - place % 2**15
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind not in (1, 4):  # whole, or the last of several
            continue
        record = wandb_internal_pb2.Record()
        record.ParseFromString(parts)
        parts = b""
        if record.HasField("history"):
            items = record.history.item
            found.append(
                {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
            )
    return found
