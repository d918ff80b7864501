"""Players by name, and networks of one's own by reference."""

import copy
import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdgan.nets import build, hidden_widths, lenet, mlp, resnet
from net_sizes import lenet_size, mlp_size, resnet_size, size, wide_resnet_size
from support import refused


def test_the_players_of_the_paper_have_their_sizes() -> None:
    student, teacher = mlp(784), lenet()
    assert size(student) == mlp_size([784, 800, 800, 10]) == 1_276_810
    assert size(teacher) == lenet_size(1, 28, 20, 50, 500, 10) == 431_080
    cifar_student = build("lenet-64-128-1024", (3, 32, 32), 10)
    assert size(cifar_student) == lenet_size(3, 32, 64, 128, 1024, 10)
    assert size(resnet()) == resnet_size(3, 32, 16, 10) == 464_154


@pytest.mark.parametrize("name", ["lenet-3-5-7", "resnet-8-4", "wrn-10-2"])
def test_channels_last_weights_give_what_contiguous_ones_give(name: str) -> None:
    torch.manual_seed(0)
    net = build(name, (3, 12, 12), 4).eval()
    kernels = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    plain = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    assert all(m.weight.is_contiguous() for m in plain.modules() if isinstance(m, nn.Conv2d))
    x = torch.randn(2, 3, 12, 12)
    expected = plain(x)
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net(x.to(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("mlp", (6,), mlp_size([6, 3])),
        ("mlp-5", (6,), mlp_size([6, 5, 3])),
        ("mlp-8-4", (1, 4, 4), mlp_size([16, 8, 4, 3])),
        ("lenet-3-5-7", (1, 28, 28), lenet_size(1, 28, 3, 5, 7, 3)),
        ("resnet-8", (3, 16, 16), resnet_size(3, 8, 16, 3)),
        ("resnet-14-4", (1, 16, 16), resnet_size(1, 14, 4, 3)),
        ("wrn-10-2", (1, 16, 16), wide_resnet_size(1, 10, 2, 3)),
    ],
)
def test_build_by_name(name: str, shape: tuple[int, ...], parameters: int) -> None:
    net = build(name, shape, 3)
    assert size(net) == parameters
    assert net(torch.zeros(2, *shape)).shape == (2, 3)


def test_build_draws_from_the_global_generator() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build("lenet-3-5-7", (1, 8, 8), 3).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "cnn-3",
            "blind",
            "MLP-8",
            "mlp-",
            "mlp-0",
            "mlp-8-0",
            "mlp-wide",
            "mlp--8",
            "mlp-8.5",
            "mlp 8",
        ),
        *("resnet-²", "normed-x", "projected-0", "tests/nets:mlp", "a:b:c"),
    ],
)
def test_names_of_no_form_are_refused(name: str) -> None:
    with refused(repr(name), "mlp-WIDTH", "lenet-", "resnet-", "normed-", "projected-", "module:function"):
        build(name, (1, 28, 28), 10)


@pytest.mark.parametrize(
    "name", ["lenet", "lenet-20-50", "lenet-1-2-3-4", "resnet", "resnet-32-16-2", "wrn-16", "wrn-16-2-2"]
)
@pytest.mark.parametrize("privileged", [0, 4])
def test_names_with_other_counts_of_numbers_are_refused(name: str, privileged: int) -> None:
    with refused(repr(name)):
        build(name, (1, 28, 28), 10, privileged=privileged)


@pytest.mark.parametrize("name", ["lenet-20-50-500", "resnet-32", "wrn-16-2"])
@pytest.mark.parametrize("shape", [(64,), (8, 8)])
def test_image_networks_refuse_inputs_that_are_no_images(name: str, shape: tuple[int, ...]) -> None:
    with refused(name, shape, "mlp"):
        build(name, shape, 10)


@pytest.mark.parametrize("name", ["mlp", "mlp-8", "lenet-3-5-7", "resnet-8-4", "wrn-10-1"])
@pytest.mark.parametrize("extra", [(4,), (2, 2)])
def test_a_privileged_player_uses_both_of_its_inputs(name: str, extra: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    shape = (1, 8, 8)
    net = build(name, shape, 5, privileged=math.prod(extra))
    x = torch.randn(3, *shape, requires_grad=True)
    rho = torch.randn(3, *extra, requires_grad=True)

    logits = net(x, rho)
    assert logits.shape == (3, 5)
    logits[0].square().sum().backward()

    for part in (x, rho):
        assert part.grad is not None
        assert part.grad[0].abs().sum() > 0
    assert rho.grad is not None
    assert rho.grad[1:].abs().sum() == 0  # ϱ of another example is not mixed in
    with pytest.raises(TypeError):
        net(x)


# For features alone


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("normed", [512, 20]),
        ("normed-80-60", [512, 80, 60, 20]),
        ("projected", [512, 100, 20]),
        ("projected-80-60", [512, 100, 80, 60, 20]),
    ],
)
def test_networks_for_features_by_name(name: str, sizes: list[int]) -> None:
    net = build(name, (512,), 20)
    matrices = [tuple(w.shape) for w in net.parameters() if w.ndim == 2]
    assert matrices == [(after, before) for before, after in itertools.pairwise(sizes)]
    assert net(torch.zeros(3, 512)).shape == (3, 20)
    # Without dropout, training changes nothing of what is said.
    x = torch.randn(3, 512)
    assert torch.equal(net.train()(x), net.eval()(x))


@pytest.mark.parametrize("name", ["normed-8", "projected-8"])
def test_dropout_reaches_networks_for_features(name: str) -> None:
    net, x = build(name, (5,), 4, dropout=0.5), torch.randn(2, 5)
    assert {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)} == {0.5}
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize("name", ["normed-8", "projected-8"])
@pytest.mark.parametrize(("shape", "privileged"), [((1, 8, 8), 0), ((8, 8), 0), ((5,), 3)])
def test_networks_for_features_take_nothing_else(name: str, shape: tuple[int, ...], privileged: int) -> None:
    with refused(name, "features alone"):
        build(name, shape, 4, privileged=privileged)


def test_hidden_widths_of_a_name() -> None:
    assert hidden_widths("mlp-800-400", "mlp") == [800, 400]
    assert hidden_widths("normed-5", "mlp", "normed") == [5]
    assert hidden_widths("mlp", "mlp") == []
    for name in ("lenet-2-2-2", "mlp-0", "normed-x", "-8", "projected-3", "module:function"):
        with refused(repr(name), "mlp-800-800", "normed-800-800"):
            hidden_widths(name, "mlp", "normed")


# Of one's own


def seen(shape: tuple[int, ...], classes: int, privileged: int = 0) -> nn.Module:
    """A network that says what it was asked for."""
    net = nn.Linear(math.prod(shape) + privileged, classes)
    net.asked = (shape, classes, privileged)
    return net


def awkward(shape: tuple[int, ...], classes: int, privileged: int = 0) -> nn.Module:
    raise RuntimeError("of no use\n  on two lines")


def unsized(shape: tuple[int, ...], classes: int, *, privileged: int) -> nn.Module:
    return nn.LazyLinear(classes)


def nothing(shape: tuple[int, ...], classes: int, privileged: int = 0) -> nn.Module | None:
    return None


def stubborn(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Knows nothing of privileged information."""
    return nn.Identity()


def test_a_network_of_ones_own_is_told_shape_classes_and_privileged() -> None:
    assert build(f"{__name__}:seen", [3, 4], 5, privileged=2).asked == ((3, 4), 5, 2)
    assert build(f"{__name__}:seen", (7,), 2).asked == ((7,), 2, 0)


def test_a_network_of_ones_own_is_found_in_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n\n\n"
        "class Small(nn.Module):\n"
        "    def __init__(self, shape, classes, privileged=0):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(shape[0], classes)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert build("my_networks:Small", (4,), 3).layer.weight.shape == (3, 4)
    with refused("cannot import my_networks:Large"):
        build("my_networks:Large", (4,), 3)
    with refused("cannot import my_network:Small"):
        build("my_network:Small", (4,), 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("math:pi", "expected a function"),
        ("math:sqrt", "cannot be made as sqrt(shape, classes, privileged=...): TypeError"),
        (f"{__name__}:stubborn", "cannot be made as stubborn(shape, classes, privileged=...): TypeError"),
        (f"{__name__}:nothing", "gives NoneType, not a module of torch"),
        (f"{__name__}:unsized", "layers whose size nobody knows yet"),
        (f"{__name__}:awkward", "RuntimeError: of no use"),
    ],
)
def test_what_makes_no_network_is_refused(name: str, said: str) -> None:
    with refused(name, said):
        build(name, (4,), 3)
