"""Feature distillation: layers of the student learn from layers of the teacher, beside any method that has one."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.seeds import mixed
from kdgan.errors import Diverged, UsageError, wrong
from kdgan.losses import FeatureLoss, feature_loss, relational
from kdgan.losses._numeric import widened
from kdgan.losses.features import check_features, embedding
from kdgan.methods.player import Player, Terms, evaluating, forward
from kdgan.methods.sharing import alone, devices
from kdgan.references import is_reference

TERM = "features"
"""Name of the term in the student's loss."""
BOTH = ("student", "teacher")


@dataclass(frozen=True, slots=True)
class Features:
    """Which layers of the student learn from which of the teacher, and how.

    Attributes:
        layers: names of layers, as `named_modules()` gives them: each of the student's with one of the teacher's. A
            layer gives a tensor, a tuple or list that begins with one, or an object or mapping that has one as
            `last_hidden_state`. With several pairs the loss is their mean.
        loss: `hint`, `attention` or `relational`, see `kdgan.losses`; or a function of your own, or `module:function`,
            of the features of both, which gives one value per example. With a hint, layers may differ in width: a
            regressor (linear; a 1×1 convolution between images) brings the student's to the teacher's. It learns with
            the student and is no part of it. Where a batch lies in pieces of several sizes, a function of your own gets
            one after the other. Padding counts as other tokens do.
        weight: of this term in the student's loss, at least 0.

    Raises:
        UsageError: for anything else.
    """

    layers: Mapping[str, str]
    loss: FeatureLoss = "hint"
    weight: float = 1.0

    def __post_init__(self) -> None:
        given = self.layers
        if (
            not isinstance(given, Mapping)
            or not given
            or not all(isinstance(name, str) for pair in given.items() for name in pair)
        ):
            raise wrong(
                f"features must be layers of the student by name, each with one of the teacher, "
                f"{{'layer3': 'blocks.2'}}, not {given!r:.60}"
            )
        feature_loss(self.loss)
        if isinstance(self.weight, bool) or not isinstance(self.weight, Real):
            raise wrong(f"feature_weight must be a number, not {self.weight!r:.60}")
        if not 0 <= self.weight < 1e30:
            raise UsageError(f"feature_weight must be at least 0 and below 1e30, not {self.weight}")
        object.__setattr__(self, "weight", float(self.weight))
        # In one order, by which regressors are kept.
        object.__setattr__(self, "layers", dict(sorted(given.items())))

    def names(self, role: str) -> list[str]:
        """The layers of student or teacher, one for each pair."""
        return list(self.layers if role == "student" else self.layers.values())

    def find(self, role: str, module: nn.Module) -> dict[str, nn.Module]:
        """The layers of student or teacher; those of a network in a wrapper, its `module`, by their own names, too.

        Raises:
            UsageError: for a name that is none of them, with those that are close, or a network without hooks.
        """
        known = dict(module.named_modules(remove_duplicate=False))
        if isinstance(inner := getattr(module, "module", None), nn.Module):
            known = {**dict(inner.named_modules(remove_duplicate=False)), **known}
        if "_orig_mod" in known or getattr(module, "_compiled_call_impl", None) is not None:
            raise UsageError(
                f"the {role} is compiled, and what its layers give cannot be seen: give it as it was before "
                "torch.compile"
            )
        del known[""]
        for name in self.names(role):
            if not name:
                raise UsageError(f"'' is the whole {role}, which gives logits: features are of a layer in it")
            if name not in known:
                close = difflib.get_close_matches(name, known, 3, 0.5) or list(known)[:3]
                raise wrong(
                    f"the {role} has no layer {name!r:.60}: there are {', '.join(close)}"
                    f"{', ...' if len(known) > len(close) else ''}"
                    if close
                    else f"the {role} has no layer {name!r:.60}, nor any other: features are of networks"
                )
        return {name: known[name] for name in self.names(role)}


@dataclass(slots=True)
class _Output:
    """What a layer gave in a pass: a tensor, how often it had been written to, and how often the layer was called."""

    value: Tensor
    version: int
    calls: int = 1


@dataclass(slots=True)
class _Seen:
    """What layers of a player gave in its last passes, one for each piece of a batch.

    Attributes:
        role: of the player.
        layers: by name.
        passes: the last of them.
    """

    role: str
    layers: Mapping[str, nn.Module]
    passes: deque[dict[str, _Output]] = field(default_factory=deque)

    @contextmanager
    def hooked(self, module: nn.Module, pieces: int) -> Iterator[None]:
        """Hooks on the layers of the player for the block, and nothing of them before or after it."""
        self.passes = deque(maxlen=pieces)
        with ExitStack() as hooks:
            handle = module.register_forward_pre_hook(lambda *_: self.passes.append({}))
            hooks.callback(handle.remove)
            for name, layer in self.layers.items():
                handle = layer.register_forward_hook(partial(self._note, name))
                hooks.callback(handle.remove)
            try:
                yield
            finally:
                self.passes.clear()

    def _note(self, name: str, layer: nn.Module, given: Any, output: Any) -> None:
        if not self.passes:
            return  # the layer alone was called, from outside
        seen = self.passes[-1]
        if name in seen:
            seen[name].calls += 1
            return
        value = _tensor_in(output)
        if not isinstance(value, Tensor):
            raise wrong(
                f"layer {name} of the {self.role} gives no tensor, nor anything that begins with one or has "
                f"last_hidden_state: {type(output).__name__}"
            )
        if self.role != "student":
            value = value.detach()
        seen[name] = _Output(value, _version(value))

    def features(self, name: str, batch: Batch) -> list[Tensor]:
        """What a layer gave, piece by piece.

        Raises:
            UsageError: unless it was called once in a pass, and is as it was.
        """
        found, what = [], f"layer {name} of the {self.role}"
        for piece, seen in zip(batch.pieces(), self.passes, strict=True):
            output = seen.get(name)
            if output is None:
                raise wrong(f"{what} is not called in its forward pass: name one that is")
            if output.calls > 1:
                raise wrong(
                    f"{what} is called {output.calls} times in a forward pass: name one that is called once"
                )
            if _version(output.value) != output.version:
                raise wrong(
                    f"what {what} gives is changed in place by what comes after it (inplace=True): name that layer"
                )
            value = output.value
            try:
                check_features(value)
            except UsageError as error:
                raise wrong(f"{what}: {error}") from error
            if len(value) != len(piece):
                raise wrong(f"{what} gives {tuple(value.shape)} for {len(piece)} examples: each needs a row")
            found.append(value)
        return found


class FeatureTerm:
    """The term that features add to the student's loss.

    Regressors are drawn from the seed and learn by the student's own optimizer; they are no part of the student.

    Args:
        settings: which layers, and how.
        student: learns.
        teacher: is learned from.
        sample: some examples, on the players' device, that show how large features are.
        seed: of the regressors.

    Raises:
        UsageError: if a layer is not there or not called, nothing that learns comes before it, or features do not fit.
    """

    def __init__(
        self, settings: Features, student: Player, teacher: Player, sample: Batch, *, seed: int
    ) -> None:
        self.settings, self.players = settings, {"student": student, "teacher": teacher}
        self._seen = {
            role: _Seen(role, settings.find(role, player.module)) for role, player in self.players.items()
        }
        self._batch: Batch | None = None  # of several devices the rows of this one
        self._count = 0
        self._loss = feature_loss(settings.loss)
        few = sample.pieces()[0][:2].copy()
        with alone(), self.watching(few):
            for role in BOTH:
                with evaluating(self.players[role].module), torch.set_grad_enabled(role == "student"):
                    forward(role, self.players[role].module, few)
            features = {role: self._features(role) for role in BOTH}
            self.regressors = nn.ModuleList()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(mixed(seed, TERM))
                for name, (mine,), (theirs,) in zip(settings.layers, *features.values(), strict=True):
                    if not mine.requires_grad:
                        raise wrong(
                            f"nothing that learns comes before layer {name} of the student: name a later one"
                        )
                    self.regressors.append(_regressor(mine, theirs, needed=settings.loss == "hint"))
            self._values(features)  # or they do not fit
        if student.optimization is not None and student.optimization.accumulate > 1:
            raise UsageError(
                "features are compared over a whole batch, which accumulate takes apart: leave one of them out"
            )
        if student.optimizer is not None:
            student.optimizer.param_groups[0]["params"] += list(self.regressors.parameters())
        student.adds = self.terms

    @contextmanager
    def watching(self, batch: Batch) -> Iterator[None]:
        """What layers give for the batch is seen in the block: hooks are there for no longer."""
        shared = devices()
        self._count = len(batch)
        self._batch = batch = batch if shared is None else batch[shared.rows(len(batch))]
        try:
            with ExitStack() as hooks:
                for role, seen in self._seen.items():
                    hooks.enter_context(seen.hooked(self.players[role].module, len(batch.pieces())))
                yield
        finally:
            self._batch = None

    def terms(self) -> Terms:
        """The term, from the last pass of each player; a teacher that the method did not ask is asked.

        Raises:
            UsageError: if the student was not called, or outside of an update.
        """
        pieces = 0 if self._batch is None else len(self._batch.pieces())
        if self._batch is None or len(self._seen["student"].passes) < pieces:
            raise UsageError(
                "features are seen in Method.update and Method.losses, in which the student must be called"
            )
        if len(self._seen["teacher"].passes) < pieces:
            player = self.players["teacher"]
            player.module.train(player.learns)
            shared = devices()
            with torch.no_grad(), nullcontext() if shared is None else shared.drawing():
                forward("teacher", player.module, self._batch)
        values = self._values({role: self._features(role) for role in BOTH})
        return {TERM: (self.settings.weight, values)}

    def _features(self, role: str) -> list[list[Tensor]]:
        """Features of each pair, piece by piece."""
        assert self._batch is not None
        return [self._seen[role].features(name, self._batch) for name in self.settings.names(role)]

    def _values(self, features: Mapping[str, list[list[Tensor]]]) -> Tensor:
        """The mean loss over the pairs of layers, `(B,)`."""
        found = []
        pairs = zip(self.settings.layers.items(), self.regressors, *features.values(), strict=True)
        for names, regressor, mine, theirs in pairs:
            try:
                found.append(self._of_pair(regressor, mine, theirs))
            except UsageError as error:
                mine_name, their_name = names
                raise wrong(
                    f"layer {mine_name} of the student and {their_name} of the teacher: {error}"
                ) from error
        return found[0] if len(found) == 1 else torch.stack(found).mean(0)

    def _of_pair(self, regressor: nn.Module, mine: list[Tensor], theirs: list[Tensor]) -> Tensor:
        if self.settings.loss == "relational":  # among all examples, in whatever piece
            return relational(*(self._of_all(list(map(embedding, parts))) for parts in (mine, theirs)))
        called = [_called(regressor, one) for one in mine]
        if callable(self.settings.loss) or is_reference(self.settings.loss):  # which may compare examples
            if devices() is not None and len(called) == 1:
                return self._loss(self._of_all(called), self._of_all(theirs))
            if devices() is not None:
                raise UsageError(
                    "a feature loss of your own is of one piece where several devices share a batch, and this has "
                    f"{len(called)}: let all examples have one size"
                )
        return self._of_all([self._loss(one, other) for one, other in zip(called, theirs, strict=True)])

    def _of_all(self, parts: list[Tensor]) -> Tensor:
        """Rows of the whole batch out of those of each piece."""
        own, shared = parts[0] if len(parts) == 1 else torch.cat(parts), devices()
        return own if shared is None else shared.gathered(own, self._count)

    def state_dict(self) -> dict[str, Any]:
        """The regressors; what the optimizer remembers of them is with the student's.

        Raises:
            Diverged: if their numbers are no longer finite.
        """
        if not all(weight.isfinite().all() for weight in self.regressors.parameters()):
            raise Diverged(
                "training diverged: weights of the regressors of features were no longer finite; try a lower learning "
                "rate or a smaller feature_weight"
            )
        return self.regressors.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self.regressors.load_state_dict(state)


def _tensor_in(output: Any) -> Any:
    """The features in what a layer gives."""
    if isinstance(output, Mapping):
        return output.get("last_hidden_state", output)
    if hasattr(output, "last_hidden_state"):
        return output.last_hidden_state
    return output[0] if isinstance(output, tuple | list) and output else output


def _version(value: Tensor) -> int:
    return 0 if value.is_inference() else value._version


def _regressor(mine: Tensor, theirs: Tensor, *, needed: bool) -> nn.Module:
    """What brings features of the student to the width of the teacher's, where places are the same."""
    channels = 2 if mine.ndim == 3 else 1
    widths = mine.shape[channels], theirs.shape[channels] if theirs.ndim == mine.ndim else 0
    same_places = [*mine.shape[:channels], widths[1], *mine.shape[channels + 1 :]] == list(theirs.shape)
    if not needed or not same_places or widths[0] == widths[1] or mine.ndim > 4:
        return nn.Identity()
    made = nn.Conv2d(*widths, 1) if mine.ndim == 4 else nn.Linear(*widths)
    return made.to(mine.device, widened(mine).dtype)


def _called(regressor: nn.Module, features: Tensor) -> Tensor:
    weight = getattr(regressor, "weight", None)
    return features if weight is None else regressor(features.to(weight.dtype))
