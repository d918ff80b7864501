"""The one trainer: the same for `distill` and for runs, and every setting reaches it."""

import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from kdgan import distill
from kdgan.data import Batch, Noise
from kdgan.data.feed import Feed
from kdgan.data.seeds import mixed
from kdgan.data.semi import Semi, make_feed
from kdgan.data.stream import Stream
from kdgan.errors import Interrupted, RunError
from kdgan.losses import Bernoulli
from kdgan.methods import METHODS, FixMatch, Losses, Method, pretraining
from kdgan.tasks import Config
from kdgan.tasks.classes import Classes
from kdgan.tasks.judging import LEAST
from kdgan.tasks.run import NetworkRun
from kdgan.training import Execution, Trained, Trainer, Training
from kdgan.training.devices import has_bfloat16
from kdgan.training.self_training import pseudo_labelled
from support import refused
from tiny import DIGITS, TAGS, changed, look, records, weights

UNUSUAL = Training(
    steps=24,
    teacher_steps=13,
    batch=7,
    lr=3.3e-3,
    teacher_lr=7e-4,
    pretraining_lr=5.1e-3,
    weight_decay=0.03,
    smoothing=0.23,
    student_pretraining=0.3,
    epsilon=0.05,
    mixup=0.3,
    pretraining_mixup=0.7,
    teacher_every=3,
    labelled_share=0.4,
    self_training="fixmatch",
    rounds=2,
    round_steps=5,
    clip=0.7,
    accumulate=2,
    evaluations=5,
    precision="bfloat16",
)
HYPER: dict[str, dict[str, Any]] = {
    "kdgan": {"alpha": 0.3, "distillation": "kl", "temperature": 2.5, "estimator": "concrete"},
    "codis": {"beta": 0.7, "gamma": 0.3, "distillation": "l2"},
    "distn": {"weight": 0.6, "temperature": 3.0},
    "nagan": {"estimator": "reinforce-baseline", "d_steps": 2},
    "mimic": {},
    "supervised": {"smoothing": 0.15},
}


def unusual(method: str, **changes: Any) -> Config:
    return changed(DIGITS, method=method, hyper=HYPER[method], seed=3, training=UNUSUAL, **changes)


VIEWS = [("none", "bfloat16"), ("affine", "bfloat16"), ("affine", "float32")]


@pytest.mark.parametrize(("augment", "precision"), VIEWS, ids=["-".join(view) for view in VIEWS])
@pytest.mark.parametrize("method", HYPER)
def test_the_one_call_trains_what_a_run_trains_bit_for_bit(
    tmp_path: Path, method: str, augment: str, precision: str
) -> None:
    """The same data, players and settings: the same student, through `distill` and through a configuration."""
    assert all(getattr(UNUSUAL, field.name) != field.default for field in fields(Training))
    same_through_both(unusual(method, augment=augment, precision=precision), tmp_path)


@pytest.mark.parametrize("method", ["kdgan", "mimic"])
def test_so_it_does_with_weights_of_labels_and_text_that_the_student_does_not_see(
    tmp_path: Path, method: str
) -> None:
    training = replace(UNUSUAL, mixup=0.0, pretraining_mixup=0.0)  # texts are numbers of words
    if not has_bfloat16(torch.device("cpu")):
        # Torch has no LSTM in bfloat16 for a processor without instructions for it.
        training = replace(training, precision="float32")
    same_through_both(changed(TAGS, method=method, training=training, augment="noise", dropout=0.2), tmp_path)


@pytest.mark.parametrize("how", ["propagation", "fixmatch"])
def test_so_it_does_with_a_teacher_that_trains_itself(tmp_path: Path, how: str) -> None:
    training = replace(UNUSUAL, self_training=how)
    same_through_both(changed(DIGITS, unlabelled="rest", method="codis", training=training), tmp_path)


def same_through_both(config: Config, folder: Path) -> None:
    run = NetworkRun(config, Execution())
    outcome = run.train(folder / "run", folder / "pretrained")

    other = NetworkRun(config, Execution())
    modules, task = other.modules, other.task
    teacher = modules.get("teacher", modules.get("discriminator", modules["student"]))
    result = distill(
        modules["student"],
        copy.deepcopy(teacher),
        task.train,
        task.validation,
        unlabelled=None if task.unlabelled is None else task.unlabelled.inputs,
        method=config.method,
        discriminator=modules.get("discriminator"),
        training=config.training,
        hyper=config.hyper,
        metrics={} if isinstance(task, Classes) else {"own": lambda *pair: task.metrics_of(*pair)["MAP"]},
        augment=task.augment,
        teacher_trained=False,
        control=False,
        seed=config.seed,
        device="cpu",
        progress=False,
    )
    assert torch.equal(weights(result.student), weights(run.modules["student"]))
    for role in METHODS[config.method].roles:
        if role != "student":
            ours = result.teacher if role == "teacher" else modules[role]
            assert torch.equal(weights(ours), weights(run.modules[role])), role
    primary = task.metrics[0]
    name = primary if isinstance(task, Classes) else "own"
    seen = [(record["step"], record[name]) for record in result.history]
    theirs = outcome.curves[f"validation/{primary}"]
    # The one call looks at a part of many examples on the way, and at all in the end.
    assert seen[-1] == theirs[-1]
    assert [step for step, _ in seen] == [step for step, _ in theirs]
    assert len(task.validation) > LEAST or seen == theirs
    assert result.report.updates == outcome.student_updates == 24


@pytest.mark.parametrize("name", [field.name for field in fields(Training)])
def test_every_setting_reaches_the_student(tmp_path: Path, name: str) -> None:
    def student(**changes: Any) -> Tensor:
        run = NetworkRun(changed(unusual("kdgan", augment="affine"), **changes), Execution())
        run.train(tmp_path / str(changes), tmp_path / "pretrained")
        return weights(run.modules["student"])

    default = next(field.default for field in fields(Training) if field.name == name)
    given = {"steps": 30, "student_pretraining": 0.0}.get(name, default)
    # All examples have a label here.
    no_matter = ("evaluations", "labelled_share", "self_training", "rounds", "round_steps")
    assert torch.equal(student(), student(**{name: given})) == (name in no_matter)


def test_a_run_in_one_precision_does_not_disturb_those_in_another(tmp_path: Path) -> None:
    for precision in ("bfloat16", "float32"):
        run = NetworkRun(changed(unusual("supervised", augment="affine"), precision=precision), Execution())
        run.train(tmp_path / precision, tmp_path / "pretrained")


def test_settings_of_a_configuration_reach_its_method() -> None:
    method = NetworkRun(unusual("kdgan"), Execution()).trainer.method
    assert method.teacher_every == 3
    assert method.epsilon == 0.05
    rates = {role: player.optimization.lr for role, player in method.players.items() if player.optimization}
    assert rates == {"student": 3.3e-3, "teacher": 7e-4, "discriminator": 3.3e-3}


def test_views_are_moved_in_every_update_of_the_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perturbed, calls = Method.perturbed, []

    def counted(self: Method, batch: Batch, progress: float) -> Batch:
        calls.append(type(self).__name__)
        return perturbed(self, batch, progress)

    monkeypatch.setattr(Method, "perturbed", counted)
    for method in ("supervised", "nagan", "kdgan"):
        calls.clear()
        run = NetworkRun(changed(DIGITS, method=method, epsilon=0.1, student_pretraining=0.2), Execution())
        run.train(tmp_path / method, tmp_path / "pretrained" / method)
        assert len(calls) == 20, calls  # of which 4 before the game, and none of T or D


def test_a_teacher_run_ahead_teaches_the_same(tmp_path: Path) -> None:
    """Without augmentation its logits are computed once: the student must learn what it would have learnt."""
    config = changed(DIGITS, method="distn", augment="none")
    run = NetworkRun(config, Execution())
    run.train(tmp_path / "run", tmp_path / "pretrained")
    slow = NetworkRun(config, Execution())
    slow.pretrain("teacher", tmp_path / "pretrained")
    method, feed = slow.trainer.method, slow.trainer.feed(1, slow.trainer.data)
    for step in range(20):
        method.update(feed(step), step / 20)
    for ours, theirs in zip(
        run.modules["student"].parameters(), slow.modules["student"].parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


# --- on its own --------------------------------------------------------------------------------------------------


DATA = Batch(torch.randn(30, 6, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3)
QUICK = Training(steps=10, teacher_steps=4, batch=8, evaluations=2)


def players(*roles: str) -> dict[str, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {role: nn.Linear(6, 3) for role in roles or ("student", "teacher", "discriminator", "peer")}


def trained(method: str | type[Method] = "kdgan", **options: Any) -> tuple[Trained, dict[str, nn.Module]]:
    modules = options.pop("modules", None) or players()
    folder_of = options.pop("folder_of", lambda what: None)
    training = options.pop("training", QUICK)
    data = options.pop("data", DATA)
    trainer = Trainer(method, modules, data, training, seed=options.pop("seed", 0), **options)
    return trainer.train(folder_of), modules


@pytest.mark.parametrize("method", METHODS)
def test_all_that_a_method_needs_is_trained_and_timed(method: str) -> None:
    before, kind = players(), METHODS[method]
    done, after = trained(method)
    changed_roles = {role for role in before if not torch.equal(weights(before[role]), weights(after[role]))}
    assert changed_roles == {*kind.trains, *kind.pretrained}
    assert list(done.seconds) == [*QUICK.pretrained(kind), method]
    assert min(done.seconds.values()) > 0
    assert done.updates == 10
    # Of a tenth of its updates, the student of nagan has had one when the method begins.
    assert [record["step"] for record in done.history] == ([6, 10] if method == "nagan" else [5, 10])
    assert {frozenset(record) for record in done.history} == {frozenset(("step", "seconds", "losses"))}


def test_the_student_is_measured_over_all_of_its_updates() -> None:
    modules = players()
    seen: list[Tensor] = []

    def measure() -> dict[str, float]:
        seen.append(weights(modules["student"]))
        return {"norm": seen[-1].norm().item()}

    training = replace(QUICK, student_pretraining=0.4, evaluations=5)
    done, _ = trained("kdgan", modules=modules, training=training, measure=measure)
    assert [record["step"] for record in done.history] == [2, 4, 6, 7, 8, 9, 10]
    assert [record["norm"] for record in done.history] == [each.norm().item() for each in seen]
    assert torch.equal(seen[-1], weights(modules["student"]))


def test_steps_of_the_student_in_an_update_are_counted() -> None:
    training = replace(QUICK, student_pretraining=0.4)
    assert trained("kdgan", training=training, hyper={"c_steps": 3})[0].updates == 4 + 6 * 3


def test_players_that_are_trained_or_frozen_stay_as_they_are() -> None:
    before = players()
    done, after = trained("codis", trained=("teacher",), frozen=("teacher",))
    assert list(done.seconds) == ["codis"]
    assert torch.equal(weights(after["teacher"]), weights(before["teacher"]))
    done, after = trained("codis", trained=("teacher",))
    assert list(done.seconds) == ["codis"]
    assert not torch.equal(weights(after["teacher"]), weights(before["teacher"]))


def test_what_is_wrong_is_found_when_it_is_made() -> None:
    with refused("unknown method 'gan'"):
        Trainer("gan", players(), DATA, QUICK, seed=0)
    with refused("kdgan needs a teacher"):
        Trainer("kdgan", players("student", "discriminator"), DATA, QUICK, seed=0)
    with refused("no hyperparameter 'delta'"):
        Trainer("kdgan", players(), DATA, QUICK, seed=0, hyper={"delta": 1})
    with refused("epsilon must be at least 0"):
        Trainer("kdgan", players(), DATA, replace(QUICK, epsilon=-1.0), seed=0)
    with refused("lr must be above 0"):
        Trainer("kdgan", players(), DATA, replace(QUICK, lr=0.0), seed=0)


def test_a_method_of_ones_own() -> None:
    class Still(METHODS["mimic"]):  # type: ignore[misc, valid-type]
        """Learns nothing."""

        def step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
            return {"nothing": torch.zeros(())}

    trainer = Trainer(Still, players(), DATA, QUICK, seed=0)
    assert trainer.name.startswith("test_trainer:")
    assert trainer.name.endswith("Still")
    before, (done, after) = players(), trained(Still)
    assert list(done.seconds) == ["teacher", trainer.name]
    assert torch.equal(weights(after["student"]), weights(before["student"]))


def test_a_teacher_is_the_same_for_every_method_of_a_seed() -> None:
    def taught(method: str, seed: int) -> Tensor:
        return weights(trained(method, seed=seed)[1]["teacher"])

    assert torch.equal(taught("distn", 1), taught("mimic", 1))
    assert not torch.equal(taught("distn", 1), taught("distn", 2))


@pytest.mark.parametrize("data", ["labelled", "unlabelled"])
def test_t_may_learn_from_mixtures_and_the_student_after_it_from_none(data: str) -> None:
    def taught(**mixtures: float | None) -> tuple[Tensor, Tensor]:
        given = {"labelled": DATA, "unlabelled": SEMI}[data]
        training = replace(ROUNDS, **mixtures)
        after = {method: trained(method, data=given, training=training)[1] for method in ("mimic", "noisy")}
        return weights(after["mimic"]["teacher"]), weights(after["noisy"]["student"])

    plain, all_mixed = taught(), taught(mixup=0.5)
    first = taught(pretraining_mixup=0.5)
    later = taught(mixup=0.5, pretraining_mixup=0.0)
    assert torch.equal(first[0], all_mixed[0])
    assert torch.equal(later[0], plain[0])
    assert not torch.equal(plain[0], all_mixed[0])
    assert not torch.equal(plain[1], later[1])
    assert not torch.equal(first[1], all_mixed[1])


def test_a_loader_gives_batches_of_its_own() -> None:
    sizes: list[int] = []

    class Counted(METHODS["supervised"]):  # type: ignore[misc, valid-type]
        def step(self, batch: Batch, progress: float) -> Any:
            sizes.append(len(batch))
            return super().step(batch, progress)

    data = Stream(DataLoader(TensorDataset(DATA.inputs, DATA.targets), batch_size=11))
    trained(Counted, data=data)
    assert sizes == [11, 11, 8, 11, 11, 8, 11, 11, 8, 11]


def test_a_probe_looks_and_changes_nothing() -> None:
    plain, without = trained("kdgan", measure=lambda: {"a": 1.0})
    looks: list[tuple[Method, Feed, int]] = []

    def probe(method: Method, feed: Feed, seed: int) -> dict[str, float]:
        looks.append((method, feed, seed))
        return look(method, feed, seed)

    found, with_probe = trained("kdgan", measure=lambda: {"a": 1.0}, probe=probe)
    assert torch.equal(weights(with_probe["student"]), weights(without["student"]))
    assert [set(record) - {"probe/examples", "probe/seed", "probe/first"} for record in found.history] == [
        set(record) for record in plain.history
    ]
    assert [record["probe/examples"] for record in found.history] == [8, 8]
    assert all(set(method.players) == {"student", "teacher", "discriminator"} for method, *_ in looks)
    assert {seed for *_, seed in looks} == {0}
    # Fresh batches, the same at every look, and not those that are trained on.
    first, second = (feed(0).inputs for _, feed, _ in looks)
    assert torch.equal(first, second)
    trainer = Trainer("kdgan", players(), DATA, QUICK, seed=0)
    assert not torch.equal(first, trainer.feed(0, DATA)(0).inputs)


def test_labels_here_and_there_in_a_loader_are_mixed_among_themselves() -> None:
    counts: list[int] = []

    class Counted(METHODS["mimic"]):  # type: ignore[misc, valid-type]
        def step(self, batch: Batch, progress: float) -> Any:
            assert batch.labelled is not None
            counts.append(int(batch.labelled.sum()))
            assert bool((batch.targets[batch.labelled].sum(1) - 1).abs().max() < 1e-5)
            return super().step(batch, progress)

    targets = DATA.targets.masked_fill(torch.arange(len(DATA)) % 3 > 0, -1)
    data = Stream(DataLoader(TensorDataset(DATA.inputs, targets), batch_size=12), like=DATA[:1])
    mixup = replace(QUICK, mixup=0.5)
    trained(Counted, data=data, training=mixup, trained=("teacher",))
    assert set(counts) == {2, 4}


def test_labels_each_on_or_off_are_mixed() -> None:
    bits = (torch.arange(len(DATA))[:, None] % torch.tensor([2, 3, 5]) == 0).float()
    data, given = replace(DATA, targets=bits), {"family": Bernoulli()}
    plain, other = (
        trained("kdgan", data=data, training=replace(QUICK, mixup=alpha), **given)[1]["student"]
        for alpha in (0.0, 0.5)
    )
    assert weights(other).isfinite().all()
    assert not torch.equal(weights(plain), weights(other))


@pytest.mark.parametrize("mixup", [0.0, 0.5])
def test_folders_keep_what_is_trained_and_a_stopped_training_goes_on(tmp_path: Path, mixup: float) -> None:
    def folder_of(what: str) -> Path:
        return tmp_path / what

    training = replace(QUICK, student_pretraining=0.4, mixup=mixup)
    measure = {"measure": lambda: {"a": 1.0}}
    whole, undisturbed = trained("kdgan", training=training, **measure)
    asked, stops = iter(range(10_000)), 0
    while True:
        execution = Execution(stop=lambda: next(asked) % 3 == 2)
        try:
            done, modules = trained(
                "kdgan", training=training, execution=execution, folder_of=folder_of, **measure
            )
            break
        except Interrupted:
            stops += 1
    assert stops >= 4
    assert torch.equal(weights(modules["student"]), weights(undisturbed["student"]))
    assert [record["step"] for record in done.history] == [record["step"] for record in whole.history]
    assert done.updates == whole.updates
    names = {"student", "teacher", "discriminator", "kdgan"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(records(tmp_path / "kdgan")) == 2
    for name in names:
        assert (tmp_path / name / "checkpoint.safetensors").exists()


def test_divergence_is_told() -> None:
    with pytest.raises(RunError, match=r"at step \d+ the loss term '\w+' was (nan|inf)"):
        trained(training=replace(QUICK, lr=1e38))


# --- examples without labels -------------------------------------------------------------------------------------


def _semi() -> Semi:
    g = torch.Generator().manual_seed(1)
    others = Batch(torch.randn(40, 6, generator=g), torch.full((40,), -1))
    return Semi(DATA[:12], others)


SEMI = _semi()
ROUNDS = replace(QUICK, rounds=2, round_steps=5)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Losses]]:
    """Fills with each update from now on: the kind of its method, the role that comes first, its losses."""
    update, seen = Method.update, []

    def noted(self: Method, batch: Batch, progress: float) -> Losses:
        losses = update(self, batch, progress)
        seen.append((type(self).__name__, next(iter(self.players)), losses))
        return losses

    monkeypatch.setattr(Method, "update", noted)
    return seen


def test_a_teacher_has_rounds_after_its_pretraining(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch)
    trained("distn", data=SEMI, training=ROUNDS)
    of_teacher = [(kind, set(losses)) for kind, role, losses in seen if role == "teacher"]
    assert of_teacher == [("Supervised", {"label"})] * 4 + [("Supervised", {"label", "pseudo_label"})] * 10
    assert len(seen) == 4 + 10 + 10


def test_rounds_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: each begins with what the teacher takes examples for then, in an optimizer of its own."""
    _, after = trained("distn", data=SEMI, training=ROUNDS)
    alone = replace(ROUNDS, self_training="none")
    teacher = trained("distn", data=SEMI, training=alone)[1]["teacher"]
    for number in (1, 2):
        seed = mixed(0, "teacher", "self-training", number)
        found, _ = pseudo_labelled(teacher, SEMI, seed=seed, role="teacher")
        feed = make_feed(Semi(SEMI.labelled, found), 8, seed=seed, device=torch.device("cpu"))
        method = pretraining("teacher", teacher, optimization=ROUNDS.pretraining_optimization("teacher"))
        for step in range(5):
            method.update(feed(step), step / 5)
    assert torch.equal(weights(teacher), weights(after["teacher"]))


def test_methods_of_a_seed_share_a_teacher_that_trained_itself() -> None:
    def taught(method: str, **changes: Any) -> Tensor:
        return weights(trained(method, data=SEMI, training=replace(ROUNDS, **changes))[1]["teacher"])

    assert torch.equal(taught("distn"), taught("mimic"))
    assert torch.equal(taught("distn"), taught("distn", lr=QUICK.lr, steps=14, teacher_steps=4))
    others = [{"rounds": 3}, {"round_steps": 6}, {"self_training": "fixmatch"}, {"self_training": "none"}]
    found = [taught("distn"), *(taught("distn", **each) for each in others)]
    assert len({tuple(each.tolist()) for each in found}) == len(found)


def test_without_it_a_teacher_is_that_of_the_labels() -> None:
    alone = replace(ROUNDS, self_training="none")
    teacher = trained("distn", data=SEMI, training=alone)[1]["teacher"]
    expected = trained("distn", data=SEMI.labelled, training=ROUNDS)[1]["teacher"]
    assert torch.equal(weights(teacher), weights(expected))


@pytest.mark.parametrize("how", ["propagation", "fixmatch"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_teacher_that_comes_trained_does_not_train_itself(
    how: str, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    before, training = players(), replace(ROUNDS, self_training=how)
    _, after = trained("distn", data=SEMI, training=training, trained=("teacher",))
    assert torch.equal(weights(before["teacher"]), weights(after["teacher"]))
    trained("codis", data=SEMI, training=training, trained=("teacher",), frozen=["teacher"][: int(frozen)])
    assert {kind for kind, *_ in seen} == {"Distn", "Codis"}
    assert not any("teacher_pseudo_label" in losses for *_, losses in seen)


def test_the_other_players_learn_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch)
    trained("codis3", data=SEMI, training=ROUNDS)
    counts = {role: sum(each == role for kind, each, _ in seen if kind == "Supervised") for role in players()}
    pretrained = METHODS["codis3"].pretrained
    assert counts == {role: 14 * (role in pretrained and role != "student") for role in players()}
    seen.clear()
    trained("kdgan", data=SEMI, training=replace(ROUNDS, student_pretraining=0.4))
    alone = [losses for kind, role, losses in seen if kind == "Supervised" and role == "student"]
    assert [set(losses) for losses in alone] == [{"label"}] * 4
    assert sum(kind == "DiscriminatorPretraining" for kind, *_ in seen) == 4


@pytest.mark.parametrize("method", ["codis", "codis3", "kdgan"])
def test_a_teacher_that_goes_on_learning_goes_on_learning_of_the_others(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    trained(method, data=SEMI, training=ROUNDS)
    kind = METHODS[method].__name__
    own = [losses for each, _, losses in seen if each == kind]
    assert len(own) == 10
    assert all("teacher_pseudo_label" in losses for losses in own)
    assert all(losses["teacher_pseudo_label"] > 0 for losses in own)
    assert not any(name in ("pseudo_label", "student_pseudo_label") for losses in own for name in losses)
    seen.clear()
    trained(method, data=SEMI, training=replace(ROUNDS, self_training="none"))
    assert not any("pseudo" in name for *_, losses in seen for name in losses)


class Remembering(nn.Module):
    """Dropout and running statistics: what is left of an update is more than weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)


def remembering() -> dict[str, nn.Module]:
    made = players()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return {**made, "teacher": Remembering()}


@pytest.mark.parametrize("every", [1, 3, 4, 5, 7])
@pytest.mark.parametrize("how", ["propagation", "fixmatch"])
def test_a_teacher_that_is_stopped_between_rounds_and_in_them_ends_the_same(
    tmp_path: Path, how: str, every: int
) -> None:
    training = replace(ROUNDS, self_training=how)
    options: dict[str, Any] = {"method": "codis", "data": SEMI, "training": training}
    options |= {"augment": Noise(0.3)}
    undisturbed = trained(modules=remembering(), **options)[1]
    stops = 0
    while True:
        asked = iter(range(10_000))
        execution = Execution(stop=lambda: next(asked) % every == every - 1)  # noqa: B023
        try:
            _, modules = trained(
                modules=remembering(), execution=execution, folder_of=lambda what: tmp_path / what, **options
            )
            break
        except Interrupted:
            stops += 1
    assert stops >= 2
    for role in ("student", "teacher"):
        one, other = modules[role].state_dict(), undisturbed[role].state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one), role
    rounds = sorted(path.parent.name for path in tmp_path.glob("teacher/*/checkpoint.safetensors"))
    assert rounds == (["self-training-1", "self-training-2"] if how == "propagation" else ["self-training-1"])


def test_progress_runs_to_its_total_once() -> None:
    for how in ("propagation", "fixmatch", "none"):
        seen: list[tuple[int, int]] = []

        def progress(what: str, done: int, total: int) -> None:
            if what == "teacher":
                seen.append((done, total))  # noqa: B023

        training = replace(ROUNDS, self_training=how, teacher_steps=30, round_steps=25)
        trained("distn", data=SEMI, training=training, execution=Execution(progress=progress))
        total = 30 if how == "none" else 80
        assert {each for _, each in seen} == {total}
        done = [each for each, _ in seen]
        assert done == sorted(set(done))
        assert done[-1] == total
        assert done.count(total) == 1


def test_the_time_of_rounds_is_that_of_the_teacher(tmp_path: Path) -> None:
    done, _ = trained("distn", data=SEMI, training=ROUNDS, folder_of=lambda what: tmp_path / what)
    assert list(done.seconds) == ["teacher", "distn"]
    again, _ = trained("distn", data=SEMI, training=ROUNDS, folder_of=lambda what: tmp_path / what)
    assert again.seconds["teacher"] == done.seconds["teacher"]
    trainer = Trainer("distn", players(), SEMI, ROUNDS, seed=0)
    alone = trainer.pretrain("teacher", tmp_path / "teacher")
    assert alone.seconds == done.seconds["teacher"]


def stream(data: Batch) -> Stream:
    return Stream(DataLoader(TensorDataset(data.inputs, data.targets), batch_size=4), like=data[:1])


class Softened(nn.Module):
    """No layer gives its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs) / 2


@pytest.mark.parametrize("what", ["loader", "network", "asked for"])
def test_where_labels_cannot_be_propagated_its_own_are_taken(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    parts = [stream(part) if what == "loader" else part for part in (SEMI.labelled, SEMI.unlabelled)]
    modules = {**players(), **({"teacher": Softened()} if what == "network" else {})}
    training = replace(ROUNDS, self_training="fixmatch" if what == "asked for" else "propagation")
    trained("codis", data=Semi(*parts), training=training, modules=modules)
    kinds = [
        kind for kind, role, _ in seen if kind == "FixMatch" or (kind == "Supervised" and role == "teacher")
    ]
    assert kinds == ["Supervised"] * 4 + ["FixMatch"] * 10
    # In the game it goes on learning what it says of examples that are the same in every pass.
    own = ["teacher_pseudo_label" in losses for kind, _, losses in seen if kind == "Codis"]
    assert own == [what != "loader"] * 10


def test_guesses_are_of_examples_as_they_are_and_lessons_of_views(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[tuple[Tensor, Tensor]] = []
    loss_of = FixMatch.loss_of

    def noted(self: FixMatch, role: str, batch: Batch, progress: float) -> Any:
        pairs.append((batch.tensor, self.views(batch, self._updates).tensor))
        return loss_of(self, role, batch, progress)

    monkeypatch.setattr(FixMatch, "loss_of", noted)
    training = replace(ROUNDS, self_training="fixmatch")
    trained("distn", data=SEMI, training=training, augment=Noise(0.3))
    known = torch.cat([SEMI.labelled.tensor, SEMI.unlabelled.tensor])  # type: ignore[union-attr]
    assert len(pairs) == 10
    for plain, view in pairs:
        assert (plain[:, None] == known).all(2).any(1).all()
        assert not (view[:, None] == known).all(2).any()


def test_how_many_batches_are_read_is_known() -> None:
    def read(data: Any, **changes: Any) -> int:
        return sum(
            Trainer("distn", players(), data, replace(ROUNDS, **changes), seed=0).batches_read().values()
        )

    assert read(DATA) == 10 + 4
    assert read(SEMI, self_training="none") == 10 + 4
    assert read(SEMI, self_training="fixmatch") == 10 + 4 + 10
