"""What every baseline of tag recommendation promises, on generated scenes."""

import inspect

import numpy as np
import pytest

from kdgan.errors import UsageError
from kdgan.references import find_object
from kdgan.tagging import KNN, RelExamples, TagFeature, TagProp
from kdgan.tagging.data import TagExamples, choose
from kdgan.tagging.scenes import scenes
from kdgan.tasks.config import BASELINES
from kdgan.tasks.ranking import ranking

ALL = (KNN, TagProp, TagFeature, RelExamples)


@pytest.fixture(scope="module")
def data() -> TagExamples:
    return choose(scenes().photos, "popular", count=12, seed=1)


def test_each_has_a_name_in_options_and_says_what_it_is() -> None:
    assert [find_object(reference) for reference in BASELINES.values()] == list(ALL)
    assert list(BASELINES) == ["knn", "tprop", "tfeat", "rexmp"]
    for kind in ALL:
        assert kind.description.endswith(".")
        assert kind.cost > 0
        parameters = inspect.signature(kind).parameters.values()
        assert all(each.default is not each.empty for each in parameters)


@pytest.mark.parametrize("kind", ALL)
def test_a_baseline_scores_every_tag_and_the_same_each_time(data: TagExamples, kind: type) -> None:
    train, test = (data.rows[part][:600] for part in ("train", "test"))
    one, other = (
        kind().fit(data.features[train], data.targets[train]).scores(data.features[test]) for _ in range(2)
    )
    assert one.shape == (len(test), 12)
    assert np.isfinite(one).all()
    assert np.array_equal(one, other)
    prior = np.broadcast_to(data.targets[train].mean(0), one.shape)
    assert ranking(one, data.targets[test]).means()["MAP"] > ranking(prior, data.targets[test]).means()["MAP"]


@pytest.mark.parametrize("kind", ALL)
def test_wrong_calls_are_refused(data: TagExamples, kind: type) -> None:
    with pytest.raises(UsageError, match="fit"):
        kind().scores(data.features[:3])
    fitted = kind().fit(data.features[:200], data.targets[:200])
    with pytest.raises(UsageError, match="192"):
        fitted.scores(data.features[:3, :5])
