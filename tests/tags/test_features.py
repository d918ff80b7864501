"""Images read safely, networks of any kind, and features in shards."""

import struct
import sys
import types
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from kdgan.errors import RunError
from kdgan.tagging.images.features import (
    Network,
    Scaling,
    attach,
    downloaded,
    extract,
    load_features,
    load_network,
    photos_in,
    read_image,
)
from support import refused

QUARTERS = np.zeros((60, 60, 3), np.uint8)
QUARTERS[:30, :30], QUARTERS[:30, 30:] = (250, 10, 10), (10, 240, 10)
QUARTERS[30:, :30], QUARTERS[30:, 30:] = (10, 10, 230), (200, 200, 20)
CORNERS = [(2, 2), (2, -3), (-3, 2), (-3, -3)]


def corners(pixels: np.ndarray) -> np.ndarray:
    """Colours near the four corners of `(3, H, W)`."""
    return np.array([pixels[:, row, column] for row, column in CORNERS], int)


TRUE = corners(QUARTERS.transpose(2, 0, 1))


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


# Reading images


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 95, "subsampling": 0}),
        ("a.jpeg", {"quality": 95, "progressive": True, "subsampling": 0}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.webp", {"quality": 95}),
        ("a.bmp", {}),
    ],
)
@pytest.mark.parametrize("size", [20, 60, 100])
def test_every_kind_of_file_is_read(tmp_path, name, options, size):
    pixels = read_image(saved(tmp_path / name, Image.fromarray(QUARTERS), **options), size)
    assert pixels.shape == (3, size, size)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.abs(corners(pixels) - TRUE).max() < 25


def test_an_image_of_the_size_asked_for_is_not_changed(tmp_path):
    pixels = read_image(saved(tmp_path / "a.png", Image.fromarray(QUARTERS)), 60)
    assert np.array_equal(pixels, QUARTERS.transpose(2, 0, 1))


@pytest.mark.parametrize("turns", [0, 1])
def test_the_square_in_the_middle_is_taken(tmp_path, turns):
    wide = np.zeros((60, 160, 3), np.uint8)
    wide[:, 50:110] = np.rot90(QUARTERS, -turns)
    pixels = read_image(saved(tmp_path / "a.png", Image.fromarray(np.rot90(wide, turns))), 60)
    assert np.array_equal(pixels, QUARTERS.transpose(2, 0, 1))


def test_a_large_photo_looks_the_same_as_a_small_one(tmp_path):
    large = Image.fromarray(QUARTERS).resize((1200, 1200), Image.Resampling.NEAREST)
    pixels = read_image(saved(tmp_path / "a.jpg", large, quality=95), 30)
    assert np.abs(corners(pixels) - TRUE).max() < 10


# For each EXIF orientation, how the stored image must be turned to be upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_images_are_rotated_as_their_exif_data_say(tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.pad(QUARTERS, ((0, 0), (20, 20), (0, 0))))
    pixels = read_image(saved(tmp_path / f"a.{kind}", stored, exif=exif, quality=95), 60)
    expected = np.asarray(Image.fromarray(QUARTERS).transpose(UPRIGHT[orientation])).transpose(2, 0, 1)
    assert np.abs(corners(pixels) - corners(expected)).max() < 25


def test_cmyk_and_palettes_become_rgb(tmp_path):
    plain = Image.fromarray(QUARTERS)
    cmyk = read_image(saved(tmp_path / "a.jpg", plain.convert("CMYK"), quality=95, subsampling=0), 60)
    assert np.abs(corners(cmyk) - TRUE).max() < 40
    palette = read_image(saved(tmp_path / "a.png", plain.quantize(16)), 60)
    assert np.abs(corners(palette) - TRUE).max() < 10


def test_grey_of_any_depth_becomes_rgb(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    eight = read_image(saved(tmp_path / "8.png", Image.fromarray(ramp)), 16)
    sixteen = read_image(saved(tmp_path / "16.png", Image.fromarray(ramp.astype(np.uint16) * 257)), 16)
    one = read_image(saved(tmp_path / "1.png", Image.fromarray(ramp > 127)), 16)
    assert np.array_equal(eight, [ramp] * 3)
    assert np.array_equal(sixteen, eight)
    assert np.array_equal(one, (eight > 127) * 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    if mode == "RGB":
        image, options = Image.new("RGB", (40, 40), (1, 2, 3)), {"transparency": (1, 2, 3)}
    elif mode == "P":
        image, options = Image.new("P", (40, 40), 0), {"transparency": b"\x00"}
    else:
        image, options = Image.new(mode, (40, 40), 0), {}
    assert (read_image(saved(tmp_path / "a.png", image, **options), 20) == 255).all()


def test_what_is_half_transparent_is_half_white(tmp_path):
    path = saved(tmp_path / "a.webp", Image.new("RGBA", (40, 40), (0, 0, 100, 128)), lossless=True)
    assert np.abs(read_image(path, 40)[:, 20, 20].astype(int) - (127, 127, 177)).max() <= 1


def test_files_that_are_no_images_are_refused(tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("no image\n" * 100)
    with refused("text.jpg", "not an image", "JPEG"):
        read_image(text, 32)
    (tmp_path / "empty.png").touch()
    with refused("empty.png", "not an image"):
        read_image(tmp_path / "empty.png", 32)
    with refused("cannot read", "none.jpg", "No such file"):
        read_image(tmp_path / "none.jpg", 32)
    with refused("cannot read", tmp_path, "directory"):
        read_image(tmp_path, 32)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_images_that_were_cut_short_are_refused(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    path = saved(tmp_path / f"a.{kind}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with refused(path):
        read_image(path, 32)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, with next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_500, 12_000, 60_000])
def test_decompression_bombs_are_refused_by_their_header(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side))
    with refused("bomb.png", "pixels", "smaller"):
        read_image(path, 32)


def test_the_most_pixels_can_be_set(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(QUARTERS))
    read_image(path, 32, most_pixels=3600)
    with refused("60x60", "3,599"):
        read_image(path, 32, most_pixels=3599)


def test_odd_exif_data_do_not_matter(tmp_path):
    path = saved(
        tmp_path / "a.jpg", Image.fromarray(QUARTERS), exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff"
    )
    assert read_image(path, 32).shape == (3, 32, 32)


def test_of_an_animation_the_first_picture_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert read_image(tmp_path / "a.webp", 4)[:, 0, 0].tolist() == [255, 0, 0]


# What img2dataset leaves behind


def test_downloaded_images_are_found_by_their_photo(tmp_path):
    rows = {"photo": ["7", "8", "9"], "key": ["000000000", "000000001", "000000002"]}
    table = pl.DataFrame(rows | {"status": ["success", "failed_to_download", "success"]})
    table.write_parquet(tmp_path / "00000.parquet")
    (tmp_path / "00000").mkdir()
    image = saved(tmp_path / "00000" / "000000000.jpg", Image.fromarray(QUARTERS))
    assert downloaded(tmp_path) == {"7": image}


def test_folders_without_downloads_are_refused(tmp_path):
    with refused("no images", tmp_path):
        downloaded(tmp_path)
    pl.DataFrame({"url": ["x"]}).write_parquet(tmp_path / "00000.parquet")
    with refused("00000.parquet", "photo"):
        downloaded(tmp_path)


# Networks


def test_bytes_are_scaled_as_was_asked():
    pixels = np.array([0, 51, 255], np.uint8).reshape(1, 3, 1, 1)
    assert np.allclose(Scaling()(pixels).ravel(), [0, 0.2, 1])
    assert np.allclose(Scaling(255)(pixels).ravel(), [0, 51, 255])
    scaled = Scaling(1, (0.5, 0.2, 0), (0.5, 0.1, 2))(pixels)
    assert scaled.dtype == np.float32
    assert np.allclose(scaled.ravel(), [-1, 0, 0.5], atol=1e-6)


def means(images: torch.Tensor) -> torch.Tensor:
    return images.mean((2, 3))


class Odd(torch.nn.Module):
    """Gives another result while training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(means(images)) * (100 if self.training else 1)


@pytest.fixture
def mine(monkeypatch) -> types.ModuleType:
    """A module of the user's own."""
    module = types.ModuleType("mine")
    module.means, module.odd, module.number = means, Odd(), 3
    module.maps = lambda images: images
    module.pooled = lambda images: images.mean((2, 3), keepdim=True)
    module.array = lambda images: means(images).double().numpy()
    module.broken = lambda images: images @ images.new_zeros(1, 1, 1)
    module.bad = lambda images: means(images) / 0
    module.deep = types.SimpleNamespace(means=means)
    monkeypatch.setitem(sys.modules, "mine", module)
    return module


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


# Extracting


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
