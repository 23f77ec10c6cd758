"""Auto-ACD (L. Sun et al., "Auto-ACD: A Large-scale Dataset for Audio-Language Representation Learning", 2024):

  train.csv               youtube_id,caption; some ids with Y before, some without the dashes that they begin with
  any folder/*.{wav,...}  excerpts of AudioSet and VGGSound, named by their YouTube id
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from audiotext.data.corpus import Clip, Rejected
from audiotext.data.locate import Recordings, find_file
from audiotext.data.row import Row, clips_of
from audiotext.data.table import read_table
from audiotext.data.youtube import LENGTH, Excerpt

EXPECTED: dict[str, int] = {}  # 1.5 to 1.9 million, by edition


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """A clip for each row, with the caption that a language model wrote from audio and picture."""
    make = partial(_clip, root=root, recordings=Recordings([root]))
    return clips_of(read_table(find_file(root, "train.csv", "*/train.csv"), ["youtube_id", "caption"]), make)


def _clip(row: Row, root: Path, recordings: Recordings) -> Clip:
    written = row.text("youtube_id")
    excerpt = Excerpt.parse(written.rjust(LENGTH, "-"))  # a spreadsheet takes the dashes before an id away
    return Clip(
        id=f"autoacd_{excerpt.name}",
        audio=recordings.find(chain([written], excerpt.stems()), root / "audio" / f"{excerpt.name}.wav"),
        captions=[row.text("caption")],
        caption_styles=["synthetic"],
        domain="sound",
        source="autoacd",
        licence="unknown",
        family=f"youtube_{excerpt.video}",
        origin=excerpt.origin,
    )
