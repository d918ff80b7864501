"""The table that comes with scikit-learn, as a table with privileged columns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer

from kdgan.data.reading import load
from kdgan.errors import UsageError
from kdgan.tasks import presets


def test_its_means_are_inputs_and_the_rest_is_privileged() -> None:
    bunch = load_breast_cancer()
    source = load("breast-cancer")
    assert (source.kind, source.classes) == ("vector", ("benign", "malignant"))
    assert source.columns == tuple(name.replace(" ", "_") for name in bunch.feature_names[:10])
    assert source.train.privileged is not None
    assert source.test.privileged is not None
    assert (len(source.train) + len(source.test), source.train.privileged.shape[1]) == (569, 20)
    inputs = torch.cat([source.train.tensor, source.test.tensor]).double().numpy()
    known = torch.cat([source.train.privileged, source.test.privileged]).double().numpy()
    targets = torch.cat([source.train.targets, source.test.targets]).tolist()
    names = {
        (row, source.classes[target]) for row, target in zip(inputs[:, 0].round(3), targets, strict=True)
    }
    assert names == {
        (round(float(np.float32(row[0])), 3), str(bunch.target_names[target]))
        for row, target in zip(bunch.data, bunch.target, strict=True)
    }
    everything = bunch.data[np.lexsort(bunch.data.T)].astype(np.float32)
    found = np.concatenate([inputs, known], axis=1).astype(np.float32)
    np.testing.assert_allclose(found[np.lexsort(found.T)], everything, rtol=1e-6)


def test_a_folder_of_files_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data_dir does not fit"):
        presets.classes({"source": "breast-cancer"}, {}, data_dir=tmp_path)


def test_its_preset_hides_most_labels() -> None:
    config = presets.classes({"source": "breast-cancer", "unlabelled": "rest"}, {})
    assert config.data.labels == 60
    assert config.data.sha256 is None
