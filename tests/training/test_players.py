"""Players out of modules of the caller's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from kdgan import nets
from kdgan.data import Batch
from kdgan.methods import METHODS
from kdgan.training.evaluate import logits_of
from kdgan.training.players import apart, build_players, copied, fresh, is_trained, on_device
from tiny import weights

CPU = torch.device("cpu")


def problem(count: int, seed: int) -> Batch:
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return Batch(x, x[:, :3].argmax(1))


VALIDATION = problem(60, 1)


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.mlp(6, [16], 3)


def pruned(layer: nn.Module) -> nn.Module:
    """Without the half of its weights that are smallest."""
    return prune.l1_unstructured(layer, "weight", 0.5)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """Knows the labels."""
    teacher, train = network(), problem(60, 0)
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(teacher(train.inputs), train.targets).backward()
        optimizer.step()
    return teacher


def knows(module: nn.Module, data: Batch = VALIDATION) -> bool:
    return is_trained(logits_of(module, data), data.targets)


def test_is_trained_tells_knowledge_from_none(trained: nn.Module) -> None:
    assert knows(trained)
    for seed in range(1, 6):
        assert not knows(network(seed))

    class Sure(nn.Module):
        """Right as often as the trained one, and far too sure of it."""

        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = 1000 * trained(inputs)
            return logits

    class Constant(nn.Module):
        """Knows how frequent each label is, and nothing else."""

        def forward(self, inputs: Tensor) -> Tensor:
            share = VALIDATION.targets.bincount(minlength=3) / len(VALIDATION)
            return share.log().expand(len(inputs), 3)

    assert knows(Sure())
    assert not knows(Constant())
    soft = Batch(VALIDATION.inputs, nn.functional.one_hot(VALIDATION.targets, 3).float())
    for net, known in ((trained, True), (Sure(), True), (Constant(), False), (network(1), False)):
        assert knows(net, soft) == known
    # Weights that are sure of a label say the same, whatever little they leave to others.
    softer = Batch(soft.inputs, 0.9 * soft.targets + 0.1 / 3)
    assert knows(Sure(), softer)
    assert not knows(network(1), softer)


def test_knowledge_of_several_labels_and_of_yes_or_no() -> None:
    generator = torch.Generator().manual_seed(0)
    bits = (torch.rand(200, 5, generator=generator) < torch.tensor([0.02, 0.1, 0.3, 0.5, 0.9])).float()
    rates = bits.mean(0).logit().expand(200, 5)
    noise = torch.randn(200, 5, generator=generator)
    knowing = 2 * (2 * bits - 1) + noise
    for width, kind in ((5, "multilabel"), (1, "binary")):
        targets = bits[:, -width:]
        assert is_trained(knowing[:, -width:], targets, kind)  # type: ignore[arg-type]
        assert is_trained(1000 * knowing[:, -width:], targets, kind)  # type: ignore[arg-type]
        for ignorant in (rates, rates + 0.1 * noise, torch.zeros(200, 5), noise, -knowing):
            assert not is_trained(ignorant[:, -width:], targets, kind)  # type: ignore[arg-type]


def test_class_indices_and_their_one_hot_weights_say_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(4, (50,), generator=generator)
    weights_of = nn.functional.one_hot(targets, 4).float()
    for scale in (0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, float("inf")):
        logits = torch.randn(50, 4, generator=generator) + (
            scale * weights_of if scale < float("inf") else weights_of.log()
        )
        assert is_trained(logits, targets) == is_trained(logits, weights_of), scale


def test_fresh_has_other_weights_of_the_same_form() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
            self.own = nn.Parameter(torch.ones(4, 4))

    module = Scaled().eval()
    module.own.requires_grad_(False)
    module.layers[1].running_mean += 5.0  # type: ignore[operator]
    before = weights(module)
    made: Any = fresh(module)
    assert torch.equal(weights(module), before)
    assert made.training
    assert not torch.equal(made.layers[0].weight, module.layers[0].weight)  # type: ignore[arg-type]
    assert not torch.equal(made.own, module.own)
    assert made.own.requires_grad
    assert torch.equal(made.layers[1].running_mean, torch.zeros(3))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("keep", [True, False])
def test_a_method_gets_its_players(method: str, keep: bool) -> None:
    student, teacher, kind = network(1), network(2), METHODS[method]
    before = weights(teacher)
    players = build_players(kind, student, teacher, None, keep_teacher=keep, device=CPU)
    assert set(players) == {*kind.roles, "student", "teacher"}
    assert players["student"] is student
    assert (players["teacher"] is teacher) == keep
    assert torch.equal(weights(players["teacher"]), before)
    for role in set(players) - {"student", "teacher"}:
        assert players[role] is not teacher
        assert weights(players[role]).shape == before.shape
        assert not torch.equal(weights(players[role]), before)


def test_a_discriminator_of_ones_own_is_taken_where_there_is_one() -> None:
    own = nets.mlp(6, [5], 3)
    for method, has in (("kdgan", True), ("nagan", True), ("mimic", False), ("codis3", False)):
        players = build_players(METHODS[method], network(), network(), own, keep_teacher=True, device=CPU)
        assert (players.get("discriminator") is own) == has


def test_modules_come_home_from_the_device() -> None:
    class Travelling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(1, 1)
            self.places: list[object] = []

        def to(self, device: object) -> "Travelling":  # type: ignore[override]
            self.places.append(device)
            return self

    def fails() -> None:
        raise RuntimeError("on the way")

    away: Callable[[], None]
    for away in (lambda: None, fails):
        modules = Travelling(), Travelling(), nn.ReLU()
        try:
            with on_device(torch.device("meta"), *modules):
                away()
        except RuntimeError:
            assert away is fails
        for module in modules[:2]:
            assert module.places == [torch.device("meta"), CPU]  # type: ignore[union-attr]


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_layers_with_weight_norm_are_fresh_too(norm: Any) -> None:
    module = nn.Sequential(norm(nn.Linear(6, 8)), nn.ReLU(), norm(nn.Linear(8, 3)))
    x = torch.randn(5, 6)
    with torch.no_grad():
        module(x)  # once used
    made = fresh(module)
    assert not torch.allclose(made(x), module(x), atol=1e-3)
    for (name, new), old in zip(made.named_parameters(), module.parameters(), strict=True):
        assert not torch.equal(new, old), name


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm, pruned])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_layers_that_compute_their_weights_are_fresh_after_training(norm: Any) -> None:
    """Whose last call had a gradient, so that torch alone copies none of them."""
    module = nn.Sequential(norm(nn.Linear(6, 8)), nn.ReLU(), norm(nn.Linear(8, 3)))
    x = torch.randn(5, 6)
    module(x).sum().backward()
    same, made = copied(module, "teacher", "-").eval(), fresh(module)
    assert torch.equal(same(x), module.eval()(x))
    for (name, new), old in zip(made.named_parameters(), module.parameters(), strict=True):
        assert not torch.equal(new, old), name
    assert not torch.allclose(made.eval()(x), module(x), atol=1e-3)


def test_vectors_that_no_layer_resets_are_fresh_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([0.4, 1.7, 1.2]))
            self.offset = nn.Parameter(torch.tensor([-2.0, 3.0, -1.0]))
            self.unused_scale = nn.Parameter(torch.ones(3))
            self.gain = nn.Parameter(torch.tensor(2.5))

    module = Own()
    made: Any = fresh(module)
    assert made.scale.tolist() == made.unused_scale.tolist() == [1.0, 1.0, 1.0]
    assert made.gain.item() == 1.0
    assert made.offset.abs().max().item() <= 3**-0.5
    assert made.offset.unique().numel() == 3
    assert module.scale.tolist() != [1.0, 1.0, 1.0]
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in made.parameters())


def test_attention_is_fresh_too() -> None:
    module = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.5)
    made = fresh(module)
    assert all(
        not torch.equal(new, old) for new, old in zip(made.parameters(), module.parameters(), strict=True)
    )


def test_players_and_the_caller_are_afterwards_as_they_were() -> None:
    teacher = network()
    teacher[0].eval()
    modes, state = [part.training for part in teacher.modules()], torch.get_rng_state()

    def spoil() -> None:
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        teacher.eval()
        torch.rand(3)
        raise ValueError("in the middle")

    with (
        torch.inference_mode(),
        pytest.raises(ValueError, match="middle"),
        apart(CPU, 3, {"teacher": teacher}),
    ):
        spoil()
    assert [part.training for part in teacher.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
