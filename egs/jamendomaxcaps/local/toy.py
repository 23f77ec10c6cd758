"""Write a tiny corpus in the layout of JamendoMaxCaps: two long MP3s with a caption for each 30 s, the last window cut
short, one that lies behind the end, and a track that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_json, write_recording

TRACKS = {"1886257": 75, "214": 31, "999999": 0}  # id -> seconds; 0: not there
LICENCE = "http://creativecommons.org/licenses/by-nc-sa/3.0/"


def write(root: Path) -> int:
    """Write the corpus; returns how many windows its table lists."""
    mark(root)
    captions = []
    for track, seconds in TRACKS.items():
        if seconds:
            write_recording(root / "mp3_files" / f"{track}.mp3", seconds)
        for start in range(0, max(seconds, 30), 30):
            times = {"start_time": start, "end_time": start + 30}
            captions.append({"id": track, "caption": f"A guitar, {start} seconds in.", **times})
    captions.append({"id": "214", "caption": "Behind the end.", "start_time": "90.0", "end_time": "120.0"})
    write_json(root / "final_caption30sec.jsonl", captions)
    write_json(root / "2008-02-15.jsonl", [{"id": track, "name": "a", "license_ccurl": LICENCE} for track in TRACKS])
    return len(captions)


if __name__ == "__main__":
    main(write)
