"""The filterbank and augmentation: numbers, padding, and what each option promises."""

import math

import pytest
import torch

from audiotext.config import ConfigError, from_tree
from audiotext.frontend.augment import AugmentConfig
from audiotext.frontend.fbank import FbankConfig
from audiotext.frontend.waveform import WaveformConfig
from audiotext.types import Padded


def _one(wave):
    return Padded(wave[None], torch.tensor([len(wave)]))


def _speech_like(seconds=2.0):
    """Harmonics of a gliding voice under a syllable-like envelope."""
    t = torch.arange(int(seconds * 16000)) / 16000
    phase = 2 * math.pi * (120 * t + 15 * t**2)
    voice = sum(torch.sin(k * phase) / k for k in range(1, 25))
    return 0.1 * voice * (0.5 + 0.5 * torch.sin(2 * math.pi * 4 * t)) + 1e-4 * torch.randn(len(t))


@pytest.fixture(scope="module")
def signals():
    torch.manual_seed(0)
    return {"noise": 0.1 * torch.randn(24001), "speech": _speech_like(), "short": 0.1 * torch.randn(97)}


@pytest.mark.parametrize("bins", [40, 80])
@pytest.mark.parametrize("backend", ["kaldi-native-fbank", "kaldifeat"])
def test_agrees_with_kaldi(signals, bins, backend):
    pytest.importorskip(backend.replace("-", "_"), reason=f"{backend} is not installed")
    ours = FbankConfig(num_mel_bins=bins).build()
    kaldi = FbankConfig(num_mel_bins=bins, backend=backend).build()
    for name, wave in signals.items():
        if backend == "kaldifeat" and name == "short":
            with pytest.raises(ValueError, match="set backend: torch"):
                kaldi(_one(wave))
            continue
        a, b = ours(_one(wave)), kaldi(_one(wave))
        assert torch.equal(a.lengths, b.lengths)
        torch.testing.assert_close(a.data, b.data, atol=1e-3, rtol=0)


@pytest.mark.parametrize("bins", [80, 128])
def test_agrees_with_torchaudio(signals, bins):
    # Its import fails with RuntimeError or OSError beside a torch built for another CUDA, or for none.
    pytest.importorskip("torchaudio", exc_type=(ImportError, OSError, RuntimeError))
    other = FbankConfig(bins, "torchaudio").build()
    for name in ("noise", "speech"):
        wave = _one(signals[name])
        torch.testing.assert_close(FbankConfig(bins).build()(wave).data, other(wave).data, atol=1e-3, rtol=0)


def test_golden_numbers_without_other_packages():
    """Kaldi's values for a 1 kHz tone of amplitude 0.1: the same on any machine."""
    tone = 0.1 * torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
    feats = FbankConfig().build()(_one(tone)).data[0]
    assert feats.shape == (100, 80)
    expected = torch.tensor(GOLDEN_TONE)
    torch.testing.assert_close(feats[50, 24:36], expected, atol=1e-3, rtol=0)


GOLDEN_TONE = [-8.5472, -4.6766, 0.1313, 2.6882, 2.646, -0.5498, -5.1181, -8.702, -8.9495, -11.5495, -11.2541, -12.842]


def test_a_clip_alone_equals_the_clip_in_a_padded_batch():
    torch.manual_seed(1)
    lengths = torch.tensor([16000, 15999, 8079, 8080, 400, 81, 80, 79])
    waves = torch.randn(8, 16000)  # what lies past a clip's end must not matter
    for backend in ("torch", "kaldi-native-fbank"):
        if backend != "torch":
            pytest.importorskip("kaldi_native_fbank")
        fbank = FbankConfig(backend=backend).build()
        batch = fbank(Padded(waves, lengths))
        assert batch.lengths.tolist() == [100, 100, 50, 51, 3, 1, 1, 0]
        for row, n, frames in zip(range(8), lengths.tolist(), batch.lengths.tolist(), strict=True):
            alone = fbank(_one(waves[row, :n]))
            assert alone.data.shape[1] == frames
            torch.testing.assert_close(alone.data[0], batch.data[row, :frames], atol=1e-5, rtol=0)
            assert not batch.data[row, frames:].any()


def test_frames_of_samples_are_the_samples():
    torch.manual_seed(1)
    waves, lengths = torch.randn(4, 16000), torch.tensor([16000, 15999, 160, 159])
    frontend = WaveformConfig().build()
    feats = frontend(Padded(waves, lengths))
    assert feats.data.shape == (4, 100, frontend.feature_dim) and feats.lengths.tolist() == [100, 99, 1, 0]
    for row, frames in enumerate(feats.lengths.tolist()):
        assert torch.equal(feats.data[row, :frames].flatten(), waves[row, : 160 * frames])
        assert not feats.data[row, frames:].any()
    with pytest.raises(ConfigError, match="22050"):
        WaveformConfig(22050).build()


def test_long_batches_are_cut_into_blocks_without_a_trace():
    torch.manual_seed(2)
    fbank, waves = FbankConfig().build(), torch.randn(2, 60 * 16000)
    both = fbank(Padded(waves, torch.tensor([960000, 960000])))
    torch.testing.assert_close(both.data[1], fbank(_one(waves[1])).data[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options, said",
    [({"dither": 0.1}, "dither"), ({"high_freq": 9000}, "9000"), ({"num_mel_bins": 0}, "num_mel_bins")],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(ConfigError, match=said):
        FbankConfig(**options).build()


def test_a_backend_is_named_and_never_replaced():
    with pytest.raises(ConfigError, match="kaldifaet"):
        from_tree(FbankConfig, {"backend": "kaldifaet"})
    try:
        import kaldifeat  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="install"):
            FbankConfig(backend="kaldifeat").build()


def _feats(lengths, frames=200):
    torch.manual_seed(3)
    feats = Padded(torch.randn(len(lengths), frames, 80) + 5, torch.tensor(lengths))
    return Padded(feats.data * feats.mask()[..., None], feats.lengths)


def _augment(feats, seed=0, **options):
    return AugmentConfig(**options).build()(feats, torch.Generator().manual_seed(seed))


NONE = dict(probability=1.0, num_frequency_masks=0, num_time_masks=0)


def test_masks_stay_in_the_clip_and_within_their_share():
    feats = _feats([200, 120, 9, 1])
    for seed in range(20):
        out = _augment(feats, seed, probability=1.0, num_frequency_masks=0, max_time_fraction=0.2)
        changed = (out.data != feats.data).all(dim=2)
        assert (changed.sum(dim=1) <= 0.2 * feats.lengths).all()
        assert not out.data[~feats.mask()].any()
        out = _augment(feats, seed, probability=1.0, num_time_masks=0, max_frequency=10)
        assert (out.data != feats.data)[0].all(dim=0).sum() <= 20


def test_masks_hold_the_mean_of_the_clip_alone():
    feats = _feats([200, 50])
    out = _augment(feats, probability=1.0, num_frequency_masks=2)
    for row, n in enumerate([200, 50]):
        changed = out.data[row, :n][out.data[row, :n] != feats.data[row, :n]]
        torch.testing.assert_close(changed, feats.data[row, :n].mean().expand_as(changed))


def test_the_same_generator_gives_the_same_result_and_the_input_is_kept():
    feats = _feats([200, 150])
    before = feats.data.clone()
    options = dict(time_warp=20, gain_db=6.0, tilt_db=3.0, frequency_shift=4.0)
    assert torch.equal(_augment(feats, 1, **options).data, _augment(feats, 1, **options).data)
    assert not torch.equal(_augment(feats, 1, **options).data, _augment(feats, 2, **options).data)
    assert torch.equal(feats.data, before)
    assert torch.equal(_augment(feats, **NONE).data, feats.data)


def test_gain_is_one_constant_per_clip():
    feats = _feats([200, 150])
    moved = (_augment(feats, gain_db=6.0, **NONE).data - feats.data)[0]
    torch.testing.assert_close(moved, moved[:1, :1].expand_as(moved), atol=1e-5, rtol=0)
    assert 0 < moved.abs().max() <= 0.6 * math.log(10) + 1e-5


def test_a_shift_moves_the_spectrum_and_repeats_the_edge():
    from audiotext.frontend.augment import shift_frequency

    data = torch.arange(80.0).expand(2, 3, 80)
    out = shift_frequency(data, torch.tensor([2.0, -1.5]))
    torch.testing.assert_close(out[0, 0], (torch.arange(80.0) - 2).clamp(min=0))
    torch.testing.assert_close(out[1, 0], (torch.arange(80.0) + 1.5).clamp(max=79))


def test_time_warp_keeps_the_ends_and_the_order():
    ramp = torch.arange(200.0)[None, :, None].expand(3, 200, 80)
    lengths = torch.tensor([200, 60, 2])
    feats = Padded(ramp * (torch.arange(200)[None, :, None] < lengths[:, None, None]), lengths)
    for seed in range(10):
        out = _augment(feats, seed, time_warp=30, **NONE).data[..., 0]
        for row, n in enumerate([200, 60, 2]):
            assert out[row, 0] == 0 and abs(out[row, n - 1] - (n - 1)) < 1e-3
            assert (out[row, 1:n] >= out[row, : n - 1]).all()
            assert not out[row, n:].any()


def test_augment_options_are_checked():
    with pytest.raises(ConfigError, match="probability"):
        AugmentConfig(probability=1.5)
    with pytest.raises(ConfigError, match="gain_db"):
        AugmentConfig(gain_db=-1.0)
