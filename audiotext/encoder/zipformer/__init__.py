"""Zipformer (Yao et al. 2023, "Zipformer: a faster and better encoder for automatic speech recognition")."""

from audiotext.encoder.zipformer import encoder, subsampling  # noqa: F401
from audiotext.encoder.zipformer.encoder import ZipformerConfig, ZipformerEncoder

__all__ = ["ZipformerConfig", "ZipformerEncoder"]
