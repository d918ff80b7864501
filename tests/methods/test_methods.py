"""Every method: who learns from what, one step against the same step by hand, and what it refuses."""

import copy
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.methods import (
    KDGAN,
    METHODS,
    Codis,
    Codis3,
    Contrast,
    Distn,
    Method,
    Mimic,
    NaGAN,
    Noisy,
    Optimization,
    Supervised,
    create,
    find,
    hyperparameters,
    pretraining,
)
from kdgan.nets import WithPrivileged, mlp

B, F, P, K = 6, 5, 3, 4
RATE, DECAY, WARMUP = 0.01, 0.05, 0.2
ROLES = ("student", "teacher", "discriminator")
ALL = (*ROLES, "peer")
LEARNING = Optimization(lr=RATE, weight_decay=DECAY, warmup=WARMUP)
STILL = Optimization(lr=1e-12, schedule="constant")
SAMPLED = ("concrete", "reinforce", "reinforce-baseline")


def line(part: str) -> str:
    """A pattern for a message of one line that holds `part`."""
    return rf"\A[^\n]*{re.escape(part)}[^\n]*\Z"


def player(role: str, *, privileged: bool = False) -> nn.Module:
    if privileged and role != "student":
        return WithPrivileged(nn.Linear(F, 6), mlp(6 + P, [7], K)).double()
    return mlp(F, [8], K).double()


def players(seed: int = 0, *, privileged: bool = False) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    return {role: player(role, privileged=privileged) for role in ROLES}


def all_players(seed: int = 0, *, privileged: bool = False) -> dict[str, nn.Module]:
    """Those, and the third network of co-distillation."""
    return {**players(seed, privileged=privileged), "peer": player("peer", privileged=privileged).double()}


def batch(seed: int = 0, *, privileged: bool = False, weights: bool = False) -> Batch:
    g = torch.Generator().manual_seed(seed)
    targets = torch.randint(K, (B,), generator=g)
    soft = torch.randn(B, K, generator=g, dtype=torch.float64).softmax(-1)
    extra = torch.randn(B, P, generator=g, dtype=torch.float64) if privileged else None
    inputs = torch.randn(B, F, generator=g, dtype=torch.float64)
    return Batch(inputs, soft if weights else targets, extra)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(module: nn.Module, before: Mapping[str, Tensor]) -> bool:
    now = module.state_dict()
    return all(torch.equal(now[name], value) for name, value in before.items())


# The same step by hand: losses from probabilities, learning rates from their formula, torch's own AdamW.


def rate_by_hand(progress: float) -> float:
    if progress < WARMUP:
        return RATE * max(progress / WARMUP, 0.01)
    return RATE * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP))) / 2


def softmax(logits: Tensor) -> Tensor:
    return logits.exp() / logits.exp().sum(1, keepdim=True)


def sigmoid(scores: Tensor) -> Tensor:
    return 1 / (1 + (-scores).exp())


def distance_by_hand(name: str, logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    target = target.detach()
    if name == "l2":
        return ((logits - target) ** 2).sum(1) / K
    p, q = softmax(logits / temperature), softmax(target / temperature)
    if name == "kl":
        return temperature**2 * (q * (q / p).log()).sum(1)
    m = (p + q) / 2
    return temperature**2 * ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)) / 2


def true_weights(data: Batch) -> Tensor:
    return data.targets if data.targets.ndim == 2 else torch.eye(K, dtype=torch.float64)[data.targets]


def label_loss(logits: Tensor, data: Batch, smoothing: float = 0.0) -> Tensor:
    target = (1 - smoothing) * true_weights(data) + smoothing / K
    return -(target * softmax(logits).log()).sum(1)


def d_loss(scores: Tensor, data: Batch, fake: Tensor) -> Tensor:
    p_d = sigmoid(scores)
    return -(true_weights(data) * p_d.log()).sum(1) - (fake.detach() * (1 - p_d).log()).sum(1)


def g_loss(logits: Tensor, scores: Tensor) -> Tensor:
    return (softmax(logits) * (1 - sigmoid(scores.detach())).log()).sum(1)


class ByHand:
    """Copies of the players, and a step of each."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = {role: copy.deepcopy(module) for role, module in modules.items()}
        self.optimizers = {
            role: torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=DECAY, fused=False)
            for role, module in self.modules.items()
        }

    def see(self, role: str, data: Batch) -> Tensor:
        if role == "student" or data.privileged is None:
            return self.modules[role](data.inputs)
        return self.modules[role](data.inputs, data.privileged)

    def learn(self, role: str, loss: Tensor, progress: float) -> None:
        optimizer = self.optimizers[role]
        optimizer.param_groups[0]["lr"] = rate_by_hand(progress)
        optimizer.zero_grad()
        (loss.sum() / len(loss)).backward()
        optimizer.step()


def agree(
    method: Method, hand: ByHand, step: Any, *, privileged: bool = False, weights: bool = False
) -> None:
    """Three updates of both, in warm-up, at its end and after, leave the same weights and report the same."""
    before = weights_of(method.student.module)
    for seed, progress in enumerate((0.0, 0.2, 0.7)):
        data = batch(seed, privileged=privileged, weights=weights)
        losses = method.update(data, progress)
        expected = step(hand, data, progress)
        assert losses.keys() == expected.keys()
        for name, value in losses.items():
            assert value.shape == ()
            assert not value.requires_grad
            torch.testing.assert_close(value, expected[name].detach().mean(), rtol=1e-9, atol=1e-12)
    for role, owned in method.players.items():
        for name, value in owned.module.state_dict().items():
            other = hand.modules[role].state_dict()[name]
            torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-11, msg=f"{role} {name}")
    assert not same(method.student.module, before)


@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_supervised_by_hand(smoothing: float, weights: bool) -> None:
    modules = players()
    hand = ByHand({"student": modules["student"]})

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        loss = label_loss(hand.see("student", data), data, smoothing)
        hand.learn("student", loss, progress)
        return {"label": loss}

    method = Supervised(modules["student"], smoothing=smoothing, optimization=LEARNING)
    agree(method, hand, step, weights=weights)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distn_by_hand(temperature: float, weight: float) -> None:
    modules = players(privileged=True)
    hand = ByHand(modules)

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        c, t = hand.see("student", data), hand.see("teacher", data)
        soft, hard = distance_by_hand("kl", c, t, temperature), label_loss(c, data)
        hand.learn("student", (1 - weight) * hard + weight * soft, progress)
        return {"distillation": soft, "label": hard}

    method = Distn(
        modules["student"],
        modules["teacher"],
        temperature=temperature,
        weight=weight,
        optimization=LEARNING,
    )
    agree(method, hand, step, privileged=True)


def test_mimic_by_hand() -> None:
    modules = players(privileged=True)
    hand = ByHand(modules)

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        loss = distance_by_hand("l2", hand.see("student", data), hand.see("teacher", data), 1.0)
        hand.learn("student", loss, progress)
        return {"distillation": loss}

    method = Mimic(modules["student"], modules["teacher"], optimization=LEARNING)
    agree(method, hand, step, privileged=True)


def test_noisy_without_noise_is_mimic() -> None:
    for quiet in ({"sigma": 0.0, "share": 1.0}, {"sigma": 1.0, "share": 0.0}):
        first, second = players(), players()
        noisy = Noisy(first["student"], first["teacher"], **quiet, optimization=LEARNING)
        mimic = Mimic(second["student"], second["teacher"], optimization=LEARNING)
        for seed in range(3):
            noisy.update(batch(seed), 0.5)
            mimic.update(batch(seed), 0.5)
        torch.testing.assert_close(noisy.student.module.state_dict(), mimic.student.module.state_dict())


def test_noisy_perturbs_the_stated_share_of_instances_by_the_stated_amount() -> None:
    modules = players()
    sigma, share, n = 0.4, 0.3, 20_000
    method = Noisy(modules["student"], modules["teacher"], sigma=sigma, share=share)
    data = Batch(
        torch.randn(n, F, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
        torch.zeros(n, dtype=torch.long),
    )
    with torch.no_grad():
        clean = modules["teacher"](data.inputs)
    noise = method.target(data) / clean - 1
    perturbed = (noise.abs() > 1e-12).any(1)
    assert perturbed.double().mean().item() == pytest.approx(share, abs=0.015)
    factors = noise[perturbed]
    assert (factors.abs() > 0).all()  # each label has its own ξ
    assert factors.mean().item() == pytest.approx(0.0, abs=0.01)
    assert factors.std().item() == pytest.approx(sigma, rel=0.02)
    pairs = torch.corrcoef(factors.T)
    assert (pairs - torch.eye(K)).abs().max() < 0.06
    assert not torch.equal(method.target(data), method.target(data))


@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize("distillation", ["l2", "kl", "js"])
def test_codis_by_hand(distillation: Any, weights: bool) -> None:
    modules = players(privileged=True)
    hand, beta, gamma, temperature = ByHand(modules), 0.7, 0.2, 2.0

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        c, t = hand.see("student", data), hand.see("teacher", data)
        label, t_label = label_loss(c, data), label_loss(t, data)
        follows = distance_by_hand(distillation, c, t, temperature)
        t_follows = distance_by_hand(distillation, t, c, temperature)
        hand.learn("student", label + beta * follows, progress)
        hand.learn("teacher", t_label + gamma * t_follows, progress)
        return {
            "label": label,
            "distillation": follows,
            "teacher_label": t_label,
            "teacher_distillation": t_follows,
        }

    method = Codis(
        modules["student"],
        modules["teacher"],
        beta=beta,
        gamma=gamma,
        distillation=distillation,
        temperature=temperature,
        optimization=LEARNING,
    )
    agree(method, hand, step, privileged=True, weights=weights)


def test_codis_of_three_by_hand() -> None:
    """Each of the three follows the labels and, with its mean distance, the two others as they were."""
    modules = all_players()
    del modules["discriminator"]
    hand, beta, gamma = ByHand(modules), 0.7, 0.2

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        seen = {role: hand.see(role, data) for role in modules}
        losses = {}
        for role, logits in seen.items():
            first, second = (theirs for other, theirs in seen.items() if other != role)
            follows = distance_by_hand("kl", logits, first, 4.0) + distance_by_hand("kl", logits, second, 4.0)
            before = "" if role == "student" else f"{role}_"
            losses |= {f"{before}label": label_loss(logits, data), f"{before}distillation": follows / 2}
        for role in modules:
            before, weight = ("", beta) if role == "student" else (f"{role}_", gamma)
            hand.learn(role, losses[f"{before}label"] + weight * losses[f"{before}distillation"], progress)
        return losses

    agree(Codis3(**modules, beta=beta, gamma=gamma, optimization=LEARNING), hand, step)


@pytest.mark.parametrize("adversarial", [0.0, 1.0])
def test_kdgan_judged_by_the_labels_alone(adversarial: float) -> None:
    """The scalar product of label vectors learns nothing, and without a game nobody asks D."""
    modules = players()
    before = weights_of(modules["discriminator"])
    hand = ByHand(modules)

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        scores = (2 * true_weights(data) - 1) * math.log(19)
        c, t = hand.see("student", data), hand.see("teacher", data)
        judged = d_loss(scores, data, (softmax(c) + softmax(t)) / 2)
        t_fools, t_follows = g_loss(t, scores), distance_by_hand("l2", t, c, 1.0)
        hand.learn("teacher", adversarial * t_fools / 2 + 0.02 * t_follows, progress)
        c_fools, c_follows = g_loss(c, scores), distance_by_hand("l2", c, hand.see("teacher", data), 1.0)
        hand.learn("student", adversarial * c_fools / 2 + c_follows, progress)
        return {
            "discriminator": judged,
            "adversarial": c_fools,
            "distillation": c_follows,
            "teacher_adversarial": t_fools,
            "teacher_distillation": t_follows,
        }

    method = KDGAN(**modules, adversarial=adversarial, supervision=0.0, judge="labels", optimization=LEARNING)
    agree(method, hand, step)
    assert same(modules["discriminator"], before)


@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize(("d_steps", "c_steps"), [(1, 1), (3, 2)])
def test_nagan_by_hand(d_steps: int, c_steps: int, weights: bool) -> None:
    modules = players(privileged=True)
    del modules["teacher"]
    hand = ByHand(modules)

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        for _ in range(d_steps):
            judged = d_loss(hand.see("discriminator", data), data, softmax(hand.see("student", data)))
            hand.learn("discriminator", judged, progress)
        for _ in range(c_steps):
            fooled = g_loss(hand.see("student", data), hand.see("discriminator", data))
            hand.learn("student", fooled, progress)
        return {"discriminator": judged, "adversarial": fooled}

    method = NaGAN(**modules, d_steps=d_steps, c_steps=c_steps, optimization=LEARNING)
    agree(method, hand, step, privileged=True, weights=weights)


@pytest.mark.parametrize("supervision", [0.0, 0.7])
@pytest.mark.parametrize("steps", [(1, 1, 1), (3, 2, 2)])
@pytest.mark.parametrize("distillation", ["l2", "kl", "js"])
@pytest.mark.parametrize(("privileged", "weights"), [(False, True), (True, False)])
def test_kdgan_by_hand(
    privileged: bool, weights: bool, distillation: Any, steps: tuple[int, int, int], supervision: float
) -> None:
    """Algorithm 1, lines 3 to 12, with every prediction computed anew where it is used."""
    modules = players(privileged=privileged)
    hand, alpha, beta, gamma, temperature = ByHand(modules), 0.3, 0.8, 0.15, 2.0
    d_steps, t_steps, c_steps = steps

    def step(hand: ByHand, data: Batch, progress: float) -> dict[str, Tensor]:
        for _ in range(d_steps):
            p_c, p_t = softmax(hand.see("student", data)), softmax(hand.see("teacher", data))
            judged = d_loss(hand.see("discriminator", data), data, alpha * p_c + (1 - alpha) * p_t)
            hand.learn("discriminator", judged, progress)
        for _ in range(t_steps):
            t = hand.see("teacher", data)
            t_fools = g_loss(t, hand.see("discriminator", data))
            t_follows = distance_by_hand(distillation, t, hand.see("student", data), temperature)
            told = supervision * label_loss(t, data)
            hand.learn("teacher", (1 - alpha) * t_fools + gamma * t_follows + told, progress)
        for _ in range(c_steps):
            c = hand.see("student", data)
            c_fools = g_loss(c, hand.see("discriminator", data))
            c_follows = distance_by_hand(distillation, c, hand.see("teacher", data), temperature)
            label = label_loss(c, data)
            told = supervision * label
            hand.learn("student", alpha * c_fools + beta * c_follows + told, progress)
        return {
            **({"label": label} if supervision else {}),
            "discriminator": judged,
            "adversarial": c_fools,
            "distillation": c_follows,
            "teacher_adversarial": t_fools,
            "teacher_distillation": t_follows,
        }

    method = KDGAN(
        **modules,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        supervision=supervision,
        distillation=distillation,
        temperature=temperature,
        d_steps=d_steps,
        t_steps=t_steps,
        c_steps=c_steps,
        optimization=LEARNING,
    )
    agree(method, hand, step, privileged=privileged, weights=weights)


def lesson_by_hand(name: str, modules: Mapping[str, nn.Module], data: Batch) -> Tensor:
    """What C has to learn at `data`, the others' predictions as they are at the batch of seed 0."""
    c = modules["student"](data.inputs)
    t, d, peer = (modules[role](batch().inputs).detach() for role in ("teacher", "discriminator", "peer"))
    follows = {other: distance_by_hand("kl", c, logits, 4) for other, logits in (("t", t), ("peer", peer))}
    caught = (softmax(c) * (1 - sigmoid(d)).log()).sum(1)
    label = label_loss(c, batch())
    return {
        "supervised": label,
        "distn": 0.1 * label + 0.9 * follows["t"],
        "mimic": distance_by_hand("l2", c, t, 1),
        "codis": label + follows["t"],
        "codis3": label + (follows["t"] + follows["peer"]) / 2,
        "nagan": caught,
        "kdgan": label + 0.5 * caught + distance_by_hand("l2", c, t, 1),
    }[name]


@pytest.mark.parametrize("name", [name for name in METHODS if name != "noisy"])
def test_inputs_are_moved_up_the_loss_of_the_student(name: str) -> None:
    """By at most the reach, along the gradient in x of the method's own loss of C; nobody learns by it."""
    modules = all_players()
    before = {role: weights_of(module) for role, module in modules.items()}
    method = create(name, modules, optimization=STILL, reach=0.01)
    data = batch()
    moved = method.moved(replace(data, teacher_logits=torch.zeros(B, K, dtype=torch.float64)))
    inputs = data.inputs.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(lesson_by_hand(name, modules, Batch(inputs, data.targets)).sum(), inputs)
    if name in ("distn", "mimic"):  # these take what T said ahead of the step
        assert moved.teacher_logits is None
        moved = method.moved(data)
    step = moved.inputs - data.inputs
    size = step.square().mean(1).sqrt()
    assert ((size > 0) & (size <= 0.01)).all()
    torch.testing.assert_close(step / size[:, None], slope / slope.square().mean(1).sqrt()[:, None])
    assert moved.targets is data.targets
    for role, module in modules.items():
        assert same(module, before[role])
        assert all(parameter.grad is None for parameter in module.parameters())


def test_without_a_game_but_with_labels_kdgan_is_codis() -> None:
    """Up to whether C follows T from before or after T's step."""
    game = create("kdgan", players(), {"adversarial": 0.0, "gamma": 0.1}, optimization=LEARNING)
    codis = create("codis", players(), {"distillation": "l2"}, optimization=LEARNING)
    game.update(batch(), 0.5)
    codis.update(batch(), 0.5)
    assert same(game.players["teacher"].module, weights_of(codis.players["teacher"].module))


def test_every_player_learns_from_the_moved_inputs() -> None:
    """The update at a reach is the step on the moved batch; without a reach, on the batch itself."""
    for name in METHODS:
        one, other = (create(name, all_players(), optimization=LEARNING, reach=0.5) for _ in range(2))
        one.update(batch(), 0.5)
        other.step(other.moved(batch()), 0.5)
        for role, player in one.players.items():
            assert same(other.players[role].module, weights_of(player.module))
        assert create(name, all_players()).reach == 0


def test_contrast_by_hand() -> None:
    modules = players(privileged=True)
    hand = ByHand(modules)
    discriminator = hand.modules["discriminator"]

    def step(data: Batch, progress: float) -> Tensor:
        uniform = torch.full((B, K), 1 / K, dtype=torch.float64)
        loss = d_loss(hand.see("discriminator", data), data, uniform)
        hand.learn("discriminator", loss, progress)
        return loss

    method = pretraining("discriminator", modules["discriminator"], optimization=LEARNING)
    assert isinstance(method, Contrast)
    for seed, progress in enumerate((0.1, 0.5)):
        data = batch(seed, privileged=True)
        torch.testing.assert_close(
            method.update(data, progress)["discriminator"], step(data, progress).detach().mean()
        )
    torch.testing.assert_close(modules["discriminator"].state_dict(), discriminator.state_dict())


def make(name: str, modules: Mapping[str, nn.Module], hyper: Mapping[str, Any] | None = None) -> Method:
    return create(name, modules, hyper, optimization=LEARNING)


def gradients(module: nn.Module) -> Tensor:
    """All of them in one vector, zeros where there is none."""
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in module.parameters()]
    )


def after(hyper: Mapping[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Each player's gradient of its last step in one update of KDGAN that leaves the weights all but alone."""
    modules = players(seed)
    create("kdgan", modules, {"supervision": 0.0, **hyper}, optimization=STILL).update(batch(), 0.5)
    return {role: gradients(module) for role, module in modules.items()}


@pytest.mark.parametrize("estimator", ["exact", *SAMPLED])
def test_the_terms_of_kdgan_reach_only_their_player(estimator: str) -> None:
    base = {"estimator": estimator, "distillation": "l2"}
    # α = 1 takes T out of the adversarial term; γ = 0 out of distillation, however large β is.
    teacher = after({**base, "alpha": 1.0, "beta": 5.0, "gamma": 0.0})["teacher"]
    assert torch.equal(teacher, torch.zeros_like(teacher))
    student = after({**base, "alpha": 0.0, "beta": 0.0, "gamma": 5.0})["student"]
    assert torch.equal(student, torch.zeros_like(student))
    # Neither is zero for another reason.
    assert after({**base, "alpha": 0.5, "beta": 0.0, "gamma": 0.0})["teacher"].norm() > 1e-4
    assert after({**base, "alpha": 0.5, "beta": 0.0, "gamma": 0.0})["student"].norm() > 1e-4
    assert after({**base, "alpha": 1.0, "beta": 0.0, "gamma": 1.0})["teacher"].norm() > 1e-4
    assert after({**base, "alpha": 0.0, "beta": 1.0, "gamma": 0.0})["student"].norm() > 1e-4


@pytest.mark.parametrize("estimator", ["exact", *SAMPLED])
def test_the_gradients_of_kdgan_are_linear_in_alpha_beta_and_gamma(estimator: str) -> None:
    base = {"estimator": estimator, "distillation": "js"}
    adversarial = after({**base, "alpha": 1.0, "beta": 0.0})["student"]
    distilled = after({**base, "alpha": 0.0, "beta": 1.0})["student"]
    mixed = after({**base, "alpha": 0.25, "beta": 3.0})["student"]
    torch.testing.assert_close(mixed, 0.25 * adversarial + 3 * distilled, rtol=1e-6, atol=1e-9)
    adversarial = after({**base, "alpha": 0.0, "gamma": 0.0})["teacher"]
    distilled = after({**base, "alpha": 1.0, "gamma": 1.0})["teacher"]
    mixed = after({**base, "alpha": 0.25, "gamma": 3.0})["teacher"]
    torch.testing.assert_close(mixed, 0.75 * adversarial + 3 * distilled, rtol=1e-6, atol=1e-9)


def test_a_student_without_terms_and_a_teacher_without_terms_stay() -> None:
    still = Optimization(lr=RATE)  # no weight decay, which is no term of the game
    alone = {"supervision": 0.0}
    modules = players()
    before = {role: weights_of(module) for role, module in modules.items()}
    method = create("kdgan", modules, {"alpha": 0.0, "beta": 0.0, "gamma": 0.0, **alone}, optimization=still)
    for seed in range(3):
        method.update(batch(seed), 0.5)
    assert same(modules["student"], before["student"])
    assert not same(modules["teacher"], before["teacher"])

    modules = players()
    method = create("kdgan", modules, {"alpha": 1.0, "gamma": 0.0, **alone}, optimization=still)
    for seed in range(3):
        method.update(batch(seed), 0.5)
    assert same(modules["teacher"], before["teacher"])
    assert not same(modules["student"], before["student"])


@pytest.mark.parametrize("name", ["nagan", "kdgan"])
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


@pytest.mark.parametrize("steps", [{}, {"d_steps": 3}, {"t_steps": 4}, {"c_steps": 5}])
def test_each_player_takes_as_many_steps_as_stated(steps: dict[str, int]) -> None:
    method = make("kdgan", players(), steps)
    counts = dict.fromkeys(ROLES, 0)
    for role in ROLES:
        optimizer = method.players[role].optimizer
        assert optimizer is not None

        def count(*_: object, role: str = role) -> None:
            counts[role] += 1

        optimizer.register_step_post_hook(count)
    method.update(batch(), 0.5)
    method.update(batch(), 0.6)
    expected = {role: 2 * steps.get(f"{role[0] if role != 'student' else 'c'}_steps", 1) for role in ROLES}
    assert counts == expected


@pytest.mark.parametrize("name", ["codis", "codis3", "nagan", "kdgan"])
def test_between_intervals_only_the_student_learns(name: str) -> None:
    method = create(name, all_players(), optimization=LEARNING, interval=3)
    changed: dict[str, list[bool]] = {role: [] for role in method.roles}
    for update in range(5):
        before = {role: weights_of(method.players[role].module) for role in method.roles}
        losses = method.update(batch(update), 0.1 + 0.1 * update)
        assert all(value.isfinite() for value in losses.values())
        for role in method.roles:
            changed[role].append(not same(method.players[role].module, before[role]))
    assert changed.pop("student") == [True] * 5
    assert all(learned == [True, False, False, True, False] for learned in changed.values())


def test_a_game_played_rarely_counts_for_more() -> None:
    """The adversarial gradient of C is as large over an interval as if the game were played in each update."""

    def gradient(interval: int, adversarial: float) -> Tensor:
        modules = players()
        hyper = {"beta": 0.0, "supervision": 0.0, "adversarial": adversarial}
        create("kdgan", modules, hyper, optimization=STILL, interval=interval).update(batch(), 0.5)
        return gradients(modules["student"])

    torch.testing.assert_close(gradient(3, 1.0), 3 * gradient(1, 1.0), rtol=1e-6, atol=1e-12)


def test_between_games_the_views_move_up_what_the_student_learns_by() -> None:
    modules = players()
    game = create("kdgan", modules, optimization=STILL, interval=2)
    game.update(batch(0), 0.5)
    c = torch.randn(B, K, dtype=torch.float64)
    t = modules["teacher"](batch(1).inputs).detach()
    expected = label_loss(c, batch(1)) + distance_by_hand("l2", c, t, 1)
    torch.testing.assert_close(game.lesson(batch(1))(c), expected)


def test_between_games_the_student_follows_its_teacher_as_in_mimic() -> None:
    modules = players()
    game = create("kdgan", modules, {"supervision": 0.0}, optimization=STILL, interval=2)
    game.update(batch(0), 0.5)
    losses = game.update(batch(1), 0.5)
    frozen = copy.deepcopy({role: modules[role] for role in ("student", "teacher")})
    expected = create("mimic", frozen, optimization=STILL).update(batch(1), 0.5)
    assert set(losses) == {"distillation"}
    torch.testing.assert_close(losses["distillation"], expected["distillation"])
    torch.testing.assert_close(gradients(modules["student"]), gradients(frozen["student"]))


@pytest.mark.parametrize("name", ["nagan", "kdgan"])
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


@pytest.mark.parametrize("name", ["nagan", "kdgan"])
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


@pytest.mark.parametrize("name", ["nagan", "kdgan"])
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


class Peculiar(nn.Module):
    """Batch normalisation and dropout: a forward in training mode leaves a trace."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(F, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, K))
        self.layers.double()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)


@pytest.mark.parametrize("name", ["distn", "mimic", "noisy"])
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


@pytest.mark.parametrize("name", list(METHODS))
def test_learners_train_in_training_mode(name: str) -> None:
    torch.manual_seed(0)
    modules: dict[str, nn.Module] = {role: Peculiar().eval() for role in ALL}
    method = make(name, modules)
    method.update(batch(), 0.5)
    for role, owned in method.players.items():
        learns = role == "student" or name in ("codis", "codis3", "nagan", "kdgan")
        assert owned.module.training == learns
        assert (owned.optimizer is not None) == owned.learns == (role in method.trains) == learns


@pytest.mark.parametrize("name", ["distn", "mimic"])
def test_teacher_logits_computed_ahead_are_used_instead_of_a_frozen_teacher(name: str) -> None:
    data = batch()
    ahead = torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    first, second = players(), players()

    class Given(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return ahead

    make(name, first).update(Batch(data.inputs, data.targets, teacher_logits=ahead), 0.5)
    make(name, {"student": second["student"], "teacher": Given()}).update(data, 0.5)
    assert same(first["student"], second["student"].state_dict())


@pytest.mark.parametrize("name", ["codis", "kdgan"])
def test_a_teacher_that_learns_is_never_read_from_the_batch(name: str) -> None:
    data = batch()
    first, second = players(), players()
    make(name, first).update(Batch(data.inputs, data.targets, teacher_logits=torch.zeros(B, K)), 0.5)
    make(name, second).update(data, 0.5)
    for role in ROLES:
        assert same(first[role], second[role].state_dict())


class Recorder(nn.Module):
    """Notes how it is called."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls: list[tuple[Tensor, ...]] = []

    def forward(self, *arguments: Tensor) -> Tensor:
        self.calls.append(arguments)
        return self.inner(*arguments)


@pytest.mark.parametrize("with_privileged", [False, True])
@pytest.mark.parametrize("name", list(METHODS))
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


def test_a_pretrained_teacher_sees_privileged_information() -> None:
    teacher = Recorder(players(privileged=True)["teacher"])
    method = pretraining("teacher", teacher, optimization=LEARNING)
    data = batch(privileged=True)
    method.update(data, 0.5)
    assert [len(call) for call in teacher.calls] == [2]
    assert list(method.players) == ["teacher"]


VARIANTS = [
    *((name, {}) for name in METHODS),
    *((name, {"estimator": estimator}) for name in ("nagan", "kdgan") for estimator in SAMPLED),
]


@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize(("name", "hyper"), VARIANTS, ids=[f"{n}-{[*h.values()]}" for n, h in VARIANTS])
def test_a_saved_method_goes_on_as_if_it_had_never_stopped(
    name: str, hyper: dict[str, Any], interval: int
) -> None:
    def norm(seed: int) -> dict[str, nn.Module]:
        torch.manual_seed(seed)
        layers = (nn.Linear(F, 8), nn.BatchNorm1d(8), nn.Linear(8, K))
        return {role: nn.Sequential(*copy.deepcopy(layers)).double() for role in ALL}

    def go_on(method: Method) -> list[Tensor]:
        return [v for seed in (2, 3, 4) for v in method.update(batch(seed), 0.1 * seed).values()]

    modules = norm(0)
    method = create(name, modules, hyper, optimization=LEARNING, seed=1, interval=interval)
    for seed in (0, 1):
        method.update(batch(seed), 0.1 * seed)
    saved = copy.deepcopy(method.state_dict())
    straight = go_on(method)

    others = norm(9)
    resumed = create(name, others, hyper, optimization=LEARNING, seed=2, interval=interval)
    resumed.load_state_dict(saved)
    continued = go_on(resumed)

    assert len(straight) == len(continued)
    assert all(torch.equal(a, b) for a, b in zip(straight, continued, strict=True))
    for role in method.roles:
        assert same(modules[role], others[role].state_dict())


@pytest.mark.parametrize(("name", "hyper"), [v for v in VARIANTS if v[0] == "noisy" or v[1]])
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


def blobs() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=g)
    return 4 * torch.eye(3, 8)[labels] + torch.randn(300, 8, generator=g), labels


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_works_in_ones_own_loop(name: str) -> None:
    torch.manual_seed(1)
    x, y = blobs()
    learning = Optimization(lr=0.02)
    modules = {role: mlp(8, [16], 3) for role in ALL}
    before = weights_of(modules["student"])

    method = create(name, modules, optimization=learning)
    before_game = [pretraining(role, modules[role], optimization=learning) for role in method.pretrained]
    history = []
    for stage in (*before_game, method):
        for step in range(60):
            rows = torch.randint(len(x), (50,))
            history.append(stage.update(Batch(x[rows], y[rows]), step / 60))

    student = modules["student"].eval()
    assert (student(x).argmax(1) == y).float().mean() > 0.95
    if "student" not in method.pretrained:
        falling = "label" if "label" in history[-1] else "distillation"
        assert history[-1][falling] < 0.5 * history[-60][falling]
    student.load_state_dict(before)
    assert (student(x).argmax(1) == y).float().mean() < 0.6  # chance, before


def test_nagan_needs_no_teacher() -> None:
    assert set(make("nagan", players()).players) == {"student", "discriminator"}


def test_every_method_is_found_by_name() -> None:
    kinds = (Supervised, Distn, Mimic, Noisy, Codis, Codis3, NaGAN, KDGAN)
    assert [find(name) for name in METHODS] == list(kinds)
    for name, kind in METHODS.items():
        method = make(name, all_players())
        assert type(method) is kind
        assert tuple(method.players) == kind.roles
        assert set(kind.pretrained) <= set(kind.roles)


def test_hyperparameters_are_those_of_the_method_with_their_defaults() -> None:
    assert hyperparameters("mimic") == {}
    assert hyperparameters("distn") == {"temperature": 4.0, "weight": 0.9}
    assert set(hyperparameters("kdgan")) == {
        "alpha", "beta", "gamma", "adversarial", "supervision", "distillation", "temperature", "estimator",
        "tau_start", "tau_end", "judge", "d_steps", "t_steps", "c_steps",
    }  # fmt: skip
    for name in METHODS:
        make(name, all_players(), hyperparameters(name))


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


def test_the_learning_rate_rises_then_falls() -> None:
    learning = Optimization(lr=2.0, warmup=0.1)
    assert learning.rate(0.05) == pytest.approx(1.0)
    assert learning.rate(0.1) == pytest.approx(2.0)
    assert learning.rate(0.55) == pytest.approx(1.0)
    assert learning.rate(1 - 1e-9) == pytest.approx(0.0, abs=1e-9)
    assert learning.rate(0.0) > 0
    assert {Optimization(lr=2.0, schedule="constant").rate(p) for p in (0.0, 0.05, 0.9)} == {2.0}
    assert Optimization(lr=2.0, warmup=0.0).rate(0.0) == 2.0


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("kdgan", {"adversarial": -0.1}, "adversarial"),
    ("kdgan", {"supervision": -0.1}, "supervision"),
    ("kdgan", {"judge": "nobody"}, "nobody"),
    ("supervised", {"smoothing": -0.1}, "-0.1"),
    ("supervised", {"smoothing": 1.0}, "1.0"),
    ("distn", {"weight": -0.1}, "-0.1"),
    ("distn", {"weight": 1.1}, "1.1"),
    ("distn", {"temperature": 0.0}, "temperature 0.0"),
    ("noisy", {"sigma": -1.0}, "-1.0"),
    ("noisy", {"share": 1.5}, "1.5"),
    ("noisy", {"share": -0.5}, "-0.5"),
    ("codis", {"beta": -1.0}, "-1.0"),
    ("codis", {"gamma": -2.0}, "-2.0"),
    ("codis", {"temperature": -1.0}, "temperature -1.0"),
    ("codis", {"distillation": "cosine"}, "'cosine'"),
    ("nagan", {"estimator": "gumbel"}, "'gumbel'"),
    ("nagan", {"tau_start": 0.0}, "0.0"),
    ("nagan", {"tau_end": -0.1}, "-0.1"),
    ("nagan", {"d_steps": 0}, "0"),
    ("nagan", {"c_steps": 0}, "0"),
    ("kdgan", {"alpha": -0.1}, "-0.1"),
    ("kdgan", {"alpha": 1.1}, "1.1"),
    ("kdgan", {"alpha": float("nan")}, "nan"),
    ("kdgan", {"beta": -1.0}, "-1.0"),
    ("kdgan", {"gamma": -2.0}, "-2.0"),
    ("kdgan", {"distillation": "cosine"}, "'cosine'"),
    ("kdgan", {"temperature": 0.0}, "temperature 0.0"),
    ("kdgan", {"estimator": "gumbel"}, "'gumbel'"),
    ("kdgan", {"tau_start": 0.0}, "0.0"),
    ("kdgan", {"tau_end": -0.1}, "-0.1"),
    ("kdgan", {"d_steps": 0}, "0"),
    ("kdgan", {"t_steps": 0}, "0"),
    ("kdgan", {"c_steps": -1}, "-1"),
]


@pytest.mark.parametrize(("name", "hyper", "said"), WRONG, ids=[f"{n}-{h}" for n, h, _ in WRONG])
def test_hyperparameters_out_of_range_are_refused_at_once(
    name: str, hyper: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=line(said)):
        make(name, all_players(), hyper)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=line("interval must be at least 1, not 0")):
        create("kdgan", players(), interval=0)


def test_a_negative_reach_is_refused() -> None:
    with pytest.raises(UsageError, match=line("reach must be at least 0, not -1.0")):
        create("mimic", players(), reach=-1.0)


def test_unknown_names_are_refused() -> None:
    for call in (find, hyperparameters, lambda name: make(name, players())):
        with pytest.raises(UsageError, match=line("'kdgam'")) as caught:
            call("kdgam")
        assert all(name in str(caught.value) for name in METHODS)
    with pytest.raises(UsageError, match=line("'aplha'")) as caught:
        make("kdgan", players(), {"aplha": 0.5})
    assert "alpha" in str(caught.value)
    for managed in ("seed", "optimization", "student"):
        with pytest.raises(UsageError, match=line(managed)):
            make("kdgan", players(), {managed: 1})


@pytest.mark.parametrize("name", list(METHODS))
def test_a_missing_player_is_named(name: str) -> None:
    for role in find(name).roles:
        modules = all_players()
        del modules[role]
        with pytest.raises(UsageError, match=line(role)):
            make(name, modules)


def test_a_player_that_cannot_learn_is_refused() -> None:
    modules = players()
    modules["teacher"].requires_grad_(False)
    with pytest.raises(UsageError, match=line("teacher")):
        make("kdgan", modules)
    make("distn", modules).update(batch(), 0.5)  # here it need not


def test_a_role_without_its_optimization_is_named() -> None:
    with pytest.raises(UsageError, match=line("discriminator")):
        create("kdgan", players(), optimization={"student": LEARNING, "teacher": LEARNING})


def test_pretraining_of_an_unknown_role_is_refused() -> None:
    with pytest.raises(UsageError, match=line("'judge'")):
        pretraining("judge", player("student"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0},
        {"lr": -1.0},
        {"lr": float("nan")},
        {"weight_decay": -0.1},
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"schedule": "linear"},
    ],
)
def test_bad_optimizations_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=line(str(next(iter(wrong.values()))))):
        Optimization(**wrong)
