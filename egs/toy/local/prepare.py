"""The toy corpus: clips that this file synthesises, for the tests and for machines that cannot fetch recordings.

It has the shape of the mini corpus (three domains, several caption styles, the five probe labels, questions) and
nothing of its worth: numbers from it are marked as synthetic wherever they appear. Layout, made on first use:

  download/toy/speech/*.wav   voices that say syllables; 16 kHz
  download/toy/music/*.wav    notes and drum hits
  download/toy/sound/*.wav    noises
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import synthesis

from audiotext.atomic import replacing
from audiotext.data.corpus import Clip

EXPECTED = {"toy": {"train": 198, "test": 42}}
SEED = 1
SYLLABLES = ("ba", "do", "mi", "ke", "lu", "ta", "no", "ri", "se", "fu")
# The classes are some of those of the mini corpus, so that its tasks fit. Voice -> (who speaks, pitch in Hz, scale of
# the formants)
VOICES = {"robot": ("a robot", 85, 0.85), "pirate": ("a pirate", 130, 1.0), "singer": ("a singer", 260, 1.2)}
CALLERS = {"Allison in English": ("a woman", 210, 1.12), "Carlo in Italian": ("a man", 105, 0.95)}
INSTRUMENTS = {"guitar": "guitar", "organ": "organ", "trumpet": "brass", "flute": "pipe"}  # with their families
DRUMS = {"kick": "a low kick drum", "snare": "a rattling snare drum", "hi hat": "a short closed hi hat"}
# noise -> (class of game sound or none, what happens)
NOISES = {
    "footsteps": ("footsteps", "someone walks over gravel"),
    "siren": ("alien", "a siren wails up and down"),
    "rain": ("ambience", "rain falls on a roof"),
    "clicks": ("", "a switch clicks again and again"),
    "wind": ("", "wind blows around a house"),
    "beep": ("", "a machine beeps"),
}
NOTES = {"low": 110.0, "middle": 220.0, "high": 440.0}


def sources(download: Path) -> dict[str, Callable[[], Iterable[Clip]]]:
    """The one source of this corpus."""
    return {"toy": partial(clips, download / "toy")}


def inputs(download: Path) -> list[Path]:
    """The clips depend on this code alone."""
    return []


def clips(root: Path, copies: int = 10) -> Iterator[Clip]:
    """Make what is missing below ``root`` and yield its clips; 24 for every one of ``copies``."""
    for index in range(copies):
        test = index >= 0.7 * copies
        yield from _speech(root, index, test)
        yield from _music(root, index, test)
        yield from _sound(root, index, test)


def _speech(root: Path, index: int, test: bool) -> Iterator[Clip]:
    speakers = {("", f"speaker{i}"): ("someone", 100 + 60 * i, 0.9 + 0.1 * i) for i in range(3)}
    for label, people in (("voice_pack", VOICES), ("telephone_speaker", CALLERS)):
        speakers |= {(label, name): person for name, person in people.items()}
    for (label, name), (who, pitch, tract) in speakers.items():
        rng = _rng("speech", name, index)
        text = " ".join("".join(rng.choice(SYLLABLES, 2)) for _ in range(2))
        phone = label == "telephone_speaker"
        wave = synthesis.voice(text, pitch * rng.uniform(0.95, 1.05), tract, rng)
        wave = synthesis.telephone(wave) if phone else wave
        path = _write(root / "speech" / f"{name.replace(' ', '_')}-{index}.wav", wave, rng)
        how = f"{who} speaks over the telephone" if phone else f"{who} speaks"
        yield _clip(
            path, "speech", label, name, test,
            {"transcript": text, "template": f"a recording of {who} saying {text}", "description": f"{how}: {text}"},
            [("Who speaks?", who), ("What is said?", text), ("Is music heard?", "no")],
        )  # fmt: skip


def _music(root: Path, index: int, test: bool) -> Iterator[Clip]:
    for kind, words in DRUMS.items():
        rng = _rng("drum", kind, index)
        path = _write(root / "music" / f"{kind.replace(' ', '_')}-{index}.wav", synthesis.drum(kind, rng), rng)
        yield _clip(
            path, "music", "drum_type", kind, test,
            {"filename": f"{kind} {index}", "template": f"the sound of {words}", "description": f"{words} is hit once"},
            [("Is a drum heard?", "yes"), ("Which drum is hit?", kind)],
        )  # fmt: skip
    instruments = list(INSTRUMENTS)
    for instrument in instruments[:3]:
        yield _tune(root, f"{instrument}-{index}", instrument, "midi_family", 1, test)
    for free in range(2):
        instrument = instruments[(index + free) % len(instruments)]
        yield _tune(root, f"tune{free}-{instrument}-{index}", instrument, "", 3, test)


def _tune(root: Path, stem: str, instrument: str, label: str, notes: int, test: bool) -> Clip:
    rng = _rng("tune", stem, notes)
    height = str(rng.choice(list(NOTES)))
    pitches = [NOTES[height] * 2 ** (step / 12) for step in rng.choice([0, 2, 4, 7], notes)]
    wave = np.concatenate([synthesis.note(instrument, p, 1.0 if notes == 1 else 0.45, rng) for p in pitches])
    path = _write(root / "music" / f"{stem}.wav", wave, rng)
    what = "one note" if notes == 1 else f"{notes} notes"
    return _clip(
        path, "music", label, INSTRUMENTS[instrument], test,
        {"filename": stem.replace("-", " "), "template": f"music: {instrument}, {height}",
         "description": f"{'an' if instrument == 'organ' else 'a'} {instrument} plays {what} in a {height} register"},
        [("Which instrument plays?", instrument), ("Is music heard?", "yes"), ("How high are the notes?", height)],
    )  # fmt: skip


def _sound(root: Path, index: int, test: bool) -> Iterator[Clip]:
    for number, kind in enumerate([*NOISES, "wind", "beep"]):
        label, words = NOISES[kind]
        rng = _rng("noise", f"{kind}{number}", index)
        path = _write(root / "sound" / f"{kind}-{number}-{index}.wav", synthesis.noise(kind, rng), rng)
        yield _clip(
            path, "sound", "game_sound" if label else "", label, test,
            {"filename": f"{kind} {number}", "template": f"sound effect of {kind}", "description": words},
            [("What is heard?", kind), ("Does anyone speak?", "no")],
        )  # fmt: skip


def _clip(
    path: Path, domain: str, label: str, value: str, test: bool, captions: dict[str, str], asked: list[tuple[str, str]]
) -> Clip:
    return Clip(
        id=f"toy_{domain}_{path.stem}",
        audio=path,
        captions=list(captions.values()),
        caption_styles=list(captions),
        domain=domain,
        source="toy",
        licence="CC0-1.0",
        split="test" if label and test else "train",
        labels={label: value} if label else {},
        family=f"toy_{domain}_{path.stem}",
        questions=[{"question": q, "answer": a} for q, a in asked],
    )


def _rng(*key: str | int) -> np.random.Generator:
    """Randomness that hangs on the clip alone, so that fewer copies give the same clips."""
    return np.random.default_rng([SEED, *"/".join(map(str, key)).encode()])


def _write(path: Path, wave: np.ndarray, rng: np.random.Generator) -> Path:
    with replacing(path) as temporary:
        soundfile.write(temporary, synthesis.finish(wave, rng), synthesis.RATE, subtype="PCM_16", format="WAV")
    return path
