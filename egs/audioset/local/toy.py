"""Write a tiny corpus in the layout of AudioSet: comments, a blank after each comma, labels and names with commas, a
label that no table names, ids that begin with - and _, and a recording that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_csv, write_recording

CLASSES = {"/m/09x0r": "Speech", "/m/05zppz": "Male speech, man speaking", "/m/068hy": "Domestic animals, pets"}
# table -> youtube id -> (start, labels); an id that holds "gone" has no recording
TABLES = {
    "balanced_train": {"--4gqARaEJE": (0, "/m/068hy"), "_gone_gone_": (30, "/m/09x0r")},
    "unbalanced_train": {"---1_cCGK4M": (0, "/m/09x0r,/m/05zppz"), "_0a-b1c2d3e": (120, "/m/unknown")},
    "eval": {"Y-evaluate_": (30, "/m/05zppz,/m/068hy"), "-----------": (20, "/m/09x0r")},
}


def write(root: Path) -> int:
    """Write the corpus; returns how many excerpts its tables list."""
    mark(root)
    names = [[index, mid, name] for index, (mid, name) in enumerate(CLASSES.items())]
    write_csv(root / "class_labels_indices.csv", [["index", "mid", "display_name"], *names])
    for table, excerpts in TABLES.items():
        lines = ["# Segments csv created Sun Mar  5 10:54:31 2017", f"# num_ytids={len(excerpts)}, num_unique_labels=3",
                 "# YTID, start_seconds, end_seconds, positive_labels"]  # fmt: skip
        for video, (start, labels) in excerpts.items():
            lines.append(f'{video}, {start:.3f}, {start + 10:.3f}, "{labels}"')
            if "gone" not in video:
                write_recording(root / "audio" / table / f"Y{video}.wav", 1.0, 32000)
        (root / f"{table}_segments.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sum(len(excerpts) for excerpts in TABLES.values())


if __name__ == "__main__":
    main(write)
