"""From waveform to features: the filterbank, its other implementations, and augmentation of features."""

from audiotext.frontend import fbank  # noqa: F401  registers the member
