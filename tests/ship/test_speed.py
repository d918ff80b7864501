"""What networks take: time in turns, and memory by hand."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.ship.speed import eager, latencies, one_thread, peak_bytes, repeated, runtime


def batch(count: int, *shape: int) -> Batch:
    return Batch(torch.randn(count, *shape), torch.zeros(count).long())


def test_latencies_are_of_each_call_and_have_their_order() -> None:
    called = {"short": 0, "long": 0}

    def call(name: str, seconds: float) -> None:
        called[name] += 1
        time.sleep(seconds)

    found = latencies({"short": lambda: call("short", 0.001), "long": lambda: call("long", 0.004)})
    assert 1 <= found["short"].median < found["long"].median
    assert found["long"].median >= 4
    for name, each in found.items():
        assert each.median <= each.p95
        assert 20 <= called[name] <= 4 * (50 + 3)


def test_one_thread_for_the_block_alone() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("count", [1, 64])
def test_peak_memory_of_a_known_network(count: int) -> None:
    net = nn.Sequential(nn.Linear(80, 50), nn.ReLU(), nn.Linear(50, 10)).eval()
    weights = 4 * (80 * 50 + 50 + 50 * 10 + 10)
    # While ReLU works its input and its output are there; later one of them and the logits, which are smaller.
    assert peak_bytes(net, batch(count, 80)) == weights + 4 * count * (80 + 2 * 50)
    assert peak_bytes(nn.Linear(80, 50), batch(count, 80)) == 4 * (80 * 50 + 50) + 4 * count * (80 + 50)


def test_peak_memory_counts_buffers_and_no_views() -> None:
    class Views(nn.Module):
        """Keeps a buffer, looks at views of its inputs, and changes what it has made in place."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.zeros(100))

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.view(len(inputs), 3, 4).transpose(1, 2).flatten(1)[:, :3].add(1).mul_(2)

    # Flattening a transposed view copies it, and that copy lives beside what is added.
    assert peak_bytes(Views(), batch(5, 12)) == 4 * (100 + 5 * 12 + 5 * 12 + 5 * 3)


def test_examples_come_again_where_there_are_few() -> None:
    data = batch(3, 2)
    assert torch.equal(repeated(data, 7).tensor, data.tensor[[0, 1, 2, 0, 1, 2, 0]])
    assert eager(nn.Linear(2, 4).eval(), repeated(data, 7))().shape == (7, 4)  # type: ignore[attr-defined]


def test_onnx_files_run_whatever_their_inputs(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    def written(kind: int, shape: list[str | int]) -> Path:
        given = onnx.helper.make_tensor_value_info("x", kind, shape)
        out = onnx.helper.make_tensor_value_info("y", kind, shape)
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        graph = onnx.helper.make_graph([node], "g", [given], [out])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    for kind, dtype in (("UINT8", np.uint8), ("DOUBLE", np.float64), ("STRING", object)):
        call = runtime(written(getattr(onnx.TensorProto, kind), ["N", 2, 3]), 5)
        assert not isinstance(call, str)
        (found,) = call()  # type: ignore[misc]
        assert (found.shape, found.dtype) == ((5, 2, 3), dtype)
    assert "sizes that nobody knows" in str(runtime(written(onnx.TensorProto.FLOAT, ["N", "H"]), 5))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    why = runtime(tmp_path / "bad.onnx", 1)
    assert isinstance(why, str)
    assert why.startswith("ONNX Runtime, which should take bad.onnx, fails with ")
    assert "\n" not in why
