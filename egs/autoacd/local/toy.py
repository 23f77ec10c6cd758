"""Write a tiny corpus in the layout of Auto-ACD: an id with Y before, one that lost its dashes, one that is none, and a
recording that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_csv, write_recording

# as the table writes it -> the file; none where there is none
EXCERPTS = {
    "aBcDeFgHi_1": "aBcDeFgHi_1",
    "Y_bcDeFgHi_1": "Y_bcDeFgHi_1",
    "0OyBAsy8I": "--0OyBAsy8I",
    "g0ne-g0ne-g": None,
    "far too long to be one": None,
}


def write(root: Path) -> int:
    """Write the corpus; returns how many excerpts its table lists."""
    mark(root)
    rows = [["youtube_id", "caption"]]
    for name, stem in EXCERPTS.items():
        rows.append([name, f'A dog barks in a yard, then "{name}" is called.'])
        if stem:
            write_recording(root / "train" / f"{stem}.flac")
    write_csv(root / "train.csv", rows)
    return len(EXCERPTS)


if __name__ == "__main__":
    main(write)
