"""Encoders: filterbank frames -> representation frames."""

from audiotext.encoder import foreign, front, statistics, transformer, zipformer  # noqa: F401
