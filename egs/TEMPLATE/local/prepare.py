"""TEMPLATE (who published it, where), as published:

  meta.csv       filename,split,kind
  audio/*.wav
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip, DataError

EXPECTED: dict[str, int] = {}  # clips per split as published, such as {"train": 1600, "test": 400}


def clips(root: Path) -> Iterator[Clip]:
    """The clips that meta.csv lists. Files, ids and counts are checked by the library."""
    table = root / "meta.csv"
    if not table.is_file():
        raise DataError(f"{table}: not there; {root} should look as README.md says")
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Clip(
                id=f"TEMPLATE_{Path(row['filename']).stem}",
                audio=root / "audio" / row["filename"],
                captions=[f"the sound of {row['kind']}"],
                caption_styles=["template"],
                domain="sound",
                source="toy" if "toy" in row["filename"] else "TEMPLATE",
                licence="say which",
                split=row["split"],
                labels={"kind": row["kind"]},
                family=Path(row["filename"]).stem,
            )
