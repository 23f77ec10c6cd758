"""Encoders: filterbank frames -> representation frames."""

from audiotext.encoder import front, statistics, transformer  # noqa: F401
