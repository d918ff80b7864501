"""The players of the paper, any size by arguments."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgan.nets import ResidualBlock, WideBlock, WithPrivileged, lenet, mlp, resnet, wide_resnet
from net_sizes import lenet_size, mlp_size, resnet_size, size, wide_resnet_size
from support import refused


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
    with refused(f"{shape[1]}x{shape[2]}"):
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


@pytest.mark.parametrize("depth", [10, 16, 28])
@pytest.mark.parametrize("widening", [1, 2, 3])
def test_wide_resnets_of_any_size(widening: int, depth: int) -> None:
    net = wide_resnet((2, 16, 12), depth, widening, 5)
    assert size(net) == wide_resnet_size(2, depth, widening, 5)
    assert net(torch.zeros(2, 2, 16, 12)).shape == (2, 5)
    weighted = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    shortcuts = [m for m in weighted if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(weighted) - len(shortcuts) == depth - 2  # published names count two more
    assert len(shortcuts) == (3 if widening > 1 else 2)


def test_wide_resnets_have_the_published_sizes() -> None:
    # Zagoruyko and Komodakis (2016), Table 2 and 4: WRN-16-8 11.0M, WRN-40-1 0.6M, WRN-28-10 36.5M.
    sizes = [
        wide_resnet_size(3, depth, widening, 10) / 1e6 for depth, widening in ((16, 8), (40, 1), (28, 10))
    ]
    assert [round(each, 1) for each in sizes] == [11.0, 0.6, 36.5]


@pytest.mark.parametrize("depth", [-2, 0, 4, 9, 12, 32])
def test_wide_resnet_refuses_other_depths(depth: int) -> None:
    with refused(f"not {depth}"):
        wide_resnet(depth=depth)
    with refused("not 0"):
        wide_resnet(widening=0)


@pytest.mark.parametrize(("before", "after", "stride"), [(4, 4, 1), (4, 8, 2), (3, 5, 1), (4, 4, 2)])
def test_a_wide_block_is_what_its_formula_says(before: int, after: int, stride: int) -> None:
    torch.manual_seed(0)
    block = WideBlock(before, after, stride).double()
    with torch.no_grad():
        for norm in (block.norm1, block.norm2):
            norm.weight.copy_(torch.rand(norm.num_features) + 0.5)
            norm.bias.copy_(torch.randn(norm.num_features))
    x = torch.randn(3, before, 6, 4, dtype=torch.float64)

    def normalised(y: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        mean, var = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), unbiased=False, keepdim=True)
        scale, shift = (each.view(1, -1, 1, 1) for each in (norm.weight, norm.bias))
        return ((y - mean) / (var + 1e-5).sqrt() * scale + shift).clamp_min(0)

    active = normalised(x, block.norm1)
    y = F.conv2d(active, block.convolution1.weight, stride=stride, padding=1)
    y = F.conv2d(normalised(y, block.norm2), block.convolution2.weight, padding=1)
    if block.shortcut is None:
        assert (before, stride) == (after, 1)
        expected = y + x
    else:
        seen = active[:, :, ::stride, ::stride]
        expected = y + torch.einsum("bchw,dc->bdhw", seen, block.shortcut.weight[:, :, 0, 0])
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("depth", [-4, 0, 2, 7, 31, 33, 34])
def test_resnet_refuses_other_depths(depth: int) -> None:
    with refused(f"not {depth}"):
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


def test_with_privileged_is_features_joined_with_rho_then_a_head() -> None:
    features, head = nn.Linear(3, 4), nn.Linear(4 + 2, 5)
    x, rho = torch.randn(7, 3), torch.randn(7, 2)
    expected = head(torch.cat([features(x), rho], 1))
    torch.testing.assert_close(WithPrivileged(features, head)(x, rho), expected)
    unflat = nn.Sequential(features, nn.Unflatten(1, (2, 2)))
    torch.testing.assert_close(WithPrivileged(unflat, head)(x, rho.reshape(7, 1, 2)), expected)
