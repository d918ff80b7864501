"""Other views of whole batches."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.data import AffineElastic, Augmentation, CropFlip, Noise, Photographic, augmentation
from kdgan.data.augment import AUGMENTATIONS
from support import refused

BLACK = torch.zeros(1, 1, 1)
STILL = {"rotation": 0.0, "shift": 0.0, "zoom": 0.0, "shear": 0.0, "elastic": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 6, channels: int = 2, height: int = 9, width: int = 7) -> Tensor:
    return torch.randn(count, channels, height, width, generator=seeded(99))


def blobs(count: int, side: int = 21) -> Tensor:
    """Soft dots in the middle of black images."""
    axis = torch.arange(side) - (side - 1) / 2
    dot = torch.exp(-(axis**2) / 4)
    return (dot[:, None] * dot[None]).expand(count, 1, side, side).contiguous()


def centres(views: Tensor) -> tuple[Tensor, Tensor]:
    """Centres of mass, x and y in pixels from the middle."""
    axis = torch.arange(views.shape[-1]) - (views.shape[-1] - 1) / 2
    mass = views.sum((1, 2, 3))
    return (views.sum((1, 2)) * axis).sum(1) / mass, (views.sum((1, 3)) * axis).sum(1) / mass


def displacements(change: AffineElastic, count: int, side: int) -> Tensor:
    """What `change` adds to each pixel's position, in pixels `(count, 2, side, side)`: sampled from two ramps."""
    axis = torch.arange(side, dtype=torch.float32)
    ramps = torch.stack([axis.expand(side, side), axis[:, None].expand(side, side)])
    return change(ramps.expand(count, 2, side, side).contiguous(), seeded(4)) - ramps


EVERY = [name for name in AUGMENTATIONS if name != "none"]


@pytest.mark.parametrize(("side", "padding"), [(8, 1), (28, 3), (32, 4), (224, 4)])
def test_images_are_shifted_by_an_eighth_of_their_side_at_most(side: int, padding: int) -> None:
    given = torch.rand(3, 1, side, side)
    black = torch.zeros(1, 1, 1)
    usual, said = CropFlip(black), CropFlip(black, padding=padding)
    assert torch.equal(
        usual(given, torch.Generator().manual_seed(5)), said(given, torch.Generator().manual_seed(5))
    )


@pytest.mark.parametrize("name", EVERY)
def test_views_have_the_form_of_the_images(name: str) -> None:
    change = augmentation(name, torch.tensor([0.5, -1.0]).view(2, 1, 1))
    assert change is not None
    given = images()
    before = given.clone()
    views = change(given, seeded())
    assert views.shape == given.shape
    assert views.dtype == given.dtype
    assert views.isfinite().all()
    assert torch.equal(given, before)
    assert not torch.equal(views, given)


@pytest.mark.parametrize("name", EVERY)
def test_the_generator_alone_decides(name: str) -> None:
    change = augmentation(name, BLACK)
    assert change is not None
    given = images(channels=1)
    state = torch.get_rng_state()
    generator = seeded(5)
    one, later = change(given, generator), change(given, generator)
    torch.manual_seed(1)
    assert torch.equal(one, change(given, seeded(5)))
    assert not torch.equal(one, later)
    assert not torch.equal(one, change(given, seeded(6)))
    torch.set_rng_state(state)
    change(given, seeded(5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", EVERY)
def test_each_example_gets_a_view_of_its_own(name: str) -> None:
    change = augmentation(name, BLACK)
    assert change is not None
    same = images(1, 1, 12, 12).expand(8, 1, 12, 12).contiguous()
    views = change(same, seeded(2))
    assert len({tuple(view.flatten().tolist()) for view in views}) >= 7


def test_names_of_augmentations() -> None:
    assert augmentation("none", BLACK) is None
    affine, elastic = augmentation("affine", BLACK), augmentation("elastic", BLACK)
    assert isinstance(affine, AffineElastic)
    assert isinstance(elastic, AffineElastic)
    assert (affine.elastic, elastic.elastic > 0) == (0.0, True)
    assert isinstance(augmentation("crop-flip", BLACK), CropFlip)
    with refused("'mirror'", *AUGMENTATIONS):
        augmentation("mirror", BLACK)


def test_noise_is_normal_and_of_its_size() -> None:
    given = torch.randn(400, 50)
    noise = Noise(0.5)(given, seeded()) - given
    assert noise.mean().abs() < 0.02
    assert noise.std().item() == pytest.approx(0.5, abs=0.02)
    ordered = noise.flatten().sort().values
    expected = torch.distributions.Normal(0, 0.5).icdf((torch.arange(len(ordered)) + 0.5) / len(ordered))
    assert (ordered - expected)[100:-100].abs().max() < 0.05


def test_photographs_are_mirrored_lit_and_erased_as_much_as_they_may_be() -> None:
    still = AffineElastic(BLACK, **STILL)
    given = images(400, 3, 8, 8)
    near = {"atol": 1e-4, "rtol": 0}

    def views(**strengths: float) -> Tensor:
        return Photographic(BLACK, still, **{"light": 0.0, "erased": 0.0, **strengths})(given, seeded())

    # Without light and square, half the images are mirrored and the others are as they were.
    plain = views()
    mirrored = (plain - given.flip(-1)).abs().amax((1, 2, 3)) < 1e-4
    torch.testing.assert_close(plain[~mirrored], given[~mirrored], **near)
    assert 0.4 < mirrored.float().mean() < 0.6
    # Brightness moves the mean by no more than it may, contrast and saturation leave it.
    moved = (views(light=0.3) - plain).mean((1, 2, 3))
    assert 0.28 < moved.abs().max() <= 0.3 + 1e-4
    # Saturation and contrast change how far the channels of a pixel lie apart, alike in the whole image.
    spread = views(light=0.3).std(1) / plain.std(1)
    torch.testing.assert_close(spread, spread.mean((1, 2), keepdim=True).expand_as(spread), atol=1e-3, rtol=0)
    assert 0.7**2 - 1e-3 < spread.min() < 0.8
    assert 1.2 < spread.max() < 1.3**2 + 1e-3
    # The square has one value, covers at most its share, and is cut where it leaves the image.
    gone = (views(erased=0.5) - plain).abs().amax(1) > 0
    rows, columns = gone.any(2).sum(1), gone.any(1).sum(1)
    assert rows.max() == columns.max() == 4
    assert rows.min() < 4
    filled = views(erased=0.5)[0].permute(1, 2, 0)[gone[0]]
    torch.testing.assert_close(filled, filled[:1, :1].expand_as(filled))


@pytest.mark.parametrize(("height", "width"), [(9, 7), (8, 8), (1, 5)])
def test_strengths_of_zero_change_nothing(height: int, width: int) -> None:
    given = images(height=height, width=width)
    views = AffineElastic(torch.tensor([0.3, -2.0]).view(2, 1, 1), **STILL)(given, seeded())
    torch.testing.assert_close(views, given, atol=1e-5, rtol=0)
    assert torch.equal(CropFlip(torch.full((2, 1, 1), 7.0), padding=0, flip=False)(given, seeded()), given)


@pytest.mark.parametrize("elastic", [0.0, 2.0])
def test_the_background_comes_in_from_outside(elastic: float) -> None:
    background = torch.tensor([-1.5, 3.0]).view(2, 1, 1)
    empty = background.expand(5, 2, 8, 8).contiguous()
    views = AffineElastic(background, elastic=elastic)(empty, seeded())
    torch.testing.assert_close(views, empty, atol=1e-6, rtol=0)
    gone = AffineElastic(background, **{**STILL, "shift": 50.0})(torch.zeros(20, 2, 8, 8), seeded(1))
    torch.testing.assert_close(gone[0], background.expand(2, 8, 8), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("padding", "flip"), [(0, True), (2, False), (4, True), (9, True)])
def test_crop_flip_is_what_a_loop_over_images_gives(padding: int, flip: bool) -> None:
    given, background = images(12), torch.tensor([0.25, -0.5]).view(2, 1, 1)
    views = CropFlip(background, padding=padding, flip=flip)(given, seeded(8))
    draws = seeded(8)  # the same, in the same order
    top, left = torch.randint(0, 2 * padding + 1, (2, 12, 1), generator=draws).flatten(1).tolist()
    mirrored = (torch.rand(12, 1, generator=draws) < 0.5).flatten().tolist() if flip else [False] * 12
    for n, image in enumerate(given):
        canvas = background.expand(2, 9 + 2 * padding, 7 + 2 * padding).clone()
        canvas[:, padding : padding + 9, padding : padding + 7] = image
        crop = canvas[:, top[n] : top[n] + 9, left[n] : left[n] + 7]
        expected = crop.flip(2) if mirrored[n] else crop
        torch.testing.assert_close(views[n], expected, atol=1e-6, rtol=0)
    if flip:
        assert {True, False} == set(mirrored)


@pytest.mark.parametrize(("padding", "flip"), [(2, False), (4, True), (6, True)])
def test_a_crop_of_the_mirrored_surroundings_is_that_of_an_image_padded_so(padding: int, flip: bool) -> None:
    given = images(12)
    views = CropFlip(BLACK, padding=padding, flip=flip, reflect=True)(given, seeded(8))
    wide = F.pad(given, (padding,) * 4, mode="reflect")
    plain = CropFlip(BLACK, padding=0, flip=False)
    assert torch.equal(plain(given, seeded()), given)
    draws = seeded(8)
    top, left = torch.randint(0, 2 * padding + 1, (2, 12, 1), generator=draws).flatten(1).tolist()
    mirrored = (torch.rand(12, 1, generator=draws) < 0.5).flatten().tolist() if flip else [False] * 12
    for n in range(12):
        crop = wide[n, :, top[n] : top[n] + 9, left[n] : left[n] + 7]
        assert torch.equal(views[n], crop.flip(2) if mirrored[n] else crop)


@pytest.mark.parametrize(("height", "width"), [(1, 5), (2, 3), (1, 1)])
def test_surroundings_of_small_images_are_mirrored_again_and_again(height: int, width: int) -> None:
    given = images(40, 1, height, width)
    views = CropFlip(BLACK, padding=9, reflect=True)(given, seeded())
    assert views.shape == given.shape
    for view, image in zip(views, given, strict=True):
        assert set(view.flatten().tolist()) <= set(image.flatten().tolist())


def test_a_square_is_erased_as_often_as_is_said() -> None:
    given = images(400, 3, 8, 8)
    place = CropFlip(BLACK, padding=0, flip=False)
    erased = [
        Photographic(BLACK, place, light=0.0, erased=share, erasing=0.7)(given, seeded())
        for share in (0.0, 0.9)
    ]
    changed = (erased[0] != erased[1]).flatten(1).any(1)
    assert 0.6 < changed.float().mean() < 0.8


def test_the_elastic_displacement_is_smooth_and_as_large_as_said() -> None:
    side = 28
    change = AffineElastic(torch.zeros(2, 1, 1), **{**STILL, "elastic": 1.5})
    inner = displacements(change, 200, side)[..., 6:-6, 6:-6]  # sampled from inside the ramps
    assert 0.5 * 1.5 < inner.std().item() < 1.3 * 1.5
    assert abs(inner.mean().item()) < 0.1
    for axis in (2, 3):
        assert inner.diff(dim=axis).std() < 0.5 * inner.std()  # neighbours move together
    twice = displacements(AffineElastic(torch.zeros(2, 1, 1), **{**STILL, "elastic": 3.0}), 200, side)
    ratio = twice[..., 10:-10, 10:-10].std() / inner[..., 4:-4, 4:-4].std()
    assert 1.8 < ratio < 2.2


def test_shift_moves_a_dot_within_its_bounds() -> None:
    x, y = centres(AffineElastic(BLACK, **{**STILL, "shift": 0.2})(blobs(300), seeded(3)))
    largest = 0.2 * 21
    for moved in (x, y):
        assert 0.9 * largest < moved.abs().max() < 1.02 * largest
        assert abs(moved.mean()) < 0.15 * largest
        assert (moved > 0).any()
        assert (moved < 0).any()
    assert torch.corrcoef(torch.stack([x, y]))[0, 1].abs() < 0.2


@pytest.mark.parametrize("name", ["rotation", "zoom", "shear"])
def test_other_changes_leave_the_middle_where_it_is(name: str) -> None:
    x, y = centres(
        AffineElastic(BLACK, **{**STILL, name: 0.2 if name != "rotation" else 40.0})(blobs(50), seeded())
    )
    assert x.abs().max() < 0.1
    assert y.abs().max() < 0.1


def test_rotation_turns_by_at_most_its_angle() -> None:
    dots = torch.zeros(400, 1, 41, 41)
    dots[:, 0, 19:22, 34:37] = 1.0  # to the right of the middle
    x, y = centres(AffineElastic(BLACK, **{**STILL, "rotation": 30.0})(dots, seeded(7)))
    angles = torch.atan2(y, x).rad2deg()
    assert 28 < angles.max() < 30.5
    assert -30.5 < angles.min() < -28
    torch.testing.assert_close(torch.hypot(x, y), torch.full((400,), 15.0), atol=0.3, rtol=0)


def test_zoom_changes_the_size_both_ways() -> None:
    masses = AffineElastic(BLACK, **{**STILL, "zoom": 0.3})(blobs(200), seeded()).sum((1, 2, 3))
    areas = masses / blobs(1).sum()
    assert areas.min() < 0.75
    assert areas.max() > 1.4
    assert areas.min() > 1 / 1.3**2 - 0.02
    assert areas.max() < 1 / 0.7**2 + 0.05


def test_views_can_be_chained_by_the_same_generator() -> None:
    first: Augmentation = CropFlip(BLACK)
    second: Augmentation = AffineElastic(BLACK)
    given = images(channels=1)
    views = [second(first(given, generator), generator) for generator in (seeded(1), seeded(1), seeded(2))]
    assert [torch.equal(a, b) for a, b in pairwise(views)] == [True, False]
