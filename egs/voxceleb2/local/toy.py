"""Write a tiny corpus in the layout of VoxCeleb2, converted to wav and flac: five speakers, two of them under test, one
of whom no video is for training; and a file that is none of it. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_recording

VIDEOS = {"dev/id00012": 9, "dev/id00015": 9, "dev/id00014": 1, "test/id00017": 2, "test/id00061": 2}


def write(root: Path) -> int:
    """Write the corpus; returns how many files it holds."""
    mark(root)
    names = [(place, f"toy{place[-5:]}_{video:02d}/{utterance:05d}") for place, videos in VIDEOS.items()
             for video in range(videos) for utterance in (1, 2)]  # fmt: skip
    for n, (place, name) in enumerate(names):
        ending = ("wav", "flac")[n % 2]
        part, speaker = place.split("/")
        write_recording(root / part / ending / speaker / f"{name}.{ending}", 0.4)
    write_recording(root / "dev/wav/id00012/noise/rain.wav", 0.4)
    return len(names) + 1


if __name__ == "__main__":
    main(write)
