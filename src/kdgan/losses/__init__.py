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
from kdgan.losses.families import Bernoulli, Categorical, Family
from kdgan.losses.features import FEATURE_LOSSES, FeatureLoss, attention, feature_loss, hint, relational

__all__ = [
    "DISTANCES",
    "ESTIMATORS",
    "FEATURE_LOSSES",
    "Bernoulli",
    "Categorical",
    "Distance",
    "Estimator",
    "EstimatorName",
    "Family",
    "FeatureLoss",
    "Loss",
    "annealed",
    "attention",
    "check_estimator",
    "concrete",
    "cross_entropy",
    "discriminator_loss",
    "distance",
    "feature_loss",
    "generated_labels",
    "generator_loss",
    "gumbel",
    "hint",
    "js",
    "kl",
    "l2",
    "label_weights",
    "pseudo_labels",
    "relational",
]
