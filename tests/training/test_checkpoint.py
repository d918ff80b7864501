"""Trees of tensors and plain values as one file."""

import ast
import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import kdgan
from kdgan.nets import lenet
from kdgan.training import checkpoint
from support import refused


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    numbers = {"whole": 2**60, "real": 0.1, "small": 5e-324, "huge": float("inf"), "true": True, "no": None}
    tree = {
        "numbers": numbers,
        "text": "Größe \n\"'\\",
        "state": {0: {"step": torch.tensor(3.0), "moment": torch.randn(2, 3)}, 7: {}},
        "empty": [{}, [], ""],
        "groups": [{"lr": 1e-3, "params": [0, 1], "betas": [0.9, 0.999]}],
        "none": torch.empty(0, 4),
        "kinds": [
            torch.randn(3).bfloat16(),
            torch.randn(3).double(),
            torch.arange(3),
            torch.tensor([True, False]),
            torch.tensor(5, dtype=torch.uint8),
            torch.tensor([float("nan"), -0.0]).half().view(torch.int16),
        ],
    }
    file = tmp_path / "tree.safetensors"
    checkpoint.save(file, tree)
    assert same(checkpoint.load(file, dict[str, Any]), tree)
    assert [path.name for path in file.parent.iterdir()] == ["tree.safetensors"]


def test_tuples_become_lists(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "t", {"a": (1, (torch.ones(1), None))})
    assert same(checkpoint.load(tmp_path / "t", dict[str, Any]), {"a": [1, [torch.ones(1), None]]})


def test_an_optimizer_goes_on_from_it(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    checkpoint.save(tmp_path / "o", {"optimizer": optimizer.state_dict()})
    other = torch.optim.AdamW(module.parameters(), lr=99.0)
    other.load_state_dict(checkpoint.load(tmp_path / "o", dict[str, Any])["optimizer"])
    assert same(_listed(other.state_dict()), _listed(optimizer.state_dict()))


def _listed(value: Any) -> Any:
    """Tuples as lists."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def test_tensors_keep_their_layout(tmp_path: Path) -> None:
    weights = lenet((3, 16, 16), (4, 8), 5, 2).state_dict()
    plain = torch.randn(2, 3, 4, 5)
    checkpoint.save(
        tmp_path / "w", {"weights": weights, "plain": plain, "odd": plain.transpose(1, 3)[:, ::2]}
    )
    tree = checkpoint.load(tmp_path / "w", dict[str, Any])
    assert same(tree["weights"], dict(weights))
    for name, tensor in weights.items():
        assert tree["weights"][name].stride() == tensor.stride(), name
    assert not weights["0.weight"].is_contiguous()
    assert tree["plain"].is_contiguous()
    assert torch.equal(tree["odd"], plain.transpose(1, 3)[:, ::2])


def test_tensors_that_share_memory_come_back_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    tree = {"whole": whole, "again": whole, "part": whole[2:4], "grid": whole.view(2, 3).T}
    checkpoint.save(tmp_path / "s", tree)
    loaded = checkpoint.load(tmp_path / "s", dict[str, Any])
    assert same(loaded, tree)
    loaded["whole"].zero_()
    assert same(loaded["again"], whole)


def test_saved_tensors_are_of_their_moment(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    checkpoint.save(tmp_path / "p", {"p": parameter})
    with torch.no_grad():
        parameter.zero_()
    loaded = checkpoint.load(tmp_path / "p", dict[str, Any])["p"]
    assert torch.equal(loaded, torch.ones(3))
    assert not loaded.requires_grad


@pytest.mark.parametrize(
    "tree",
    [{"a/b": torch.ones(1), "a": {"b": torch.zeros(1)}}, {"x": {1: torch.ones(1), "1": torch.zeros(1)}}],
    ids=["slash", "number"],
)
def test_names_that_look_alike_stay_apart(tmp_path: Path, tree: dict[str, Any]) -> None:
    checkpoint.save(tmp_path / "n", tree)
    assert same(checkpoint.load(tmp_path / "n", dict[str, Any]), tree)


def test_a_file_may_be_read_by_whom_other_new_files_may_be(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    for _ in range(2):  # anew, and in place of what is there
        checkpoint.save(tmp_path / "saved", {"a": torch.ones(2)})
        assert (tmp_path / "saved").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_that_nobody_may_read_is_no_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"no")  # stands for one that the library cannot open
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with refused(tmp_path / "file", "cannot be read: Permission denied"):
        checkpoint.load(tmp_path / "file", dict[str, Any])


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    good, file = tmp_path / "good", tmp_path / "file.safetensors"
    checkpoint.save(good, {"a": torch.arange(100.0), "b": [1, 2]})
    whole = good.read_bytes()
    cuts = (whole[:cut] for cut in (1, 7, 9, 60, len(whole) - 1))
    for damaged in (b"", b"\0" * 64, b"PK\3\4 not this", *cuts):
        file.write_bytes(damaged)
        with refused(file, "no file of kdgan", "damaged", "delete it"):
            checkpoint.load(file, dict[str, Any])
    save_file({"a": torch.ones(1)}, file)
    with refused(file, "no file of kdgan"):
        checkpoint.load(file, dict[str, Any])
    for skeleton in ('{"x": {"__tensor__": "gone", "channels_last": false}}', "{"):
        save_file({"a": torch.ones(1)}, file, metadata={"tree": skeleton})
        with refused(file, "no file of kdgan"):
            checkpoint.load(file, dict[str, Any])


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", torch.Generator(), 1j])
def test_other_values_are_refused_and_what_was_there_stays(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "c.safetensors"
    checkpoint.save(file, {"a": 1})
    with pytest.raises(
        TypeError, match=rf"/deep/0/x is a {type(value).__name__}, which a checkpoint cannot hold"
    ):
        checkpoint.save(file, {"deep": [{"x": value}], "t": torch.ones(2)})
    assert checkpoint.load(file, dict[str, Any]) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.safetensors"
    checkpoint.save(file, {"a": 1})

    def full(tensors: Any, path: Path, **_: Any) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint.save(file, {"a": torch.ones(9)})
    assert caught.value.errno == errno.ENOSPC
    assert checkpoint.load(file, dict[str, Any]) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_a_real_write_error_is_an_os_error(tmp_path: Path) -> None:
    """safetensors has an error of its own, which nobody above would understand."""
    import resource

    file = tmp_path / "c.safetensors"
    checkpoint.save(file, {"a": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            checkpoint.save(file, {"a": torch.ones(5000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert checkpoint.load(file, dict[str, Any]) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_random_state_comes_back() -> None:
    device = torch.device("cpu")
    state = checkpoint.random_state(device)
    drawn = torch.rand(3)
    checkpoint.restore_random_state(state, device)
    assert torch.equal(torch.rand(3), drawn)


def _unsafe(node: ast.AST) -> str | None:
    """What in `node` could run code out of a file."""
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    harmless = {("pickle", "Pickler"), ("joblib", "hash")}  # they write, or only look, and never read
    if isinstance(node, ast.Import):
        return next((n.name for n in node.names if n.name.split(".")[0] in forbidden), None)
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        only_harmless = {(module, each.name) for each in node.names} <= harmless
        return module if module.split(".")[0] in forbidden and not only_harmless else None
    if not isinstance(node, ast.Call):
        return None
    called = ast.unparse(node.func)
    if called in ("torch.load", "torch.save", "torch.jit.load", "eval", "exec", "pd.read_pickle"):
        return called
    if called in ("np.load", "numpy.load", "np.lib.npyio.NpzFile"):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        return None if options.get("allow_pickle") == "False" else f"{called} without allow_pickle=False"
    return None


def test_no_code_can_come_out_of_a_file() -> None:
    root = Path(kdgan.__file__).parent
    # What processes of one Ray cluster, whose machines trust each other, send to each other, and never a file.
    sent = {root / "experiments" / f"{name}.py" for name in ("packing", "ray_pool", "ray_worker")}
    files = [file for file in root.rglob("*.py") if file not in sent]
    assert len(files) > 30
    found = [
        f"{file.relative_to(root)}:{node.lineno}: {unsafe}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (unsafe := _unsafe(node)) is not None
    ]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import *",
        "from pickle import Pickler, loads",
        "torch.load(f)",
        "np.load(f)",
        "eval(s)",
    ],
)
def test_the_search_for_unsafe_code_finds_it(text: str) -> None:
    assert any(_unsafe(node) for node in ast.walk(ast.parse(text)))
    assert not any(
        _unsafe(node) for node in ast.walk(ast.parse("np.load(f, allow_pickle=False); module.eval()"))
    )


def test_a_bit_that_fell_over_is_found(tmp_path: Path) -> None:
    file = tmp_path / "t.safetensors"
    checkpoint.save(file, {"weights": torch.randn(50), "step": 3})
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with refused(file):
            checkpoint.load(file, dict[str, Any])


def test_a_state_of_another_network_is_refused() -> None:
    module = torch.nn.Linear(3, 2)
    checkpoint.check_state(module, module.state_dict(), "it")
    for other, part in (
        (torch.nn.Linear(3, 4), "weight is (4, 3) of torch.float32 there and (2, 3)"),
        (torch.nn.Linear(3, 2).double(), "weight is (2, 3) of torch.float64 there"),
        (torch.nn.Linear(3, 2, bias=False), "bias is only here"),
        (torch.nn.Sequential(torch.nn.Linear(3, 2)), "weight is only here"),
    ):
        with refused("it belongs to another network: ", part):
            checkpoint.check_state(module, other.state_dict(), "it")


def test_a_vector_that_claims_to_be_of_images_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_is_channels_last", lambda value: True)
        checkpoint.save(tmp_path / "t", {"x": torch.zeros(3)})
    with refused("no file of kdgan"):
        checkpoint.load(tmp_path / "t", dict[str, Any])
