"""Encoders: filterbank frames -> representation frames."""

from audiotext.encoder import front, statistics, transformer, zipformer  # noqa: F401
