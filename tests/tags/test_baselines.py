"""What every baseline of tag recommendation promises, on the generated world."""

import numpy as np
import pytest

from kdgan.errors import UsageError
from kdgan.tagging.baselines import BASELINES
from kdgan.tagging.data import TagData, choose
from kdgan.tasks.ranking import ranking
from kdgan.tagging.scenes import world


@pytest.fixture(scope="module")
def data() -> TagData:
    return choose(world().photos, "popular", count=12, seed=1)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_scores_every_tag_and_the_same_each_time(data: TagData, name: str) -> None:
    train, test = (data.rows[part][:600] for part in ("train", "test"))
    one, other = (
        BASELINES[name]().fit(data.features[train], data.targets[train]).scores(data.features[test])
        for _ in range(2)
    )
    assert one.shape == (len(test), 12)
    assert np.isfinite(one).all()
    assert np.array_equal(one, other)
    prior = np.broadcast_to(data.targets[train].mean(0), one.shape)
    assert ranking(one, data.targets[test]).means()["MAP"] > ranking(prior, data.targets[test]).means()["MAP"]


@pytest.mark.parametrize("name", BASELINES)
def test_wrong_calls_are_refused(data: TagData, name: str) -> None:
    with pytest.raises(UsageError, match="fit"):
        BASELINES[name]().scores(data.features[:3])
    fitted = BASELINES[name]().fit(data.features[:200], data.targets[:200])
    with pytest.raises(UsageError, match="192"):
        fitted.scores(data.features[:3, :5])
