"""Evaluation sets as their publishers list them: a table is enough to know what they hold, no recording is read.

Each set is an entry of SETS: where its table lies in the publishers' layout, how many items they name, what a row says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audiotext.config import nearest
from audiotext.curate.evaluation_keys import LISTED
from audiotext.data.corpus import DataError, Rejected
from audiotext.data.lines import read_lines
from audiotext.data.locate import find_file
from audiotext.data.origin import SPEECH, freesound_origin, speech_origin
from audiotext.data.records import read_json, read_json_lines
from audiotext.data.row import Row
from audiotext.data.table import read_table
from audiotext.data.youtube import Excerpt

Rows = Iterable[Row | Rejected]


@dataclass(frozen=True)
class Item:
    """One item of an evaluation set. keys: what it is known by; none where nobody says where it was published first."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationSet:
    """places: patterns of its table below the corpus' folder, the first found is read. known: items as published,
    0 where nobody says.

    rows: reads the table. item: what a row is; None for one that is not of this set.
    """

    name: str
    places: tuple[str, ...]
    known: int
    rows: Callable[[Path], Rows]
    item: Callable[[Row], Item | None]

    def table(self, place: Path) -> Path:
        """The table in the folder ``place``, or ``place`` itself. Raises DataError where it is not there."""
        if not place.is_file():
            return find_file(place, *self.places)
        if not any(place.match(Path(pattern).name) for pattern in self.places):
            names = sorted({Path(pattern).name for pattern in self.places})
            raise DataError(f"{place}: is no table of {self.name}, which are called {' or '.join(names)}")
        return place

    def items(self, place: Path) -> Iterator[Item | Rejected]:
        """The items that the table lists, and what stands in place of faulty ones. Raises DataError."""
        for row in self.rows(self.table(place)):
            if isinstance(row, Rejected):
                yield row
                continue
            try:
                item = self.item(row)
            except DataError as error:
                yield Rejected(row.where, str(error))
                continue
            if item:
                yield item


def chosen(name: str) -> list[EvaluationSet]:
    """The sets of a corpus, by its name. Raises DataError naming the nearest where there is none."""
    if name not in SETS:
        raise DataError(f"--set {name}: no evaluation set is called so; {nearest(name, SETS)}")
    return SETS[name]


def _youtube(row: Row, column: str, start: float | None = None, end: float | None = None) -> Item:
    excerpt = Excerpt.parse(row.text(column))
    excerpt = excerpt if start is None else Excerpt(excerpt.video, start, end)
    return Item(excerpt.name, (excerpt.origin,))


def _freesound(row: Row, name: str, number: str) -> Item:
    origin = freesound_origin(row.text(number, ""))
    return Item(row.text(name), (origin,) if origin else ())


def _audiocaps(row: Row) -> Item:
    start = row.whole("start_time")
    return _youtube(row, "youtube_id", start, start + 10)


def _audioset(row: Row, start: str = "start_seconds", end: str = "end_seconds", video: str = "YTID") -> Item:
    first, seconds = row.interval(start, end)
    return _youtube(row, video, first, first + seconds)


def _strong_rows(path: Path) -> Iterator[Row | Rejected]:
    """A row for each segment, which has a row for each of its events."""
    seen = set()
    for row in read_table(path, ["segment_id"], delimiter="\t"):
        if isinstance(row, Rejected):
            yield row
        elif (name := row.text("segment_id", "")) not in seen:
            seen.add(name)
            yield row


def _strong(row: Row) -> Item:
    """Segments are called by video and milliseconds."""
    video, _, start = row.text("segment_id").rpartition("_")
    if not (start.isascii() and start.isdigit()):
        raise row.fault("segment_id", f"expected YTID_STARTMILLISECONDS, got {row.text('segment_id')!r:.80}")
    excerpt = Excerpt(video, int(start) / 1000, int(start) / 1000 + 10)
    return Item(excerpt.name, (excerpt.origin,))


def _musiccaps(row: Row) -> Item | None:
    return _audioset(row, "start_s", "end_s", "ytid") if row.flag("is_audioset_eval") else None


def _vggsound_rows(path: Path) -> Rows:
    if path.name == "test.csv":  # that of the repository: names of files
        return read_table(path, ["file", "label"], header=["file", "label"], unique=["file"])
    names = ["ytid", "start", "label", "split"]
    return read_table(path, names, header=names, unique=["ytid", "start"])


def _vggsound(row: Row) -> Item | None:
    if "file" in row.fields:
        excerpt = Excerpt.parse(row.text("file"))
        if excerpt.start is None:
            raise row.fault("file", "says no second, as in ID_000030.mp4")
        return _youtube(row, "file", excerpt.start, excerpt.start + 10)
    start = row.whole("start")
    return _youtube(row, "ytid", start, start + 10) if row.text("split") == "test" else None


def _clotho_rows(path: Path) -> Rows:
    first = next(read_lines(path, "latin-1"), None)
    delimiter = ";" if first and first.text.startswith("file_name;") else ","
    return read_table(path, ["file_name", "sound_id"], ["file_name"], delimiter=delimiter, encoding="latin-1")


def _clothoaqa_rows(path: Path) -> Iterator[Row | Rejected]:
    """A row for each recording that is asked about, with its number from the metadata beside the table."""
    numbers = {}
    for row in _clotho_rows(find_file(path.parent, "clotho_aqa_metadata.csv")):
        if isinstance(row, Rejected):
            yield row
        else:
            numbers[row.text("file_name", "")] = row.text("sound_id", "")
    seen = set()
    for row in read_table(path, ["file_name"], encoding="latin-1"):
        if isinstance(row, Rejected):
            yield row
        elif (name := row.text("file_name", "")) not in seen:
            seen.add(name)
            yield Row(row.where, {"file_name": name, "sound_id": numbers.get(name, "")})


def _fsd50k_valid(row: Row) -> Item | None:
    split = row.text("split")
    if split not in ("train", "val"):
        raise row.fault("split", f"expected train or val, got {split!r:.80}")
    return _freesound(row, "fname", "fname") if split == "val" else None


def _magnatagatune(row: Row) -> Item | None:
    """Of the test part of the usual split by folder: 0 to b, c, d to f."""
    folder, slash, _ = row.text("mp3_path").partition("/")
    if not slash or len(folder) != 1 or folder not in "0123456789abcdef":
        raise row.fault("mp3_path", f"expected a folder 0 to f and a file in it, got {row.text('mp3_path')!r:.80}")
    number = row.text("clip_id")
    return Item(number, (f"mtt:{number}",)) if folder in "def" else None


def _voxceleb(row: Row) -> Item | None:
    """Of the identification test, whose split goes by video."""
    if row.whole("split") != 3:
        return None
    speaker, video, utterance = _utterance(row, "path")
    return Item(f"{speaker}/{video}/{utterance}", (f"voxceleb:{speaker}/{video}", *_video(video)))


def _voxceleb_rows(path: Path) -> Iterator[Row | Rejected]:
    """The pairs of the verification test as a row for each video, which stands in many pairs."""
    names, seen = ["same", "one", "other"], set()
    for row in read_table(path, names, header=names, delimiter=" "):
        if isinstance(row, Rejected):
            yield row
            continue
        for column in ("one", "other"):
            said = row.text(column, "").rpartition("/")[0]
            if said not in seen:
                seen.add(said)
                yield Row(row.where, {"path": row.fields[column]})


def _voxceleb_speaker(row: Row) -> Item:
    """Of the verification test, whose speakers shall be unheard of."""
    speaker, video, _ = _utterance(row, "path")
    return Item(speaker, (f"voxceleb:{speaker}", *_video(video)))


def _voxceleb2_speaker(row: Row) -> Item | None:
    """Of the test part, whose speakers shall be unheard of."""
    speaker, part = row.text("VoxCeleb2 ID"), row.text("Set")
    if not (speaker.startswith("id") and speaker[2:].isdigit()):
        raise row.fault("VoxCeleb2 ID", f"expected id00012 or the like, got {speaker!r:.80}")
    if part not in ("dev", "test"):
        raise row.fault("Set", f"expected dev or test, got {part!r:.80}")
    return Item(speaker, (f"voxceleb:{speaker}",)) if part == "test" else None


def _utterance(row: Row, column: str) -> list[str]:
    parts = speech_origin("voxceleb", row.text(column)).partition(":")[2].split("/")
    if not parts[0].startswith("id") or not parts[0][2:].isdigit():
        raise row.fault(column, f"expected id10001/VIDEO/00001.wav, got {row.text(column)!r:.80}")
    return parts


def _video(name: str) -> tuple[str, ...]:
    """VoxCeleb calls videos by their YouTube id."""
    try:
        return (Excerpt(name).origin,)
    except DataError:
        return ()


def _paraspeechcaps(row: Row) -> Item:
    corpus = row.text("source").lower()
    if corpus not in SPEECH:
        raise row.fault("source", f"{corpus!r:.80} is none of {', '.join(SPEECH)}")
    origin = speech_origin(corpus, row.text("relative_audio_path"))
    return Item(origin, (origin,))


def _listed_rows(path: Path) -> Iterator[Row | Rejected]:
    """The ids of a blacklist of WavCaps, {"AudioSet": [...], "FreeSound": [...]}, as rows."""
    tree = read_json(path)
    for key in ("AudioSet", "FreeSound"):
        if not isinstance(tree, dict) or not isinstance(tree.get(key), list):
            raise DataError(f"{path}: expected an object with a list of ids under {key!r}")
        for index, name in enumerate(tree[key]):
            yield Row(f"{path}: {key}[{index}]", {"list": key, "id": name})


def _listed(row: Row) -> Item:
    name = row.text("id")
    if row.fields["list"] == "AudioSet":
        return Item(name, (LISTED + Excerpt.parse(name).origin,))
    origin = freesound_origin(name.removesuffix(".wav").removesuffix(".flac"))
    return Item(name, (LISTED + origin,) if origin else ())


def _anywhere(*names: str) -> tuple[str, ...]:
    return (*names, *(f"*/{name}" for name in names))


def _table(*columns: str, unique: str = "") -> Callable[[Path], Rows]:
    return partial(read_table, columns=columns, unique=[unique] if unique else [])


_AUDIOSET = ["YTID", "start_seconds", "end_seconds", "positive_labels"]
_BLACKLISTS = ("json_files/blacklist", "data/json_files/blacklist", "*/json_files/blacklist", ".")
_AUDIOCAPS = ("dataset", "csv_files_v1", ".", "dataset2.0", "csv_files_v2")

SETS: dict[str, list[EvaluationSet]] = {
    "audiocaps": [
        EvaluationSet(f"audiocaps-{split}", tuple(f"{place}/{split}.csv" for place in _AUDIOCAPS), known,
                      _table("youtube_id", "start_time"), _audiocaps)
        for split, known in (("val", 495), ("test", 975))
    ],
    "audioset": [
        EvaluationSet("audioset-eval", _anywhere("eval_segments.csv"), 20371,
                      partial(read_table, columns=_AUDIOSET, header=_AUDIOSET, comment="#"), _audioset)
    ],
    "audioset_strong": [
        EvaluationSet("audioset-strong-eval", _anywhere("audioset_eval_strong.tsv"), 16996, _strong_rows, _strong)
    ],
    "clotho": [
        EvaluationSet(f"clotho-{split}", _anywhere(f"clotho_metadata_{split}.csv"), 1045, _clotho_rows,
                      partial(_freesound, name="file_name", number="sound_id"))
        for split in ("validation", "evaluation")
    ],
    "clothoaqa": [
        EvaluationSet("clothoaqa-test", _anywhere("clotho_aqa_test.csv"), 473, _clothoaqa_rows,
                      partial(_freesound, name="file_name", number="sound_id"))
    ],
    "esc50": [
        EvaluationSet("esc50", ("meta/esc50.csv", *_anywhere("esc50.csv")), 2000,
                      _table("filename", "src_file", unique="filename"),
                      partial(_freesound, name="filename", number="src_file"))
    ],
    "fsd50k": [
        EvaluationSet("fsd50k-eval", ("FSD50K.ground_truth/eval.csv", *_anywhere("eval.csv")), 10231,
                      _table("fname", unique="fname"), partial(_freesound, name="fname", number="fname"))
    ],
    "fsd50k-val": [
        EvaluationSet("fsd50k-val", ("FSD50K.ground_truth/dev.csv", *_anywhere("dev.csv")), 4170,
                      _table("fname", "split", unique="fname"), _fsd50k_valid)
    ],
    "magnatagatune": [
        EvaluationSet("magnatagatune-test", _anywhere("annotations_final.csv"), 0,
                      partial(read_table, columns=["clip_id", "mp3_path"], unique=["clip_id"], delimiter="\t"),
                      _magnatagatune)
    ],
    "musiccaps": [
        EvaluationSet("musiccaps-eval", _anywhere("musiccaps-public.csv"), 2858,
                      _table("ytid", "start_s", "end_s", "is_audioset_eval"), _musiccaps)
    ],
    "paraspeechcaps": [
        EvaluationSet(f"paraspeechcaps-{split}", _anywhere(f"{split}.jsonl"), known,
                      partial(read_json_lines, columns=["source", "relative_audio_path"]), _paraspeechcaps)
        for split, known in (("dev", 11967), ("holdout", 14756))
    ],
    "urbansound8k": [
        EvaluationSet("urbansound8k", ("metadata/UrbanSound8K.csv", *_anywhere("UrbanSound8K.csv")), 8732,
                      _table("slice_file_name", "fsID", unique="slice_file_name"),
                      partial(_freesound, name="slice_file_name", number="fsID"))
    ],
    "vggsound": [
        EvaluationSet("vggsound-test", (*_anywhere("vggsound.csv"), *_anywhere("test.csv")), 15446, _vggsound_rows,
                      _vggsound)
    ],
    "voxceleb1": [
        EvaluationSet("voxceleb1-identification", _anywhere("iden_split.txt"), 8251,
                      partial(read_table, columns=["path"], header=["split", "path"], delimiter=" "), _voxceleb),
        EvaluationSet("voxceleb1-verification", _anywhere("veri_test.txt", "veri_test2.txt"), 40, _voxceleb_rows,
                      _voxceleb_speaker),
    ],
    "voxceleb2": [
        EvaluationSet("voxceleb2-verification", _anywhere("vox2_meta.csv"), 118, _table("VoxCeleb2 ID", "Set"),
                      _voxceleb2_speaker)
    ],
    "wavcaps": [
        EvaluationSet(f"wavcaps-{name}", tuple(f"{place}/blacklist_exclude_{pattern}.json" for place in _BLACKLISTS),
                      known, _listed_rows, _listed)
        for name, pattern, known in (("test_ac", "test_ac", 1451 + 2090),
                                     ("ub8k_esc50_vggsound", "ub*8k_esc50_vggsound", 15510 + 2219))
    ],
}  # fmt: skip
