"""From waveform to features: the filterbank, its other implementations, plain samples, augmentation of features."""

from audiotext.frontend import fbank, waveform  # noqa: F401  registers the members
