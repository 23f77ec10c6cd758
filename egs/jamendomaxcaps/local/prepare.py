"""JamendoMaxCaps (A. Roy et al., "JamendoMaxCaps: A Large Scale Music-caption Dataset with Imputed Metadata", 2025):

  final_caption30sec.jsonl     {"id", "caption", "start_time", "end_time"}: a caption for each window of 30 s
  YYYY-MM-DD.jsonl             what Jamendo knows of a track: {"id", ..., "license_ccurl"}; may be left out
  any folder/ID.mp3            whole tracks, as the publishers' script extracts them from the Parquet files
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from audiotext.data.corpus import Clip, DataError, Rejected
from audiotext.data.licence import licence_name
from audiotext.data.locate import Recordings, find_file, inside
from audiotext.data.records import read_json_lines
from audiotext.data.row import Row, clips_of

EXPECTED: dict[str, int] = {}  # the publishers give no number of windows
DAYS = "[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9].jsonl"


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """A clip for each captioned window; the last window of a track may be shorter than 30 s."""
    table = find_file(root, "final_caption30sec.jsonl", "*/final_caption30sec.jsonl")
    recordings = Recordings([root])
    licences: dict[str, str] = {}
    for path in sorted([*root.glob(DAYS), *root.glob(f"*/{DAYS}")]):
        try:
            for row in read_json_lines(path, ["id"]):
                if isinstance(row, Rejected):
                    yield replace(row, owed=False)
                else:
                    licences[row.text("id")] = licence_name(row.text("license_ccurl", ""))
        except DataError as error:  # a day without metadata costs licences, not recordings
            yield Rejected(str(path), str(error), owed=False)
    rows = read_json_lines(table, ["id", "caption", "start_time", "end_time"])
    yield from clips_of(rows, partial(_clip, root=root, recordings=recordings, licences=licences))


def _clip(row: Row, root: Path, recordings: Recordings, licences: dict[str, str]) -> Clip:
    track = row.text("id").removesuffix(".mp3")
    start, seconds = row.interval("start_time", "end_time")
    return Clip(
        id=f"jamendomaxcaps_{track}_{start:g}",
        audio=recordings.find([track], inside(root / "audio", f"{track}.mp3")),
        start=start,
        at_most=seconds,
        captions=[row.text("caption")],
        caption_styles=["synthetic"],
        domain="music",
        source="jamendomaxcaps",
        licence=licences.get(track, licence_name("")),
        family=f"jamendo_{track}",
        origin=f"jamendo:{track}@{start:g}-{start + seconds:g}",
    )
