"""Preparation: bad clips are rejected with a reason and never stop the rest; manifests are read and written right."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotext.cli import main as cli
from audiotext.data import prepare as module
from audiotext.data.audio import read_audio
from audiotext.data.checked import Seen
from audiotext.data.corpus import Clip, DataError, Rejected
from audiotext.data.manifest import read_manifest, write_manifest
from audiotext.data.prepare import COLUMNS, coverage_table, prepare, read_coverage

RATE = 8000


def tone(path: Path, seconds: float = 0.5, pitch: float = 440.0, channels: int = 1) -> Path:
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * pitch * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([wave * (c == channels - 1) for c in range(channels)], axis=1), RATE)
    return path


def clip(name: str, audio: Path, **fields) -> Clip:
    given = {"captions": ["a beep", "one tone"], "caption_styles": ["template", "filename"], "domain": "sound",
             "source": "demo", "licence": "CC0-1.0", "labels": {"thing": "tone"}, "family": "tones"}  # fmt: skip
    return Clip(id=name, audio=audio, **{**given, **fields})


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_good_clips_become_cuts_that_load(tmp_path):
    clips = [
        clip("mono", tone(tmp_path / "a.wav")),
        clip("right", tone(tmp_path / "b.wav", pitch=300, channels=2)),
        clip("part", tone(tmp_path / "c.wav", 2.0, 500), start=0.5, duration=1.0),
    ]
    coverage = prepare(clips, tmp_path / "out", expected={"train": 3})
    assert coverage.splits["train"] == dict.fromkeys(COLUMNS, 3) | {"excluded": 0}
    assert not coverage.warnings() and coverage.domains == {"sound": 3}
    cuts = {cut.id: cut for cut in read_manifest(tmp_path / "out" / "cuts.jsonl")}
    assert list(cuts) == ["mono", "right", "part"]
    assert cuts["right"].channel == 1  # the side that is not empty
    for name, seconds in (("mono", 0.5), ("right", 0.5), ("part", 1.0)):
        samples = cuts[name].load_audio()
        assert samples.shape == (1, round(seconds * RATE)) and np.abs(samples).max() > 0.2
    segment = cuts["mono"].supervisions[0]
    assert segment.text == "a beep"
    assert segment.custom["caption"] == ["a beep", "one tone"]
    assert segment.custom["caption_style"] == ["template", "filename"]
    assert segment.custom["labels"] == {"thing": "tone"} and segment.custom["family"] == "tones"
    assert read_coverage(tmp_path / "out") == coverage


def test_each_bad_clip_is_rejected_with_its_reason(tmp_path):
    good = tone(tmp_path / "good.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no audio")
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    cut = tone(tmp_path / "cut.flac", 5.0, 333)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    clips = [
        clip("good", good),
        clip("good", tone(tmp_path / "other.wav", pitch=200)),
        clip("gone", tmp_path / "nowhere.wav"),
        clip("empty", tmp_path / "empty.wav"),
        clip("text", tmp_path / "text.wav"),
        clip("silent", tmp_path / "silent.wav"),
        clip("nan", tmp_path / "nan.wav"),
        clip("cut", cut),
        clip("short", tone(tmp_path / "short.wav", 0.05)),
        clip("long", tone(tmp_path / "long.wav", 31)),
        clip("beyond", tone(tmp_path / "d.wav", 1.0, 700), start=0.5, duration=1.0),
        clip("mute", good, captions=["  ", "!"], caption_styles=["human", "human"]),
        clip("number", good, captions=["fine", 3], caption_styles=["human", "human"]),
        clip("string", good, captions="a beep"),
        clip("styles", good, captions=["a", "b"], caption_styles=["human"]),
        clip("noise", good, domain="noise"),
    ]
    coverage = prepare(clips, tmp_path / "out", nj=1)
    reasons = {r["id"]: r["reason"].split(":")[0] for r in lines(tmp_path / "out" / "rejected.jsonl")}
    assert reasons == {
        "good": "duplicate id", "gone": "missing file", "empty": "empty file", "text": "unreadable", "silent": "silent",
        "nan": "not finite", "cut": reasons["cut"], "short": "bad duration", "long": "bad duration",
        "beyond": "truncated", "mute": "no caption", "number": "bad caption", "string": "bad captions",
        "styles": "bad captions", "noise": "unknown domain",
    }  # fmt: skip
    assert reasons["cut"] in ("unreadable", "truncated")
    row = coverage.splits["train"]
    assert row["listed"] == 16 and row["found"] == 15 and row["kept"] == 1
    assert (tmp_path / "out" / "missing.tsv").read_text().splitlines()[1:] == [f"gone\ttrain\t{tmp_path}/nowhere.wav"]
    assert sum(coverage.reasons.values()) == 15
    assert [c.id for c in read_manifest(tmp_path / "out" / "cuts.jsonl")] == ["good"]


def test_of_equal_recordings_the_test_clip_stays(tmp_path):
    same = tone(tmp_path / "a.wav")
    copy = tmp_path / "b.wav"
    copy.write_bytes(same.read_bytes())
    clips = [clip("train", same), clip("test", copy, split="test"), clip("again", same)]
    coverage = prepare(clips, tmp_path / "out")
    assert [c.id for c in read_manifest(tmp_path / "out" / "cuts.jsonl")] == ["test"]
    assert coverage.reasons == {"duplicate audio": 2}
    parts = [clip(str(i), same, start=i / 10, duration=0.2) for i in range(3)]
    assert prepare(parts, tmp_path / "parts").splits["train"]["kept"] == 3  # parts of a file are no duplicates


def test_rows_that_give_no_clip_are_counted_and_those_left_out_on_purpose_are_not_owed(tmp_path):
    clips = [
        clip("good", tone(tmp_path / "a.wav")),
        Rejected("table.csv:7", "quoting fault: a quote is opened and not closed"),
        Rejected("leak", "blacklisted: in a test set", owed=False),
        clip("late", tone(tmp_path / "b.wav"), start=3.0),
        clip("first", tone(tmp_path / "c.wav", 3.0, 333), at_most=1.0),
    ]
    coverage = prepare(clips, tmp_path / "out")
    told = {"expected": 0, "listed": 5, "excluded": 1, "found": 3}
    assert coverage.splits["train"] == dict.fromkeys(COLUMNS, 2) | told
    assert coverage.reasons == {"quoting fault": 1, "blacklisted": 1, "interval outside file": 1}
    assert {r["id"] for r in lines(tmp_path / "out" / "rejected.jsonl")} == {"table.csv:7", "leak", "late"}
    assert "2 of 4 clips are readable (50.00%)" in coverage.lacking(0.99)[0] and not coverage.lacking(0.5)
    durations = {cut.id: cut.duration for cut in read_manifest(tmp_path / "out" / "cuts.jsonl")}
    assert durations == {"good": 0.5, "first": 1.0}
    with pytest.raises(DataError, match="no clips found.*the first of 1 bad rows: quoting fault"):
        prepare(clips[1:2], tmp_path / "none")


def test_many_processes_give_the_same_manifest(tmp_path):
    clips = [clip(f"{i}", tone(tmp_path / f"{i}.wav", 0.2, 100 + 10 * i)) for i in range(40)]
    prepare(clips, tmp_path / "one", nj=1)
    prepare(clips, tmp_path / "two", nj=2)
    assert (tmp_path / "one" / "cuts.jsonl").read_bytes() == (tmp_path / "two" / "cuts.jsonl").read_bytes()


def many(folder: Path, stop: int = 99) -> Iterator[Clip | Rejected]:
    """Clips of which some are bad in each way, the equal ones far apart; the source breaks off after ``stop``."""
    for number in range(20):
        if number == stop:
            raise DataError("the disk went away")
        name = f"c{3 if number == 11 else number}"  # one id twice
        split = "test" if number in (12, 17) else "train"
        audio = folder / f"{number}.wav"
        if number not in (5, 18):  # two that are not there; three are the recording of the first
            tone(audio, pitch=100 if number in (7, 12, 17) else 100 + 10 * number)
        yield clip(name, audio, split=split, domain="noise" if number == 8 else "sound" if number % 2 else "music")
        if number % 6 == 1:
            yield Rejected(f"row {number}", "bad field: no caption", owed=number > 6)


OUTPUTS = ("cuts.jsonl", "rejected.jsonl", "missing.tsv", "coverage.json")


def test_shards_of_any_size_give_the_same(tmp_path):
    for size in (1, 3, 50):
        prepare(many(tmp_path / "audio"), tmp_path / f"out{size}", expected={"train": 19, "test": 1}, shard_clips=size)
        assert sorted(p.name for p in (tmp_path / f"out{size}").iterdir()) == sorted(OUTPUTS)
    for name in OUTPUTS:
        texts = {(tmp_path / f"out{size}" / name).read_text() for size in (1, 3, 50)}
        assert len(texts) == 1, name
    reasons = {row["id"]: row["reason"] for row in lines(tmp_path / "out1/rejected.jsonl")}
    assert reasons["c0"] == reasons["c17"] == reasons["c7"] == "duplicate audio: the same recording as c12"
    assert reasons["c3"].startswith("duplicate id") and reasons["c18"] == "missing file: no such file"


def test_a_preparation_that_was_stopped_goes_on_after_its_last_whole_shard(tmp_path, monkeypatch):
    prepare(many(tmp_path / "audio"), tmp_path / "whole", shard_clips=4)
    checked: list[str] = []
    decode = module.decode
    monkeypatch.setattr(module, "decode", lambda job: checked.append(job[0]) or decode(job))
    with pytest.raises(DataError, match="disk went away"):
        prepare(many(tmp_path / "audio", 14), tmp_path / "out", shard_clips=4)
    assert len(list((tmp_path / "out/.work").glob("0*.jsonl"))) == 3 and not (tmp_path / "out/cuts.jsonl").exists()
    os.utime(tone(tmp_path / "audio/5.wav", pitch=77))  # meanwhile a file of the second shard has come
    begun = len(checked)
    coverage = prepare((c for c in kept_on_disk(tmp_path / "audio")), tmp_path / "out", shard_clips=4)
    again = {Path(path).stem for path in checked[begun:]}
    assert again == {str(n) for n in (4, 5, 6, 7, 12, 13, 14, 15, 16, 17, 18, 19)}, "clips of whole shards were decoded"
    assert coverage.splits["train"]["found"] == read_coverage(tmp_path / "whole").splits["train"]["found"] + 1
    assert not (tmp_path / "out/.work").exists()


def kept_on_disk(folder: Path) -> Iterator[Clip | Rejected]:
    """As ``many``, with the sound files as they lie there."""
    written = {path: (path.read_bytes(), path.stat()) for path in folder.iterdir()}
    for one in many(folder):
        if isinstance(one, Clip) and one.audio in written:
            content, about = written[one.audio]
            one.audio.write_bytes(content)
            os.utime(one.audio, ns=(about.st_atime_ns, about.st_mtime_ns))
        yield one


def test_ids_that_come_again_are_found_at_any_distance():
    seen, known = Seen(), set()
    rng = np.random.default_rng(0)
    for size in (1, 5, 300, 2, 40, 0, 1000):
        ids = [str(n) for n in rng.integers(0, 1500, size)]
        wanted = []
        for one in ids:
            wanted.append(one in known)
            known.add(one)
        assert seen.again(ids) == wanted


def test_counts_that_are_off_are_told_and_nothing_usable_is_an_error(tmp_path):
    coverage = prepare([clip("a", tone(tmp_path / "a.wav"))], tmp_path / "out", "demo", {"train": 10})
    assert "1 clips listed where 10 were expected" in coverage.warnings()[0]
    assert "Warning: demo" in coverage_table([coverage])
    with pytest.raises(DataError, match="no clips found"):
        prepare([], tmp_path / "none")
    with pytest.raises(DataError, match="none of 1 clips is usable"):
        prepare([clip("gone", tmp_path / "gone.wav")], tmp_path / "bad")
    assert (tmp_path / "bad" / "rejected.jsonl").is_file()


def test_manifests_compressed_or_not_hold_the_same(tmp_path):
    prepare([clip("a", tone(tmp_path / "a.wav"))], tmp_path / "out")
    cuts = list(read_manifest(tmp_path / "out" / "cuts.jsonl"))
    write_manifest(cuts, tmp_path / "cuts.jsonl.gz")
    assert [c.to_dict() for c in read_manifest(tmp_path / "cuts.jsonl.gz")] == [c.to_dict() for c in cuts]
    assert not list(tmp_path.glob(".*"))  # no temporary file is left


def broken(tree: dict, path: str, value: object) -> dict:
    tree = json.loads(json.dumps(tree))
    custom = tree["supervisions"][0]["custom"]
    if path == "supervisions":
        tree[path] = value
    elif value is None:
        del custom[path]
    else:
        custom[path] = value
    return tree


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("caption", None, r"custom\['caption'\] is missing"),
        ("caption", "a beep", "plain text; it must be a list"),
        ("caption", [], "list of at least one text"),
        ("caption", ["a", 3], r"'caption'\[1\] must be text"),
        ("caption", [" "], r"'caption'\[0\] must be text that is not empty"),
        ("caption_style", "human", "'caption_style' must be a list"),
        ("caption_style", ["human"], "2 captions but 1 entries"),
        ("labels", ["x"], "'labels' must be an object"),
        ("domain", 3, "'domain' must be text"),
        ("supervisions", [], "'supervisions' must be a list"),
    ],
)
def test_a_wrong_field_is_named_with_file_and_line(tmp_path, field, value, message):
    prepare([clip("a", tone(tmp_path / "a.wav")), clip("b", tone(tmp_path / "b.wav", pitch=99))], tmp_path / "out")
    first, second = lines(tmp_path / "out" / "cuts.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps(first) + "\n" + json.dumps(broken(second, field, value)) + "\n")
    with pytest.raises(DataError, match=rf"bad\.jsonl:2: cut 'b'.*{message}"):
        list(read_manifest(bad))


def test_lines_that_are_no_cuts_are_named(tmp_path):
    prepare([clip("a", tone(tmp_path / "a.wav"))], tmp_path / "out")
    good = (tmp_path / "out" / "cuts.jsonl").read_text()
    tree = json.loads(good)
    del tree["recording"]["sampling_rate"]
    for text, message in (
        ("{not json", "bad.jsonl:1: not a JSON object"),
        ("[1]", "bad.jsonl:1: expected a cut"),
        (good + good, "bad.jsonl:2: id 'a' stands on line 1 already"),
        (json.dumps(tree), "bad.jsonl:1: cut 'a' is not a lhotse cut"),
    ):
        (tmp_path / "bad.jsonl").write_text(text)
        with pytest.raises(DataError, match=message):
            list(read_manifest(tmp_path / "bad.jsonl"))
    with pytest.raises(DataError, match="no such manifest"):
        list(read_manifest(tmp_path / "nowhere.jsonl"))


RECIPE = """
from pathlib import Path
from audiotext.data.corpus import Clip
EXPECTED = {expected}
def clips(root):
    for path in sorted(Path(root).glob("*.wav")):
        yield Clip(path.stem, path, ["a tone"], ["template"], "sound", "demo", "CC0-1.0")
def sources(download):
    return {{"demo": lambda: clips(download / "demo"), "void": lambda: clips(download / "void")}}
"""


def test_the_verb_prepares_skips_and_notices_changes(tmp_path, capsys, caplog):
    recipe = tmp_path / "egs" / "demo" / "local" / "prepare.py"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(RECIPE.format(expected={"train": 1}))
    tone(tmp_path / "root" / "a.wav")
    command = ["prepare", "--recipe", str(recipe), "--root", str(tmp_path / "root"), "--out", str(tmp_path / "out")]
    manifest = tmp_path / "out" / "cuts.jsonl"
    assert cli.main(command) == 0
    assert "| demo | train | 1 | 1 | 0 | 1 | 1 | 1 | 1 |" in capsys.readouterr().out
    assert (tmp_path / "out" / "coverage.md").is_file()
    written = manifest.stat().st_mtime_ns
    assert cli.main(command) == 0 and manifest.stat().st_mtime_ns == written  # nothing to do
    tone(tmp_path / "root" / "b.wav", pitch=222)
    assert cli.main(command) == 0 and len(lines(manifest)) == 2  # new input


def test_a_recipe_says_how_long_clips_may_be(tmp_path):
    """Read speech that is cut at 30 seconds no longer fits its transcript."""
    recipe, tables = tmp_path / "prepare.py", RECIPE.format(expected={})
    tone(tmp_path / "root" / "a.wav", 31)
    command = ["prepare", "--recipe", str(recipe), "--root", str(tmp_path / "root"), "--out", str(tmp_path / "out")]
    recipe.write_text(tables)
    assert cli.main(command) == 1
    recipe.write_text(tables + "LENGTHS = (0.1, 35.0)\n")
    assert cli.main(command) == 0 and len(lines(tmp_path / "out" / "cuts.jsonl")) == 1


def test_a_coding_without_a_decoder_names_the_command_that_converts_it(tmp_path):
    (tmp_path / "a b.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(100))
    with pytest.raises(DataError, match="ffmpeg -i a b.m4a -ac 1 -ar 16000 a b.flac"):
        prepare([clip("coded", tmp_path / "a b.m4a")], tmp_path / "out", nj=1)
    with pytest.raises(DataError, match="no AAC decoder"):
        read_audio(tmp_path / "a b.m4a")


def test_a_source_that_fails_does_not_stop_the_others(tmp_path, capsys):
    recipe = tmp_path / "prepare.py"
    recipe.write_text(RECIPE.format(expected={"demo": {"train": 1}}))
    tone(tmp_path / "download" / "demo" / "a.wav")
    command = ["prepare", "--recipe", str(recipe), "--download", str(tmp_path / "download"), "--out", str(tmp_path)]
    assert cli.main(command) == 1
    assert "Failed: void" in capsys.readouterr().out
    assert len(lines(tmp_path / "demo" / "cuts.jsonl")) == 1
    assert cli.main([*command, "--sources", "demo"]) == 0


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (["--recipe", "nowhere.py"], 1, "no such recipe"),
        (["--download", "nowhere"], 1, "no such corpus folder"),
        (["--sources", "dema"], 1, "did you mean 'demo'"),
    ],
)
def test_wrong_use_is_told(tmp_path, capsys, change, code, message):
    recipe = tmp_path / "prepare.py"
    recipe.write_text(RECIPE.format(expected={}))
    given = {"--recipe": str(recipe), "--download": str(tmp_path), "--out": str(tmp_path / "out")}
    given[change[0]] = change[1]
    assert cli.main(["prepare", *(word for pair in given.items() for word in pair)]) == code
    assert message in capsys.readouterr().err
