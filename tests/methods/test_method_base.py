"""What holds for every method: who learns, who sees what, from which inputs, and that it can go on."""

import copy
import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from by_hand import (
    ALL,
    GAMES,
    LEARNING,
    ROLES,
    STILL,
    VARIANTS,
    B,
    F,
    K,
    Peculiar,
    Recorder,
    all_players,
    batch,
    blobs,
    distance_by_hand,
    g_loss,
    gradients,
    label_loss,
    make,
    player,
    players,
    same,
    sigmoid,
    softmax,
    titles,
    weights_of,
)
from kdgan.data.batch import Batch
from kdgan.losses import Bernoulli
from kdgan.methods import (
    METHODS,
    Codis3,
    Learning,
    Method,
    Mimic,
    Optimization,
    Signals,
    Terms,
    create,
    pretraining,
)
from kdgan.nets import mlp
from support import refused

VARIANT = pytest.mark.parametrize(("name", "hyper"), VARIANTS, ids=titles(VARIANTS))
LEARN_TOGETHER = ("codis", "codis3", "nagan", "kdgan")
FREEZE_THE_TEACHER = ("distn", "mimic", "noisy")


# Inputs that are moved


def loss_by_hand(
    name: str,
    modules: Mapping[str, nn.Module],
    data: Batch,
    generator: torch.Generator,
    *,
    teacher_every: int = 1,
) -> Tensor:
    """What C minimises at `data`, whatever the estimator as an expectation over labels, the others' predictions as they
    are at the batch of seed 0."""
    c = modules["student"](data.inputs)
    t, d, peer = (modules[role](batch().inputs).detach() for role in ("teacher", "discriminator", "peer"))
    label = label_loss(c, batch())
    if name in ("supervised", "selftrain"):
        return label
    if name == "distn":
        return 0.1 * label + 0.9 * distance_by_hand("kl", c, t, 4)
    if name == "noisy":
        factors = 1 + 0.3 * torch.randn(B, K, generator=generator)
        t = t * torch.where(torch.rand(B, 1, generator=generator) < 0.5, factors, 1.0)
    if name in ("mimic", "noisy"):
        return distance_by_hand("l2", c, t, 1)
    if name == "codis":
        return label + distance_by_hand("kl", c, t, 4)
    if name == "codis3":
        return label + (distance_by_hand("kl", c, t, 4) + distance_by_hand("kl", c, peer, 4)) / 2
    caught = g_loss(c, d)
    if name == "nagan":
        return caught
    return label + 0.5 * teacher_every * caught + distance_by_hand("l2", c, t, 1)


@pytest.mark.parametrize("teacher_every", [1, 3])
@VARIANT
def test_inputs_are_moved_up_the_loss_of_the_student(
    name: str, hyper: dict[str, str], teacher_every: int
) -> None:
    """By at most ε, along the gradient in x of the loss of C itself, an expectation where C learns from samples; nobody
    learns by it."""
    modules = all_players()
    before = {role: weights_of(module) for role, module in modules.items()}
    method = create(
        name, modules, hyper, optimization=STILL, epsilon=0.01, teacher_every=teacher_every, seed=5
    )
    data = batch()
    moved = method.perturbed(data, 0.0)
    inputs = data.inputs.clone().requires_grad_(True)
    generator = torch.Generator().manual_seed(5)
    at = Batch(inputs, data.targets)
    loss = loss_by_hand(name, modules, at, generator, teacher_every=teacher_every)
    (slope,) = torch.autograd.grad(loss.sum(), inputs)
    step = moved.inputs - data.inputs
    size = step.square().mean(1).sqrt()
    assert ((size > 0) & (size <= 0.01)).all()
    torch.testing.assert_close(step / size[:, None], slope / slope.square().mean(1).sqrt()[:, None])
    part = torch.rand(B, generator=generator).double()
    torch.testing.assert_close(size, 0.01 * part, rtol=1e-6, atol=0)
    assert moved.targets is data.targets
    for role, module in modules.items():
        assert same(module, before[role])
        assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("name", FREEZE_THE_TEACHER[:2])
def test_what_the_teacher_said_ahead_is_not_of_the_moved_inputs(name: str) -> None:
    """It decides where they move, and is then forgotten."""
    modules = players()
    ahead = torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    first = create(name, modules, optimization=STILL, epsilon=0.01)
    moved = first.perturbed(replace(batch(), teacher_logits=ahead), 0.0)
    assert moved.teacher_logits is None
    other = create(name, modules, optimization=STILL, epsilon=0.01).perturbed(batch(), 0.0)
    assert not torch.allclose(moved.inputs, other.inputs, rtol=0, atol=1e-6)


def test_between_games_inputs_move_up_what_the_student_then_learns_by() -> None:
    modules = players()
    game = create("kdgan", modules, optimization=STILL, teacher_every=2, epsilon=0.01)
    game.update(batch(0), 0.5)
    data = batch(1)
    step = game.perturbed(data, 0.5).inputs - data.inputs
    inputs = data.inputs.clone().requires_grad_(True)
    c, t = modules["student"](inputs), modules["teacher"](data.inputs).detach()
    loss = label_loss(c, data) + distance_by_hand("l2", c, t, 1)
    (slope,) = torch.autograd.grad(loss.sum(), inputs)
    torch.testing.assert_close(step / step.norm(dim=1, keepdim=True), slope / slope.norm(dim=1, keepdim=True))


@VARIANT
def test_every_player_learns_from_the_moved_inputs(name: str, hyper: dict[str, str]) -> None:
    """The update with an ε is the step on the moved batch."""
    one, other = (create(name, all_players(), hyper, optimization=LEARNING, epsilon=0.5) for _ in range(2))
    one.update(batch(), 0.5)
    other.step(other.perturbed(batch(), 0.5), 0.5)
    for role, owned in one.players.items():
        assert same(other.players[role].module, weights_of(owned.module))


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_moved_unless_it_is_asked_for(name: str) -> None:
    one, other = (create(name, all_players(), optimization=LEARNING) for _ in range(2))
    one.update(batch(), 0.5)
    other.step(batch(), 0.5)
    for role, owned in one.players.items():
        assert same(other.players[role].module, weights_of(owned.module))


def test_an_image_is_moved_as_a_whole() -> None:
    """The root mean square is over all its pixels, and is its own."""
    torch.manual_seed(0)
    method = Mimic(mlp(2 * 3 * 4, [], K), mlp(2 * 3 * 4, [], K), epsilon=0.2)
    data = Batch(torch.randn(5, 2, 3, 4), torch.zeros(5, dtype=torch.long))
    step = method.perturbed(data, 0.0).inputs - data.inputs
    sizes = step.square().mean((1, 2, 3)).sqrt()
    assert ((sizes > 0) & (sizes <= 0.2 * (1 + 1e-5))).all()
    assert len(set(sizes.tolist())) == 5


# Who learns when


@pytest.mark.parametrize("name", LEARN_TOGETHER)
def test_other_players_learn_in_the_first_of_so_many_updates(name: str) -> None:
    method = create(name, all_players(), optimization=LEARNING, teacher_every=3)
    changed: dict[str, list[bool]] = {role: [] for role in method.roles}
    for update in range(5):
        before = {role: weights_of(method.players[role].module) for role in method.roles}
        assert method.updates_teacher == (update in (0, 3))
        losses = method.update(batch(update), 0.1 + 0.1 * update)
        assert all(value.isfinite() for value in losses.values())
        # What is reported is what was computed.
        assert any(term.startswith(("teacher_", "discriminator")) for term in losses) == (update in (0, 3))
        for role in method.roles:
            changed[role].append(not same(method.players[role].module, before[role]))
    assert changed.pop("student") == [True] * 5
    assert all(learned == [True, False, False, True, False] for learned in changed.values())


@pytest.mark.parametrize("name", GAMES)
def test_the_discriminator_changes_in_its_own_steps_alone(name: str) -> None:
    modules = players()
    method = make(name, modules, {"d_steps": 2, "c_steps": 3})
    discriminator = method.players["discriminator"]
    assert discriminator.optimizer is not None
    snapshots: list[dict[str, Tensor]] = []
    grads: list[Tensor] = []

    def note(*_: object) -> None:
        snapshots.append(weights_of(discriminator.module))
        grads.append(gradients(discriminator.module))

    discriminator.optimizer.register_step_post_hook(note)
    method.update(batch(), 0.5)
    assert len(snapshots) == 2
    assert not same(discriminator.module, snapshots[0])
    assert same(discriminator.module, snapshots[1])
    assert torch.equal(gradients(discriminator.module), grads[1])  # what followed sent it nothing


@pytest.mark.parametrize("name", GAMES)
def test_in_bfloat16_too_each_player_sees_the_others_as_they_are_by_then(name: str) -> None:
    modules = {role: module.float() for role, module in all_players().items()}
    game = make(name, modules, {"d_steps": 2})
    data = replace(batch(), inputs=batch().inputs.float())
    scores: list[Tensor] = []
    said: list[Tensor] = []
    modules["discriminator"].register_forward_hook(lambda *call: scores.append(call[-1].detach()))
    modules["teacher"].register_forward_hook(lambda *call: said.append(call[-1].detach()))
    with torch.autocast("cpu", torch.bfloat16):
        game.update(data, 0.5)
    assert len(scores) == 3  # before each of D's steps, and after them
    assert all((one - other).abs().max() > 0 for one, other in itertools.pairwise(scores))
    assert name == "nagan" or (said[0] - said[-1]).abs().max() > 0


@pytest.mark.parametrize("name", GAMES)
def test_further_steps_draw_fresh_samples(name: str) -> None:
    def last_gradient(role: str, estimator: str, steps: int) -> Tensor:
        modules = players()
        hyper = {"estimator": estimator, "d_steps" if role == "discriminator" else "c_steps": steps}
        create(name, modules, hyper, optimization=STILL).update(batch(), 0.5)
        return gradients(modules[role])

    for role in ("student", "discriminator"):
        once, twice = (last_gradient(role, "exact", steps) for steps in (1, 2))
        torch.testing.assert_close(once, twice, rtol=1e-6, atol=1e-9)
        once, twice = (last_gradient(role, "reinforce", steps) for steps in (1, 2))
        assert (once - twice).norm() > 0.01 * once.norm()


@pytest.mark.parametrize("name", GAMES)
def test_the_concrete_temperature_falls_with_progress(name: str) -> None:
    def student_gradient(progress: float, **tau: float) -> Tensor:
        modules = players()
        hyper = {"estimator": "concrete", **tau}
        create(name, modules, hyper, optimization=STILL).update(batch(), progress)
        return gradients(modules["student"])

    for progress, tau in ((0.0, 1.0), (0.5, math.sqrt(0.1))):
        constant = student_gradient(progress, tau_start=tau, tau_end=tau)
        torch.testing.assert_close(student_gradient(progress), constant)
    assert not torch.allclose(student_gradient(0.0), student_gradient(0.5), rtol=1e-3)


@pytest.mark.parametrize("name", FREEZE_THE_TEACHER)
def test_a_trained_teacher_is_kept_to_the_bit(name: str) -> None:
    torch.manual_seed(0)
    modules = {"student": player("student"), "teacher": Peculiar().train()}
    before = weights_of(modules["teacher"])
    method = make(name, modules)
    for seed in range(3):
        method.update(batch(seed), 0.5)
    assert same(modules["teacher"], before)
    assert not modules["teacher"].training
    assert not modules["teacher"].layers[2].training
    assert all(p.grad is None for p in modules["teacher"].parameters())
    assert modules["student"].training


@pytest.mark.parametrize("name", METHODS)
def test_learners_train_in_training_mode(name: str) -> None:
    torch.manual_seed(0)
    modules: dict[str, nn.Module] = {role: Peculiar().eval() for role in ALL}
    method = make(name, modules)
    method.update(batch(), 0.5)
    for role, owned in method.players.items():
        learns = role == "student" or name in LEARN_TOGETHER
        assert owned.module.training == learns
        assert (owned.optimizer is not None) == owned.learns == (role in method.trains) == learns


@pytest.mark.parametrize("name", METHODS)
def test_any_other_player_may_be_kept_as_it_is(name: str) -> None:
    for kept in METHODS[name].roles[1:]:
        torch.manual_seed(0)
        modules: dict[str, nn.Module] = {role: Peculiar() for role in ALL}
        before = {role: weights_of(modules[role]) for role in ALL}
        learning: Learning = {role: None if role == kept else LEARNING for role in ALL}
        method = create(name, modules, optimization=learning, epsilon=0.1)
        for seed in range(2):
            losses = method.update(batch(seed), 0.5)
            assert not [term for term in losses if term.startswith(kept)]
        assert same(modules[kept], before[kept])
        assert not modules[kept].training
        assert not method.players[kept].learns
        assert not same(modules["student"], before["student"])


@pytest.mark.parametrize(
    ("name", "learning"),
    [
        ("distn", LEARNING),
        ("mimic", LEARNING),
        ("codis", {"student": LEARNING, "teacher": None}),
        ("kdgan", {"student": LEARNING, "teacher": None, "discriminator": LEARNING}),
    ],
)
def test_logits_computed_ahead_are_used_instead_of_a_kept_teacher(name: str, learning: Learning) -> None:
    data = batch()
    ahead = torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    first, second = players(), players()

    class Given(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return ahead

    first["teacher"] = Recorder(first["teacher"])
    create(name, first, optimization=learning).update(replace(data, teacher_logits=ahead), 0.5)
    assert not first["teacher"].calls
    create(name, {**second, "teacher": Given()}, optimization=learning).update(data, 0.5)
    for role in ("student", "discriminator"):
        assert same(first[role], second[role].state_dict())


@pytest.mark.parametrize("name", ["codis", "kdgan"])
def test_a_teacher_that_learns_is_never_read_from_the_batch(name: str) -> None:
    data = batch()
    first, second = players(), players()
    make(name, first).update(replace(data, teacher_logits=torch.zeros(B, K)), 0.5)
    make(name, second).update(data, 0.5)
    for role in ROLES:
        assert same(first[role], second[role].state_dict())


@pytest.mark.parametrize("with_privileged", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_privileged_information_reaches_all_but_the_student(name: str, with_privileged: bool) -> None:
    modules = {role: Recorder(m) for role, m in all_players(privileged=with_privileged).items()}
    data = batch(privileged=with_privileged)
    method = make(name, modules)
    method.update(data, 0.5)
    for role in method.roles:
        seen = (data.inputs,) if role == "student" else (data.inputs, data.privileged)
        seen = seen if with_privileged else (data.inputs,)
        calls = modules[role].calls
        assert calls
        for call in calls:
            assert len(call) == len(seen)
            assert all(a is b for a, b in zip(call, seen, strict=True))
    for role in set(ALL) - set(method.roles):
        assert not modules[role].calls


def test_learning_can_differ_by_role() -> None:
    modules = players()
    rates = {"student": 0.1, "teacher": 0.2, "discriminator": 0.3}
    learning = {role: Optimization(lr=rate, schedule="constant") for role, rate in rates.items()}
    method = create("kdgan", modules, optimization=learning)
    method.update(batch(), 0.5)
    for role, rate in rates.items():
        optimizer = method.players[role].optimizer
        assert optimizer is not None
        assert [group["lr"] for group in optimizer.param_groups] == [rate]


# Going on, and drawing


@pytest.mark.parametrize("teacher_every", [1, 3])
@VARIANT
def test_a_saved_method_goes_on_as_if_it_had_never_stopped(
    name: str, hyper: dict[str, Any], teacher_every: int
) -> None:
    def norm(seed: int) -> dict[str, nn.Module]:
        torch.manual_seed(seed)
        layers = (nn.Linear(F, 8), nn.BatchNorm1d(8), nn.Linear(8, K))
        return {role: nn.Sequential(*copy.deepcopy(layers)).double() for role in ALL}

    def go_on(method: Method) -> list[Tensor]:
        return [v for seed in (2, 3, 4) for v in method.update(batch(seed), 0.1 * seed).values()]

    modules = norm(0)
    shared: dict[str, Any] = {"optimization": LEARNING, "teacher_every": teacher_every, "epsilon": 0.1}
    method = create(name, modules, hyper, seed=1, **shared)
    for seed in (0, 1):
        method.update(batch(seed), 0.1 * seed)
    saved = copy.deepcopy(method.state_dict())
    straight = go_on(method)

    others = norm(9)
    resumed = create(name, others, hyper, seed=2, **shared)
    resumed.load_state_dict(saved)
    continued = go_on(resumed)

    assert len(straight) == len(continued)
    assert all(torch.equal(a, b) for a, b in zip(straight, continued, strict=True))
    for role in method.roles:
        assert same(modules[role], others[role].state_dict())


DRAW = [variant for variant in VARIANTS if variant[0] == "noisy" or variant[1]]


@pytest.mark.parametrize(("name", "hyper"), DRAW, ids=titles(DRAW))
def test_a_method_draws_from_its_own_seed(name: str, hyper: dict[str, Any]) -> None:
    def trained(seed: int) -> nn.Module:
        modules = players()
        torch.manual_seed(123 + seed)
        before = torch.get_rng_state()
        create(name, modules, hyper, optimization=LEARNING, seed=seed % 10).update(batch(), 0.5)
        assert torch.equal(torch.get_rng_state(), before)
        return modules["student"]

    first, again, other = trained(1), trained(11), trained(2)
    assert same(first, again.state_dict())
    assert not same(first, other.state_dict())


# In anyone's loop, and of one's own


def trained_on_blobs(name: str | type[Method], **shared: Any) -> tuple[float, float, list[dict[str, Tensor]]]:
    """The student's share of right answers before and after the method, and what was reported."""
    torch.manual_seed(1)
    x, y = blobs()
    learning = Optimization(lr=0.02)
    modules = {role: mlp(8, [16], 3) for role in ALL}

    def right() -> float:
        return float((modules["student"](x).argmax(1) == y).float().mean())

    before = right()
    method = create(name, modules, **{"optimization": learning, **shared})
    stages = [pretraining(role, modules[role], optimization=learning) for role in method.pretrained]
    history = []
    for stage in (*stages, method):
        for step in range(60):
            rows = torch.randint(len(x), (50,))
            history.append(stage.update(Batch(x[rows], y[rows]), step / 60))
    return before, right(), history


@pytest.mark.parametrize("name", METHODS)
def test_a_method_works_in_ones_own_loop(name: str) -> None:
    before, after, history = trained_on_blobs(name)
    assert before < 0.6 < 0.95 < after
    if "student" not in METHODS[name].pretrained:
        falling = "label" if "label" in history[-1] else "distillation"
        assert history[-1][falling] < 0.5 * history[-60][falling]


@pytest.mark.parametrize("name", ["codis", "kdgan"])
def test_a_student_learns_from_a_trained_teacher_that_is_kept(name: str) -> None:
    learning = {role: None if role == "teacher" else Optimization(lr=0.02) for role in ROLES}
    hyper = {"supervision": 0.0, "adversarial": 0.0} if name == "kdgan" else {}
    before, after, history = trained_on_blobs(name, optimization=learning, hyper=hyper)
    assert before < 0.6 < 0.95 < after
    assert not [term for term in history[-1] if term.startswith("teacher")]


class Halfway(Method):
    """Follows the labels, and the teacher's logits at half their size.

    Args:
        modules: C and T.
        weight: of the teacher.
    """

    def __init__(self, *modules: nn.Module, weight: float = 1.0, **shared: Any) -> None:
        super().__init__(*modules, **shared)
        self.weight = weight

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        return {
            "label": (1.0, nn.functional.cross_entropy(logits, batch.targets, reduction="none")),
            "halfway": (self.weight, (logits - signals["teacher"] / 2).square().sum(1)),
        }


def test_a_method_of_ones_own_is_a_loss() -> None:
    before, after, history = trained_on_blobs(Halfway)
    assert before < 0.6 < 0.95 < after
    assert set(history[-1]) == {"label", "halfway"}
    modules = players()
    teacher = weights_of(modules["teacher"])
    method = create(Halfway, modules, {"weight": 0.5}, optimization=STILL, epsilon=0.1)
    assert isinstance(method, Halfway)
    data = batch()
    moved = method.perturbed(data, 0.5)
    assert 0 < (moved.inputs - data.inputs).square().mean(1).sqrt().max() <= 0.1
    losses = method.step(data, 0.5)
    c, t = (modules[role](data.inputs).detach() for role in ("student", "teacher"))
    torch.testing.assert_close(losses["label"], label_loss(c, data).mean())
    torch.testing.assert_close(losses["halfway"], (c - t / 2).square().sum(1).mean())
    assert same(modules["teacher"], teacher)


def test_losses_without_a_step_are_of_moved_inputs_too() -> None:
    modules, data = players(), batch()
    method = create("distn", modules, optimization=STILL, epsilon=0.5)
    still = create("distn", modules, optimization=STILL).losses(data)["student"]
    state = method.generator.get_state()
    found = method.losses(data)["student"]
    assert found > still  # up the gradient of its own loss
    method.generator.set_state(state)
    moved = method.perturbed(data, 0.0)
    again = create("distn", modules, optimization=STILL).losses(moved)["student"]
    torch.testing.assert_close(found, again, rtol=0, atol=0)


def test_what_is_no_batch_is_refused_in_one_line() -> None:
    method, data = create("distn", players(), optimization=STILL), batch()
    with refused("losses are of a kdgan.Batch", "tuple"):
        method.losses((data.inputs, data.targets))  # type: ignore[arg-type]
    with refused("an update is of a kdgan.Batch", "Tensor"):
        method.update(data.inputs, 0.0)  # type: ignore[arg-type]


def test_a_method_without_a_loss_says_so() -> None:
    class Empty(Method):
        pass

    with pytest.raises(NotImplementedError, match="Empty trains no student"):
        create(Empty, players()).update(batch(), 0.5)


# What is refused


def test_more_or_fewer_players_than_roles_are_refused() -> None:
    for count in (0, 1, 2, 4):
        with refused("Codis3 takes student, teacher, peer", f"not {count} players"):
            Codis3(*(player("student") for _ in range(count)))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("shared", "said"),
    [
        ({"epsilon": -1.0}, "epsilon must be at least 0, not -1.0"),
        ({"epsilon": math.nan}, "epsilon must be at least 0, not nan"),
        ({"teacher_every": 0}, "teacher_every must be at least 1, not 0"),
    ],
)
def test_shared_settings_out_of_range_are_refused(name: str, shared: dict[str, Any], said: str) -> None:
    with refused(said):
        create(name, all_players(), **shared)


def test_a_player_that_cannot_learn_is_refused() -> None:
    modules = players()
    modules["teacher"].requires_grad_(False)
    with refused("teacher", "cannot learn"):
        make("kdgan", modules)
    make("distn", modules).update(batch(), 0.5)  # here it need not
    create("kdgan", modules, optimization={role: None if role == "teacher" else LEARNING for role in ROLES})


def test_a_role_without_its_optimization_is_named() -> None:
    with refused("discriminator", "student, teacher"):
        create("kdgan", players(), optimization={"student": LEARNING, "teacher": LEARNING})
    with refused("student", "nobody"):
        create("mimic", players(), optimization={})


# --- pseudo-labels -----------------------------------------------------------------------------------------------


def taken_for(seed: int = 0) -> tuple[Batch, Batch]:
    """Examples half of which have no label, with what those are taken for, and the same without."""
    plain, soft = batch(seed), batch(seed + 50, weights=True).targets
    targets = plain.targets.clone()
    targets[B // 2 :] = -1
    sure = torch.linspace(0.2, 1, B, dtype=torch.float64)
    return Batch(plain.inputs, targets, pseudo_labels=soft, confidence=sure), Batch(plain.inputs, targets)


@pytest.mark.parametrize("name", METHODS)
def test_pseudo_labels_are_for_teachers_that_learn(name: str) -> None:
    """By hand, and the gradient of the term reaches the teacher alone."""
    modules = all_players()
    method, other = make(name, modules), make(name, modules)  # which draw alike
    known, plain = taken_for()
    for role in (role for role, each in method.players.items() if each.learns):
        terms, before = method.loss_of(role, known, 0.5), other.loss_of(role, plain, 0.5)
        assert terms.keys() - before.keys() == ({"pseudo_label"} if role in ("teacher", "peer") else set())
        for term, (weight, values) in before.items():
            assert terms[term][0] == weight
            torch.testing.assert_close(terms[term][1], values)
        if role not in ("teacher", "peer"):
            continue
        weight, values = terms["pseudo_label"]
        logs = softmax(modules[role](known.inputs).detach()).log()
        expected = sum(
            -float(known.confidence[row] * (known.pseudo_labels[row] * logs[row]).sum())
            for row in range(B // 2, B)
        ) / (B - B // 2)
        assert weight == 1
        assert values.mean().item() == pytest.approx(expected, rel=1e-9)
        assert not values[: B // 2].any()
        for module in modules.values():
            module.zero_grad()
        values.mean().backward()
        assert {each for each, module in modules.items() if gradients(module).any()} == {role}


@pytest.mark.parametrize("name", ["codis", "codis3", "kdgan"])
def test_an_update_follows_them(name: str) -> None:
    known, plain = taken_for()
    found = {}
    for what, data in (("known", known), ("plain", plain)):
        modules = all_players()
        losses = make(name, modules).update(data, 0.5)
        assert ("teacher_pseudo_label" in losses) == (what == "known")
        found[what] = weights_of(modules["teacher"])
    assert any(not torch.equal(found["known"][part], value) for part, value in found["plain"].items())


def test_several_labels_have_them_too() -> None:
    bits = (torch.rand(B, K, generator=torch.Generator().manual_seed(4)) < 0.5).double()
    targets = bits.clone()
    targets[B // 2 :] = float("nan")
    sure = torch.linspace(0.2, 1, B, dtype=torch.float64)
    data = Batch(batch().inputs, targets, pseudo_labels=bits, confidence=sure)
    modules = players()
    method = create("codis", modules, optimization=LEARNING, family=Bernoulli())
    _, values = method.loss_of("teacher", data, 0.5)["pseudo_label"]
    on = sigmoid(modules["teacher"](data.inputs).detach())
    each = -(bits * on.log() + (1 - bits) * (1 - on).log()).mean(1) * sure
    assert values.mean().item() == pytest.approx(float(each[B // 2 :].mean()), rel=1e-9)


def test_views_moved_to_where_there_is_more_to_learn_keep_them() -> None:
    modules = players()
    method = create("codis", modules, optimization=LEARNING, epsilon=0.1)
    assert "teacher_pseudo_label" in method.update(taken_for()[0], 0.5)
