"""Objectives; importing this package fills the registry."""

from audiotext.objective import captioning, contrastive, sigmoid, tagging, weighted  # noqa: F401
from audiotext.objective.base import OBJECTIVES, Objective

__all__ = ["OBJECTIVES", "Objective"]
