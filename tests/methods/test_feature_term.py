"""Features beside any method: whose layers are seen and when, who learns, and that nothing is left behind."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from by_hand import LEARNING, B, F, K, Peculiar, all_players, batch, make, same, weights_of
from kdgan.data.batch import Batch
from kdgan.data.join import join
from kdgan.errors import RunError
from kdgan.losses import attention, hint, relational
from kdgan.methods import METHODS, Distn, Features, Method, Optimization, Signals, Terms, create
from support import refused

TAUGHT = [name for name, kind in METHODS.items() if "teacher" in kind.roles]
BY_METHOD = pytest.mark.parametrize("name", TAUGHT)
HIDDEN = {"2": "2"}
OTHER_WIDTH = {"2": "head.2"}


def with_features(
    name: str,
    modules: Mapping[str, nn.Module],
    layers: Mapping[str, str] = HIDDEN,
    *,
    sample: Batch | None = None,
    seed: int = 0,
    hyper: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Method:
    method = make(name, modules, hyper)
    method.add_features(Features(layers, **settings), sample or batch(), seed=seed)
    return method


def hidden(module: nn.Module, data: Batch) -> Tensor:
    assert isinstance(module, nn.Sequential)
    found: Tensor = module[:3](data.tensor)
    return found


def hooks_of(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def regressor_of(method: Method) -> nn.Module:
    assert method.features is not None
    (found,) = method.features.regressors
    return found


# Who learns, from what


@BY_METHOD
def test_the_term_reaches_the_student_alone(name: str) -> None:
    plain, method = make(name, all_players()), with_features(name, all_players(), weight=100.0)
    data = batch(1)
    expected, losses = plain.update(data, 0.3), method.update(data, 0.3)
    assert losses.keys() == {*expected, "features"}
    for term, value in expected.items():
        assert torch.equal(losses[term], value)
    for role, player in method.players.items():
        assert same(player.module, weights_of(plain.players[role].module)) == (role != "student")


@BY_METHOD
def test_the_term_is_of_the_student_as_it_was_and_the_teacher_as_it_is(name: str) -> None:
    modules = all_players()
    before = copy.deepcopy(modules)
    data = batch(1)
    found = with_features(name, modules).update(data, 0.3)["features"]
    # Co-distillation learns from predictions before the step; KDGAN's student from the new teacher.
    teacher = (before if name.startswith("codis") else modules)["teacher"]
    expected = ((hidden(before["student"], data) - hidden(teacher, data)) ** 2).mean()
    torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("loss", "by_hand"), [("hint", hint), ("relational", relational)])
def test_the_step_goes_down_the_weighted_sum(loss: str, by_hand: Any) -> None:
    modules = all_players()
    hand = copy.deepcopy(modules)
    method = with_features("mimic", modules, loss=loss, weight=3.0)
    optimizer = torch.optim.AdamW(hand["student"].parameters(), lr=0.01, weight_decay=0.05)
    for seed, progress in enumerate((0.2, 0.6)):
        data = batch(seed)
        method.update(data, progress)
        optimizer.param_groups[0]["lr"] = LEARNING.rate(progress)
        student, teacher = hand["student"], hand["teacher"]
        distance = (student(data.inputs) - teacher(data.inputs).detach()).square().mean(1)
        features = by_hand(hidden(student, data), hidden(teacher, data))
        optimizer.zero_grad()
        (distance + 3 * features).mean().backward()
        optimizer.step()
    for mine, expected in zip(modules["student"].parameters(), hand["student"].parameters(), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-12)


def test_several_pairs_count_by_their_mean() -> None:
    data = batch(1)
    one, other, both = (
        with_features("mimic", all_players(), layers).update(data, 0.0)["features"]
        for layers in ({"1": "1"}, {"2": "1"}, {"2": "1", "1": "1"})
    )
    torch.testing.assert_close(both, (one + other) / 2)


def test_games_of_several_steps() -> None:
    modules = all_players()
    hyper = {"c_steps": 3, "t_steps": 2, "d_steps": 2}
    method = with_features("kdgan", modules, hyper=hyper)
    data = batch(1)
    method.update(data, 0.3)
    seen: list[Tensor] = []
    method = with_features(
        "kdgan", modules, hyper=hyper, loss=lambda mine, theirs: _noted(seen, mine, theirs)
    )
    seen.clear()
    method.update(data, 0.3)
    students, teachers = seen[::2], seen[1::2]
    assert len(students) == 3
    assert not torch.equal(students[0], students[1])
    assert not torch.equal(students[1], students[2])
    for each in teachers:
        assert torch.equal(each, hidden(modules["teacher"], data))
        assert not each.requires_grad


def _noted(seen: list[Tensor], mine: Tensor, theirs: Tensor) -> Tensor:
    seen += [mine.detach().clone(), theirs]
    return hint(mine, theirs)


@BY_METHOD
def test_teachers_that_learn_less_often_and_inputs_that_are_moved(name: str) -> None:
    for shared in ({"teacher_every": 2}, {"epsilon": 0.5}):
        modules = all_players()
        method = create(name, modules, optimization=LEARNING, **shared)  # type: ignore[arg-type]
        method.add_features(Features(HIDDEN), batch())
        for seed in range(3):
            before = copy.deepcopy(modules)
            data = batch(seed)
            losses = method.update(data, 0.3)
            if "teacher_every" in shared and seed == 1:
                expected = hint(hidden(before["student"], data), hidden(before["teacher"], data)).mean()
                torch.testing.assert_close(losses["features"], expected.detach())


class Alone(Method):
    """Learns from the labels, and asks the teacher nothing."""

    def step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return self.student.learn(self.student_loss(self.student(batch), batch, {}, progress), progress)

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        return {"label": (1.0, nn.functional.cross_entropy(logits, batch.targets, reduction="none"))}


def test_a_teacher_that_is_not_asked_or_whose_logits_are_known_is_asked_for_features() -> None:
    data = batch(1)
    for kind, logits in ((Alone, None), (Distn, torch.zeros(B, K, dtype=torch.float64))):
        modules = all_players()
        expected = hint(hidden(modules["student"], data), hidden(modules["teacher"], data)).mean()
        method = create(kind, modules, optimization=LEARNING)
        method.add_features(Features(HIDDEN), data)
        given = Batch(data.inputs, data.targets, teacher_logits=logits)
        torch.testing.assert_close(method.update(given, 0.0)["features"], expected.detach())


def test_a_kept_teacher_is_not_touched() -> None:
    modules = all_players()
    modules["teacher"] = Peculiar()
    before = weights_of(modules["teacher"])
    method = with_features("distn", modules, {"2": "layers.1"})
    for seed in range(3):
        method.update(batch(seed), 0.3)
    assert same(modules["teacher"], before)
    assert not any(part.training for part in modules["teacher"].modules())


# Hooks


@BY_METHOD
def test_hooks_are_there_during_an_update_alone(name: str) -> None:
    modules = all_players()
    counts: list[int] = []

    def watched(mine: Tensor, theirs: Tensor) -> Tensor:
        counts.append(sum(map(hooks_of, modules.values())))
        return hint(mine, theirs)

    method = with_features(name, modules, loss=watched)
    assert [hooks_of(module) for module in modules.values()] == [0] * len(modules)
    method.update(batch(1), 0.0)
    assert counts == [4, 4]
    assert [hooks_of(module) for module in modules.values()] == [0] * len(modules)


def test_hooks_are_gone_after_a_failure() -> None:
    modules = all_players()
    fails = {"now": False}

    def own(mine: Tensor, theirs: Tensor) -> Tensor:
        if fails["now"]:
            raise ValueError("enough")
        return hint(mine, theirs)

    method = with_features("mimic", modules, loss=own)
    with pytest.raises(RunError, match="the student fails"):
        method.update(Batch(torch.randn(3, F + 1), torch.zeros(3, dtype=torch.long)), 0.0)
    fails["now"] = True
    with pytest.raises(RunError, match=r"feature loss .*own fails with ValueError: enough"):
        method.update(batch(), 0.0)
    with pytest.raises(RunError, match="enough"):
        with_features("mimic", modules, loss=own)
    assert [hooks_of(module) for module in modules.values()] == [0] * len(modules)


def test_calls_between_updates_are_not_seen() -> None:
    one, other = all_players(), all_players()
    plain, looked_at = with_features("kdgan", one), with_features("kdgan", other)
    for seed in range(3):
        data = batch(seed)
        losses = plain.update(data, 0.3)
        for module in other.values():
            module(batch(9).inputs)
        assert torch.equal(looked_at.update(data, 0.3)["features"], losses["features"])


# Regressors


def test_a_hint_between_widths_has_a_regressor_that_learns_and_is_no_part_of_the_student() -> None:
    modules = all_players(privileged=True)
    names = list(modules["student"].state_dict())
    data = batch(1, privileged=True)
    method = with_features("mimic", modules, OTHER_WIDTH, sample=data)
    regressor = regressor_of(method)
    assert isinstance(regressor, nn.Linear)
    assert (regressor.in_features, regressor.out_features, regressor.weight.dtype) == (8, 7, torch.float64)
    before = weights_of(regressor)
    features, seen = hidden(modules["student"], data), []
    handle = (
        modules["teacher"].get_submodule("head.2").register_forward_hook(lambda *given: seen.append(given[2]))
    )
    losses = [method.update(data, 0.2)["features"].item()]
    handle.remove()
    expected = hint(features @ before["weight"].T + before["bias"], seen[-1]).mean()
    assert losses[0] == pytest.approx(expected.item(), rel=1e-12)
    losses += [method.update(data, 0.2)["features"].item() for _ in range(50)]
    assert losses[-1] < 0.3 * losses[0]
    assert not same(regressor, before)
    assert list(modules["student"].state_dict()) == names
    assert not any(part is regressor for part in modules["student"].modules())


def test_regressors_depend_on_the_seed_and_on_nothing_else() -> None:
    data = batch(1, privileged=True)

    def drawn(seed: int) -> Tensor:
        modules = all_players(privileged=True)
        torch.rand(seed + 3)
        before = torch.get_rng_state()
        method = with_features("mimic", modules, OTHER_WIDTH, sample=data, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return weights_of(regressor_of(method))["weight"]

    one, again, other = drawn(0), drawn(0), drawn(1)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def images(count: int, channels: int, *, stride: int = 1) -> nn.Module:
    torch.manual_seed(count)
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, stride, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(channels, K),
    ).double()  # fmt: skip


PICTURES = Batch(
    torch.randn(B, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double(), torch.arange(B) % K
)


def test_between_images_it_is_a_convolution() -> None:
    modules = {"student": images(0, 4), "teacher": images(1, 6)}
    method = with_features("distn", modules, {"1": "1"}, sample=PICTURES)
    regressor = regressor_of(method)
    assert isinstance(regressor, nn.Conv2d)
    assert regressor.weight.shape == (6, 4, 1, 1)
    method.update(PICTURES, 0.2)
    with refused(
        "layer 1 of the student and 1 of the teacher: features of shape (2, 4, 8, 8) and (2, 6, 4, 4)"
    ):
        with_features(
            "distn", {"student": images(0, 4), "teacher": images(1, 6, stride=2)}, {"1": "1"}, sample=PICTURES
        )


def test_attention_between_sizes() -> None:
    modules = {"student": images(0, 4), "teacher": images(1, 6, stride=2)}
    mine, theirs = (module[:2](PICTURES.inputs) for module in modules.values())
    method = with_features("distn", modules, {"1": "1"}, sample=PICTURES, loss="attention")
    assert not [*regressor_of(method).parameters()]
    torch.testing.assert_close(
        method.update(PICTURES, 0.2)["features"], attention(mine, theirs).mean().detach()
    )


@BY_METHOD
def test_going_on_from_a_state_gives_the_same_bits(name: str) -> None:
    data = [batch(seed, privileged=True) for seed in range(6)]

    def made() -> Method:
        modules = all_players(privileged=True)
        return with_features(name, modules, OTHER_WIDTH, sample=data[0], weight=2.0)

    whole, stopped = made(), made()
    for step in range(6):
        whole.update(data[step], step / 6)
    for step in range(3):
        stopped.update(data[step], step / 6)
    state = copy.deepcopy(stopped.state_dict())
    again = made()
    for _ in range(2):
        again.update(data[5], 0.9)  # whatever it was
    again.load_state_dict(state)
    for step in range(3, 6):
        again.update(data[step], step / 6)
    for role, player in again.players.items():
        assert same(player.module, weights_of(whole.players[role].module))
    assert same(regressor_of(again), weights_of(regressor_of(whole)))


def test_regressors_that_diverged_are_not_kept() -> None:
    data = batch(1, privileged=True)
    method = with_features("mimic", all_players(privileged=True), OTHER_WIDTH, sample=data)
    with torch.no_grad():
        next(regressor_of(method).parameters()).fill_(float("inf"))
    with pytest.raises(RunError, match="regressors of features were no longer finite"):
        method.state_dict()


# Forms


class Words(nn.Module):
    """Tokens to hidden states in a mapping, an object or a tuple, as models of language give them."""

    def __init__(self, width: int, form: str) -> None:
        super().__init__()
        self.body = Body(width, form)
        self.head = nn.Linear(width, K)

    def forward(self, tokens: Tensor) -> Tensor:
        output = self.body(tokens)
        found = output[0] if isinstance(output, tuple | list) else None
        found = output["last_hidden_state"] if isinstance(output, dict) else found
        return self.head((output.last_hidden_state if found is None else found).mean(1))  # type: ignore[no-any-return]


class Output:
    def __init__(self, value: Tensor) -> None:
        self.last_hidden_state = value


class Body(nn.Module):
    def __init__(self, width: int, form: str) -> None:
        super().__init__()
        self.table, self.form = nn.Embedding(20, width), form

    def forward(self, tokens: Tensor) -> Any:
        hidden = self.table(tokens)
        return {
            "tuple": (hidden, None),
            "list": [hidden],
            "mapping": {"other": 1, "last_hidden_state": hidden},
            "object": Output(hidden),
        }[self.form]


def texts(count: int, length: int, seed: int) -> Batch:
    g = torch.Generator().manual_seed(seed)
    return Batch(
        {"tokens": torch.randint(20, (count, length), generator=g)}, torch.randint(K, (count,), generator=g)
    )


@pytest.mark.parametrize("loss", ["hint", "attention", "relational"])
@pytest.mark.parametrize("form", ["tuple", "list", "mapping", "object"])
def test_layers_that_give_more_than_a_tensor(form: str, loss: str) -> None:
    torch.manual_seed(0)
    modules = {"student": Words(4, form), "teacher": Words(6, form)}
    states = [module.body.table(texts(5, 7, 0).inputs["tokens"]) for module in modules.values()]  # type: ignore[call-overload,index,operator,union-attr]
    method = with_features("distn", modules, {"body": "body"}, sample=texts(5, 7, 0), loss=loss)
    expected = {
        "hint": lambda mine, theirs: hint(regressor_of(method)(mine), theirs),
        "attention": attention,
        "relational": relational,
    }[loss](*states)
    torch.testing.assert_close(method.update(texts(5, 7, 0), 0.2)["features"], expected.detach().mean())


@pytest.mark.parametrize("loss", ["hint", "attention", "relational"])
def test_batches_in_pieces_of_several_lengths(loss: str) -> None:
    torch.manual_seed(0)
    modules = {"student": Words(4, "tuple"), "teacher": Words(6, "tuple")}
    parts = [texts(3, 7, 0), texts(2, 4, 1)]
    together = join(parts)
    assert len(together.pieces()) == 2
    method = with_features("distn", modules, {"body": "body"}, sample=parts[0], loss=loss)
    states = [
        [module.body.table(part.inputs["tokens"]) for part in parts]  # type: ignore[call-overload,index,operator,union-attr]
        for module in modules.values()
    ]
    if loss == "relational":
        expected = relational(*(torch.cat([part.mean(1) for part in mine]) for mine in states))
    else:
        how = (
            attention
            if loss == "attention"
            else lambda mine, theirs: hint(regressor_of(method)(mine), theirs)
        )
        expected = torch.cat([how(*pair) for pair in zip(*states, strict=True)])
    losses = method.update(together, 0.2)
    torch.testing.assert_close(losses["features"], expected.mean().detach())


def test_bfloat16() -> None:
    modules = {role: module.float() for role, module in all_players(privileged=True).items()}
    data = batch(1, privileged=True)
    data = Batch(data.inputs.float(), data.targets, data.privileged.float())  # type: ignore[union-attr]
    for loss in ("hint", "relational"):
        method = with_features("kdgan", modules, OTHER_WIDTH, sample=data, loss=loss)
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                value = method.update(data, 0.3)["features"]
            assert value.dtype == torch.float32
            assert value.isfinite()


# What is refused


def test_methods_without_a_teacher() -> None:
    for name in sorted({*METHODS} - {*TAUGHT}):
        with refused(f"method {name} has no teacher to take features from"):
            with_features(name, all_players())


def test_features_are_added_once() -> None:
    method = with_features("distn", all_players())
    with refused("the method has features already"):
        method.add_features(Features(HIDDEN), batch())


def test_names_of_layers() -> None:
    modules = {"student": images(0, 4), "teacher": Words(4, "tuple")}
    with refused("'' is the whole student"):
        Features({"": "body"}).find("student", modules["student"])
    with refused("the student has no layer '12': there are 2, 1, ..."):
        Features({"12": "body"}).find("student", modules["student"])
    with refused("the teacher has no layer 'bodi.table': there are body.table, ..."):
        Features({"1": "bodi.table"}).find("teacher", modules["teacher"])
    with refused("the teacher has no layer 'body', nor any other: features are of networks"):
        Features({"1": "body"}).find("teacher", nn.Linear(2, 2))
    with refused("the student is compiled"):
        Features({"1": "body"}).find("student", torch.compile(modules["student"], backend="eager"))  # type: ignore[arg-type]
    for wrong in ({}, {"a": 1}, ["a"], "a", {3: "a"}):
        with refused("features must be layers of the student by name"):
            Features(wrong)  # type: ignore[arg-type]


def test_layers_of_a_network_in_a_wrapper_have_their_own_names() -> None:
    modules = all_players()
    expected = with_features("distn", modules).update(batch(1), 0.0)["features"]
    wrapped = all_players()
    wrapped["teacher"] = nn.DataParallel(wrapped["teacher"])
    for name in ("2", "module.2"):
        method = with_features("distn", {**wrapped, "student": all_players()["student"]}, {"2": name})
        assert torch.equal(method.update(batch(1), 0.0)["features"], expected)


def test_settings() -> None:
    for weight in (-1, float("nan"), float("inf")):
        with refused("feature_weight must be at least 0"):
            Features(HIDDEN, weight=weight)
    with refused("feature_weight must be a number, not 'high'"):
        Features(HIDDEN, weight="high")  # type: ignore[arg-type]
    with refused("unknown feature loss 'hints'"):
        Features(HIDDEN, "hints")  # type: ignore[arg-type]
    assert Features({"b": "x", "a": "y"}).layers == {"a": "y", "b": "x"}


class Odd(nn.Module):
    """Layers with which something is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.unused = nn.Linear(F, 8), nn.Linear(8, K), nn.Linear(8, 8)
        self.twice, self.inplace = nn.ReLU(), nn.ReLU(inplace=True)
        self.before = nn.Identity()
        self.number, self.turned, self.text = Gives(lambda x: x.mean()), Gives(torch.t), Gives(lambda x: "x")
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.first(self.before(x)))
        for layer in (self.number, self.turned, self.text):
            layer(x)
        return self.last(self.inplace(self.twice(x) + 0))  # type: ignore[no-any-return]


class Gives(nn.Module):
    def __init__(self, what: Any) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Any:
        return self.what(x)


class Inplace(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(F, 8), nn.ReLU(inplace=True), nn.Linear(8, K))
        self.double()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("unused", "layer unused of the student is not called in its forward pass"),
        ("twice", "layer twice of the student is called 2 times in a forward pass"),
        ("before", "nothing that learns comes before layer before of the student"),
        ("number", "layer number of the student: features must be real numbers of at least two axes"),
        ("turned", "layer turned of the student gives (8, 2) for 2 examples"),
        ("text", "layer text of the student gives no tensor"),
    ],
)
def test_layers_that_give_no_features(layer: str, message: str) -> None:
    modules = {**all_players(), "student": Odd()}
    with refused(message):
        with_features("distn", modules, {layer: "2"}, loss="relational")


def test_a_layer_whose_output_is_changed_in_place() -> None:
    for role in ("student", "teacher"):
        modules = {**all_players(), role: Inplace()}
        place = {"student": {"0": "2"}, "teacher": {"2": "0"}}[role]
        with refused(f"what layer 0 of the {role} gives is changed in place by what comes after it"):
            with_features("distn", modules, place)
        method = with_features(
            "distn", modules, {"2": "2"} if role == "teacher" else {"1": "2"}, loss="relational"
        )
        method.update(batch(1), 0.2)


def test_a_term_of_the_same_name() -> None:
    class Named(Alone):
        def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
            return {"features": (1.0, logits.square().mean(1))}

    method = create(Named, all_players(), optimization=Optimization())
    method.add_features(Features(HIDDEN), batch())
    with refused("the method has a loss term features of its own"):
        method.update(batch(), 0.0)


def test_steps_outside_of_an_update() -> None:
    method = with_features("distn", all_players())
    with refused("features are seen in Method.update and Method.losses"):
        method.step(batch(), 0.0)
