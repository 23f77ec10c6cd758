"""AIR-Bench chat (Q. Yang et al., "AIR-Bench: Benchmarking Large Audio-Language Models via Generative Comprehension",
ACL 2024), as published:

  Chat_meta.json                   a list of {meta_info, question, answer_gt, path, task_name, dataset_name, uniq_id}
  TASK_NAME_DATASET_NAME/PATH      the recordings

meta_info says in words what is heard: it is for the judge, and never given to a model. All questions are for testing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from audiotext.data.corpus import Clip, Rejected
from audiotext.data.locate import find_file, inside
from audiotext.data.records import read_json_list
from audiotext.data.row import Row, clips_of

EXPECTED: dict[str, int] = {}  # about 2,000 questions; the publishers give no number of recordings
FIELDS = ["meta_info", "question", "answer_gt", "path", "task_name", "dataset_name", "uniq_id"]
# task -> the group of the published table, and the domain
GROUPS = {
    "speech_QA": ("speech", "speech"),
    "speech_dialogue_QA": ("speech", "speech"),
    "sound_QA": ("sound", "sound"),
    "sound_generation_QA": ("sound", "sound"),
    "music_QA": ("music", "music"),
    "music_generation_analysis_QA": ("music", "music"),
    "speech_and_sound_QA": ("mixed audio", "speech"),
    "speech_and_music_QA": ("mixed audio", "speech"),
}


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """A clip for each recording, with its questions."""
    table = find_file(root, "Chat_meta.json", "*/Chat_meta.json")
    together: dict[tuple[str, ...], Row] = {}
    for row in read_json_list(table, FIELDS, unique=["uniq_id"]):
        if isinstance(row, Rejected):
            yield Rejected(row.id, row.reason, "test", owed=False)  # one question of many
            continue
        key = tuple(str(row.fields[name]) for name in ("task_name", "dataset_name", "path"))
        together.setdefault(key, row).fields.setdefault("said", []).append(row)
    yield from clips_of(together.values(), partial(_clip, folder=table.parent), "test")


def _clip(row: Row, folder: Path) -> Clip:
    task, dataset, path = row.text("task_name"), row.text("dataset_name"), row.text("path")
    if task not in GROUPS:
        raise row.fault("task_name", f"expected one of {', '.join(GROUPS)}, got {task!r:.40}")
    group, domain = GROUPS[task]
    return Clip(
        id=f"airbench_{task}_{dataset}_{Path(path).stem}",
        audio=inside(folder, f"{task}_{dataset}/{path}"),
        captions=[group],
        caption_styles=["template"],
        domain=domain,
        source="airbench",
        licence="unknown",  # of a dozen corpora, each with its own
        split="test",
        questions=[
            {"question": said.text("question"), "answer": said.text("answer_gt"), "kind": group,
             "about": said.text("meta_info")}
            for said in row.fields["said"]
        ],
    )  # fmt: skip
