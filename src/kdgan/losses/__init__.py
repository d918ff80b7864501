"""Losses as pure functions on tensors, one value per example; no modules, no optimizers, no I/O."""

from kdgan.losses._numeric import label_weights
from kdgan.losses.adversarial import (
    ESTIMATORS,
    Estimator,
    EstimatorName,
    check_estimator,
    discriminator_loss,
    generated_labels,
    generator_loss,
)
from kdgan.losses.concrete import annealed, concrete, gumbel, pseudo_labels
from kdgan.losses.distillation import DISTANCES, Distance, Loss, cross_entropy, distance, js, kl, l2

__all__ = [
    "DISTANCES",
    "ESTIMATORS",
    "Distance",
    "Estimator",
    "EstimatorName",
    "Loss",
    "annealed",
    "check_estimator",
    "concrete",
    "cross_entropy",
    "discriminator_loss",
    "distance",
    "generated_labels",
    "generator_loss",
    "gumbel",
    "js",
    "kl",
    "l2",
    "label_weights",
    "pseudo_labels",
]
