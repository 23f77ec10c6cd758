"""From corpora on disk to batches."""

from audiotext.data import storage  # noqa: F401  lhotse can then read our feature shards
