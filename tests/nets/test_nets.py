"""The players: sizes, shapes, names, and what they see."""

import copy
import itertools
import math
import re
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgan.errors import UsageError
from kdgan.nets import ResidualBlock, WithPrivileged, build, lenet, mlp, resnet
from support import refused


def line(part: str) -> str:
    """A pattern for a message of one line that holds `part`."""
    return rf"\A[^\n]*{re.escape(part)}[^\n]*\Z"


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def mlp_size(widths: Sequence[int]) -> int:
    return sum(before * after + after for before, after in itertools.pairwise(widths))


def lenet_size(colours: int, side: int, first: int, second: int, hidden: int, classes: int) -> int:
    """Of square images with unpadded convolutions."""
    left = ((side - 4) // 2 - 4) // 2
    convolutions = first * (25 * colours + 1) + second * (25 * first + 1)
    return convolutions + mlp_size([second * left * left, hidden, classes])


def resnet_size(colours: int, depth: int, width: int, classes: int) -> int:
    """Convolutions without bias, two numbers per channel for each normalisation."""
    total, before = 9 * colours * width + 2 * width, width
    for stage in range(3):
        after = width * 2**stage
        for _ in range((depth - 2) // 6):
            total += 9 * before * after + 2 * after + 9 * after * after + 2 * after
            before = after
    return total + before * classes + classes


def test_the_players_of_the_paper_have_their_sizes() -> None:
    student, teacher = mlp(784), lenet()
    assert size(student) == mlp_size([784, 800, 800, 10]) == 1_276_810
    assert size(teacher) == lenet_size(1, 28, 20, 50, 500, 10) == 431_080
    cifar_student = build("lenet-64-128-1024", (3, 32, 32), 10)
    assert size(cifar_student) == lenet_size(3, 32, 64, 128, 1024, 10)
    assert size(resnet()) == resnet_size(3, 32, 16, 10) == 464_154


@pytest.mark.parametrize(("features", "hidden", "classes"), [(4, [], 3), (5, [7], 2), (12, [8, 6, 4], 200)])
def test_mlps_of_any_size(features: int, hidden: list[int], classes: int) -> None:
    net = mlp(features, hidden, classes)
    assert size(net) == mlp_size([features, *hidden, classes])
    assert net(torch.zeros(6, features)).shape == (6, classes)
    layers = [m for m in net.modules() if isinstance(m, nn.Linear)]
    x = torch.randn(6, features)
    y = x
    for layer in layers[:-1]:
        y = (y @ layer.weight.T + layer.bias).clamp_min(0)
    torch.testing.assert_close(net(x), y @ layers[-1].weight.T + layers[-1].bias)


def test_an_mlp_flattens_images() -> None:
    net, images = mlp(12, [5], 3), torch.randn(2, 3, 2, 2)
    torch.testing.assert_close(net(images), net(images.reshape(2, 12)))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 4, 4), (1, 16, 20), (1, 4, 30)])
def test_lenets_of_any_size(shape: tuple[int, int, int]) -> None:
    net = lenet(shape, (3, 5), 7, 11)
    assert net(torch.zeros(2, *shape)).shape == (2, 11)
    if shape[1] == shape[2] >= 16:
        assert size(net) == lenet_size(shape[0], shape[1], 3, 5, 7, 11)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8), (1, 31, 29)])
def test_a_lenet_by_hand(shape: tuple[int, int, int]) -> None:
    """Convolve, ReLU, pool, in the order that the paper's figure has them."""
    net, x = lenet(shape, (3, 5), 7, 4), torch.randn(2, *shape)
    first, second = (m for m in net.modules() if isinstance(m, nn.Conv2d))
    hidden, last = (m for m in net.modules() if isinstance(m, nn.Linear))
    padding = 0 if shape[1] >= 16 else 2
    y = x
    for convolution in (first, second):
        weight = convolution.weight.contiguous()
        y = F.max_pool2d(F.relu(F.conv2d(y, weight, convolution.bias, padding=padding)), 2)
    y = F.relu(y.reshape(2, -1) @ hidden.weight.T + hidden.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(net(x), y)
    with torch.no_grad():
        torch.testing.assert_close(net(x), y)


@pytest.mark.parametrize("shape", [(1, 3, 28), (1, 28, 3), (3, 1, 1)])
def test_lenet_refuses_images_it_would_pool_away(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match=line(f"{shape[1]}x{shape[2]}")):
        lenet(shape)


@pytest.mark.parametrize("depth", [8, 14, 32])
@pytest.mark.parametrize("width", [2, 4])
def test_resnets_of_any_size(width: int, depth: int) -> None:
    net = resnet((2, 16, 12), depth, width, 5)
    assert size(net) == resnet_size(2, depth, width, 5)
    assert net(torch.zeros(2, 2, 16, 12)).shape == (2, 5)
    weighted = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth
    strided = [m.stride for m in net.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]
    assert strided == [(2, 2)] * 2


@pytest.mark.parametrize("depth", [-4, 0, 2, 7, 31, 33, 34])
def test_resnet_refuses_other_depths(depth: int) -> None:
    with pytest.raises(UsageError, match=line(f"not {depth}")):
        resnet(depth=depth)


@pytest.mark.parametrize(("before", "after", "stride"), [(4, 4, 1), (4, 8, 2), (3, 5, 1)])
def test_a_residual_block_by_hand(before: int, after: int, stride: int) -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(before, after, stride), torch.randn(3, before, 6, 8)

    def normalised(y: Tensor) -> Tensor:
        mean, spread = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), correction=0, keepdim=True)
        return (y - mean) / (spread + 1e-5).sqrt()

    y = normalised(F.conv2d(x, block.convolution1.weight, stride=stride, padding=1)).clamp_min(0)
    y = normalised(F.conv2d(y, block.convolution2.weight, padding=1))
    shortcut = torch.zeros_like(y)
    shortcut[:, :before] = x[:, :, ::stride, ::stride]
    torch.testing.assert_close(block(x), (y + shortcut).clamp_min(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lenet-3-5-7", "resnet-8-4"])
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
    ["", "cnn-3", "MLP-8", "mlp-", "mlp-0", "mlp-8-0", "mlp-wide", "mlp--8", "mlp-8.5", "mlp 8", "resnet-²"],
)
def test_names_of_no_form_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=line(repr(name))) as caught:
        build(name, (1, 28, 28), 10)
    assert "mlp-WIDTH" in str(caught.value)


@pytest.mark.parametrize("name", ["lenet", "lenet-20-50", "lenet-1-2-3-4", "resnet", "resnet-32-16-2"])
@pytest.mark.parametrize("privileged", [0, 4])
def test_names_with_other_counts_of_numbers_are_refused(name: str, privileged: int) -> None:
    with pytest.raises(UsageError, match=line(repr(name))):
        build(name, (1, 28, 28), 10, privileged=privileged)


@pytest.mark.parametrize("name", ["lenet-20-50-500", "resnet-32"])
@pytest.mark.parametrize("shape", [(64,), (8, 8)])
def test_image_networks_refuse_inputs_that_are_no_images(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=line(str(shape))) as caught:
        build(name, shape, 10)
    assert "mlp" in str(caught.value)


@pytest.mark.parametrize("name", ["mlp", "mlp-8", "lenet-3-5-7", "resnet-8-4"])
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


def test_with_privileged_is_features_joined_with_rho_then_a_head() -> None:
    features, head = nn.Linear(3, 4), nn.Linear(4 + 2, 5)
    x, rho = torch.randn(7, 3), torch.randn(7, 2)
    expected = head(torch.cat([features(x), rho], 1))
    torch.testing.assert_close(WithPrivileged(features, head)(x, rho), expected)
    unflat = nn.Sequential(features, nn.Unflatten(1, (2, 2)))
    torch.testing.assert_close(WithPrivileged(unflat, head)(x, rho.reshape(7, 1, 2)), expected)


def test_a_blind_network_gives_every_instance_the_same_logits() -> None:
    blind = build("blind", (1, 28, 28), 5, privileged=3)
    logits = blind(torch.randn(7, 1, 28, 28), torch.randn(7, 3))
    assert logits.shape == (7, 5)
    assert torch.equal(logits, blind(torch.randn(7, 1, 28, 28)))
    assert sum(parameter.numel() for parameter in blind.parameters()) == 5
    with refused("blind-3"):
        build("blind-3", (4,), 5)
