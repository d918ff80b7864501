"""One network of the game: how it is called, and how it learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.forms import Form, Pieces, leaves
from kdgan.errors import KdganError, UsageError, failed, wrong
from kdgan.methods.optimizers import (
    OptimizerFactory,
    SchedulerFactory,
    own_optimizer,
    own_scheduler,
    put_back,
    take_up,
)
from kdgan.methods.parts import in_parts
from kdgan.methods.sharing import devices

Losses = dict[str, Tensor]
"""The mean of each term over a batch, by name, detached."""
Terms = Mapping[str, tuple[float, Tensor]]
"""The terms of a loss by name, each with its weight and its values `(B,)`; the loss is their weighted sum."""


def total(terms: Terms) -> Tensor:
    """The weighted sum of the terms, `(B,)`.

    Raises:
        UsageError: for terms that are not of that form.
    """
    check_terms(terms)
    weighted = [value if weight == 1 else weight * value for weight, value in terms.values()]
    loss = weighted[0]
    for value in weighted[1:]:
        loss = loss + value
    return loss


def check_terms(terms: Terms) -> None:
    """Raises a UsageError unless these are terms by name, each a weight and one value for each example."""
    shape = None
    if not isinstance(terms, Mapping) or not terms:
        raise wrong(f"a loss must be {{name: (weight, values)}}, not {type(terms).__name__} {terms!r:.60}")
    for name, term in terms.items():
        if not isinstance(term, tuple) or len(term) != 2 or not isinstance(term[1], Tensor):
            raise wrong(f"loss term {name} must be (weight, values), not {type(term).__name__}")
        shape = term[1].shape if shape is None else shape
        if term[1].ndim != 1 or term[1].shape != shape:
            raise wrong(
                f"loss term {name} must have one value for each example, (B,), not {tuple(term[1].shape)}"
            )


@dataclass(frozen=True, slots=True)
class Optimization:
    """Optimization of a player: Adam with a learning rate that follows `schedule` over training, or one's own.

    Attributes:
        lr: the highest learning rate.
        weight_decay: decoupled weight decay (AdamW).
        schedule: `cosine` rises linearly over the first `warmup` of training, then falls to 0 along a cosine;
            `constant` does neither.
        warmup: share of training, in [0, 1).
        clip: largest norm of the gradient of all weights together; None clips nothing.
        accumulate: parts in which a batch goes through the network, forward and backward, for one step: less memory,
            the same step.
        optimizer: makes another optimizer of the weights; it keeps the rates that it is made with, and those above do
            not matter, unless a scheduler changes them.
        scheduler: makes a scheduler of the optimizer, stepped after each of its steps, in the place of `schedule`.
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.1
    clip: float | None = None
    accumulate: int = 1
    optimizer: OptimizerFactory | None = None
    scheduler: SchedulerFactory | None = None

    def __post_init__(self) -> None:
        if not (0 < self.lr < math.inf and 0 <= self.weight_decay < math.inf and 0 <= self.warmup < 1):
            raise UsageError(
                f"lr must be above 0, weight_decay at least 0, both finite, and warmup in [0, 1), not "
                f"{self.lr}, {self.weight_decay} and {self.warmup}"
            )
        if self.schedule not in ("cosine", "constant"):
            raise UsageError(f"unknown schedule {self.schedule!r}: choose cosine or constant")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise UsageError(
                f"clip, the largest norm of a gradient, must be above 0 and finite, not {self.clip}"
            )
        if self.accumulate < 1:
            raise UsageError(f"accumulate must be a whole number of at least 1, not {self.accumulate}")

    @property
    def is_own(self) -> bool:
        """Whether optimizer or scheduler are of the caller's own, so that rates are theirs."""
        return self.optimizer is not None or self.scheduler is not None

    def rate(self, progress: float) -> float:
        """The learning rate at `progress` ∈ [0, 1) of training."""
        if self.schedule == "constant":
            return self.lr
        if progress < self.warmup:
            # The first step must not be lost, so the rise starts above 0.
            return self.lr * max(progress / self.warmup, 0.01)
        return self.lr * 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


class Player:
    """A network with its optimizer. The student sees x; teacher and discriminator see x and, if given, ϱ.

    Args:
        role: `student`, which sees x alone, `teacher`, `peer` or `discriminator`; a kept teacher's logits may lie
            in a batch.
        module: any module that gives logits `(B, K)`; trained in place.
        optimization: how it learns; None keeps it as it is, in `eval()` and without gradient.
    """

    def __init__(self, role: str, module: nn.Module, optimization: Optimization | None) -> None:
        self.role, self.module, self.optimization = role, module, optimization
        self.optimizer: torch.optim.Optimizer | None = None
        self.scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
        self.adds: Callable[[], Terms] | None = None  # terms beside those of its method
        self._share = torch.empty(0)
        self._called = False
        if optimization is None:
            module.eval()  # with every layer in it
            return
        parameters = [p for p in module.parameters() if p.requires_grad]
        _check_learner(role, module, parameters)
        if optimization.optimizer is not None:
            self.optimizer = own_optimizer(optimization.optimizer, parameters, role)
        else:
            self.optimizer = torch.optim.AdamW(
                parameters,
                lr=optimization.lr,
                weight_decay=optimization.weight_decay,
                fused=_fused(parameters),
            )
        if optimization.scheduler is not None:
            self.scheduler = own_scheduler(optimization.scheduler, self.optimizer, role)

    @property
    def learns(self) -> bool:
        """Whether it is trained, rather than kept as it is."""
        return self.optimizer is not None

    def __call__(self, batch: Batch) -> Tensor:
        """Logits `(B, K)` for a batch: with gradient in `train()` mode for a learner, else frozen.

        A frozen teacher's logits are taken from the batch where they were computed ahead.
        """
        learns = self.learns
        if not learns and self.role == "teacher" and batch.teacher_logits is not None:
            return batch.teacher_logits
        if self.module.training != learns:
            self.module.train(learns)
        shared = devices()
        if shared is None:
            return self._logits(batch)
        with shared.drawing():
            own = self._logits(batch[shared.rows(len(batch))])
        return shared.gathered(own, len(batch))

    def _logits(self, batch: Batch) -> Tensor:
        learns = self.learns
        if learns and self.optimization is not None and self.optimization.accumulate > 1:
            return in_parts(self._forward, self.module, batch, self.optimization.accumulate)
        if learns or not torch.is_grad_enabled():
            return self._forward(batch)
        with torch.no_grad():
            return self._forward(batch)

    def _forward(self, batch: Batch) -> Tensor:
        self._called = True
        try:
            return forward(self.role, self.module, batch)
        finally:
            self._called = False

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Refuses, for the block, passes of which several devices would each make the whole, and draw otherwise: of a
        network that learns, with gradient, and not as this player."""

        def check(module: nn.Module, given: Any) -> None:
            if torch.is_grad_enabled() and not self._called:
                raise UsageError(
                    f"the method calls the module of the {self.role} itself, which several devices cannot share: call "
                    "the player with a batch"
                )

        handle = self.module.register_forward_pre_hook(check) if self.learns else None
        try:
            yield
        finally:
            if handle is not None:
                handle.remove()

    def learn(self, terms: Terms, progress: float) -> Losses:
        """One step of the optimizer down the mean, over the batch, of the weighted sum of `terms`.

        Args:
            terms: by name, each with its weight and its values `(B,)`.
            progress: share of training that is done, which the learning rate follows.

        Returns:
            The mean of each term, detached.
        """
        if self.optimizer is None or self.optimization is None:
            raise UsageError(f"the {self.role} is kept as it is here, so it cannot learn")
        if not self.optimization.is_own:
            (group,) = self.optimizer.param_groups
            group["lr"] = self.optimization.rate(progress)
        parameters = [each for group in self.optimizer.param_groups for each in group["params"]]
        for parameter in parameters:
            parameter.grad = None
        terms = self.all_terms(terms)
        loss = total(terms)
        if (self._share.shape, self._share.dtype, self._share.device) != (
            loss.shape,
            loss.dtype,
            loss.device,
        ):
            self._share = torch.full_like(loss, 1 / max(loss.numel(), 1))
        try:
            # The gradient of the mean, without two more operations in the graph: small networks feel them.
            loss.backward(self._share)  # type: ignore[no-untyped-call]
            shared = devices()
            if shared is not None:
                shared.average(parameters)
            if self.optimization.clip is not None:
                nn.utils.clip_grad_norm_(parameters, self.optimization.clip)
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
        except KdganError:
            raise
        except Exception as error:  # a network or a loss of one's own
            raise failed(error, f"an update of the {self.role}") from error
        # Autocast keeps its copies of the weights to the end of its block: what comes next must see the new ones.
        torch.clear_autocast_cache()
        return {name: value.detach().mean() for name, (_, value) in terms.items()}

    def all_terms(self, terms: Terms) -> Terms:
        """The terms that a method has for this player, and those that are added to any method's."""
        if self.adds is None:
            return terms
        added = self.adds()
        check_terms(terms)
        for name in sorted(terms.keys() & added.keys()):
            raise UsageError(f"the method has a loss term {name} of its own: call it otherwise")
        return {**terms, **added}

    def state_dict(self) -> dict[str, Any]:
        """Weights, buffers and the state of optimizer and scheduler."""
        state: dict[str, Any] = {"module": self.module.state_dict()}
        if self.optimizer is not None:
            state["optimizer"] = self.optimizer.state_dict()
        if self.scheduler is not None:
            state["scheduler"] = self.scheduler.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self.module.load_state_dict(state["module"])
        if self.optimizer is None or self.optimization is None:
            return
        # Rates and the like are settings, unless they are the caller's: only what is remembered comes from a file.
        put_back(self.optimizer, state["optimizer"], groups=self.optimization.is_own)
        if self.scheduler is not None:
            take_up(self.scheduler, state["scheduler"])


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """`eval()` mode and no gradient for the block; then every submodule is back in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


def forward(role: str, module: nn.Module, batch: Batch) -> Tensor:
    """Logits `(B, K)` of `module` in that role: privileged information goes to all but the student.

    Raises:
        RunError: saying what a network of one's own raises.
        UsageError: if it gives no logits, or changes its inputs, which others see too.
    """
    if isinstance(batch.inputs, Pieces):
        return torch.cat([forward(role, module, piece) for piece in batch.pieces()])
    positional, named = arguments(role, batch.standardised(), called_with(module))
    given = [*positional, *named.values()]
    before = _versions(given)
    try:
        logits = module(*positional, **named)
    except KdganError:
        raise
    except (Exception, SystemExit) as error:
        raise failed(error, f"the {role}") from error
    if _versions(given) != before:
        raise wrong(
            f"the {role} changes its inputs in place: let it change a copy (no inplace=True in what comes first)"
        )
    logits = logits_in(logits)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(batch):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise wrong(
            f"the {role} must give logits of shape ({len(batch)}, K) for {len(batch)} examples, or an object or "
            f"mapping that has such as logits, not {found}"
        )
    if not logits.is_floating_point():
        raise UsageError(f"the {role} must give logits of a floating type, not {logits.dtype}")
    return logits


def called_with(module: nn.Module) -> str:
    """What a player that says so itself is called with where there is privileged information, see `arguments`."""
    return getattr(module, "sees", "both")


def logits_in(output: Any) -> Any:
    """The `logits` of an output that is an object or a mapping, as those of transformers; itself where it has none."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        return output.get("logits", output)
    return getattr(output, "logits", output)


def arguments(role: str, batch: Batch, sees: str = "both") -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """What a player in that role is called with: positional arguments, and those by name.

    A tensor is one positional argument, a tuple several, a mapping arguments by name. Privileged information follows
    the inputs; a tensor of it beside inputs by name is called `privileged`.

    Args:
        role: the student sees the inputs alone.
        batch: the examples, in one piece.
        sees: `both`, `inputs` or `privileged`, for all but the student.

    Raises:
        UsageError: if a name is in both, or there is nothing that it sees.
    """
    inputs, known = batch.inputs, batch.privileged
    if known is None and sees == "privileged" and role != "student":
        raise UsageError(f"the {role} sees privileged information alone, and there is none")
    if role == "student" or known is None or sees == "inputs":
        return _called(inputs)
    if sees == "privileged":
        return _called(known)
    positional, named = _called(inputs)
    more, more_named = _called(known)
    if named and more:
        more_named = {"privileged": more[0]} if len(more) == 1 else {}
        if not more_named:
            raise UsageError("inputs by name need privileged information by name, too, or one tensor of it")
        more = ()
    both = sorted(named.keys() & more_named.keys())
    if both:
        raise UsageError(
            f"inputs and privileged information both have {both[0]!r}: for a teacher that takes the second alone, as "
            "with a tokeniser of its own, say teacher_sees='privileged'"
        )
    return (*positional, *more), {**named, **more_named}


def _called(form: Form) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    if isinstance(form, Tensor):
        return (form,), {}
    if isinstance(form, dict):
        return (), form
    return tuple(leaves(form)), {}


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    """How often each was written to, as far as torch counts it."""
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]


def _check_learner(role: str, module: nn.Module, parameters: list[nn.Parameter]) -> None:
    """Raises a UsageError for a network that Adam cannot train."""
    if not parameters:
        raise UsageError(f"the {role} has no parameter that requires gradient, so it cannot learn")
    if not all(parameter.is_leaf for parameter in parameters):
        raise UsageError(
            f"the {role} is a copy whose weights cannot be trained, as of a scripted module: give it as it was "
            "before scripting"
        )
    if any(parameter.is_inference() for parameter in parameters):
        raise UsageError(
            f"the {role} was made under torch.inference_mode(), so it cannot learn: make it outside"
        )
    for name, part in module.named_modules():
        if isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.sparse and part.weight.requires_grad:
            raise UsageError(
                f"the {role} has sparse gradients in {name!r}, which Adam cannot use: sparse=False"
            )


def _fused(parameters: list[nn.Parameter]) -> bool:
    # One kernel for all parameters, where torch has one for their device and type.
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
