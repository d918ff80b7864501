"""KDGAN against Algorithm 1 by hand, and who learns from which term."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from by_hand import (
    LEARNING,
    RATE,
    ROLES,
    SAMPLED,
    STILL,
    ByHand,
    Peculiar,
    Recorder,
    Step,
    agree,
    batch,
    d_loss,
    distance_by_hand,
    g_loss,
    gradients,
    label_loss,
    make,
    players,
    same,
    softmax,
    weights_of,
)
from kdgan.data.batch import Batch
from kdgan.methods import KDGAN, Losses, Optimization, create


def algorithm_1(
    *,
    alpha: float = 0.5,
    beta: float = 1.0,
    gamma: float = 0.02,
    adversarial: float = 1.0,
    supervision: float = 1.0,
    distillation: str = "l2",
    temperature: float = 4.0,
    d_steps: int = 1,
    t_steps: int = 1,
    c_steps: int = 1,
    teacher_every: int = 1,
    kept: tuple[str, ...] = (),
) -> Step:
    """Lines 3 to 12, with every prediction computed anew where it is used, in the first of so many updates."""

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        all_learn = hand.updates % teacher_every == 0
        plays = all_learn and adversarial > 0
        losses: Losses = {}
        for _ in range(d_steps if plays and "discriminator" not in kept else 0):
            p_c, p_t = softmax(hand.see("student", data)), softmax(hand.see("teacher", data))
            judged = d_loss(hand.see("discriminator", data), data, alpha * p_c + (1 - alpha) * p_t)
            hand.learn("discriminator", judged, progress)
            losses |= {"discriminator": judged}
        for _ in range(t_steps if all_learn and "teacher" not in kept else 0):
            t = hand.see("teacher", data)
            follows = distance_by_hand(distillation, t, hand.see("student", data), temperature)
            loss = gamma * follows
            losses |= {"teacher_distillation": follows}
            if supervision:
                label = label_loss(t, data)
                loss = loss + supervision * label
                losses |= {"teacher_label": label}
            if plays:
                fools = g_loss(t, hand.see("discriminator", data))
                loss = loss + adversarial * (1 - alpha) * fools
                losses |= {"teacher_adversarial": fools}
            hand.learn("teacher", loss, progress)
        for _ in range(c_steps):
            c = hand.see("student", data)
            follows = distance_by_hand(distillation, c, hand.see("teacher", data), temperature)
            loss = beta * follows
            losses |= {"distillation": follows}
            if supervision:
                label = label_loss(c, data)
                loss = loss + supervision * label
                losses |= {"label": label}
            if plays:
                fools = g_loss(c, hand.see("discriminator", data))
                loss = loss + adversarial * teacher_every * alpha * fools
                losses |= {"adversarial": fools}
            hand.learn("student", loss, progress)
        return losses

    return step


@pytest.mark.parametrize("supervision", [0.0, 0.7])
@pytest.mark.parametrize("steps", [(1, 1, 1), (3, 2, 2)])
@pytest.mark.parametrize("distillation", ["l2", "kl", "js"])
@pytest.mark.parametrize(("privileged", "weights"), [(False, True), (True, False)])
def test_kdgan_by_hand(
    privileged: bool, weights: bool, distillation: Any, steps: tuple[int, int, int], supervision: float
) -> None:
    modules = players(privileged=privileged)
    d_steps, t_steps, c_steps = steps
    options = {
        **{"alpha": 0.3, "beta": 0.8, "gamma": 0.15, "adversarial": 1.3, "supervision": supervision},
        **{"distillation": distillation, "temperature": 2.0},
        **{"d_steps": d_steps, "t_steps": t_steps, "c_steps": c_steps},
    }
    hand = ByHand(modules)
    method = KDGAN(**modules, **options, optimization=LEARNING)
    agree(method, hand, algorithm_1(**options), privileged=privileged, weights=weights)


@pytest.mark.parametrize("supervision", [0.0, 1.0])
@pytest.mark.parametrize("adversarial", [0.0, 1.0])
def test_kdgan_by_hand_with_a_game_in_the_first_of_two_updates(
    adversarial: float, supervision: float
) -> None:
    modules = players(privileged=True)
    options = {"adversarial": adversarial, "supervision": supervision, "c_steps": 2, "teacher_every": 2}
    hand = ByHand(modules)
    method = KDGAN(**modules, **options, optimization=LEARNING)
    agree(method, hand, algorithm_1(**options), privileged=True)


def test_without_a_game_nobody_asks_the_discriminator() -> None:
    modules = players()
    hand, before = ByHand(modules), weights_of(modules["discriminator"])
    judge = Recorder(modules["discriminator"])
    method = KDGAN(**{**modules, "discriminator": judge}, adversarial=0.0, optimization=LEARNING)
    hand.modules["discriminator"] = Recorder(hand.modules["discriminator"])
    agree(method, hand, algorithm_1(adversarial=0.0))
    assert not judge.calls
    assert same(judge.inner, before)


@pytest.mark.parametrize("teacher_every", [1, 2])
@pytest.mark.parametrize("kept", [("teacher",), ("discriminator",), ("teacher", "discriminator")])
def test_kept_players_play_as_they_are(kept: tuple[str, ...], teacher_every: int) -> None:
    """To the bit, statistics of their layers included; the student learns from them all the same."""
    torch.manual_seed(3)
    modules = {role: Peculiar() if role in kept else module for role, module in players().items()}
    hand = ByHand(modules)
    before = {role: weights_of(modules[role]) for role in kept}
    for role in kept:
        hand.modules[role].eval()
    learning = {role: None if role in kept else LEARNING for role in ROLES}
    method = KDGAN(**modules, optimization=learning, teacher_every=teacher_every)
    agree(method, hand, algorithm_1(teacher_every=teacher_every, kept=kept))
    for role in kept:
        assert same(modules[role], before[role])
        assert all(p.grad is None for p in modules[role].parameters())


def test_without_a_game_but_with_labels_kdgan_is_codis() -> None:
    """Up to whether C follows T from before or after T's step."""
    game = create("kdgan", players(), {"adversarial": 0.0, "gamma": 0.1}, optimization=LEARNING)
    codis = create("codis", players(), {"distillation": "l2"}, optimization=LEARNING)
    game.update(batch(), 0.5)
    codis.update(batch(), 0.5)
    assert same(game.players["teacher"].module, weights_of(codis.players["teacher"].module))


def test_between_games_the_student_follows_its_teacher_as_in_mimic() -> None:
    modules = players()
    game = create("kdgan", modules, {"supervision": 0.0}, optimization=STILL, teacher_every=2)
    game.update(batch(0), 0.5)
    losses = game.update(batch(1), 0.5)
    frozen = copy.deepcopy({role: modules[role] for role in ("student", "teacher")})
    expected = create("mimic", frozen, optimization=STILL).update(batch(1), 0.5)
    assert set(losses) == {"distillation"}
    torch.testing.assert_close(losses["distillation"], expected["distillation"])
    torch.testing.assert_close(gradients(modules["student"]), gradients(frozen["student"]))


def test_a_game_played_rarely_counts_for_more() -> None:
    """C's adversarial gradient over many updates is as large as if the game were played in each of them."""

    def gradient(teacher_every: int) -> Tensor:
        modules = players()
        hyper = {"beta": 0.0, "supervision": 0.0}
        game = create("kdgan", modules, hyper, optimization=STILL, teacher_every=teacher_every)
        game.update(batch(), 0.5)
        return gradients(modules["student"])

    torch.testing.assert_close(gradient(3), 3 * gradient(1), rtol=1e-6, atol=1e-12)


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
