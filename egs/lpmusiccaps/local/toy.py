"""Write a tiny corpus in the layout of LP-MusicCaps: three parts, tables of both kinds, an empty caption, files named
by id or by path, and one that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_csv, write_json, write_recording

COLUMNS = ("track_id", "path", *(f"caption_{kind}" for kind in ("writing", "summary", "attribute_prediction")))
PIECES = {"train": ("TRAAAAK128F9318786", "TRGONE"), "valid": ("TRAAAAW128F429D538",), "test": ("-2",)}


def write(root: Path) -> int:
    """Write the corpus; returns how many pieces its tables list."""
    mark(root)
    for split, names in PIECES.items():
        rows = [[name, f"8/7/{split}.{name}.mp3", f'A "slow" song, {name}.', "", "No."] for name in names]
        write_csv(root / "LP-MusicCaps-MTT" / f"{split}.csv", [COLUMNS, *rows])
        write_json(root / "LP-MusicCaps-MSD" / f"{split}.jsonl", [dict(zip(COLUMNS, row, strict=True)) for row in rows])
        for name in names:
            if "GONE" not in name:
                write_recording(root / "msd" / "8" / f"{name}.mp3", 2.0)
                write_recording(root / "mtt" / "f" / f"{split}.{name}.mp3", 2.0)
    write_json(root / "LP-MusicCaps-MC/test.jsonl",
               [{"ytid": "-0Gj8-vB1q4", "fname": "[-0Gj8-vB1q4]-[30-40]", "caption_writing": "A piano."}])  # fmt: skip
    write_recording(root / "mc" / "[-0Gj8-vB1q4]-[30-40].wav", 2.0)
    return 2 * sum(len(names) for names in PIECES.values()) + 1


if __name__ == "__main__":
    main(write)
