"""FusionAudio (S. Chen et al., "FusionAudio-1.2M: Towards Fine-grained Audio Captioning", 2025), as published:

  *.json                  lists of {"audio_id", "instruction", "input", "dataset", "task", "output"}: captions of
                          excerpts of AudioSet, and answers to questions
  any folder/*.{wav,...}  excerpts, named as in the lists or by their YouTube id
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from audiotext.data.corpus import Clip, DataError, Rejected
from audiotext.data.locate import Recordings, find_file, inside
from audiotext.data.records import read_json_list
from audiotext.data.row import Row
from audiotext.data.youtube import Excerpt

EXPECTED: dict[str, int] = {}  # 1.2 million captions; the publishers give no number of excerpts
FIELDS = ["audio_id", "instruction", "task", "output"]


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """A clip for each excerpt, with all captions and questions that the lists hold of it."""
    find_file(root, "*.json")
    make = partial(_clip, root=root, recordings=Recordings([root]))
    excerpts: dict[str, Clip] = {}
    for path in sorted(root.glob("*.json")):
        for row in read_json_list(path, FIELDS):
            if isinstance(row, Rejected):
                yield row
                continue
            try:
                name = row.text("audio_id")
                if name not in excerpts:
                    excerpts[name] = make(name)
                _add(excerpts[name], row)
            except DataError as error:
                yield Rejected(row.where, str(error))
    yield from excerpts.values()


def _add(clip: Clip, row: Row) -> None:
    """What the row says, to the clip it is of."""
    said = row.text("output")
    if "caption" in row.text("task").lower():
        clip.captions.append(said)
        clip.caption_styles.append("synthetic")
    else:
        asked = " ".join(text for text in (row.text("instruction"), row.text("input", "")) if text)
        clip.questions.append({"question": asked, "answer": said})


def _clip(name: str, root: Path, recordings: Recordings) -> Clip:
    stem = Path(name).name
    for ending in (".wav", ".flac", ".mp3"):
        stem = stem.removesuffix(ending)
    excerpt = Excerpt.parse(stem)
    return Clip(
        id=f"fusionaudio_{excerpt.name}",
        audio=recordings.find(chain([stem], excerpt.stems()), inside(root / "audio", f"{stem}.wav")),
        captions=[],
        caption_styles=[],
        domain="sound",
        source="fusionaudio",
        licence="unknown",
        family=f"youtube_{excerpt.video}",
        origin=excerpt.origin,
    )
