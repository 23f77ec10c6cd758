"""Write a tiny corpus in the layout of WavCaps: four tables, equal numbers in two parts, durations that are text or
wrong, a recording longer than is used, blacklists, one recording that is not there. `python toy.py DIR`
"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_json, write_recording

# folder, table -> ids; an id that ends in ! has no recording
PARTS = {
    ("AudioSet_SL", "as_final.json"): ["Yb0RFKhbpFJA.wav", "Y-abc_DEF-12.wav", "YY_34567890a.wav", "Ygone_gone_1.wav!"],
    ("BBC_Sound_Effects", "bbc_final.json"): ["NHU05093027", "07002163"],
    ("FreeSound", "fsd_final.json"): ["2219", "180913", "66_barred!"],
    ("SoundBible", "sb_final.json"): ["2219", "2218"],
}
BARRED = {"AudioSet": ["YY_34567890a.wav"], "FreeSound": ["66_barred"]}


def write(root: Path) -> int:
    """Write the corpus; returns how many clips its tables list."""
    mark(root)
    listed = 0
    for (folder, table), ids in PARTS.items():
        data = []
        for index, name in enumerate(ids):
            stem = name.removesuffix("!").removesuffix(".wav")
            listed += 1
            if not name.endswith("!"):
                inner = f"mnt/fast/{folder}_flac" if folder == "SoundBible" else ""  # as its archive unpacks
                seconds = 31.0 if stem == "180913" else 1.0
                write_recording(root / "Zip_files" / folder / inner / f"{stem}.flac", seconds, 8000)
            data.append({"id": name.removesuffix("!"), "caption": f"Sound {index} of {folder}", "audio": "wav_path",
                         "duration": "1.0" if index else 99.5, "description": "<b>raw</b>"})  # fmt: skip
        write_json(root / "json_files" / folder / table, {"num_captions_per_audio": 1, "data": data})
    write_json(root / "json_files/blacklist/blacklist_exclude_test_ac.json", {**BARRED, "FreeSound": []})
    write_json(root / "json_files/blacklist/blacklist_exclude_ub8k_esc50_vggsound.json", {**BARRED, "AudioSet": []})
    return listed


if __name__ == "__main__":
    main(write)
