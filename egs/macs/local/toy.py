"""Write a tiny corpus in the layout of MACS: two and three captions a scene, a scene that is not there.
`python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

import yaml

from audiotext.data.synthetic import main, mark, write_recording

SCENES = ("airport-barcelona-0-0-a", "airport-barcelona-0-1-a", "park-helsinki-1-9-a", "public_square-lyon-3-2-a")


def write(root: Path) -> int:
    """Write the corpus; returns how many scenes its table lists."""
    mark(root)
    files = []
    for index, scene in enumerate(SCENES):
        said = [{"sentence": f"people talk: it's busy, no {n}", "tags": ["adults talking"], "annotator_id": n}
                for n in range(2 + index % 2)]  # fmt: skip
        files.append({"filename": f"{scene}.wav", "annotations": said})
        if scene != SCENES[-1]:
            write_recording(root / "audio" / f"{scene}.wav", 1.0, 48000)
    (root / "MACS.yaml").write_text(yaml.safe_dump({"files": files}), encoding="utf-8")
    return len(SCENES)


if __name__ == "__main__":
    main(write)
