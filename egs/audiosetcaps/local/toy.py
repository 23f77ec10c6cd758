"""Write a tiny corpus in the layout of AudioSetCaps: ids as each part writes them, one of them no id, one video in two
parts, and a recording that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_csv, write_recording

# table -> folder, and id -> name of the recording; none where there is none
PARTS = {
    "AudioSetCaps": ("AudioSet", {"Y---1_cCGK4M": "Y---1_cCGK4M", "YYabcdefghi_": "Yabcdefghi_", "Ygone_567890": None}),
    "VGGSound_AudioSetCaps": ("VGGSound", {"OxPnZzn1_L8_000083": "OxPnZzn1_L8_000083", "---1_cCGK4M_000120":
                                           "---1_cCGK4M_120"}),
    "YouTube-8M_AudioSetCaps": ("YouTube-8M", {"9eUrEyAR3xk_84_10": "9eUrEyAR3xk_84_10", "_7Xe9vD3Hpg_4_10":
                                               "_7Xe9vD3Hpg_4_14", "no id": None}),
}  # fmt: skip


def write(root: Path) -> int:
    """Write the corpus; returns how many clips its tables list."""
    mark(root)
    for table, (folder, names) in PARTS.items():
        rows = [["id", "caption"]]
        for written, stem in names.items():
            rows.append([written, f'A voice says, "{folder}", and music plays.'])
            if stem:
                write_recording(root / folder / f"{stem}.wav")
        write_csv(root / "Dataset" / f"{table}_caption.csv", rows)
    return sum(len(names) for _, names in PARTS.values())


if __name__ == "__main__":
    main(write)
