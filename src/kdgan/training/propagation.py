"""Labels of examples that have none, by label propagation over what a network sees in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.sparse.linalg import cg
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.errors import Diverged, wrong
from kdgan.methods.player import evaluating
from kdgan.training.evaluate import all_of, logits_of, most_at_once

NEIGHBOURS, POWER, ALPHA = 10, 3, 0.99
"""Of an example in the graph, exponent of their cosine, and how far labels travel: the last two are those of Iscen et
al. (2019). With 10 neighbours more labels are right than with their 50, and classes of equal size need not be assumed:
on training images of MNIST, 100 labels, 97.7 % in the place of 97.2, and after three rounds 98.4 in the place of 97.9
(seed 100, results/changes/self-training.csv)."""
TOLERANCE, MOST_ITERATIONS = 1e-10, 200
"""When the solution of the linear system is near enough, relative to what is known: examples that labels barely reach
have little of any. The condition number is at most (1 + α) / (1 − α), so that it always is after so many."""
REACHED = 1e-6
"""How much of labels must reach an example for it to be taken for anything."""
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """What examples are taken for.

    Attributes:
        labels: probabilities `(N, K)`, each row of which sums to 1.
        confidence: in [0, 1], `(N,)`: 1 − H/H_max, with H the entropy of a row and H_max that of knowing nothing.
    """

    labels: Tensor
    confidence: Tensor


def last_layer(module: nn.Module, sample: Batch, role: str = "teacher") -> nn.Linear | None:
    """The linear layer that gives a network's logits, the input of which are its features; None where there is none.

    Args:
        module: the network.
        sample: a few examples, to see which: as many of them as go through it at once.
        role: as the network is called.
    """
    given: list[tuple[nn.Linear, Tensor]] = []

    def see(layer: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)
        given.append((layer, output))

    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(see) for layer in linear]
    sample = sample[: most_at_once(sample)]
    try:
        with evaluating(module):
            logits = all_of(role, module, None, sample)
    finally:
        for hook in hooks:
            hook.remove()
    if not given:
        return None
    layer, output = given[-1]
    if sum(each is layer for each, _ in given) > 1:  # then what goes into it is not one row for each example
        return None
    return layer if output.ndim == 2 and torch.equal(output[: len(logits)].to(logits), logits) else None


def features_of(module: nn.Module, layer: nn.Module, data: Batch, role: str = "teacher") -> Tensor:
    """What goes into that layer for each example, of length 1: `(N, F)`, on the device of the module.

    Raises:
        Diverged: if some are not finite.
        UsageError: if the layer does not see each example once, as in a network that sends examples different ways.
    """
    seen: list[Tensor] = []

    def see(_: nn.Module, given: tuple[Tensor, ...], by_name: dict[str, Tensor]) -> None:
        # A copy: the network may go on writing into it.
        seen.append((given[0] if given else by_name["input"]).detach().float().clone())

    hook = layer.register_forward_pre_hook(see, with_kwargs=True)
    try:
        logits_of(module, data, role=role)
    finally:
        hook.remove()
    # The last forward pass may have repeated its few examples.
    features = torch.cat(seen)[: len(data)]
    if len(features) < len(data):
        raise wrong(
            f"labels cannot be propagated over the {role}'s features, as not every example comes to its last layer: "
            "ask for self_training='fixmatch'"
        )
    if not features.isfinite().all():
        raise Diverged(f"the {role} has features that are not finite")
    return F.normalize(features, dim=1)


def propagate(features: Tensor, labels: Tensor) -> PseudoLabels:
    """Labels of all examples out of those that are known, by label propagation (Zhou et al., 2003).

    The graph joins an example to its nearest neighbours by the cosine of their features (Iscen et al., 2019). With S
    its normalised affinities, Z = (I − αS)⁻¹Y is how much of each label reaches an example, and Z divided by how much
    of any label does is what it is taken for. Nothing is assumed about the shares of classes.

    Args:
        features: of the labelled examples, then of the others, `(N, F)`, each of length 1.
        labels: of the first, weights of labels `(L, K)`.

    Returns:
        Those of the others, on the device of `features`.
    """
    known, count = len(labels), len(features)
    system = sparse.identity(count) - ALPHA * _affinities(features)
    given = np.zeros((count, labels.shape[1]))
    given[:known] = labels.double().cpu().numpy()
    reached = np.stack(
        [cg(system, column, rtol=TOLERANCE, maxiter=MOST_ITERATIONS)[0] for column in given.T], axis=1
    )[known:]
    found = torch.from_numpy(np.clip(reached, 0, None))
    total, classes = found.sum(1, keepdim=True), found.shape[1]
    # Where no label reaches, nothing is known.
    found = torch.where(
        total > REACHED, found / total.clamp_min(REACHED), torch.full_like(found, 1 / classes)
    )
    entropy = -torch.xlogy(found, found).sum(1) / np.log(classes)
    return PseudoLabels(found.to(features), (1 - entropy).clamp(0, 1).to(features))


def _affinities(features: Tensor) -> sparse.csr_matrix:
    """D^−½ W D^−½ with W the symmetric affinities of nearest neighbours."""
    count = len(features)
    most = min(NEIGHBOURS, count - 1)
    near, weight = [], []
    for start in range(0, count, _AT_ONCE):
        cosine = features[start : start + _AT_ONCE] @ features.T
        row = torch.arange(len(cosine), device=cosine.device)
        cosine[row, start + row] = -torch.inf
        top = cosine.topk(most, dim=1)
        near.append(top.indices.cpu())
        weight.append(top.values.clamp_min(0).pow(POWER).double().cpu())
    rows = torch.arange(count).repeat_interleave(most).numpy()
    joined = sparse.csr_matrix(
        (torch.cat(weight).flatten().numpy(), (rows, torch.cat(near).flatten().numpy())), shape=(count, count)
    )
    joined = joined + joined.T
    degree = np.asarray(joined.sum(1)).ravel()
    scale = sparse.diags(1 / np.sqrt(np.maximum(degree, 1e-12)))
    return (scale @ joined @ scale).tocsr()
