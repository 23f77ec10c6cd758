"""Fronts that any encoder may start with: what turns filterbanks into fewer, wider frames."""

from audiotext.encoder.front import patch, strided  # noqa: F401
