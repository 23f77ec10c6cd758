"""AudioSet with temporally-strong labels (S. Hershey et al., "The Benefit of Temporally-Strong Labels in Audio Event
Classification", 2021):

  audioset_{train,eval}_strong.tsv    segment_id, start_time_seconds, end_time_seconds, label; a row for each event,
                                      its segment YTID_STARTMILLISECONDS, its times within the segment, its label a MID
  mid_to_display_name.tsv             no header: MID, name
  any folder/*.{wav,flac,...}         excerpts of 10 s, named VIDEO, YVIDEO, VIDEO_START, ...
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import soundfile

from audiotext.data.corpus import Clip, DataError, Rejected
from audiotext.data.download import Download
from audiotext.data.locate import Recordings, find_file, find_tables
from audiotext.data.row import Row, clips_of
from audiotext.data.table import read_table
from audiotext.data.youtube import Excerpt

EXPECTED = {"train": 103463, "test": 16996}
TABLES = {"train": "train", "eval": "test"}
COLUMNS = ["segment_id", "start_time_seconds", "end_time_seconds", "label"]
SECONDS = 10.0  # of a segment
SLACK = 0.5  # seconds by which a recording may end before its last event; the event is then cut
DOWNLOADS = [
    Download(f"https://storage.googleapis.com/us_audioset/youtube_corpus/strong/{name}.tsv", f"{name}.tsv")
    for name in ("mid_to_display_name", *(f"audioset_{table}_strong" for table in TABLES))
]


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """A clip for each segment, with its events; one of whose events any is faulty is left out."""
    names: dict[str, str] = {}
    words = find_file(root, "mid_to_display_name.tsv", "*/mid_to_display_name.tsv")
    for row in read_table(words, ["mid", "name"], unique=["mid"], header=["mid", "name"], delimiter="\t"):
        if isinstance(row, Rejected):
            yield replace(row, owed=False)
            continue
        mid, name = row.text("mid", ""), row.text("name", "")
        names[mid] = f"{name} ({mid})" if name in names.values() else name
    recordings = Recordings([root])
    patterns = {name: [f"audioset_{name}_strong.tsv", f"*/audioset_{name}_strong.tsv"] for name in TABLES}
    for name, table in find_tables(root, patterns).items():
        make = partial(_clip, root=root, recordings=recordings, names=names, split=TABLES[name])
        yield from clips_of(_segments(read_table(table, COLUMNS, delimiter="\t")), make, TABLES[name])


def _segments(rows: Iterable[Row | Rejected]) -> Iterator[Row | Rejected]:
    """A row for each segment, at the place of its first event, which lists the rows of its events."""
    together: dict[str, Row] = {}
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        segment = row.text("segment_id", "")
        found = together.setdefault(segment, Row(row.where, {"segment_id": segment, "events": []}))
        found.fields["events"].append(row)
    yield from together.values()


def _clip(row: Row, root: Path, recordings: Recordings, names: dict[str, str], split: str) -> Clip:
    segment = row.text("segment_id")
    video, _, milliseconds = segment.rpartition("_")
    if not (milliseconds.isascii() and milliseconds.isdigit()):
        raise row.fault("segment_id", f"expected YTID_STARTMILLISECONDS, got {segment!r:.80}")
    start = int(milliseconds) / 1000
    excerpt = Excerpt(video, start, start + SECONDS)
    events = sorted(_event(each, names) for each in row.fields["events"])
    audio = recordings.find(excerpt.stems(), root / "audio" / f"{video}.wav")
    last, end = max(offset for _, offset, _ in events), _end(audio)
    if last > end + SLACK:
        raise DataError(f"truncated: {audio} ends after {end:.2f} s, its last event after {last:.2f} s ({row.where})")
    return Clip(
        id=f"audioset_strong_{segment}",
        audio=audio,
        at_most=SECONDS,
        captions=[", ".join(dict.fromkeys(name for _, _, name in events)).lower()],
        caption_styles=["template"],
        domain="sound",
        source="audioset_strong",
        licence="CC-BY-4.0",
        split=split,
        labels={"events": [list(event) for event in events]},
        family=f"youtube_{video}",
        origin=excerpt.origin,
    )


def _event(row: Row, names: dict[str, str]) -> tuple[float, float, str]:
    onset, seconds = row.interval("start_time_seconds", "end_time_seconds")
    offset, mid = onset + seconds, row.text("label")
    if offset > SECONDS + SLACK:
        raise row.fault("end_time_seconds", f"{offset:g} lies outside a segment of {SECONDS:g} s")
    if not names.get(mid):
        raise row.fault("label", f"{mid!r:.80} stands not in mid_to_display_name.tsv")
    return round(onset, 3), round(offset, 3), names[mid]


def _end(audio: Path) -> float:
    """Seconds that its header promises; endless where there is none, since decoding then says what is wrong."""
    try:
        return soundfile.info(audio).duration
    except (RuntimeError, OSError):
        return math.inf
