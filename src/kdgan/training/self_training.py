"""Self-training of a teacher: what it learns from examples without labels before any method begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from kdgan.data.batch import Batch
from kdgan.data.seeds import mixed, seeded
from kdgan.data.semi import Semi
from kdgan.losses import Family
from kdgan.methods.fixmatch import own_labels
from kdgan.methods.sharing import at_first
from kdgan.training.evaluate import LEAST_AT_ONCE, logits_of
from kdgan.training.propagation import features_of, last_layer, propagate

ROUND = "self-training-{}"
"""Folder of a round within that of the player, by its number."""
TEACHERS = ("teacher", "peer")
"""Roles that learn so."""
MOST = 20_000
"""Examples in a graph: others are drawn for each round. Its time grows with their square, 10 seconds here on a core."""
_SAMPLE = LEAST_AT_ONCE
"""Examples that show a network's last layer, as many as go through a network at once anyway. One would not show whether
it sees them in their order."""
_SUREST = 0.01
"""Least confidence of the surest example that counts 1: where the graph knows nothing, nothing is made of it."""


def takes_propagation(module: nn.Module, data: Semi, role: str) -> bool:
    """Whether labels can be propagated: the network has a last linear layer, and the data lie in memory."""
    if not isinstance(data.labelled, Batch) or not isinstance(data.unlabelled, Batch):
        return False
    return last_layer(module, data.labelled[:_SAMPLE], role) is not None


def weights_of(module: nn.Module) -> list[Tensor]:
    """A copy of all that a network computes with, whatever it takes into its `state_dict`."""
    return [each.detach().clone() for each in (*module.parameters(), *module.buffers())]


def put_weights(module: nn.Module, weights: Sequence[Tensor]) -> None:
    """Puts a copy by `weights_of` into the network."""
    with torch.no_grad():
        for each, value in zip((*module.parameters(), *module.buffers()), weights, strict=True):
            each.copy_(value)


def pseudo_labelled(module: nn.Module, data: Semi, *, seed: int, role: str) -> tuple[Batch, Tensor]:
    """Examples without labels with what label propagation takes them for, of one class or a distribution of classes.

    Args:
        module: the network whose features count; it has a last linear layer.
        data: both, in memory.
        seed: of which examples are in the graph, where there are more than fit.
        role: as the network is called.

    Returns:
        Those in the graph, the surest of them with a confidence of 1, and their places among all without labels.
    """
    labelled, unlabelled = data.labelled, data.unlabelled
    assert isinstance(labelled, Batch)
    assert isinstance(unlabelled, Batch)
    own = mixed(seed, role, "propagation")
    # The graph is of all examples: one process makes it.
    labels, confidence, chosen = at_first(lambda: _propagated(module, data, own, role))
    there = unlabelled.device
    chosen = chosen.to(there)
    others = unlabelled[chosen]
    return replace(others, pseudo_labels=labels.to(there), confidence=confidence.to(there)), chosen


def _propagated(module: nn.Module, data: Semi, own: int, role: str) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, confidence and places, on the CPU, of the examples without labels in the graph, which the seed draws."""
    labelled, unlabelled = data.labelled, data.unlabelled
    assert isinstance(labelled, Batch)
    assert isinstance(unlabelled, Batch)
    generator = torch.Generator().manual_seed(own)
    known = _drawn(len(labelled), MOST // 2, generator).to(labelled.device)
    chosen = _drawn(len(unlabelled), MOST - len(known), generator).to(unlabelled.device)
    sources, others = labelled[known], unlabelled[chosen]
    with seeded(own, others.device):  # a network of one's own may draw whatever its mode
        layer = last_layer(module, labelled[:_SAMPLE], role)
        assert layer is not None
        features = torch.cat([features_of(module, layer, part, role) for part in (sources, others)])
    targets = sources.targets
    if targets.ndim == 1:
        targets = one_hot(targets, int(layer.out_features))
    found = propagate(features, targets)
    labels, confidence = found.labels, found.confidence / found.confidence.max().clamp_min(_SUREST)
    # Of one class the likeliest: a network that is taught how unsure the graph is only learns to be as unsure. A
    # distribution, as that of tags, is what is to be learned.
    if sources.targets.ndim == 1:
        labels = one_hot(labels.argmax(1), labels.shape[1]).to(labels)
    return labels.cpu(), confidence.cpu(), chosen.cpu()


def going_on(module: nn.Module, data: Semi, *, seed: int, role: str) -> Semi:
    """The data with pseudo-labels for a teacher that goes on learning.

    Outside the graph their confidence is 0, and within so much higher that the mean over all is that over the graph.
    """
    found, chosen = pseudo_labelled(module, data, seed=seed, role=role)
    assert isinstance(data.unlabelled, Batch)
    assert found.pseudo_labels is not None
    assert found.confidence is not None
    count = len(data.unlabelled)
    labels = found.pseudo_labels.new_zeros(count, found.pseudo_labels.shape[1])
    confidence = found.confidence.new_zeros(count)
    labels[chosen], confidence[chosen] = found.pseudo_labels, found.confidence * (count / len(chosen))
    return Semi(data.labelled, replace(data.unlabelled, pseudo_labels=labels, confidence=confidence))


def with_own_labels(module: nn.Module, data: Semi, *, role: str, family: Family) -> Semi:
    """The data with pseudo-labels for a teacher that goes on learning what FixMatch taught it: what it says.

    Of classes the likeliest, where it is as sure as FixMatch asks for; of labels that are each on or off all, hard
    where it is that sure. Examples that are read anew in every pass stay without.
    """
    if not isinstance(data.unlabelled, Batch):
        return data
    said = family.probabilities(logits_of(module, data.unlabelled, role=role))
    labels, sure = own_labels(family, said)
    if labels.ndim == 1:
        labels = one_hot(labels, said.shape[1]).to(said)
    return Semi(data.labelled, replace(data.unlabelled, pseudo_labels=labels, confidence=sure.to(said)))


def last_stage(folder: Path) -> Path:
    """The checkpoint of a player that was trained in a folder: of its last round, where it trained itself."""
    rounds = {
        int(number): file
        for file in folder.glob(f"{ROUND.format('*')}/checkpoint.safetensors")
        if (number := file.parent.name.rpartition("-")[2]).isdecimal()
    }
    return rounds[max(rounds)] if rounds else folder / "checkpoint.safetensors"


def _drawn(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Places of so many at most among so many, in order."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=generator)[:most].sort().values
