"""LibriSpeech (V. Panayotov et al., "Librispeech: An ASR corpus based on public domain audio books", 2015), of which
these parts are for training on a hundred hours:

  {train-clean-100,dev-clean,test-clean,test-other}/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac
  {train-clean-100,dev-clean,test-clean,test-other}/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt    NAME WORDS a line
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip, DataError, Rejected
from audiotext.data.lines import read_lines
from audiotext.data.locate import AUDIO, Recordings, existing_folder, files_in

log = logging.getLogger(__name__)

EXPECTED = {"train": 28539, "valid": 2703, "test": 2620 + 2939}
LENGTHS = (0.1, 40.0)  # an utterance that is cut no longer fits its transcript; the longest last 35 s
PARTS = {"train-clean-100": "train", "dev-clean": "valid", "test-clean": "test", "test-other": "test"}
TABLE = ".trans.txt"


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """The utterances of the parts that are there; a part that is not is told. Raises DataError where none is."""
    found = {}
    for part in PARTS:
        try:
            found[part] = existing_folder(root, part, f"*/{part}")
        except DataError as error:
            log.warning("%s: left out: %s", part, error)
    if not found:
        raise DataError(f"{root}: expected {', '.join(PARTS)} in it, as folders (see README.md)")
    for part, folder in found.items():
        chapters = sorted({p.parent for p in files_in(folder) if p.suffix.lower() in AUDIO or p.name.endswith(TABLE)})
        if not chapters:
            raise DataError(f"{folder}: expected SPEAKER/CHAPTER/*.flac in it, found no recording")
        for chapter in chapters:
            yield from _chapter(chapter, part)


def _chapter(folder: Path, part: str) -> Iterator[Clip | Rejected]:
    """The utterances that the transcripts of a chapter list, and the recordings that they do not."""
    speaker, chapter = folder.parent.name, folder.name
    table, recordings = folder / f"{speaker}-{chapter}{TABLE}", Recordings([folder])
    seen: dict[str, int] = {}
    if table.is_file():
        for line in read_lines(table):
            where = f"{table}:{line.number}"
            name, _, words = line.text.strip().partition(" ")
            fault = line.fault or _fault(name, f"{speaker}-{chapter}-", words)
            if not fault and seen.setdefault(name, line.number) != line.number:
                fault = f"duplicate row: {name} stands on line {seen[name]} already"
            if fault:
                yield Rejected(where, fault, PARTS[part])
            else:
                yield _clip(name, words.strip(), recordings.find([name], folder / f"{name}.flac"), part, where)
    for name in sorted(recordings.names() - seen.keys()):
        at = f"no line for it in {table.name}" if table.is_file() else f"{table} is not there"
        yield Rejected(f"librispeech_{name}", f"no transcript: {at}", PARTS[part])


def _fault(name: str, start: str, words: str) -> str:
    """What is wrong with a line of transcripts; empty where nothing is."""
    number = name.removeprefix(start)
    if number == name or not (number.isascii() and number.isdigit()):
        return f"bad name: {name!r:.80} is not {start}NNNN, an utterance of this chapter"
    return "" if any(character.isalnum() for character in words) else f"no text: {name} has no words"


def _clip(name: str, words: str, audio: Path, part: str, where: str) -> Clip:
    speaker = name.partition("-")[0]
    return Clip(
        id=f"librispeech_{name}",
        audio=audio,
        captions=["someone reads a book aloud"],
        caption_styles=["template"],
        domain="speech",
        source="librispeech",
        licence="CC-BY-4.0",
        split=PARTS[part],
        labels={"transcript": words, "part": part, "speaker": speaker},
        family=f"librispeech_{speaker}",  # whose utterances are not independent; parts share no speaker
        origin=f"librispeech:{name.replace('-', '/')}",
        where=where,
    )
