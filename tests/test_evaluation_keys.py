"""Evaluation leaks by id: planted ones of each kind are all found, and the lists that publishers give are read as they
are, traps and faults included."""

from __future__ import annotations

import os
import random
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import test_corpora
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiotext.cli import main as cli
from audiotext.curate.evaluation_keys import EvaluationKeys
from audiotext.curate.evaluation_sets import SETS, chosen
from audiotext.curate.evidence import Evidence
from audiotext.data.corpus import Clip, DataError, Decoded, Rejected
from audiotext.data.manifest import clip_to_cut, write_manifest
from audiotext.data.origin import seconds_of, speech_origin, split_origin
from audiotext.data.synthetic import write_csv, write_json
from audiotext.data.youtube import Excerpt

ROOT = Path(__file__).resolve().parent.parent
HASH = "0f" * 32
LETTERS = "abcXYZ019-_"  # few, so that ids meet, and with all that ids of videos may hold
IDS = st.text(LETTERS, min_size=11, max_size=11)
SECONDS = st.integers(0, 40)


def keys_of(*keys: str) -> EvaluationKeys:
    known = EvaluationKeys()
    for number, key in enumerate(keys):
        known.add(key, "set", f"item{number}")
    return known


# -- what matches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "origin", "leaks"),
    [
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs@30-40", True),
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs@39.99-49.99", True),
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs@40-50", False),  # they touch
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs@0-30", False),
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs", True),  # all of the video
        ("youtube:-0xzrMun0Rs", "youtube:-0xzrMun0Rs@30-40", True),
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs@39", True),  # from there on
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs@40", False),
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0Rs@forty", True),  # who knows
        ("youtube:-0xzrMun0Rs@30-40", "youtube:-0xzrMun0rs@30-40", False),  # ids tell capitals apart
        ("youtube:Y_abc-DEF_1@30-40", "youtube:YY_abc-DEF_1@30-40", True),  # a Y before an id that begins with Y
        ("youtube:YY_abc-DEF_1@30-40", "youtube:Y_abc-DEF_1@30-40", True),
        ("youtube:_abc-DEF_12@30-40", "youtube:Y_abc-DEF_12@30-40", True),
        ("youtube:Y_abc-DEF_1", "youtube:_abc-DEF_12", False),
        ("youtube:abc_12_34_5@30-40", "youtube:Yabc_12_34_5_35_45.wav", True),
        ("youtube:abc_12_34_5@30-40", "youtube:Yabc_12_34_5_45_55.wav", False),
        ("freesound:1234", "freesound:1234", True),
        ("freesound:1234", "freesound:123", False),
        ("freesound:1234", "soundbible:1234", False),
        ("jamendo:214@0-30", "jamendo:214@30-60", False),
        ("voxceleb:id10270", "voxceleb:id10270/5r0dWxy17C8/00001", True),
        ("voxceleb:id10270", "voxceleb:id102700/5r0dWxy17C8/00001", False),
        ("voxceleb:id10270/5r0dWxy17C8", "voxceleb:id10270/5r0dWxy17C8/00001", True),
        ("voxceleb:id10270/5r0dWxy17C8", "voxceleb:id10270/5r0dWxy17C9/00001", False),
        ("youtube:5r0dWxy17C8@30-40", "voxceleb:id10270/5r0dWxy17C8/00001", True),  # nobody says where in the video
        ("emilia:EN_B00030_S01984_W000037", "emilia:EN_B00030_S01984_W000037", True),
        ("listed:youtube:-0xzrMun0Rs", "youtube:-0xzrMun0Rs@30-40", True),
    ],
)
def test_what_counts_as_the_same_recording(key, origin, leaks):
    assert bool(keys_of(key).find(origin)) == leaks


def test_the_same_file_is_found_by_its_hash_whatever_its_origin():
    known = keys_of(f"sha256:{HASH.upper()}", "freesound:7")
    assert [e.item for e in known.find("", HASH)] == [e.item for e in known.find("youtube:abc", HASH)] == ["item0"]
    assert {e.item for e in known.find("freesound:7", HASH.upper())} == {"item0", "item1"}
    assert known.find("") == known.find("", "") == known.find("", "00" * 32) == []


def test_evidence_names_set_item_and_trace():
    known = keys_of("youtube:-0xzrMun0Rs@30-40", "listed:freesound:7", f"sha256:{HASH}")
    assert known.find("youtube:-0xzrMun0Rs@35-45", HASH) == [
        Evidence("set", "item2", "sha256", f"sha256:{HASH}"),
        Evidence("set", "item0", "youtube", "youtube:-0xzrMun0Rs@35-45 overlaps youtube:-0xzrMun0Rs@30-40"),
    ]
    assert known.find("freesound:7") == [Evidence("set", "item1", "listed", "freesound:7")]


@pytest.mark.parametrize("key", ["", "abc", "youtube:", ":abc", "youtube:-0xzrMun0Rs@40-30", "jamendo:1@x", "listed:"])
def test_what_is_no_key_is_said(key):
    with pytest.raises(DataError, match="bad (key|origin)"):
        EvaluationKeys().add(key, "set", "item")


@given(IDS, st.sampled_from(["", "Y"]), st.sampled_from(["", ".wav", ".mp4"]), SECONDS, st.integers(1, 20))
@example("Yabcdefghij", "", "", 30, 10)
@example("YYYYYYYYYYY", "Y", ".wav", 30, 10)
@example("-__________", "Y", "", 30, 10)
@example("abcdefghi_3", "", "", 30, 10)
@settings(max_examples=300, deadline=None)
def test_a_video_is_found_however_its_id_is_written(video, before, ending, start, seconds):
    """One that is evaluated on is never missed, and an id that differs in a letter is never taken for it."""
    known = keys_of(Excerpt(video, start, start + seconds).origin)
    for times in ("", f"_{start}", f"_{start:06d}", f"_{start}_{start + seconds}", f"_{start}.5_{start + seconds}.5"):
        name = f"{before}{video}{times}{ending}"
        assert known.find(Excerpt.parse(name).origin), name
        assert known.find(f"youtube:{name}"), name
    assert known.find(Excerpt.parse(f"[{video}]-[{start}-{start + seconds}]").origin)
    later = f"{before}{video}_{start + seconds}_{start + seconds + 1}{ending}"
    assert not known.find(Excerpt.parse(later).origin)
    other = video[:-1] + ("a" if video[-1] != "a" else "b")
    assert not known.find(f"youtube:{other}@{start}-{start + seconds}")


def overlap(one: str, other: str) -> bool:
    """The rule itself, on every pair."""
    (place, first), (elsewhere, second) = split_origin(one), split_origin(other)
    (start, end), (begin, stop) = seconds_of(first), seconds_of(second)
    return place == elsewhere and min(end, stop) - max(start, begin) > 0


def test_planted_leaks_are_all_found_and_nothing_else():
    rng = random.Random(0)
    videos = ["".join(rng.choices(LETTERS, k=11)) for _ in range(300)]

    def some(count: int) -> list[str]:
        made = []
        for _ in range(count):
            start = rng.choice([None, rng.uniform(0, 60), rng.randrange(60)])
            end = None if start is None or rng.random() < 0.2 else start + 10
            made.append(rng.choice([Excerpt(rng.choice(videos), start, end).origin, f"freesound:{rng.randrange(500)}"]))
        return made

    evaluated, clips = some(300), some(1200)
    known = keys_of(*evaluated)
    leaks = 0
    for origin in clips:
        wanted = {f"item{number}" for number, key in enumerate(evaluated) if overlap(key, origin)}
        assert {e.item for e in known.find(origin)} == wanted, origin
        leaks += bool(wanted)
    assert 200 < leaks < 1000


@pytest.mark.parametrize(
    ("corpus", "path", "origin"),
    [
        ("voxceleb", "voxceleb2/dev/aac/id00012/21Uxsk56VDQ/00001_voicefixer.wav",
         "voxceleb:id00012/21Uxsk56VDQ/00001"),
        ("voxceleb", "id10001/1zcIwhmdeo4/00001.wav", "voxceleb:id10001/1zcIwhmdeo4/00001"),
        ("ears", "p001/emo_anger_freeform.wav", "ears:p001/emo_anger_freeform"),
        ("expresso", "audio_48khz\\read\\ex01\\ex01_confused_00001.wav", "expresso:ex01_confused_00001"),
        ("emilia", "EN/EN_B00030/EN_B00030_S01984/mp3/EN_B00030_S01984_W000037.mp3",
         "emilia:EN_B00030_S01984_W000037"),
    ],
)  # fmt: skip
def test_an_utterance_has_one_name_wherever_its_corpus_lies(corpus, path, origin):
    assert speech_origin(corpus, path) == speech_origin(corpus, f"somewhere/else/{path}") == origin
    with pytest.raises(DataError, match="names no utterance"):
        speech_origin("voxceleb", "21Uxsk56VDQ/00001.wav")


# -- key files --------------------------------------------------------------------------------------------------------


def test_key_files_hold_whatever_items_are_called(tmp_path):
    known = EvaluationKeys()
    items = ["Rain on a roof, heavy.wav", '"quoted" name', "tab\there", "Café", "two\nlines", "-30 degrees"]
    for number, item in enumerate(items):
        known.add(f"freesound:{number}", "clotho evaluation", item)
        known.add(f"freesound:{number}", "clotho evaluation", item)
    known.add(f"listed:sha256:{HASH}", "list", "x")
    known.write(tmp_path / "keys.tsv")
    assert (tmp_path / "keys.tsv").read_text(encoding="utf-8").startswith("key\tset\titem\n")
    again = EvaluationKeys.load([tmp_path / "keys.tsv", tmp_path / "keys.tsv"])
    assert len(again) == len(known) == len(items) + 1 and list(again) == list(known)
    assert [again.find(f"freesound:{n}")[0].item for n in range(len(items))] == items
    text = (tmp_path / "keys.tsv").read_bytes()
    (tmp_path / "windows.tsv").write_bytes(b"\xef\xbb\xbf" + text.replace(b"two\nlines", b"x").replace(b"\n", b"\r\n"))
    assert len(EvaluationKeys.load([tmp_path / "windows.tsv"])) == len(known)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key\tset\nfreesound:1\ta\n", r"keys\.tsv: no column 'item'"),
        ("key\tset\titem\nfreesound:1\ta\tb\nfreesound:2\ta\n", r"keys\.tsv:3: wrong number of fields: 2"),
        ("key\tset\titem\nfreesound:1\ta\t\n", r"keys\.tsv:2: item: expected text"),
        ("key\tset\titem\nyoutube:abc@9-3\ta\tb\n", r"keys\.tsv:2: bad origin"),
        ("key\tset\titem\nfreesound\ta\tb\n", r"keys\.tsv:2: bad key: 'freesound'"),
        ("", r"keys\.tsv: is empty"),
    ],
)
def test_a_faulty_key_file_is_refused_since_a_lost_key_is_a_missed_leak(tmp_path, text, says):
    (tmp_path / "keys.tsv").write_text(text)
    with pytest.raises(DataError, match=says):
        EvaluationKeys.load([tmp_path / "keys.tsv"])
    with pytest.raises(DataError, match=r"none\.tsv: no such file"):
        EvaluationKeys.load([tmp_path / "none.tsv"])


# -- publishers' lists ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toys(tmp_path_factory) -> Path:
    """The tables of every toy corpus, its recordings without sound."""

    def touch(path: Path, *_, **__) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    folder = tmp_path_factory.mktemp("toys")
    for corpus in test_corpora.CORPORA:
        if corpus not in ("my_data", "TEMPLATE"):
            module = test_corpora.toy(corpus)
            real = getattr(module, "write_recording", None)
            module.write_recording = touch
            try:
                module.write(folder / corpus)
            finally:
                module.write_recording = real
    return folder


def found(name: str, place: Path) -> dict[str, list]:
    return {part.name: list(part.items(place)) for part in chosen(name)}


LISTS = ["audiocaps", "audioset", "audioset_strong", "clotho", "musiccaps", "paraspeechcaps"]


@pytest.mark.parametrize("corpus", LISTS)
def test_a_list_and_a_preparer_give_a_recording_one_key(corpus, toys):
    """What is evaluated on is found among clips that were prepared, and nothing that is trained on."""
    items = [item for items in found(corpus, toys / corpus).values() for item in items]
    assert not [item for item in items if isinstance(item, Rejected)]
    clips = [clip for clip in test_corpora.clips(corpus, toys) if isinstance(clip, Clip)]
    tested = {clip.origin for clip in clips if clip.split != "train"}
    assert tested == {key for item in items for key in item.keys} and tested
    known = keys_of(*tested)
    assert [bool(known.find(clip.origin)) for clip in clips] == [clip.split != "train" for clip in clips]


KINDS = {"audiocaps": "youtube", "audioset": "youtube", "audiosetcaps": "youtube", "autoacd": "youtube",
         "clotho": "freesound", "fusionaudio": "youtube", "jamendomaxcaps": "jamendo",
         "lpmusiccaps": "msd mtt youtube", "macs": "tau2019", "musiccaps": "youtube",
         "paraspeechcaps": "voxceleb ears expresso emilia", "wavcaps": "youtube freesound bbc soundbible",
         "esc50": "", "clotho_aqa": "", "crema_d": "", "fsd50k": "freesound", "gtzan": "", "magnatagatune": "mtt",
         "musicqa": "", "nsynth": "", "ravdess": "", "speech_commands": "", "urbansound8k": "freesound",
         "vggsound": "youtube", "voxceleb1": "voxceleb", "voxceleb2": "voxceleb", "librispeech": "librispeech",
         "audioset_strong": "youtube",
         "mmau": "", "airbench": "",
         "uts": "youtube -", "captionstew_release": "youtube -"}  # -: clips of which it is not known; fmt: skip


@pytest.mark.parametrize("corpus", sorted(set(test_corpora.CORPORA) - {"my_data", "TEMPLATE"}))
def test_every_corpus_says_where_its_recordings_come_from(corpus, toys):
    """A new corpus takes its place in KINDS; the sources of its toy have no number at Freesound where it has none."""
    clips = [clip for clip in test_corpora.clips(corpus, toys) if isinstance(clip, Clip)]
    assert clips and {clip.origin.partition(":")[0] for clip in clips} == {
        kind.strip("-") for kind in KINDS[corpus].split() or ["-"]
    }
    for clip in clips:
        if clip.origin:
            place, interval = split_origin(clip.origin)
            assert seconds_of(interval)[1] > 0 and split_origin(place) == (place, "")
            assert keys_of(clip.origin).find(clip.origin)


def test_excerpts_of_musiccaps_are_found_in_what_others_wrote_of_them(toys):
    piece = next(clip for clip in test_corpora.clips("lpmusiccaps", toys) if clip.source == "lpmusiccaps_mc")
    assert piece.origin == "youtube:-0Gj8-vB1q4@30-40"


def write_tables(root: Path) -> None:
    """Lists in their publishers' layouts, of the sets that have no toy corpus."""
    names = ["-0xzrMun0Rs", "Yabcdefghi_", "--train----"]
    write_csv(root / "vggsound/vggsound.csv",
              [[names[0], 30, "donkey, ass braying", "test"], [names[1], 0, 'a "fly", housefly', "test"],
               [names[2], 8, "rain", "train"]])  # fmt: skip
    write_csv(root / "vggsound-repository/data/test.csv",
              [[f"{names[0]}_000030.mp4", "donkey, ass braying"], [f"{names[1]}_000000.mp4", "rain"]])  # fmt: skip
    write_csv(root / "fsd50k/FSD50K.ground_truth/eval.csv",
              [["fname", "labels", "mids"], [37199, "Electric_guitar,Guitar,Music", "/m/02sgy,/m/0342h"]])  # fmt: skip
    write_csv(root / "fsd50k/FSD50K.ground_truth/dev.csv",
              [["fname", "labels", "mids", "split"], [1, "Rain,Water", "/m/1", "train"], [2, "Rain", "/m/1", "val"],
               [3, "Rain", "/m/1", "vall"]])  # fmt: skip
    columns = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    write_csv(root / "urbansound8k/metadata/UrbanSound8K.csv",
              [columns, ["100032-3-0-0.wav", 100032, 0.0, 0.317551, 1, 5, 3, "dog_bark"],
               ["100032-3-0-1.wav", 100032, 1.0, 4.0, 1, 5, 3, "dog_bark"]])  # fmt: skip
    columns = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    write_csv(root / "esc50/meta/esc50.csv", [columns, ["1-100032-A-0.wav", 1, 0, "dog", True, 100032, "A"]])
    columns = ["file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license"]
    write_csv(root / "clotho/clotho_csv_files/clotho_metadata_evaluation.csv",
              [columns, ["Café, at night.wav", "café;bar", 42, "", "", "Pétur", ""],
               ["lost.wav", "rain", "Not found", "", "", "", ""]], "latin-1")  # fmt: skip
    columns = ["file_name", "keywords", "sound_id"]
    write_csv(root / "clothoaqa/clotho_aqa_metadata.csv",
              [columns, ["Café.wav", "a;b", 43], ["train.wav", "a", 44]], "latin-1")  # fmt: skip
    write_csv(root / "clothoaqa/clotho_aqa_test.csv",
              [["file_name", "QuestionText", "answer"], *[["Café.wav", "Is it loud, or not?", "no"]] * 3,
               ["unknown.wav", "Is it loud?", "yes"]], "latin-1")  # fmt: skip
    write_csv(root / "magnatagatune/annotations_final.csv",
              [["clip_id", "no voice", "mp3_path"], [2, 0, "f/a, b-30-59.mp3"], [6, 1, "c/a.mp3"], [7, 1, "a.mp3"]],
              delimiter="\t")  # fmt: skip
    (root / "voxceleb2").mkdir(parents=True)
    (root / "voxceleb2/vox2_meta.csv").write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n000017 ,m ,test \n"
        "id00061 ,n000061 ,m ,test \n"
    )
    (root / "voxceleb1").mkdir(parents=True)
    (root / "voxceleb1/iden_split.txt").write_text(
        "1 id10001/1zcIwhmdeo4/00001.wav\n2 id10001/7gWzIy6yIIk/00001.wav\n3 id10001/-qAWzWeTsOA/00001.wav\n"
        "3 id10001/-qAWzWeTsOA/00002.wav\n3 00002.wav\n3 somebody/-qAWzWeTsOA/00002.wav\n"
    )
    (root / "voxceleb1/veri_test.txt").write_text(
        "1 id10270/5r0dWxy17C8/00001.wav id10270/5sJomL_D0_g/00001.wav\n"
        "0 id10270/5r0dWxy17C8/00002.wav id10300/ize_eiCFEg0/00003.wav\n"
    )


PUBLISHED = {
    "vggsound": {"vggsound-test": ["youtube:-0xzrMun0Rs@30-40", "youtube:Yabcdefghi_@0-10"]},
    "vggsound-repository": {"vggsound-test": ["youtube:-0xzrMun0Rs@30-40", "youtube:Yabcdefghi_@0-10"]},
    "fsd50k": {"fsd50k-eval": ["freesound:37199"]},
    "fsd50k-val": {"fsd50k-val": ["freesound:2"]},
    "urbansound8k": {"urbansound8k": ["freesound:100032"]},
    "esc50": {"esc50": ["freesound:100032"]},
    "clotho": {"clotho-evaluation": ["freesound:42"]},
    "clothoaqa": {"clothoaqa-test": ["freesound:43"]},
    "magnatagatune": {"magnatagatune-test": ["mtt:2"]},
    "voxceleb1": {
        "voxceleb1-identification": ["voxceleb:id10001/-qAWzWeTsOA", "youtube:-qAWzWeTsOA"],
        "voxceleb1-verification": ["voxceleb:id10270", "voxceleb:id10300", "youtube:5r0dWxy17C8", "youtube:5sJomL_D0_g",
                                   "youtube:ize_eiCFEg0"],
    },
    "voxceleb2": {"voxceleb2-verification": ["voxceleb:id00017", "voxceleb:id00061"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_tables(folder)
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_lists_without_a_toy_are_read_as_published(name, published):
    place = published / name.removesuffix("-val")
    for part in chosen(name.removesuffix("-repository")):
        if part.name in PUBLISHED[name]:
            items = [item for item in part.items(place) if not isinstance(item, Rejected)]
            assert sorted({key for item in items for key in item.keys}) == PUBLISHED[name][part.name]


def test_clotho_is_read_with_semicolons_too(tmp_path):
    columns = ["file_name", "keywords", "sound_id"]
    write_csv(tmp_path / "clotho_metadata_validation.csv", [columns, ["Café, 1.wav", "a;b", 7]], "latin-1", ";")
    [item] = chosen("clotho")[0].items(tmp_path / "clotho_metadata_validation.csv")
    assert (item.name, item.keys) == ("Café, 1.wav", ("freesound:7",))


def test_every_set_is_read_by_some_test():
    assert {*PUBLISHED, *LISTS, "wavcaps"} == {
        *SETS, "vggsound-repository"
    }  # fmt: skip


def test_faults_of_a_list_are_named_by_line_and_spare_the_rest(published, tmp_path):
    rejected = [item for items in found("voxceleb1", published / "voxceleb1").values() for item in items
                if isinstance(item, Rejected)]  # fmt: skip
    assert [(Path(r.id).name, r.reason.partition(":")[0]) for r in rejected] == [
        ("iden_split.txt:5", "bad path"), ("iden_split.txt:6", "bad field")
    ]  # fmt: skip
    [bad] = [item for item in found("fsd50k-val", published / "fsd50k")["fsd50k-val"] if isinstance(item, Rejected)]
    assert bad.id.endswith("dev.csv:4") and "expected train or val, got 'vall'" in bad.reason

    table = tmp_path / "eval.csv"
    rows = [
        b"fname,labels,mids",
        b'1,"Rain,Water",x',
        b"2,caf\xe9,x",
        b'3,"Rain,x',
        b"1,Rain,x",
        b"4,Rain",
        b"5,Rain,x",
    ]
    table.write_bytes(b"\r\n".join(rows) + b"\r\n")
    items = found("fsd50k", table)["fsd50k-eval"]
    assert [item.keys for item in items if not isinstance(item, Rejected)] == [("freesound:1",), ("freesound:5",)]
    assert [(Path(r.id).name, r.reason.partition(":")[0]) for r in items if isinstance(r, Rejected)] == [
        ("eval.csv:3", "bad encoding"), ("eval.csv:4", "quoting fault"), ("eval.csv:5", "duplicate row"),
        ("eval.csv:6", "wrong number of fields"),
    ]  # fmt: skip


DAMAGE = st.binary(max_size=4) | st.sampled_from([b'"', b",", b"\n", b"\r\n", b"\t", b"\0", b"\xe9", b"@", b"../"])


@given(st.sampled_from(sorted(PUBLISHED)), st.integers(0, 400), st.integers(0, 3), DAMAGE)
@settings(max_examples=250, deadline=None)
def test_whatever_befalls_a_list_is_told(published, name, place, cut, put):
    """No more than a DataError, naming the table, or rows that are rejected by their place in it."""
    for part in chosen(name.removesuffix("-repository")):
        if part.name in PUBLISHED[name]:
            table = part.table(published / name.removesuffix("-val"))
            data = table.read_bytes()
            try:
                table.write_bytes(data[: place % len(data)] + put + data[place % len(data) + cut :])
                for item in part.items(table):
                    if isinstance(item, Rejected):
                        assert str(table.parent) in item.id and item.reason
                    else:
                        for key in item.keys:
                            keys_of(key)
            except DataError as error:
                assert str(table) in str(error)
            finally:
                table.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "table", "first", "says"),
    [
        ("audiocaps", "val.csv", "audiocap_id,youtube_id,start,caption", "no column 'start_time'"),
        ("clotho", "clotho_metadata_evaluation.csv", "file_name;keywords;sound_link", "no column 'sound_id'"),
        ("esc50", "esc50.csv", "filename,fold,target,category", "no column 'src_file'"),
        ("urbansound8k", "UrbanSound8K.csv", "slice_file_name,fsid", "no column 'fsID'; known: fsid"),
        ("musiccaps", "musiccaps-public.csv", "ytid,start_s,end_s,caption", "no column 'is_audioset_eval'"),
        ("paraspeechcaps", "dev.jsonl", '{"source": "ears"}', "missing field: 'relative_audio_path'"),
        ("wavcaps", "blacklist_exclude_test_ac.json", '{"AudioSet": "x"}', "a list of ids under 'AudioSet'"),
    ],
)
def test_another_version_of_a_list_is_refused(name, table, first, says, tmp_path, capsys):
    (tmp_path / table).write_text(first + "\n")
    assert cli.main(["evaluation-keys", "--set", f"{name}={tmp_path}", "--out", str(tmp_path / "keys.tsv")]) == 1
    error = capsys.readouterr().err
    assert table in error and re.search(says, error), error
    assert not (tmp_path / "keys.tsv").exists()


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_lists_counts_and_checks_published_lists(published, toys, tmp_path, capsys, caplog):
    out = tmp_path / "keys.tsv"
    wavcaps = tmp_path / "wavcaps/json_files/blacklist"
    names = ["Y-0xzrMun0Rs.wav", "Ynobody_has1.wav"]
    write_json(wavcaps / "blacklist_exclude_test_ac.json", {"AudioSet": names, "FreeSound": ["42", "7"]})
    write_json(wavcaps / "blacklist_exclude_ubs8k_esc50_vggsound.json", {"AudioSet": [], "FreeSound": ["100032"]})
    data = {"AudioSet_SL/as_final.json": [*names, "Yabcdefghi_.wav", "YYabcdefghi_.wav", "no id"],
            "FreeSound/fsd_final.json": ["42", "43", "x", 7]}  # fmt: skip
    for name, listed in data.items():
        write_json(wavcaps.parent / name, {"data": [{"id": one} for one in listed] + ["no clip"]})
    sets = [f"{name}={published / name}" for name in ("vggsound", "clotho", "esc50", "urbansound8k")]
    assert cli.main(["evaluation-keys", "--set", *sets, "--set", f"wavcaps={tmp_path / 'wavcaps'}",
                     "--set", f"audiocaps={toys / 'audiocaps'}", "--out", str(out)]) == 0  # fmt: skip
    page = capsys.readouterr().out
    assert "| clotho-evaluation | 2 | 1045 | 1 | 0 |" in page and "| urbansound8k | 2 | 8732 | 0 | 0 |" in page
    assert "| audiocaps-test | 2 | 975 | 0 | 0 |" in page
    assert ("wavcaps-test_ac: 4 ids listed; 2 are also in the sets above (clotho-evaluation 1, vggsound-test 1);\n"
            "  2 are in none of them, such as 7, Ynobody_has1.wav") in page  # fmt: skip
    assert ("wavcaps-ub8k_esc50_vggsound: 1 ids listed; 1 are also in the sets above (esc50 1, urbansound8k 1);\n"
            "  0 are in none of them") in page  # fmt: skip
    assert ("AudioSet_SL/as_final.json: 5 clips; 3 are in the sets above, of which the lists bar 1;\n"
            "  2 they do not bar, such as Yabcdefghi_.wav, YYabcdefghi_.wav") in page  # fmt: skip
    assert ("FreeSound/fsd_final.json: 4 clips; 1 are in the sets above, of which the lists bar 1;\n"
            "  0 they do not bar") in page  # fmt: skip
    assert "clotho-validation: left out" in caplog.text and "clotho-evaluation: 2 items, where" in caplog.text
    known = EvaluationKeys.load([out])
    assert {e.kind for e in known.find("youtube:-0xzrMun0Rs@35-45")} == {"youtube", "listed"}
    assert {e.kind for e in known.find("youtube:-0xzrMun0Rs@50-60")} == {"listed"}
    assert known.find("youtube:test_Y00001@41-51") and not known.find("youtube:abcdefghijk@150-160")

    whole = tmp_path / "whole.tsv"
    assert cli.main(["evaluation-keys", "--set", sets[0], "--whole", "--out", str(whole)]) == 0
    assert EvaluationKeys.load([whole]).find("youtube:-0xzrMun0Rs@50-60")


def test_the_command_takes_prepared_clips_that_are_not_for_training(tmp_path, capsys, caplog):
    cuts = []
    for name, split, origin in (
        ("a", "train", "freesound:1"), ("b", "test", "freesound:2"), ("c", "valid", ""), ("d", "valid", "freesound"),
    ):  # fmt: skip
        clip = Clip(name, tmp_path / f"{name}.wav", ["a dog barks"], ["human"], "sound", "corpus", "CC0-1.0",
                    split=split, origin=origin)  # fmt: skip
        cuts.append(clip_to_cut(clip, Decoded(sampling_rate=8000, samples=8000, duration=1.0)))
    cuts[1].supervisions[0].custom["sha256"] = HASH
    write_manifest(cuts, tmp_path / "manifests/corpus/cuts.jsonl")
    out = tmp_path / "keys.tsv"
    assert cli.main(["evaluation-keys", "--manifests", str(tmp_path / "manifests"), "--out", str(out)]) == 0
    assert [key[:3] for key in EvaluationKeys.load([out])] == [
        ("freesound:2", "corpus-test", "b"), (f"sha256:{HASH}", "corpus-test", "b")
    ]  # fmt: skip
    assert "| corpus-valid | 2 |  | 1 | 1 |" in capsys.readouterr().out and "d: bad key: 'freesound'" in caplog.text
    assert cli.main(["evaluation-keys", "--every-clip-of", str(tmp_path / "manifests"), "--out", str(out)]) == 0
    assert EvaluationKeys.load([out]).find("freesound:1")[0].set == "corpus-train"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--set", "clotho"], 2, "expected NAME=PATH"),
        (["--set", "cloto=x"], 1, "no evaluation set is called so; did you mean 'clotho'?"),
        (["--set", "clotho=nowhere"], 1, "there is no such folder"),
        (["--set", f"esc50={__file__}"], 1, "is no table of esc50, which are called esc50.csv"),
        ([], 1, "no key was found; give --set"),
    ],
)
def test_wrong_usage_of_the_command_is_explained(arguments, code, says, tmp_path, capsys):
    try:
        status = cli.main(["evaluation-keys", *arguments, "--out", str(tmp_path / "keys.tsv")])
    except SystemExit as error:
        status = error.code
    assert status == code and says in capsys.readouterr().err
    assert not (tmp_path / "keys.tsv").exists()


def test_the_main_recipe_hands_its_options_to_curation(tmp_path):
    """Stage 1 alone, with a Python that writes down how curation is called, and makes no card."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/usr/bin/env bash\n[[ "$*" != *"cli.main card"* ]] || exec touch {tmp_path}/data/curated/DATACARD.md\n'
        f'[[ "$*" == *"cli.main curate"* ]] || exec {sys.executable} "$@"\n'
        f'printf "%s\\n" "$@" > {tmp_path}/called; mkdir -p {tmp_path}/data/curated/tokenizer\n'
        f"touch {tmp_path}/data/curated/pretrain.jsonl {tmp_path}/data/curated/statistics.json\n"
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "data/manifests/toy").mkdir(parents=True)
    (tmp_path / "data/manifests/toy/coverage.md").touch()

    def stage_1(*more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [ROOT / "egs/captionstew/run.sh", "--corpora", "toy", "--stage", "1", "--stop-stage", "1", "--data", "data",
             *more],
            cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"AUDIOTEXT_PYTHON": str(python)},
        )  # fmt: skip

    done = stage_1("--evaluation-keys", "a.tsv b.tsv")
    assert done.returncode == 1 and "a.tsv: no such file" in done.stderr
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).touch()
    options = ["--evaluation-keys", f"a.tsv {tmp_path}/b.tsv", "--licences", "CC0 CC-BY", "--nested", "400k 1m"]
    assert stage_1(*options).returncode == 0
    called = (tmp_path / "called").read_text().splitlines()
    start = called.index("--evaluation")
    assert [Path(p).name for p in called[start + 1 : start + 3]] == ["a.tsv", "b.tsv"]
    assert called[start + 3 : called.index("--nj")] == ["--licences", "CC0 CC-BY", "--nested", "400k", "1m"]
    assert "skipped" in stage_1(*options).stdout
    (tmp_path / "a.tsv").write_text("other keys")
    assert "skipped" not in stage_1(*options).stdout
    assert stage_1().returncode == 0
    assert not {"--evaluation", "--licences", "--nested"} & set((tmp_path / "called").read_text().splitlines())
