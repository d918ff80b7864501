"""Networks of any kind: functions, modules of torch, ONNX files."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from kdgan.tagging.images.features import extract, load_features
from kdgan.tagging.images.networks import Scaling, load_network
from support import refused


def test_bytes_are_scaled_as_was_asked():
    pixels = np.array([0, 51, 255], np.uint8).reshape(1, 3, 1, 1)
    assert np.allclose(Scaling()(pixels).ravel(), [0, 0.2, 1])
    assert np.allclose(Scaling(255)(pixels).ravel(), [0, 51, 255])
    scaled = Scaling(1, (0.5, 0.2, 0), (0.5, 0.1, 2))(pixels)
    assert scaled.dtype == np.float32
    assert np.allclose(scaled.ravel(), [-1, 0, 0.5], atol=1e-6)


@pytest.mark.parametrize("name", ["means", "pooled", "array", "deep.means"])
def test_a_function_is_a_network(mine, name):
    network = load_network(f"mine:{name}", size=8)
    assert (network.size, network.width) == (8, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), np.uint8)
    features = network(pixels)
    assert features.dtype == np.float32
    assert np.allclose(features, pixels.mean((2, 3)) / 255, atol=1e-6)


def test_a_module_of_torch_is_evaluated(mine):
    network = load_network("mine:odd", size=8)
    with torch.no_grad():
        expected = mine.odd.layer(torch.ones(1, 3)).numpy()
    assert np.allclose(network(np.full((1, 3, 8, 8), 255, np.uint8)), expected, atol=1e-6)


def test_a_function_is_imported_from_the_present_folder(tmp_path, monkeypatch):
    (tmp_path / "my_features.py").write_text("def flat(images):\n    return images.flatten(1)\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert load_network("my_features:flat", size=2).width == 12
    assert sys.path == path
    sys.modules.pop("my_features")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("resnet", ("'resnet'", ".onnx", "module:function")),
        ("no_such_module:f", ("cannot import", "no_such_module")),
        ("mine:missing", ("cannot import", "missing")),
        ("mine:number", ("int", "expected a function")),
        ("mine:maps", ("(1, 3, 224, 224)", "(1, F)", "pool")),
        ("mine:broken", ("mine:broken fails", "(1, 3, 224, 224)")),
    ],
)
def test_what_is_no_network_is_refused(mine, name, parts):
    with refused(*parts):
        load_network(name)


def test_options_that_make_no_sense_are_refused(mine):
    with refused("size", "0"):
        load_network("mine:means", size=0)
    with refused("output", "ONNX"):
        load_network("mine:means", output="features")
    with refused("deviations"):
        load_network("mine:means", scaling=Scaling(deviation=(1, 0, 1)))


# ONNX files, with a stand-in for onnxruntime, which is an extra; and once with the real one


class Session:
    """Gives the mean of each plane; remembers the sizes of its batches."""

    shape: tuple[object, ...] = ("N", 3, 16, 16)
    outputs = ("features",)
    kind = "tensor(float)"
    batches: list[int]

    def __init__(self, path: str, options: object, providers: list[str]) -> None:
        if not Path(path).read_bytes():
            raise RuntimeError("not a model\nat all")
        assert providers == ["CPUExecutionProvider"]
        self.batches = type(self).batches = []

    def get_inputs(self) -> list[object]:
        return [types.SimpleNamespace(name="image", shape=list(self.shape), type=self.kind)]

    def get_outputs(self) -> list[object]:
        return [types.SimpleNamespace(name=name) for name in self.outputs]

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        images = feed["image"]
        self.batches.append(len(images))
        return [images.mean((2, 3)) + (names[0] == "logits")]


@pytest.fixture
def session(monkeypatch) -> type[Session]:
    """The stand-in's class, to be changed."""
    made = type("Made", (Session,), {})
    module = types.ModuleType("onnxruntime")
    module.InferenceSession, module.SessionOptions = made, types.SimpleNamespace
    module.get_available_providers = lambda: ["OtherProvider", "CPUExecutionProvider"]
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    return made


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"model")
    return path


def test_an_onnx_file_is_a_network(session, model):
    network = load_network(str(model))
    assert (network.size, network.width) == (16, 3)
    assert np.allclose(network(np.full((5, 3, 16, 16), 255, np.uint8)), 1)


def test_an_output_is_chosen_by_its_name(session, model):
    session.outputs = ("features", "logits")
    with refused("'features', 'logits'", "name the one"):
        load_network(str(model))
    with refused("'maps'", "'features', 'logits'"):
        load_network(str(model), output="maps")
    network = load_network(str(model), output="logits", scaling=Scaling(255))
    assert np.allclose(network(np.full((1, 3, 16, 16), 7, np.uint8)), 8)


def test_a_file_made_for_one_size_of_batch_takes_any(session, model):
    session.shape = (4, 3, 16, 16)
    network = load_network(str(model))
    pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 3, 16, 16), np.uint8)
    assert np.allclose(network(pixels) * 255, np.arange(6)[:, None] * np.ones(3), atol=1e-5)
    assert set(session.batches) == {4}


def test_the_size_is_the_files_or_ones_own(session, model):
    with refused("16x16", "square"):
        load_network(str(model), size=32)
    session.shape = ("N", 3, "H", None)
    assert load_network(str(model), size=32).size == 32
    assert load_network(str(model)).size == 224


@pytest.mark.parametrize("shape", [("N", 3, 16, 8), ("N", 16, 16, 3), ("N", 1, 16, 16), ("N", 768)])
def test_files_that_take_no_square_rgb_images_are_refused(session, model, shape):
    session.shape = shape
    with refused("model.onnx", "expected"):
        load_network(str(model))


def test_onnx_files_that_cannot_be_loaded_are_refused(session, tmp_path):
    with refused("cannot read", "none.onnx"):
        load_network(str(tmp_path / "none.onnx"))
    (tmp_path / "empty.onnx").touch()
    with refused("empty.onnx cannot be loaded", "not a model"):
        load_network(str(tmp_path / "empty.onnx"))


def test_a_missing_onnxruntime_is_named(monkeypatch, model):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with refused("model.onnx", "pip install 'kdgan[tags]'"):
        load_network(str(model))


def test_the_real_squeezenet_gives_the_features_that_were_published(real_data, tmp_path):
    pytest.importorskip("onnxruntime")
    path = real_data / "squeezenet" / "squeezenet_v1.0.onnx"
    network = load_network(str(path), output="features", scaling=Scaling(255))
    assert (network.size, network.width) == (227, 512)
    jpeg, flickr = (np.load(real_data / "flickr" / f"{name}.npz") for name in ("flickr_jpeg", "flickr"))
    offsets, published = jpeg["offsets"], flickr["features"][:8].astype(np.float32)
    images = []
    for row in range(8):
        images.append(tmp_path / f"{row}.jpg")
        images[-1].write_bytes(jpeg["jpeg"][offsets[row] : offsets[row + 1]].tobytes())
    extract(images, network, tmp_path / "out")
    found = load_features(tmp_path / "out")
    likeness = (found * published).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(published, axis=1)
    assert likeness.min() > 0.99


@pytest.mark.parametrize(
    ("shape", "outputs", "part"),
    [
        (("N", 3, 10**6, 10**6), ("f",), "at most 4,096"),
        (("N", 3, 0, 0), ("f",), "at least 1 pixel"),
        ((10**9, 3, 16, 16), ("f",), "images at a time"),
        (("N", 3, 16, 16), (), "the outputs none"),
    ],
)
def test_a_file_that_declares_what_nobody_has_is_refused(session, model, shape, outputs, part):
    session.shape, session.outputs = shape, outputs
    with refused("" if "pixel" in part or "at most" in part else "model.onnx", part):
        load_network(str(model))


@pytest.mark.parametrize("gives", [[[1.0], [1.0, 2.0]], [[]], {"a": 1}, [object()]])
def test_a_function_that_gives_no_features_is_refused(mine, gives):
    mine.array = lambda images: gives
    with refused("mine:array gives"):
        load_network("mine:array", size=4)
