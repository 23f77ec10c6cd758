"""Other implementations of the filterbank, for cross-checks and for matching features made elsewhere.

A backend is named in the configuration and never chosen by what happens to be installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiotext.config import ConfigError

if TYPE_CHECKING:
    from audiotext.frontend.fbank import FbankConfig

Backend = Callable[[Tensor], Tensor]
"""One waveform (S,) in [-1, 1] -> log-mel energies (T, F)."""


def load_backend(config: FbankConfig) -> Backend:
    """The function behind ``config.backend``. Raises ConfigError saying how to install one that is missing."""
    return {"torchaudio": _torchaudio, "kaldifeat": _kaldifeat, "kaldi-native-fbank": _native}[config.backend](config)


def _module(name: str, backend: str, how: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:  # torchaudio refuses a torch of another CUDA with the last
        raise ConfigError(
            f"fbank: backend {backend!r} is not usable here ({error}); {how}, or set backend: torch, "
            "which gives the same features"
        ) from None


def _torchaudio(config: FbankConfig) -> Backend:
    kaldi = _module("torchaudio.compliance.kaldi", "torchaudio", "pip install a torchaudio that goes with this torch")

    def fbank(wave: Tensor) -> Tensor:
        if len(wave) < config.window:
            raise ValueError(f"torchaudio takes no clip below one frame (got {len(wave)} samples); set backend: torch")
        return kaldi.fbank(
            wave[None],
            num_mel_bins=config.num_mel_bins,
            sample_frequency=config.sample_rate,
            frame_length=config.frame_length,
            frame_shift=config.frame_shift,
            low_freq=config.low_freq,
            high_freq=config.high_freq,
            preemphasis_coefficient=config.preemphasis,
            remove_dc_offset=config.remove_dc_offset,
            snip_edges=False,
            dither=0.0,
            energy_floor=0.0,
        )

    return fbank


def _kaldifeat(config: FbankConfig) -> Backend:
    kaldifeat = _module("kaldifeat", "kaldifeat", "build it from source (tools/install_kaldifeat.sh)")
    options = kaldifeat.FbankOptions()
    _set_options(options, config)
    computer = kaldifeat.Fbank(options)

    def fbank(wave: Tensor) -> Tensor:
        if len(wave) < config.window:  # it mirrors each end only once
            raise ValueError(f"kaldifeat takes no clip below one frame (got {len(wave)} samples); set backend: torch")
        return computer(wave.cpu()).to(wave.device)

    return fbank


def _native(config: FbankConfig) -> Backend:
    native = _module("kaldi_native_fbank", "kaldi-native-fbank", "pip install kaldi-native-fbank")
    options = native.FbankOptions()
    _set_options(options, config)
    try:
        native.OnlineFbank(options)
    except ValueError as error:
        raise ConfigError(f"fbank: kaldi-native-fbank refuses these options: {error}") from None

    def fbank(wave: Tensor) -> Tensor:
        computer = native.OnlineFbank(options)
        computer.accept_waveform(config.sample_rate, wave.cpu().numpy())
        computer.input_finished()
        frames = [torch.from_numpy(computer.get_frame(i).copy()) for i in range(computer.num_frames_ready)]
        return torch.stack(frames).to(wave.device)

    return fbank


def _set_options(options: object, config: FbankConfig) -> None:
    """kaldifeat and kaldi-native-fbank share Kaldi's option names."""
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq, frame.dither, frame.snip_edges = config.sample_rate, 0.0, False
    frame.frame_length_ms, frame.frame_shift_ms = config.frame_length, config.frame_shift
    frame.preemph_coeff, frame.remove_dc_offset = config.preemphasis, config.remove_dc_offset
    frame.window_type = "povey"
    mel.num_bins, mel.low_freq, mel.high_freq = config.num_mel_bins, config.low_freq, config.high_freq
    options.energy_floor = 0.0
