"""Curation on planted trouble: duplicates, leaks, bad captions; splits that hold still; outputs that ignore order."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import re
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

from audiotext.cli.main import main
from audiotext.config import ConfigError
from audiotext.curate import joined, ranges, statistics, work
from audiotext.curate.captions import clean_captions, near_repetitions, usable
from audiotext.curate.duplicates import same_recordings
from audiotext.curate.entry import Entry, seeded_number
from audiotext.curate.nested import check_sizes, nested_ranks, parse_sizes
from audiotext.curate.pipeline import CurateConfig, run
from audiotext.curate.subsets import HELDOUT, SubsetConfig, split_subsets, water_fill
from audiotext.curate.tally import EXAMPLES, Tally
from audiotext.data.corpus import DataError
from audiotext.data.manifest import read_manifest, write_manifest

RATE = 8000


def write_audio(path: Path, seed: int) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(seed).uniform(-0.1, 0.1, RATE // 10), RATE)
    return path


def cut(folder: Path, id: str, captions: list[str], audio: int | None = None, styles=None, **custom) -> MonoCut:
    """A tenth of a second of noise; equal ``audio`` numbers are equal recordings. With ``seconds`` it is of that length
    by its manifest alone, which knows the hash too."""
    start, seconds = custom.pop("start", 0.0), custom.pop("seconds", None)
    number = int(hashlib.sha256(id.encode()).hexdigest()[:6], 16) if audio is None else audio
    path = write_audio(folder / "audio" / f"{number}.wav", number)
    fields = {"domain": "sound", "source": "s", "licence": "CC0", "split": "train", "family": id, "labels": {}}
    styles = styles or ["description"] * len(captions)
    custom = fields | {"questions": [], "caption": captions, "caption_style": styles} | custom
    recording = Recording(id, [AudioSource("file", [0], str(path))], RATE, RATE // 10, 0.1, channel_ids=[0])
    segment = SupervisionSegment(id, id, 0.0, 0.1, 0, text=captions[0], custom=custom)
    if seconds:
        custom["sha256"] = hashlib.sha256(str(number).encode()).hexdigest()
    seconds = seconds or 0.1 - start
    return MonoCut(id=id, start=start, duration=seconds, channel=0, recording=recording, supervisions=[segment])


def entry(*args, **fields) -> Entry:
    return Entry(cut(*args, **fields).to_dict())


def curate(folder: Path, *cuts, nj: int = 1, heldout: int = 0, valid: int = 0, **options) -> SimpleNamespace:
    """Curate ``cuts``, and one more, so that there is always something to pretrain on."""
    write_manifest([*cuts, cut(folder, "~", ["waves roll in on a long shore"])], folder / "in/cuts.jsonl")
    config = CurateConfig(60, subsets=SubsetConfig(heldout=heldout, valid=valid), **options)
    summary = run([folder / "in"], folder / "out", config, nj)
    return outcome(folder / "out", summary)


def outcome(out: Path, summary=None) -> SimpleNamespace:
    kept = {p.stem: [Entry(json.loads(line)) for line in p.open()] for p in out.glob("*.jsonl")
            if p.stem != "removed"}  # fmt: skip
    removed = [json.loads(line) for line in (out / "removed.jsonl").open()]
    leaks = [line.split("\t") for line in (out / "leaks.tsv").read_text().splitlines()[1:]]
    return SimpleNamespace(**kept, reasons={r["id"]: r["reason"] for r in removed if "caption" not in r}, leaks=leaks,
                           removed=removed, summary=summary, out=out)  # fmt: skip


def ids(found: list[Entry]) -> list[str]:
    return [each.id for each in found if each.id != "~"]


# -- steps ------------------------------------------------------------------------------------------------------------


def test_captions_are_dropped_by_named_rules_and_repetitions_once():
    pairs = [("A dog  barks", "description"), ("a dog barks!", "human"), ("<b>x</b>", "human"), ("x", "filename")]
    kept, dropped = usable(pairs)
    assert kept == [("A dog barks", "description")]
    assert [reason for _, reason in dropped] == ["repeated", "markup", "too short"]


def test_captions_are_mended_counted_and_mended_once(tmp_path):
    texts = ["cafÃ© &amp;  bar", "The audio contains rain.", "asd \ufffd", "a dog barks"]
    tally = Tally()
    first, bare = entry(tmp_path, "a", texts), entry(tmp_path, "b", ["rain\ufffd"])
    removed = [*clean_captions(first, tally), *clean_captions(bare, tally)]
    assert first.captions == ["café & bar", "The audio contains rain.", "a dog barks"]
    assert [(r.id, r.reason) for r in removed] == [
        ("a", "bad encoding"), ("b", "bad encoding"), ("b", "no caption left (bad encoding)")
    ]  # fmt: skip
    assert {key: sum(sources.values()) for key, sources in tally.counts.items()} == {
        ("captions mended", "encoding"): 1, ("captions mended", "entities"): 1, ("captions mended", "whitespace"): 1,
        ("captions kept", "opening: the audio contains"): 1,
    }  # fmt: skip
    again = Tally()
    assert clean_captions(first, again) == [] and ("captions mended", "encoding") not in again.counts


def test_a_report_draws_twenty_examples_whatever_the_order():
    things = [(f"{i:03}", f"text {i} " + "long " * 100) for i in range(100)]
    pages = []
    for seed in (0, 0, 1):
        random.Random(len(pages)).shuffle(things)
        tally, parts = Tally(seed), [Tally(seed), Tally(seed)]
        for i, (id, text) in enumerate(things):
            parts[i % 2].add("captions", "markup", "s", id, text)
        for part in parts:
            tally.take(json.loads(json.dumps(part.tree())))
        pages.append(tally.markdown())
        assert len(tally.examples("captions", "markup")) == EXAMPLES == 20
    assert pages[0] == pages[1] != pages[2]
    assert "| captions | markup | 100 | s 100 |" in pages[0] and "20 of 100" in pages[0] and len(pages[0]) < 20 * 300


def test_captions_that_say_nearly_the_same_are_found():
    words = [
        text.split() for text in ("a dog barks", "barks a dog", "a cat", "the cat sleeps on a mat by the old door")
    ]
    assert near_repetitions(words) == [(0, 1)]


def test_duplicates_merge_captions_labels_and_families(tmp_path):
    found = curate(
        tmp_path,
        cut(tmp_path, "b", ["a dog barks", "an animal"], audio=1, family="dogs", source="t"),
        cut(tmp_path, "a", ["A dog barks.", "a hound"], audio=1, family="hounds", labels={"animal": "dog"}),
        cut(tmp_path, "c", ["another hound"], audio=2, family="dogs", source="t"),
        cut(tmp_path, "d", ["a cat"], audio=3, family="cats"),
    )
    assert ids(found.pretrain) == ["a", "c", "d"]
    a, c, d = found.pretrain[:3]
    assert a.captions == ["A dog barks.", "a hound", "an animal"] and a.custom["caption_source"] == ["s", "s", "t"]
    assert a.labels == {"animal": "dog"} and "caption_source" not in c.custom
    assert a.group == c.group == "s/hounds" and d.group == "s/cats"
    assert found.reasons == {"b": "same recording as a"}


def test_a_duplicate_of_a_test_clip_becomes_the_test_clip(tmp_path):
    found = curate(
        tmp_path,
        cut(tmp_path, "a", ["a drum"], audio=1),
        cut(tmp_path, "z", ["snare"], audio=1, split="test", labels={"drum_type": "snare"}),
        cut(tmp_path, "m", ["kick drum"], audio=1, labels={"drum_type": "kick"}),
    )
    assert ids(found.pretrain) == ids(found.probe) == [], "duplicates disagree about the label"
    assert found.reasons["z"] == "test clip of an evaluation" and any(r["step"] == "labels" for r in found.removed)
    assert [row[0] for row in found.leaks] == ["a", "m"], "what became a test clip is told"


def test_one_clip_of_several_corpora_is_known_by_where_it_was_published(tmp_path):
    def clip(id, origin, **fields):
        return cut(tmp_path, id, [f"sound {id}"], origin=origin, source=id[0], seconds=10.0, **fields)

    found = curate(
        tmp_path,
        clip("a1", "youtube:-bcdefghij_@30-40"),
        clip("b1", "youtube:-bcdefghij_@30.4-40.3"),
        clip("c1", "youtube:-bcdefghij_@30"),
        clip("a2", "youtube:-bcdefghij_@31-41"),
        clip("b2", "youtube:-bcdefghij-@30-40"),
        clip("a3", "freesound:17"),
        clip("b3", "freesound:17"),
        clip("a4", "freesound:17@5-15"),
        clip("c4", "youtube:abcdefghijk@0-30"),
        clip("d4", "youtube:abcdefghijk@0-30"),  # of both some 20 s are missing, and not the same ones maybe
    )
    assert ids(found.pretrain) == ["a1", "a2", "a3", "a4", "b2", "c4", "d4"]
    assert found.pretrain[0].captions == ["sound a1", "sound b1", "sound c1"]
    assert found.pretrain[0].custom["caption_source"] == ["a", "b", "c"]
    assert list(read_manifest(found.out / "pretrain.jsonl")), "the fields are those of a manifest"


def test_excerpts_are_compared_with_the_first_that_is_alike():
    count = 4
    columns = dict.fromkeys(("content0", "content1"), np.arange(count, dtype=np.uint64))
    columns |= dict.fromkeys(("place0", "place1"), np.ones(count, np.uint64))
    columns |= {"begin": np.array([0.8, 0.4, 0.0, 5.0]), "end": np.array([10.8, 10.4, 10.0, 15.0])}
    rows, recording = same_recordings(columns, 0.5)
    assert rows.tolist() == [1, 2] and len(set(recording.tolist())) == 1


def test_one_id_for_two_recordings_is_an_error(tmp_path):
    for i in range(2):
        write_manifest([cut(tmp_path, "a", ["one"], audio=i)], tmp_path / f"in/{i}/cuts.jsonl")
    with pytest.raises(DataError, match="'a' names different recordings in .*0/cuts.jsonl and .*1/cuts.jsonl"):
        run([tmp_path / "in"], tmp_path / "out")
    write_manifest([cut(tmp_path, id, ["one"], audio=1) for id in "abca"], tmp_path / "in/0/cuts.jsonl")
    with pytest.raises(DataError, match="cuts.jsonl:4: id 'a' stands on line 1 already"):
        run([tmp_path / "in/0"], tmp_path / "out")


def test_test_clips_and_their_families_leave_with_evidence(tmp_path):
    found = curate(
        tmp_path,
        cut(tmp_path, "test", ["snare"], split="test", labels={"drum_type": "snare"}, family="kit"),
        cut(tmp_path, "train", ["snare"], labels={"drum_type": "snare"}, family="other kit"),
        cut(tmp_path, "sibling", ["tom"], family="kit"),
        cut(tmp_path, "namesake", ["tom"], family="kit", source="elsewhere"),
    )
    assert ids(found.pretrain) == ["namesake", "train"] and ids(found.probe) == ["test", "train"]
    assert found.reasons == {
        "test": "test clip of drum_type",
        "sibling": "family s/kit of the test clip test",
    }


def test_a_probes_own_training_clips_stay_and_are_counted(tmp_path, caplog):
    found = curate(
        tmp_path,
        cut(tmp_path, "test", ["piano"], split="test", labels={"midi_family": "piano"}, family="piano"),
        cut(tmp_path, "train", ["piano"], labels={"midi_family": "piano"}, family="piano"),
        cut(tmp_path, "other probe", ["piano"], labels={"game_sound": "music"}, family="piano"),
    )
    assert ids(found.pretrain) == ["train"]
    assert "midi_family: 1 training clips share a family" in caplog.text


def test_planted_leaks_of_each_kind_are_found_and_no_others(tmp_path):
    youtube = [f"-_Y{i:08}" for i in range(6)]
    keys = tmp_path / "keys.tsv"
    rows = [(f"youtube:{youtube[0]}@30-40", "audiocaps", "x"), (f"youtube:{youtube[1]}", "vggsound", "y"),
            ("freesound:12", "fsd50k", "12"), ("sha256:" + "a" * 64, "esc50", "1-12.wav")]  # fmt: skip
    keys.write_text("key\tset\titem\n" + "".join("\t".join(row) + "\n" for row in rows))
    matches = tmp_path / "matches.tsv"
    matches.write_text("id\tset\titem\tscore\tseconds\nalike\tclotho\train.wav\t0.95\t7.5\n")

    def clip(id, origin="", **fields):
        return cut(tmp_path, id, [f"sound {id}"], origin=origin, **fields)

    planted = [
        clip("overlap", f"youtube:{youtube[0]}@39-49"), clip("inside", f"youtube:{youtube[0]}"),
        clip("whole", f"youtube:{youtube[1]}@100-110"), clip("freesound", "freesound:12"),
        clip("file", sha256="a" * 64), clip("alike"), clip("of the test clip", f"youtube:{youtube[2]}@8-18"),
        clip("same bytes", sha256="b" * 64),
    ]  # fmt: skip
    innocent = [
        clip("touches", f"youtube:{youtube[0]}@40-50"), clip("other id", f"youtube:{youtube[4]}@30-40"),
        clip("other number", "freesound:123"),
    ]  # fmt: skip
    tests = [
        clip("t1", f"youtube:{youtube[2]}@0-10", split="test"),
        clip("t2", sha256="b" * 64, split="test", start=0.05),
    ]
    found = curate(tmp_path, *planted, *innocent, *tests, evaluation=(str(keys),), audio_matches=str(matches))
    assert {row[0] for row in found.leaks} == {c.id for c in planted}
    assert set(ids(found.pretrain)) == {c.id for c in innocent}
    evidence = {row[0]: row[1:5] for row in found.leaks}
    assert evidence["overlap"] == ["s", "audiocaps", "x", "youtube"] and evidence["alike"][3] == "audio"
    assert evidence["file"][3] == "sha256" and evidence["of the test clip"][2] == "t1"
    assert found.reasons["alike"] == "in evaluation set, see leaks.tsv"


def test_what_sounds_like_a_test_clip_trains_no_probe_either(tmp_path):
    matches = tmp_path / "matches.tsv"
    matches.write_text("id\tset\titem\tscore\tseconds\na\ts test\tt\t0.95\t7.5\n")
    label = {"labels": {"game_sound": "door"}}
    clips = [cut(tmp_path, "a", ["x y"], **label), cut(tmp_path, "b", ["y z"], **label)]
    test = cut(tmp_path, "t", ["z x"], split="test", **label)
    found = curate(tmp_path, *clips, test, audio_matches=str(matches))
    assert ids(found.probe) == ["b", "t"] and ids(found.pretrain) == ["b"]


def test_clips_that_share_audio_are_one_family(tmp_path):
    """Two chains of clips, each through three families: they stay together, whatever is held out."""
    table = tmp_path / "duplicates.tsv"
    rows = [(f"{x}{i}", "s", f"{x}{i + 1}", "0.9", "2.0") for x in "ab" for i in range(2)]
    table.write_text("id\tset\titem\tscore\tseconds\n" + "".join("\t".join(row) + "\n" for row in rows))
    clips = [cut(tmp_path, f"{x}{i}", [f"{x} number {i}"], family=f"{x}{i}") for x in "abcdefgh" for i in range(3)]
    clips += [cut(tmp_path, "sibling", ["of a0"], family="a0")]
    for seed in range(6):
        out = tmp_path / str(seed)
        found = curate(out, *clips, heldout=5, valid=5, seed=seed, audio_duplicates=str(table))
        side = {id: name for name in ("pretrain", "valid", "heldout") for id in ids(getattr(found, name))}
        assert len({side[id] for id in ("a0", "a1", "a2", "sibling")}) == len({side[f"b{i}"] for i in range(3)}) == 1
        groups = {e.id: e.group for name in ("pretrain", "valid", "heldout") for e in getattr(found, name)}
        assert groups["a2"] == groups["sibling"] == "s/a0" and groups["c1"] == "s/c1"


def test_licences_are_let_in_by_name(tmp_path):
    found = curate(
        tmp_path,
        cut(tmp_path, "a", ["rain"], licence="CC-BY-4.0"), cut(tmp_path, "b", ["hail"], licence="CC-BY-NC-4.0"),
        cut(tmp_path, "c", ["snow"], licence="CC-BY-4.0", audio=2), cut(tmp_path, "d", ["sleet"], licence="x", audio=2),
        cut(tmp_path, "t", ["test"], licence="x", split="test"), licences="CC0 CC-BY",
    )  # fmt: skip
    assert ids(found.pretrain) == ["a", "c"] and found.reasons["t"] == "test clip of an evaluation"
    assert (
        found.reasons["b"] == "licence CC-BY-NC-4.0 is not let in"
        and "| licences |" in (found.out / "report.md").read_text()
    )


def corpus(folder: Path, families: int = 60) -> list:
    """Three domains of families of one to three clips, some with file names only, some with probe labels."""
    cuts = []
    for domain in ("speech", "music", "sound"):
        for f in range(families):
            for i in range(f % 3 + 1):
                styles = ["filename"] if f % 5 == 4 else ["description"]
                labels = {"game_sound": "door"} if domain == "sound" and f % 10 == 0 else {}
                split = "test" if labels and f >= 40 else "train"
                fields = dict(styles=styles, domain=domain, labels=labels, split=split, family=f"{domain}{f}")
                cuts.append(cut(folder, f"{domain}-{f}-{i}", [f"{domain} number {f} take {i}"], **fields))
    return cuts


def by_numbers(cuts: list, seed: int, config: SubsetConfig) -> dict[str, int]:
    """Id -> subset, where only numbers are looked at."""
    found = [Entry(c.to_dict()) for c in cuts]
    domains = sorted({e.domain for e in found})
    columns = [np.array([seeded_number(seed, e.group) for e in found], np.uint64),
               np.array([domains.index(e.domain) for e in found], np.uint16),
               np.array([e.styles == ["description"] for e in found]),
               np.array([bool(e.labels) for e in found])]  # fmt: skip
    return dict(zip([e.id for e in found], split_subsets(*columns, config).tolist(), strict=True))


def test_subsets_hold_whole_describing_families_balanced_over_domains(tmp_path):
    found = curate(tmp_path, *corpus(tmp_path), heldout=30, valid=15)
    groups = [{e.group for e in part} for part in (found.pretrain, found.valid, found.heldout)]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert len(found.heldout) == 30 and len(found.valid) == 15
    assert {d: sum(e.domain == d for e in found.heldout) for d in ("speech", "music", "sound")} == dict(
        speech=10, music=10, sound=10
    )
    for each in found.heldout + found.valid:
        assert each.styles == ["description"] and not each.labels


def test_a_split_holds_still_when_clips_are_added_and_moves_with_the_seed(tmp_path):
    cuts, config = corpus(tmp_path), SubsetConfig(heldout=30, valid=15)
    more = cuts + [cut(tmp_path, f"new-{i}", ["a new sound"], family=f"new{i}") for i in range(5)]
    split = [by_numbers(cuts, 0, config), by_numbers(more, 0, config), by_numbers(cuts, 1, config)]
    before, after, other = ({id for id, subset in each.items() if subset == HELDOUT} for each in split)
    assert len(before) == 30 and len(before & after) >= 24 and before != other


def test_a_small_corpus_says_that_it_holds_out_less(tmp_path, caplog):
    split = by_numbers(corpus(tmp_path, 6), 0, SubsetConfig(heldout=330))
    assert 0 < list(split.values()).count(HELDOUT) < 330 and 0 in split.values()
    assert "heldout: 330 clips asked for" in caplog.text


def test_water_fills_what_small_domains_cannot_hold():
    assert water_fill({"a": 10, "b": 100, "c": 100}, 90) == {"a": 10, "b": 40, "c": 40}
    assert sum(water_fill({"a": 100, "b": 100, "c": 100}, 100).values()) == 100


def test_statistics_are_counted_by_hand(tmp_path):
    cuts = [
        cut(tmp_path, "a", ["a dog barks", "dog"], styles=["human", "filename"]),
        cut(tmp_path, "b", ["A dog!"], domain="music"),
    ]
    write_manifest(cuts, tmp_path / "in/cuts.jsonl")
    config = CurateConfig(30, subsets=SubsetConfig(heldout=0, valid=0), nested=("50%", "100%"))
    tables = run([tmp_path / "in"], tmp_path / "out", config).statistics
    tree, row = tables["pretrain"], tables["pretrain"]["total"]
    assert (row["clips"], row["captions"], row["distinct words"]) == (2, 3, 3)
    assert row["distinct-1"] == 0.5 and row["distinct-2"] == pytest.approx(2 / 3, abs=1e-4)
    assert row["words per caption"] == 2.0
    assert tree["style"]["filename"]["captions"] == 1 and set(tree["domain"]) == {"sound", "music"}
    assert tables["pretrain-100%"] == tree and tables["pretrain-50%"]["total"]["clips"] == 1
    assert tables["valid"]["total"]["clips"] == 0 and not tables["valid"]["domain"]
    assert "| total | 2 |" in statistics.table({"total": row}, "x")


def test_nested_subsets_are_nested_stable_and_in_proportion():
    names = [f"big{i}" for i in range(90)] + [f"small{i}" for i in range(10)]

    def order(names: list[str], seed: int = 0) -> list[str]:
        hashes = np.array([seeded_number(seed, name) for name in names], np.uint64)
        ranks = nested_ranks(hashes, np.array([name.startswith("small") for name in names], np.uint16))
        return [names[i] for i in np.argsort(ranks)]

    whole = order(names)
    assert order(random.Random(0).sample(names, len(names))) == whole != order(names, 1)
    assert [n for n in whole if n.startswith("big")] == order(names[:90]), "another source changes no order"
    sizes = parse_sizes(["7", "25%", "0.5", "0.05k"], 100)
    assert sizes == {"7": 7, "25%": 25, "0.5": 50, "0.05k": 50}
    assert sum(name.startswith("small") for name in whole[:50]) == 5


@pytest.mark.parametrize("size", ["many", "0", "101", "1m", "101%", "-5", "1e2", ""])
def test_a_size_that_cannot_be_is_told(size):
    with pytest.raises(ConfigError, match=re.escape(repr(size))):
        parse_sizes([size], 100)
    if not re.fullmatch(r"\d+[m%]?", size):
        with pytest.raises(ConfigError, match=re.escape(repr(size))):
            CurateConfig(nested=(size,))
    with pytest.raises(ConfigError, match="at most"):
        check_sizes(["1"] * 16)


# -- the whole --------------------------------------------------------------------------------------------------------


def planted(folder: Path) -> list:
    extra = [
        cut(folder, "copy", ["another caption"], audio=None, family="copies"),
        cut(folder, "original", ["a caption"], family="originals"),
        cut(folder, "bad", ["<html>"], family="bad"),
    ]
    extra[0].recording.sources[0].source = extra[1].recording.sources[0].source
    return corpus(folder, 20) + extra


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


WHOLE = CurateConfig(60, subsets=SubsetConfig(heldout=12, valid=6), nested=("20", "50%"), piece=4000)
"""Some twenty pieces."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Manifests, and what an undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("reference")
    cuts = planted(folder)
    for part in range(2):
        write_manifest(cuts[part::2], folder / "in" / f"part{part}" / "cuts.jsonl")
    run([folder / "in"], folder / "out", WHOLE)
    return folder / "in", digest(folder / "out")


def test_outputs_do_not_depend_on_order_pieces_or_processes(tmp_path, reference):
    folder, wanted = reference
    cuts = [c for part in range(2) for c in read_manifest(folder / f"part{part}/cuts.jsonl")]
    random.Random(1).shuffle(cuts)
    for part in range(3):
        write_manifest(cuts[part::3], tmp_path / "in" / f"{part}" / ("cuts.jsonl.gz" if part == 1 else "cuts.jsonl"))
    run([tmp_path / "in"], tmp_path / "out", replace(WHOLE, piece=9000), nj=2)
    assert digest(tmp_path / "out") == wanted
    run([folder / "part1", folder / "part0" / "cuts.jsonl"], tmp_path / "out", replace(WHOLE, piece=1 << 20))
    assert digest(tmp_path / "out") == wanted
    named = [{c.id for c in read_manifest(tmp_path / "out" / f"pretrain{n}.jsonl")} for n in ("-20", "-50%", "")]
    assert named[0] < named[1] < named[2] and len(named[0]) == 20
    assert "## captions: captions: markup" in (tmp_path / "out/report.md").read_text()
    assert set(wanted) == {
        "pretrain.jsonl", "pretrain-20.jsonl", "pretrain-50%.jsonl", "valid.jsonl", "heldout.jsonl", "probe.jsonl",
        "leaks.tsv", "removed.jsonl", "report.md", "curate.json", "statistics.json",
        "statistics.md", "tokenizer/tokenizer.model",
    }  # fmt: skip


def test_a_killed_run_goes_on_and_ends_alike(tmp_path, reference, monkeypatch, caplog):
    """Killed after some pieces, between what a part adds to the outputs and the journal, and in the last moves."""
    caplog.set_level("INFO")
    folder, wanted = reference
    in_order, move, copy = work._in_order, joined.Joined.move, joined.shutil.copyfileobj

    def after(function, calls):
        def counted(*args):
            nonlocal calls
            calls -= 1
            if calls < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args)

        return counted

    def pieces(calls):
        def some(*args):
            for done in in_order(*args):
                nonlocal calls
                calls -= 1
                if calls < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield done

        return some

    kills = [
        (work, "_in_order", pieces(5), 1), (work, "_in_order", pieces(30), 2), (work, "_in_order", pieces(60), 1),
        (joined.shutil, "copyfileobj", after(copy, 25), 1), (joined.Joined, "move", after(move, 2), 1),
    ]  # fmt: skip
    for target, name, deadly, nj in kills:
        with monkeypatch.context() as patch:
            patch.setattr(target, name, deadly)
            process = multiprocessing.get_context("fork").Process(
                target=run, args=([folder], tmp_path / "out", WHOLE, nj)
            )
            process.start()
            process.join(60)
        assert process.exitcode == -signal.SIGKILL and (tmp_path / "out/work/key.json").is_file()
    run([folder], tmp_path / "out", WHOLE)
    assert digest(tmp_path / "out") == wanted
    done = re.findall(r": (\d+) of (\d+) pieces done", caplog.text)
    assert done and all(todo == "0" for todo, _ in done), "all was there"


def test_pieces_bound_what_is_held(tmp_path, monkeypatch):
    cuts = [cut(tmp_path, f"{i:04}", [f"sound number {i}"], audio=i, sha256=f"{i:064}") for i in range(300)]
    write_manifest(cuts, tmp_path / "in/cuts.jsonl")
    size = (tmp_path / "in/cuts.jsonl").stat().st_size
    manifest = ranges.Manifest("in", tmp_path / "in/cuts.jsonl")
    parts = ranges.ranges([manifest], 10_000)
    assert sum(len(list(part.lines())) for part in parts) == 300 and len(parts) == -(-size // 10_000)
    edges = ranges.splitters([manifest], 10_000)
    inside = np.bincount(np.searchsorted(edges, [c.id for c in cuts], side="right"))
    assert inside.sum() == 300 and inside.max() < 3 * 300 / len(parts)
    monkeypatch.setattr(ranges, "LONGEST", 900)
    with (tmp_path / "in/cuts.jsonl").open("ab") as file:
        file.write(b"x" * 5000)
    with pytest.raises(DataError, match="cuts.jsonl:301: the line is longer"):
        run([tmp_path / "in"], tmp_path / "out", replace(WHOLE, piece=100_000))


def test_what_is_curated_stays_as_it_is(tmp_path):
    cuts = planted(tmp_path)
    cuts[0].supervisions[0].custom["caption"] = ["cafÃ©  &amp; rain"]
    write_manifest(cuts, tmp_path / "in/cuts.jsonl")
    none = SubsetConfig(heldout=0, valid=0)
    run([tmp_path / "in"], tmp_path / "once", CurateConfig(60, subsets=none, nested=("30",)))
    run([tmp_path / "once/pretrain.jsonl"], tmp_path / "twice", CurateConfig(60, subsets=none, nested=("30",)))
    for name in ("pretrain.jsonl", "pretrain-30.jsonl", "tokenizer/tokenizer.model"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()
    assert "café & rain" in (tmp_path / "once/pretrain.jsonl").read_text()
    assert not (tmp_path / "twice/removed.jsonl").read_text()
    assert "mended" not in (tmp_path / "twice/report.md").read_text()


def test_every_clip_is_somewhere_and_no_test_clip_trains(tmp_path):
    cuts = planted(tmp_path)
    write_manifest(cuts, tmp_path / "in" / "cuts.jsonl")
    summary = run([tmp_path / "in"], tmp_path / "out", CurateConfig(60, subsets=SubsetConfig(heldout=12, valid=6)))
    ids = {n: {c.id for c in read_manifest(tmp_path / "out" / f"{n}.jsonl")} for n in summary.subsets}
    removed = [json.loads(line) for line in (tmp_path / "out" / "removed.jsonl").read_text().splitlines()]
    gone = {r["id"]: r["step"] for r in removed if "caption" not in r}
    assert set.union(*ids.values()) | set(gone) == {c.id for c in cuts}
    assert gone["bad"] == "captions" and gone["original"] == "duplicates"
    tests = {c.id for c in cuts if c.supervisions[0].custom["split"] == "test"}
    assert tests <= ids["probe"] and not tests & (ids["pretrain"] | ids["valid"] | ids["heldout"])
    assert not ids["probe"] & (ids["valid"] | ids["heldout"])
    assert "clips merged with the same recording" in str(summary) and "| pretrain |" in str(summary)


def test_command_line(tmp_path, capsys):
    write_manifest(corpus(tmp_path, 12), tmp_path / "data" / "noise" / "cuts.jsonl")
    command = ["curate", "--manifests", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main([*command, "--vocab-size", "50", "--heldout", "6", "--valid", "3"]) == 0
    assert "heldout" in capsys.readouterr().out
    assert main(["curate", "--manifests", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "no such file or folder" in capsys.readouterr().err
    (tmp_path / "data" / "noise" / "cuts.jsonl").write_text("{}\n")
    assert main(command) == 1
    assert "cuts.jsonl:1" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit:
        main([*command, "--vocab-size", "many"])
    assert exit.value.code == 2


def test_a_missing_sound_file_is_named(tmp_path, capsys):
    cuts = corpus(tmp_path, 3)
    write_manifest(cuts, tmp_path / "cuts.jsonl")
    Path(cuts[0].recording.sources[0].source).unlink()
    assert main(["curate", "--manifests", str(tmp_path / "cuts.jsonl"), "--out", str(tmp_path / "out")]) == 1
    assert cuts[0].id in capsys.readouterr().err
    assert not (tmp_path / "out/pretrain.jsonl").exists()
