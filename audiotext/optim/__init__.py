"""Optimizers, learning-rate schedules and parameter groups."""

from audiotext.optim.groups import parameter_groups
from audiotext.optim.scaled_adam import ScaledAdam
from audiotext.optim.schedule import Eden, Eden2

__all__ = ["Eden", "Eden2", "ScaledAdam", "parameter_groups"]
