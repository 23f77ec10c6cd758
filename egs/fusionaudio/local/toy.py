"""Write a tiny corpus in the layout of FusionAudio: captions and questions of the same excerpts in two lists, an id
that is none, and a recording that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_json, write_recording

# as the lists write it -> the file; none where there is none
EXCERPTS = {"-AbCdEfGh_1": "-AbCdEfGh_1", "Yabcdefghij_": "Yabcdefghij_", "abcdefghijk_30_40": "abcdefghijk_30",
            "g0ne_g0ne_g": None}  # fmt: skip


def write(root: Path) -> int:
    """Write the corpus; returns how many excerpts its lists hold, and rows that are of none."""
    mark(root)
    captions, questions = [], []
    for name, stem in EXCERPTS.items():
        if stem:
            write_recording(root / "audioset" / f"{stem}.wav")
        row = {"audio_id": name, "input": "", "dataset": "audioset"}
        captions.append(row | {"task": "caption", "instruction": "Describe it.", "output": f"Rain, and {name}."})
        questions.append(row | {"task": "qa", "instruction": "Is it raining?", "output": "Yes."})
    questions.append(questions[0] | {"audio_id": "no id"})
    write_json(root / "FusionAudio_caption.json", captions)
    write_json(root / "FusionAudio_qa.json", questions)
    return len(EXCERPTS) + 1


if __name__ == "__main__":
    main(write)
