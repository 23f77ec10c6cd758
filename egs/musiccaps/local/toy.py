"""Write a tiny corpus in the layout of MusicCaps: ids that begin with - and _, captions with quotes, commas and a line
break, three ways of naming files, and a recording that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_csv, write_recording

# youtube id -> how its file is called; empty where there is none
EXCERPTS = {"-0Gj8-vB1q4": "{}", "_-kssA-FOzU": "[{}]-[30-40]", "0fqtA_ZBn_8": "{}_30", "gone-gone-g": "",
            "Y11charsid_": "Y{}", "--------_30": "{}_30"}  # fmt: skip


def write(root: Path) -> int:
    """Write the corpus; returns how many excerpts its table lists."""
    mark(root)
    rows = [["ytid", "start_s", "end_s", "audioset_positive_labels", "aspect_list", "caption", "author_id",
             "is_balanced_subset", "is_audioset_eval"]]  # fmt: skip
    for index, (video, name) in enumerate(EXCERPTS.items()):
        if name:
            write_recording(root / "audio" / (name.format(video) + ".wav"), 1.0, 44100)
        caption = f'A "mellow" piano, slow;\nthis may play in bar {index}. It\'s calm.'
        aspects = "['slow tempo', \"singer's voice\"]"
        rows.append([video, 30, 40, "/m/0140xf,/m/02cjck", aspects, caption, 4, False, index >= 4])
    write_csv(root / "musiccaps-public.csv", rows)
    return len(EXCERPTS)


if __name__ == "__main__":
    main(write)
