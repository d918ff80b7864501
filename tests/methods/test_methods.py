"""The methods there are, found by name or reference, with their hyperparameters."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from by_hand import all_players, make, players
from kdgan.experiments.figures import _MORE
from kdgan.losses import l2
from kdgan.methods import (
    CONTROL,
    KDGAN,
    METHODS,
    OWN_SETTINGS,
    Codis,
    Codis3,
    Distn,
    Method,
    Mimic,
    NaGAN,
    Noisy,
    SelfTrain,
    Supervised,
    create,
    described,
    find,
    hyperparameters,
    name_of,
)
from kdgan.training.config import Training
from support import refused


class Mine(Mimic):
    """Mine, as it says here.

    Args:
        modules: C and T.
    """

    def __init__(self, *modules: nn.Module, strength: float = 0.5, **shared: Any) -> None:
        super().__init__(*modules, **shared)
        self.strength = strength


class Nameless(KDGAN):
    pass


# What there is


def test_every_method_is_found_by_name_the_cheapest_first() -> None:
    kinds = (Supervised, SelfTrain, Distn, Mimic, Noisy, Codis, NaGAN, Codis3, KDGAN)
    assert [find(name) for name in METHODS] == list(kinds)
    assert [kind.name for kind in kinds] == list(METHODS)
    costs = [kind.cost for kind in kinds]
    assert costs == sorted(costs)
    assert next(iter(METHODS)) == CONTROL
    for name, kind in METHODS.items():
        method = make(name, all_players())
        assert type(method) is kind
        assert tuple(method.players) == kind.roles
        assert kind.roles[0] == "student" in kind.trains
        assert {*kind.pretrained, *kind.trains} <= set(kind.roles)


def lab(colour: str) -> np.ndarray:
    """CIE L*a*b* of an sRGB colour under D65."""
    coded = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(
        to_xyz @ linear / [0.9505, 1.0, 1.089]
    )  # none of them is so dark that it needs the line
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_methods_are_told_apart_by_eye() -> None:
    """From each other, and from what has a colour of the second palette."""
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=0.1)
    assert lab("#0000ff") == pytest.approx([32.3, 79.2, -107.9], abs=0.2)
    colours = [*(str(kind.colour) for kind in METHODS.values()), *_MORE]
    near = {
        pair: round(distance, 1)
        for pair in itertools.combinations(colours, 2)
        if (distance := math.dist(*map(lab, pair))) < 20
    }
    assert not near


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is_and_what_is_searched(name: str) -> None:
    kind = METHODS[name]
    assert kind.description == described(kind)
    assert kind.description[-1] == "."
    for key, choices in kind.search_space.items():
        assert key in (*hyperparameters(name), *OWN_SETTINGS)
        if isinstance(choices[0], str):
            assert len(set(choices)) == len(choices) > 1
        else:
            low, high = choices
            assert 0 <= low < high
    assert "lr" in kind.search_space


@pytest.mark.parametrize("name", METHODS)
def test_all_that_is_searched_is_taken(name: str) -> None:
    """The ends of every range, and every choice."""
    for key, choices in METHODS[name].search_space.items():
        for value in choices:
            if key in OWN_SETTINGS:
                Training(**{key: value})
            else:
                make(name, all_players(), {key: value})


def test_descriptions_and_names_are_of_the_class_itself() -> None:
    assert described(Mine) == "Mine, as it says here."
    assert described(KDGAN) == KDGAN.description
    assert name_of(KDGAN) == name_of("kdgan") == "kdgan"
    assert name_of(Mine) == f"{__name__}:Mine"  # though the method that it is a variant of has a name
    assert name_of(Nameless) == f"{__name__}:Nameless"
    assert name_of("somewhere:Mine") == "somewhere:Mine"


def test_a_method_without_a_docstring_is_not_described_as_another() -> None:
    assert described(Nameless) == "A method of your own."


# Found and made


def test_a_method_of_ones_own_is_found_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_methods.py").write_text(
        "from kdgan.methods import Mimic\n\n\nclass Ours(Mimic):\n    class Inner(Mimic):\n        pass\n"
    )
    monkeypatch.chdir(tmp_path)
    kind = find("my_methods:Ours")
    assert issubclass(kind, Mimic)
    assert name_of(kind) == name_of("my_methods:Ours") == "my_methods:Ours"
    assert find("my_methods:Ours.Inner") is kind.Inner
    assert type(create("my_methods:Ours", players())) is kind
    assert find(kind) is kind
    with refused("unknown method 'ours'", "module:Class", *METHODS):
        find("ours")
    with refused("cannot import my_methods:Theirs"):
        find("my_methods:Theirs")


@pytest.mark.parametrize(
    ("method", "said"),
    [("math:sqrt", "'math:sqrt'"), ("pathlib:Path", "'pathlib:Path'"), (nn.Linear, "Linear"), (3, "3")],
)
def test_what_is_no_method_is_refused(method: Any, said: str) -> None:
    with refused(said, "is no method", "kdgan.methods.Method"):
        find(method)


def test_hyperparameters_are_those_of_the_method_with_their_defaults() -> None:
    assert hyperparameters("mimic") == {}
    assert hyperparameters("supervised") == {"smoothing": 0.0}
    assert hyperparameters("distn") == {"temperature": 4.0, "weight": 0.9, "distillation": "kl"}
    assert hyperparameters(Mine) == {"strength": 0.5}
    assert set(hyperparameters("kdgan")) == {
        "alpha", "beta", "gamma", "adversarial", "supervision", "distillation", "temperature", "estimator",
        "tau_start", "tau_end", "d_steps", "t_steps", "c_steps",
    }  # fmt: skip
    for name in METHODS:
        make(name, all_players(), hyperparameters(name))


def test_create_passes_on_what_it_is_given() -> None:
    modules = players()
    method = create(Mine, modules, {"strength": 2.0}, epsilon=0.25, teacher_every=3)
    assert isinstance(method, Mine)
    assert (method.strength, method.epsilon, method.teacher_every) == (2.0, 0.25, 3)
    assert method.student.module is modules["student"]
    assert method.players["teacher"].module is modules["teacher"]
    plain = create("mimic", modules)
    assert (plain.epsilon, plain.teacher_every) == (0.0, 1)


def test_a_loss_of_ones_own_may_stand_for_a_name() -> None:
    def further(logits: Any, target: Any) -> Any:
        return 3 * l2(logits, target)

    for name in ("distn", "codis", "kdgan"):
        make(name, all_players(), {"distillation": further})
        make(name, all_players(), {"distillation": "kdgan.losses:l2"})


# What is refused


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("supervised", {"smoothing": -0.1}, "-0.1"),
    ("supervised", {"smoothing": 1.0}, "1.0"),
    ("distn", {"weight": -0.1}, "-0.1"),
    ("distn", {"weight": 1.1}, "1.1"),
    ("distn", {"temperature": 0.0}, "temperature 0.0"),
    ("distn", {"distillation": "cosine"}, "'cosine'"),
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
    ("kdgan", {"adversarial": -0.1}, "adversarial"),
    ("kdgan", {"supervision": -0.1}, "supervision"),
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
    with refused(said):
        make(name, all_players(), hyper)


@pytest.mark.parametrize(
    ("hyper", "expected"),
    [
        ({"alpha": "0.5"}, "alpha of method kdgan must be a number, not '0.5'"),
        ({"alpha": True}, "alpha of method kdgan must be a number, not True"),
        ({"alpha": None}, "alpha of method kdgan must be a number, not None"),
        ({"d_steps": 1.5}, "d_steps of method kdgan must be a whole number, not 1.5"),
        ({"d_steps": True}, "d_steps of method kdgan must be a whole number, not True"),
        ({"estimator": 3}, "estimator of method kdgan must be text, not 3"),
    ],
)
def test_values_of_another_type_are_refused(hyper: dict[str, Any], expected: str) -> None:
    with refused(expected):
        make("kdgan", players(), hyper)


def test_a_whole_number_is_a_number() -> None:
    assert make("kdgan", players(), {"alpha": 1}).alpha == 1


def test_unknown_names_are_refused() -> None:
    calls: tuple[Callable[[str], Any], ...] = (find, hyperparameters, lambda name: make(name, players()))
    for call in calls:
        with refused("'kdgam'", *METHODS):
            call("kdgam")
    with refused("'aplha'", "alpha"):
        make("kdgan", players(), {"aplha": 0.5})
    with refused("method mimic has no hyperparameter 'alpha': it has none"):
        make("mimic", players(), {"alpha": 0.5})
    for managed in ("seed", "optimization", "student", "epsilon", "teacher_every"):
        with refused(managed):
            make("kdgan", players(), {managed: 1})
    with refused("'role'"):
        make("supervised", players(), {"role": "teacher"})


@pytest.mark.parametrize("unknown", [{"sede": 3}, {"optimisation": None}, {"temperature": 2.0}])
def test_unknown_shared_settings_are_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(unknown))):
        create("mimic", players(), **unknown)


@pytest.mark.parametrize("name", METHODS)
def test_a_missing_player_is_named(name: str) -> None:
    for role in find(name).roles:
        modules = all_players()
        del modules[role]
        with refused(f"method {name} needs a {role}"):
            make(name, modules)


def test_a_missing_player_of_a_method_of_ones_own() -> None:
    with refused(f"method {__name__}:Mine needs a teacher"):
        create(Mine, {"student": players()["student"]})
    assert issubclass(Mine, Method)
