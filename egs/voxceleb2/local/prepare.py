"""VoxCeleb2 (J. S. Chung, A. Nagrani, A. Zisserman, "VoxCeleb2: Deep Speaker Recognition", 2018):

  {dev,test}/aac/idNNNNN/VIDEO/NNNNN.m4a      or {dev,test}/wav/... and so on: converted, as README.md says

The speakers of test are none of dev's. There is no official split for identification, so ours follows from names alone:
with h = SHA-256 of "SEED SPEAKER VIDEO" (SEED 0, joined by spaces, in UTF-8) as a whole number, a video of dev is for
test where h mod 10 is 9, valid where it is 8, train otherwise. A file that is missing so moves no other.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip, DataError, Rejected
from audiotext.data.locate import AUDIO, files_in
from audiotext.data.origin import speech_origin

log = logging.getLogger(__name__)

DEV, TEST = 1_092_009, 36_237  # utterances as published
# of the first what should fall to each split, from which the hash strays by some hundredths, and all of the second
EXPECTED = {"train": round(0.8 * DEV), "valid": round(0.1 * DEV), "test": round(0.1 * DEV) + TEST}
SECONDS = 30.0  # of an utterance; some last for minutes
SEED = 0
NAME = re.compile(r"(?P<speaker>id\d{5})/(?P<video>[\w-]{11})/(?P<utterance>\d{5})", re.ASCII)


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """The utterances of either part. Raises DataError where neither is there."""
    found = {part: speakers(root, part) for part in ("dev", "test")}
    if not any(found.values()):
        raise DataError(f"{root}: expected dev/aac/idNNNNN or test/aac/idNNNNN in it, or wav, flac, mp3 for aac "
                        "(see README.md)")  # fmt: skip
    for part, folders in found.items():
        if not folders:
            log.warning("%s/%s: left out: it is not there", root, part)
        for name in sorted(folders):
            yield from _speaker(name, folders[name], part)


def speakers(root: Path, part: str) -> dict[str, list[Path]]:
    """Name of a speaker -> its folders: one for each coding."""
    found: dict[str, list[Path]] = {}
    for coding, names in (("wav", "*"), ("flac", "*"), ("mp3", "*"), ("m4a", "*"), ("aac", "*"), (".", "id*")):
        for folder in sorted((root / part / coding).glob(names)):
            if folder.is_dir():
                found.setdefault(folder.name, []).append(folder)
    return found


def split_of(speaker: str, video: str) -> str:
    """The split of a video of dev: of ten, eight for train, one for valid, one for test."""
    tenth = int(hashlib.sha256(f"{SEED} {speaker} {video}".encode()).hexdigest(), 16) % 10
    return {8: "valid", 9: "test"}.get(tenth, "train")


def _speaker(speaker: str, folders: list[Path], part: str) -> Iterator[Clip | Rejected]:
    """The utterances of a speaker, each in the coding that decodes best; those of dev split by video."""
    utterances: dict[str, Path] = {}
    for folder in folders:
        for path in files_in(folder):
            if path.suffix.lower() not in AUDIO:
                continue
            name = path.relative_to(folder.parent).with_suffix("").as_posix()
            if not NAME.fullmatch(name):
                split = "train" if part == "dev" else "test"
                yield Rejected(str(path), f"bad name: {name!r:.80} is not idNNNNN/VIDEO/NNNNN", split)
            elif name not in utterances or _rank(path) < _rank(utterances[name]):
                utterances[name] = path
    splits = {name: split_of(speaker, name.split("/")[1]) if part == "dev" else "test" for name in sorted(utterances)}
    known = part == "test" or "train" in splits.values()
    for name, split in splits.items():
        if known:
            yield _clip(name, utterances[name], part, split)
        else:
            reason = f"unknown speaker: no video of {speaker} is for training, so that nobody can know the voice"
            yield Rejected(f"voxceleb2_{name.replace('/', '_')}", reason, split, owed=False)


def _rank(path: Path) -> int:
    return AUDIO.index(path.suffix.lower())


def _clip(name: str, audio: Path, part: str, split: str) -> Clip:
    speaker, video, _ = name.split("/")
    # identification knows the speakers of dev; verification is of those of test, scaled by what dev trains on
    labels = {"speaker": speaker} if part == "dev" else {}
    if part == "test" or split == "train":
        labels["unheard_speaker"] = speaker
    return Clip(
        id=f"voxceleb2_{name.replace('/', '_')}",
        audio=audio,
        at_most=SECONDS,
        captions=["someone speaks"],
        caption_styles=["template"],
        domain="speech",
        source="voxceleb2",
        licence="CC-BY-4.0",
        split=split,
        labels=labels | {"part": part},
        family=f"voxceleb2_{speaker}_{video}",
        origin=speech_origin("voxceleb", f"{name}{audio.suffix}"),
    )
