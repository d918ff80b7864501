"""A run without a network is fitting by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch

from kdgan.tagging import KNN, RelExamples, TagFeature, TagProp
from kdgan.tasks import Config, run_of
from kdgan.tasks.baseline import BaselineRun
from kdgan.tasks.config import BASELINES
from kdgan.tasks.ranking import ranking
from kdgan.tasks.run import task_of
from kdgan.tasks.tags import Tags
from kdgan.training import Execution
from support import refused
from tiny import TAGS, changed, untimed

HAND: dict[str, tuple[Any, dict[str, Any]]] = {
    "knn": (KNN, {"neighbours": 30}),
    "tprop": (TagProp, {"neighbours": 20, "rounds": 2}),
    "tfeat": (TagFeature, {"neighbours": 20}),
    "rexmp": (RelExamples, {"positives": 50, "negatives": 50, "rounds": 2}),
}


def config(method: str, **changes: Any) -> Config:
    return changed(TAGS, method=method, hyper=HAND[method][1], **changes)


@pytest.mark.parametrize("method", BASELINES)
def test_the_outcome_is_that_of_fitting_by_hand(tmp_path: Path, method: str) -> None:
    run = run_of(config(method, metrics=("tiny:count",)), Execution())
    assert isinstance(run, BaselineRun)
    outcome = run.train(tmp_path / "run", tmp_path / "pretrained")

    task = task_of(TAGS, None)
    assert isinstance(task, Tags)
    kind, arguments = HAND[method]
    data = task.data
    train, test = data.rows["train"], data.rows["test"]
    scores = kind(**arguments).fit(data.features[train], data.targets[train]).scores(data.features[test])
    expected = ranking(scores, data.targets[test]).means()
    assert list(outcome.metrics) == ["count", "MAP", "P@3", "P@5", "F@3", "F@5", "MRR"]
    for name in task.metrics:
        assert outcome.metrics[name] == pytest.approx(100 * expected[name], rel=1e-12)
    assert outcome.metrics["count"] == len(test)
    best = torch.as_tensor(scores[0]).sort(descending=True, stable=True).indices[:5]
    assert outcome.examples[0] == [task.labels[place] for place in best.tolist()]
    assert len(outcome.examples) == 6
    assert outcome.labels == len(train)
    assert outcome.curves == {}
    assert outcome.pretraining_seconds == 0
    assert outcome.seconds > 0
    assert outcome.student_updates is outcome.student_parameters is outcome.teacher_parameters is None
    assert {path.name for path in (tmp_path / "run").iterdir()} - {".lock"} == {"config.json", "result.json"}
    assert not (tmp_path / "pretrained").exists()


def test_a_finished_run_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run_of(config("knn"), Execution()).train(tmp_path / "run", tmp_path / "pretrained")

    def fails(*_: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(KNN, "fit", fails)
    again = run_of(config("knn"), Execution()).train(tmp_path / "run", tmp_path / "pretrained")
    assert untimed(again) == untimed(outcome)
    with refused("hyper.neighbours 30 there and 40 now"):
        run_of(changed(config("knn"), hyper={"neighbours": 40}), Execution()).train(
            tmp_path / "run", tmp_path / "pretrained"
        )


@pytest.mark.parametrize("method", BASELINES)
def test_arguments_that_do_not_fit_are_refused(method: str) -> None:
    with refused(f"baseline {method}", "delta"):
        run_of(changed(TAGS, method=method, hyper={"delta": 1}), Execution())
    with refused("neighbours"):
        run_of(changed(TAGS, method=method, hyper={"neighbours": 0}), Execution())
    with refused("900"):
        run_of(changed(TAGS, method=method, count=900), Execution())
