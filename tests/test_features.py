"""Decoding and extraction: rates and channels, bad files, shards, resuming, lhotse's own reading."""

import json
import logging
from fractions import Fraction

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet
from scipy.signal import firwin, resample_poly

from audiotext.cli.main import main
from audiotext.data.audio import AudioError, read_audio, read_cut
from audiotext.data.corpus import Clip, DataError, Decoded
from audiotext.data.features import extract_features
from audiotext.data.index import ManifestIndex
from audiotext.data.manifest import clip_to_cut, read_manifest, write_manifest
from audiotext.data.resample import resample
from audiotext.frontend.fbank import FbankConfig
from audiotext.types import Padded


def _write(path, seconds, rate=16000, channels=1, seed=0):
    wave = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    soundfile.write(path, wave.astype(np.float32), rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return wave


def _cut(path, id_, rate=16000):
    info = soundfile.info(path)
    clip = Clip(id_, path, [f"caption of {id_}", "another"], ["human", "template"], "sound", "toy", "CC0-1.0")
    return clip_to_cut(clip, Decoded("", info.samplerate, info.frames, info.channels, 0, info.duration))


@pytest.fixture
def corpus(tmp_path):
    """Seven clips of several rates and lengths."""
    cuts = []
    for i, (rate, seconds) in enumerate([(16000, 1.0), (44100, 0.63), (8000, 2.2), (22255, 0.5), (16000, 0.1)]):
        _write(tmp_path / f"{i}.wav", seconds, rate, 1 + i % 2, seed=i)
        cuts.append(_cut(tmp_path / f"{i}.wav", f"clip{i}"))
    write_manifest(cuts, tmp_path / "cuts.jsonl")
    return tmp_path / "cuts.jsonl"


def test_audio_is_cut_mixed_and_resampled(tmp_path):
    wave = _write(tmp_path / "a.wav", 1.0, 16000, 2)
    torch.testing.assert_close(read_audio(tmp_path / "a.wav").numpy(), wave.mean(1).astype("f"), atol=1e-6, rtol=0)
    part = read_audio(tmp_path / "a.wav", start=0.25, duration=0.5, channels=[1])
    torch.testing.assert_close(part.numpy(), wave[4000:12000, 1].astype("f"), atol=1e-6, rtol=0)
    for rate in (8000, 44100, 22255):
        tone = torch.sin(2 * torch.pi * 440 * torch.arange(rate) / rate)
        out = resample(tone, rate, 16000)
        wanted = torch.sin(2 * torch.pi * 440 * torch.arange(len(out)) / 16000)
        assert abs(len(out) - 16000) <= 1
        torch.testing.assert_close(out[200:-200], wanted[200:-200], atol=5e-3, rtol=0)


@pytest.mark.parametrize("rate, wanted", [(44100, 16000), (22255, 16000), (48000, 16000), (8000, 16000), (9, 10)])
def test_resampling_equals_scipy(rate, wanted):
    ratio = Fraction(rate, wanted).limit_denominator(640)
    up, down = ratio.denominator, ratio.numerator
    sinc = firwin(32 * max(up, down) + 1, 1 / max(up, down), window=("kaiser", 8.0))
    for samples in (1, 100, 30011):
        wave = np.random.default_rng(0).standard_normal(samples)
        mine = resample(torch.from_numpy(wave), rate, wanted)
        np.testing.assert_allclose(mine, resample_poly(wave, up, down, window=sinc), atol=3e-6)


def test_bad_audio_is_named_with_its_reason(tmp_path):
    _write(tmp_path / "a.wav", 0.5)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(800, np.nan, dtype=np.float32), 16000, subtype="FLOAT")
    for name, said in [("gone.wav", "no such file"), ("text.wav", "decoded"), ("empty.wav", "decoded"),
                       ("none.wav", "no audio"), ("nan.wav", "not finite")]:  # fmt: skip
        with pytest.raises(AudioError, match=said) as error:
            read_audio(tmp_path / name)
        assert name in str(error.value)
    with pytest.raises(AudioError, match="only 0.500 s"):
        read_audio(tmp_path / "a.wav", duration=3.0)
    with pytest.raises(AudioError, match="starts at 9 s"):
        read_audio(tmp_path / "a.wav", start=9.0)


def test_stored_features_are_the_frontends_and_lhotse_reads_them(corpus):
    out = corpus.parent / "features" / "cuts.jsonl"
    summary = extract_features(corpus, out, FbankConfig())
    assert (summary.clips, summary.rejected) == (5, 0) and summary.real_time_factor > 0
    cuts = list(read_manifest(out))
    assert [c.id for c in cuts] == [f"clip{i}" for i in range(5)]
    CutSet.from_file(out).to_eager()
    for cut in cuts:
        wave = read_cut(cut)
        feats = FbankConfig().build()(Padded(wave[None], torch.tensor([len(wave)]))).data[0]
        stored = torch.from_numpy(cut.load_features())
        assert stored.shape == (cut.num_frames, 80) == feats.shape
        torch.testing.assert_close(stored, feats, atol=4e-3, rtol=0)
        assert cut.supervisions[0].custom["caption"][0] == f"caption of {cut.id}"
    part = cuts[2].truncate(offset=0.5, duration=1.0).load_features()
    np.testing.assert_array_equal(part, cuts[2].load_features()[50:150])


def test_bad_clips_are_rejected_and_the_rest_goes_on(corpus):
    (corpus.parent / "1.wav").write_text("broken")
    (corpus.parent / "3.wav").unlink()
    out = corpus.parent / "f.jsonl"
    summary = extract_features(corpus, out, FbankConfig(), shard_clips=2)
    assert (summary.clips, summary.rejected) == (3, 2)
    rejected = [json.loads(line) for line in (corpus.parent / "f.rejected.jsonl").read_text().splitlines()]
    assert [r["id"] for r in rejected] == ["clip1", "clip3"] and "1.wav" in rejected[0]["reason"]
    for wave in corpus.parent.glob("*.wav"):
        wave.write_text("broken")
    with pytest.raises(DataError, match="not one of 5 clips"):
        extract_features(corpus, corpus.parent / "g.jsonl", FbankConfig())


def test_finished_shards_are_kept_for_the_same_input_only(corpus):
    out = corpus.parent / "f.jsonl"
    extract_features(corpus, out, FbankConfig(), shard_clips=2)
    before = out.read_text()
    (folder,) = (corpus.parent / "shards").iterdir()
    kept, lost = folder / "000000.f16", folder / "000001.jsonl"
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    again = extract_features(corpus, out, FbankConfig(), shard_clips=2)
    assert kept.stat().st_mtime_ns == stamp and out.read_text() == before
    assert 0 < again.extracted_seconds < again.seconds
    assert extract_features(corpus, out, FbankConfig(), shard_clips=2).extracted_seconds == 0
    other = extract_features(corpus, out, FbankConfig(num_mel_bins=40), shard_clips=2)
    assert other.extracted_seconds == other.seconds and not folder.exists()
    assert ManifestIndex(out).feature_dim == 40


def test_processes_give_the_same_as_one(corpus):
    one, two = corpus.parent / "one.jsonl", corpus.parent / "two.jsonl"
    extract_features(corpus, one, FbankConfig(), shard_clips=3)
    extract_features(corpus, two, FbankConfig(), nj=2, shard_clips=3)
    for a, b in zip(read_manifest(one), read_manifest(two), strict=True):
        np.testing.assert_array_equal(a.load_features(), b.load_features())


def test_a_shard_that_is_cut_short_is_an_error(corpus):
    out = corpus.parent / "f.jsonl"
    extract_features(corpus, out, FbankConfig())
    (shard,) = (corpus.parent / "shards").glob("*/*.f16")
    cut = list(read_manifest(out))[-1]
    moved = shard.with_name("moved.f16")
    moved.write_bytes(shard.read_bytes()[:1000])
    cut.features.storage_path = str(moved)
    with pytest.raises(ValueError, match="cut short"):
        cut.load_features()


def test_command_line(corpus, capsys):
    out = corpus.parent / "f.jsonl"
    assert main(["features", "--manifest", str(corpus), "--out", str(out), "--set", "num_mel_bins=40"]) == 0
    assert "5 clips" in capsys.readouterr().out and ManifestIndex(out).feature_dim == 40
    for wrong, said in [
        (["--manifest", str(corpus), "--out", str(corpus)], "overwrite"),
        (["--manifest", "gone.jsonl", "--out", str(out)], "gone.jsonl"),
        (["--manifest", str(corpus), "--out", str(out), "--set", "num_mel_bin=3"], "num_mel_bins"),
        (["--manifest", str(corpus), "--out", str(out), "--nj", "0"], "nj"),
    ]:
        assert main(["features", *wrong]) == 1
        assert said in capsys.readouterr().err


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger().handlers.clear()
