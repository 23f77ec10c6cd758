"""Index, examples and loader: what the trainer gets, repeatable in any order, process and after any resume."""

import gzip
import json

import numpy as np
import pytest
import soundfile
import torch

from audiotext.data.corpus import Clip, DataError, Decoded
from audiotext.data.dataset import AudioTextDataset, BadClip, collate
from audiotext.data.features import extract_features
from audiotext.data.index import ManifestIndex
from audiotext.data.loader import make_loader
from audiotext.data.manifest import clip_to_cut, write_manifest
from audiotext.data.sampling import SamplerConfig
from audiotext.frontend.fbank import FbankConfig


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """24 clips of 0.5 to 3 s: (manifest without features, the same with)."""
    folder = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(0)
    cuts = []
    for i in range(24):
        samples = round(16000 * (0.5 + 2.5 * i / 23))
        soundfile.write(folder / f"{i}.wav", 0.1 * rng.standard_normal(samples), 16000)
        captions = [f"caption {k} of {i}" for k in range(1 + i % 3)]
        domain = ("speech", "music", "sound")[i % 3]
        clip = Clip(f"c{i}", folder / f"{i}.wav", captions, ["human"] * len(captions), domain, "toy", "CC0-1.0",
                    labels={"number": i})  # fmt: skip
        cuts.append(clip_to_cut(clip, Decoded("", 16000, samples, 1, 0, samples / 16000)))
    write_manifest(cuts, folder / "plain.jsonl")
    extract_features(folder / "plain.jsonl", folder / "feats.jsonl", FbankConfig())
    return folder / "plain.jsonl", folder / "feats.jsonl"


def _loader(manifest, workers=0, **options):
    where = {k: options.pop(k) for k in ("epoch", "position", "weights") if k in options}
    dataset = AudioTextDataset(ManifestIndex(manifest), **({"max_clip_seconds": 2.0, "seed": 7} | options))
    return make_loader(dataset, SamplerConfig(max_duration=8.0, buckets=3), workers, seed=7, **where)


def _same(a, b):
    return (a.ids, a.caption, a.labels) == (b.ids, b.caption, b.labels) and torch.equal(a.feats.data, b.feats.data)


def test_index_reads_plain_and_zipped(manifests, tmp_path):
    index = ManifestIndex(manifests[1])
    assert len(index) == 24 and index.feature_dim == 80 and index.domains[:3] == ["speech", "music", "sound"]
    assert index.cut(20).id == "c20" and index.cut(3).id == "c3" and index.caption_counts[:3].tolist() == [1, 2, 3]
    with gzip.open(tmp_path / "z.jsonl.gz", "wb") as file:
        file.write(manifests[1].read_bytes())
    zipped = ManifestIndex(tmp_path / "z.jsonl.gz")
    assert zipped.ids == index.ids and zipped.cut(20) == index.cut(20)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda c: c.pop("duration"), "duration"),
        (lambda c: c.update(duration=-1), "duration"),
        (lambda c: c.pop("id"), "id"),
        (lambda c: c.update(id="c0"), "twice"),
        (lambda c: c.update(type="Photo"), "MonoCut"),
        (lambda c: c["supervisions"][0]["custom"].update(caption="text"), "list"),
        (lambda c: c["supervisions"][0]["custom"].update(caption=[" "]), "empty"),
        (lambda c: c["supervisions"][0]["custom"].update(caption=[3]), "not text"),
        (lambda c: c["supervisions"][0]["custom"].update(caption=[]), "no caption"),
    ],
)
def test_a_wrong_line_is_named(manifests, tmp_path, change, said):
    lines = manifests[0].read_text().splitlines()
    cut = json.loads(lines[1])
    change(cut)
    lines[1] = json.dumps(cut)
    (tmp_path / "bad.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=f"bad.jsonl:2.*{said}"):
        ManifestIndex(tmp_path / "bad.jsonl")


def test_an_epoch_holds_every_clip_once_with_all_its_fields(manifests):
    loader = _loader(manifests[1])
    batches = list(loader)
    assert len(batches) == len(loader) and loader.state == (1, 0) and loader.skipped == 0
    assert sorted(i for b in batches for i in b.ids) == sorted(f"c{i}" for i in range(24))
    for batch in batches:
        assert batch.feats.data.dtype == torch.float32 and batch.feats.data.shape[1] == batch.feats.lengths.max() <= 200
        assert not batch.feats.data[~batch.feats.mask()].any()
        torch.testing.assert_close(batch.durations, batch.feats.lengths / 100, atol=0.006, rtol=0)
        for id_, captions, caption, labels in zip(
            batch.ids, batch.captions, batch.caption, batch.labels, strict=True
        ):
            assert caption in captions and labels["number"] == int(id_[1:]) and len(captions) == 1 + int(id_[1:]) % 3


@pytest.mark.parametrize("options", [{"workers": 2}, {"cache": True}, {"cache": True, "workers": 2}])
def test_workers_and_cache_change_nothing(manifests, options):
    for epoch in (0, 1):
        plain, other = _loader(manifests[1], epoch=epoch), _loader(manifests[1], epoch=epoch, **options)
        assert all(_same(a, b) for a, b in zip(plain, other, strict=True))


def test_resumes_with_the_next_batch(manifests):
    loader = _loader(manifests[1])
    whole = [(b, loader.state) for _ in range(2) for b in loader]
    for workers in (0, 2):
        for k in (0, 3, len(whole) - 2):
            epoch, position = whole[k][1]
            resumed = _loader(manifests[1], workers, epoch=epoch, position=position)
            assert _same(next(iter(resumed)), whole[k + 1][0]) and resumed.state == whole[k + 1][1]
    assert not _same(whole[0][0], whole[len(whole) // 2][0])


def test_state_counts_what_was_handed_out_not_what_workers_prepared(manifests):
    loader = _loader(manifests[1], workers=2)
    batches = iter(loader)
    next(batches), next(batches)
    assert loader.state == (0, 2)


def test_crops_and_captions_change_with_the_epoch_alone(manifests):
    index = ManifestIndex(manifests[1])
    dataset = AudioTextDataset(index, max_clip_seconds=1.0, seed=1)
    again = AudioTextDataset(index, max_clip_seconds=1.0, seed=1)
    assert torch.equal(dataset[(3, 23)].feats, again[(3, 23)].feats) and dataset[(3, 23)].feats.shape == (100, 80)
    assert len({float(dataset[(e, 23)].feats.sum()) for e in range(6)}) == 6
    assert {dataset[(e, 23)].caption for e in range(30)} == {f"caption {k} of 23" for k in range(3)}
    centre = AudioTextDataset(index, max_clip_seconds=1.0, crop="center", caption_choice="first")
    whole = AudioTextDataset(index)[23].feats
    assert torch.equal(centre[(5, 23)].feats, whole[100:200]) and centre[(5, 23)].caption == "caption 0 of 23"


def test_every_caption_can_be_an_example(manifests):
    dataset = AudioTextDataset(ManifestIndex(manifests[1]), caption_choice="all")
    assert len(dataset) == len(dataset.durations) == 8 * (1 + 2 + 3)
    assert [dataset[i].caption for i in range(3)] == ["caption 0 of 0", "caption 0 of 1", "caption 1 of 1"]


def test_audio_without_features_gives_nearly_the_same(manifests):
    stored = AudioTextDataset(ManifestIndex(manifests[1]))
    live = AudioTextDataset(ManifestIndex(manifests[0]), FbankConfig().build())
    for i in (0, 11, 23):
        torch.testing.assert_close(live[i].feats, stored[i].feats, atol=4e-3, rtol=0)
    with pytest.raises(DataError, match="audiotext features"):
        AudioTextDataset(ManifestIndex(manifests[0]))


@pytest.mark.parametrize("cache", [False, True])
def test_bad_clips_are_left_out_and_counted(manifests, tmp_path, cache):
    lines = [json.loads(line) for line in manifests[0].read_text().splitlines()]
    for cut in lines[::4]:
        cut["recording"]["sources"][0]["source"] = str(tmp_path / "gone.wav")
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, lines)))
    loader = _loader(tmp_path / "some.jsonl", frontend=FbankConfig().build(), cache=cache)
    assert sum(len(b) for b in loader) == 18 and loader.skipped == 6
    bad = loader.dataset[0]
    assert isinstance(bad, BadClip) and bad.id == "c0" and "gone.wav: cannot be decoded: no such file" in bad.reason
    for cut in lines:
        cut["recording"]["sources"][0]["source"] = str(tmp_path / "gone.wav")
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="not one clip"):
        list(_loader(tmp_path / "all.jsonl", frontend=FbankConfig().build(), cache=cache))


def test_collate_refuses_unlike_widths(manifests):
    a, b = AudioTextDataset(ManifestIndex(manifests[1]))[0], AudioTextDataset(ManifestIndex(manifests[1]))[1]
    object.__setattr__(b, "feats", b.feats[:, :40])
    with pytest.raises(DataError, match="mel bins"):
        collate([a, b])
