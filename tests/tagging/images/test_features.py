"""Features of images in shards: what is done stays done, and belongs to one network and one list."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from kdgan.errors import RunError
from kdgan.tagging.images.features import attach, extract, load_features, photos_in
from kdgan.tagging.images.networks import Network, Scaling, load_network
from kdgan.training import checkpoint
from support import refused


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


@pytest.fixture
def images(tmp_path) -> list[Path]:
    """Eleven images of one colour each, in no order of names."""
    (tmp_path / "images").mkdir()
    return [
        saved(tmp_path / "images" / f"{7 * n % 11}.png", Image.new("RGB", (9, 7), (n, 2 * n, 100)))
        for n in range(11)
    ]


EXPECTED = np.array([(n, 2 * n, 100) for n in range(11)], np.float32)


@pytest.fixture
def network(mine) -> Network:
    return load_network("mine:means", size=4, scaling=Scaling(255))


def shards(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_features_are_in_the_order_of_the_list(tmp_path, images, network, batch):
    done = extract(images, network, tmp_path / "out", batch=batch, shard=4)
    assert (done.rows, done.width, done.computed, done.unreadable) == (11, 3, 11, {})
    assert len(shards(tmp_path / "out")) == 3
    features = load_features(tmp_path / "out")
    assert features.dtype == np.float32
    assert np.allclose(features, EXPECTED, atol=1e-4)


def test_what_is_done_is_not_done_again(tmp_path, images, network):
    extract(images, network, tmp_path / "out", shard=4)
    before = shards(tmp_path / "out")
    assert extract(images, network, tmp_path / "out", shard=4).computed == 0
    assert shards(tmp_path / "out") == before


def stopping(network: Network, *, after: int) -> Network:
    """The network, which is interrupted once it has been called so often."""
    calls = iter(range(after))

    def run(inputs: np.ndarray) -> np.ndarray:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return inputs.mean((2, 3))

    return replace(network, run=run)


def test_work_that_was_stopped_goes_on(tmp_path, images, network):
    stopped = stopping(network, after=2)
    with pytest.raises(KeyboardInterrupt):
        extract(images, stopped, tmp_path / "out", shard=4)
    with refused("lacks the features of image 9"):
        load_features(tmp_path / "out")
    assert extract(images, network, tmp_path / "out", shard=4).computed == 3
    assert np.allclose(load_features(tmp_path / "out"), EXPECTED, atol=1e-4)


def test_a_shard_that_was_stopped_in_its_middle_keeps_what_it_has(tmp_path, images, network):
    stopped = stopping(network, after=6)
    with pytest.raises(KeyboardInterrupt):
        extract(images, stopped, tmp_path / "out", batch=1, shard=100)
    assert extract(images, network, tmp_path / "out", batch=1, shard=100).computed == 5
    assert np.allclose(load_features(tmp_path / "out"), EXPECTED, atol=1e-4)


def test_a_network_that_fails_later_than_when_it_was_loaded_is_told_in_a_line(tmp_path, images, network):
    def one_at_a_time(inputs: np.ndarray) -> np.ndarray:
        if len(inputs) > 1:
            raise MemoryError("too much\nfor me")
        return inputs.mean((2, 3))

    failing = replace(network, run=one_at_a_time)
    with refused("mine:means", "(4, 3, 4, 4)", "MemoryError: too much for me"):
        extract(images, failing, tmp_path / "out", batch=4)


def test_damaged_shards_are_computed_anew(tmp_path, images, network):
    extract(images, network, tmp_path / "out", shard=4)
    (tmp_path / "out" / "features-00001.safetensors").write_bytes(b"damaged")
    with refused("lacks the features of image 5"):
        load_features(tmp_path / "out")
    assert extract(images, network, tmp_path / "out", shard=4).computed == 4
    assert np.allclose(load_features(tmp_path / "out"), EXPECTED, atol=1e-4)


def test_images_that_cannot_be_read_are_nan_until_they_can(tmp_path, images, network):
    whole = images[5].read_bytes()
    images[5].write_text("text")
    images[9].unlink()
    for computed in (9, 0):
        done = extract(images, network, tmp_path / "out", shard=4)
        assert done.computed == computed
        assert sorted(done.unreadable) == [5, 9]
        assert "not an image" in done.unreadable[5]
        assert "No such file" in done.unreadable[9]
    assert np.flatnonzero(np.isnan(load_features(tmp_path / "out")).all(1)).tolist() == [5, 9]
    images[5].write_bytes(whole)
    done = extract(images, network, tmp_path / "out", shard=4)
    assert (done.computed, sorted(done.unreadable)) == (1, [9])
    assert np.allclose(load_features(tmp_path / "out")[:9], EXPECTED[:9], atol=1e-4)


def test_a_folder_belongs_to_one_network_and_one_list(tmp_path, images, network, mine):
    out = tmp_path / "out"
    extract(images, network, out, shard=4)
    others = {
        "network": (images, load_network("mine:pooled", size=4, scaling=Scaling(255)), 4),
        "size": (images, load_network("mine:means", size=5, scaling=Scaling(255)), 4),
        "largest": (images, load_network("mine:means", size=4), 4),
        "images": (images[:-1], network, 4),
        "list": (images[::-1], network, 4),
        "shard": (images, network, 5),
    }
    for key, (listed, other, shard) in others.items():
        with refused(out, f"with {key} ", "another folder"):
            extract(listed, other, out, shard=shard)
    (out / "manifest.json").write_text("{")
    with refused("manifest.json is damaged"):
        extract(images, network, out, shard=4)


def test_wrong_calls_are_refused(tmp_path, images, network, mine):
    with refused("no images"):
        extract([], network, tmp_path / "out")
    with refused("batch", "0"):
        extract(images, network, tmp_path / "out", batch=0)
    with refused("none of the 2 images", "No such file"):
        extract([tmp_path / "x", tmp_path / "y"], network, tmp_path / "none")
    with refused("holds no features"):
        load_features(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with refused("file"):
        extract(images, network, tmp_path / "file")
    with pytest.raises(RunError, match="gives NaN or infinity for"):
        extract(images, load_network("mine:bad", size=4), tmp_path / "bad")


def test_features_are_joined_to_their_photos(tmp_path):
    table = tmp_path / "photos.parquet"
    pl.DataFrame({"photo": ["c", "a", "b", "d"], "text": ["C", "A", "B", "D"]}).write_parquet(table)
    features = np.array([[1, 2], [3, 4], [np.nan, 0], [5, 6]], np.float32)
    assert attach(table, ["a", "b", "c", "x"], features, tmp_path / "out.parquet") == 2
    joined = pl.read_parquet(tmp_path / "out.parquet")
    assert joined["text"].to_list() == ["A", "B"]
    assert joined["features"].to_list() == [[1, 2], [3, 4]]
    assert photos_in(table) == set("abcd")
    attach(table, ["a", "b", "c", "x"], features, tmp_path / "out.parquet", {"size": 4})
    assert set(pl.read_parquet(tmp_path / "out.parquet")["feature_network"]) == {'{"size": 4}'}
    for name in ("missing.parquet", "table.parquet"):
        pl.DataFrame({"image": ["a"]}).write_parquet(tmp_path / "table.parquet")
        with refused(name, "'photo'"):
            photos_in(tmp_path / name)
    with refused("none of the 1 photos"):
        attach(table, ["x"], features[:1], tmp_path / "other.parquet")
    with refused("cannot write", "missing.parquet"):
        attach(tmp_path / "missing.parquet", ["a"], features[:1], tmp_path / "other.parquet")


def test_nothing_is_printed_where_there_is_no_terminal(tmp_path, images, network, capsys):
    extract(images, network, tmp_path / "out")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("values", "unreadable"),
    [
        (np.zeros((11, 3), np.float32), {"99": "not in the list"}),
        (np.zeros((11, 3), np.float32), {"-1": "not in the list"}),
        (np.full((11, 3), np.inf, np.float32), {}),
        (np.zeros((11, 3), np.float32), []),
        (np.zeros((11, 3)), {}),
    ],
)
def test_a_shard_that_is_not_as_it_was_left_is_computed_anew(tmp_path, images, network, values, unreadable):
    out = tmp_path / "out"
    extract(images, network, out)
    checkpoint.save(
        out / "features-00000.safetensors", {"features": torch.from_numpy(values), "unreadable": unreadable}
    )
    with refused("lacks the features of image 1"):
        load_features(out)
    assert extract(images, network, out).computed == 11
    assert np.allclose(load_features(out), EXPECTED, atol=1e-4)


@pytest.mark.parametrize(
    "change", [{"images": 10**18}, {"images": 11.0}, {"shard": 0}, {"width": None}, {"shard": True}]
)
def test_a_manifest_is_not_believed(tmp_path, images, network, change):
    out = tmp_path / "out"
    extract(images, network, out, shard=4)
    manifest = out / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with refused(out):
        load_features(out)


def test_batches_that_fill_the_memory_are_refused(tmp_path, images, network):
    with refused("batch must be from 1 to 4,194,304 for images of 4 pixels"):
        extract(images, network, tmp_path / "out", batch=10**9)
