"""Trains small classifiers with more than they will have at inference: a bigger model, or more inputs."""
