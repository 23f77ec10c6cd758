"""ESC-50 (K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", 2015), as published:

  meta/esc50.csv    filename,fold,target,category,esc10,src_file,take
  audio/*.wav       FOLD-SOURCE-TAKE-TARGET.wav, 5 s, 44.1 kHz

Five folds; recordings cut from one source file share a fold, so source files are the families.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip, DataError

EXPECTED = {"train": 2000}  # every clip; the folds are labels
COLUMNS = {"filename", "fold", "category", "src_file"}


def clips(root: Path) -> Iterator[Clip]:
    """The clips that meta/esc50.csv lists. Raises DataError where the table or a column of it is missing."""
    table = root / "meta" / "esc50.csv"
    if not table.is_file():
        raise DataError(f"{table}: not there; {root} should hold audio/ and meta/ as published (see README.md)")
    with table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if missing := COLUMNS - set(reader.fieldnames or ()):
            raise DataError(f"{table}: no column {', '.join(sorted(missing))}; found {reader.fieldnames}")
        for row in reader:
            words = row["category"].replace("_", " ")
            toy = row["src_file"].startswith("toy")
            yield Clip(
                id=f"esc50_{Path(row['filename']).stem}",
                audio=root / "audio" / row["filename"],
                captions=[f"the sound of {words}"],
                caption_styles=["template"],
                domain="sound",
                source="toy" if toy else "esc50",
                licence="CC0-1.0" if toy else "CC-BY-NC-3.0",
                labels={"category": row["category"], "fold": row["fold"]},
                family=f"esc50_{row['src_file']}",
            )
