"""Notes rendered from two General MIDI sound fonts (fluid-soundfont-gm, MIT; timgm6mb-soundfont, GPL-2).

80 instruments of ten families, at a pitch and strength drawn once and for all by hash. Probe midi_family: FluidR3 is
training, TimGM6mb is the test. The renderer is the wheel tinysoundfont, which fetch.py puts into download/python.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from packages import folder
from phrases import Captions, article, ask, kind, number, pick, yes_no

from audiotext.data.corpus import Clip, DataError
from audiotext.data.progress import progress

RATE = 32000
# family -> its eight programs, in the order of General MIDI, and the lowest and highest key drawn
FAMILIES: dict[str, tuple[tuple[str, ...], int, int]] = {
    "piano": (("acoustic grand piano", "bright acoustic piano", "electric grand piano", "honky tonk piano",
               "electric piano", "chorused electric piano", "harpsichord", "clavinet"), 33, 90),
    "chromatic percussion": (("celesta", "glockenspiel", "music box", "vibraphone", "marimba", "xylophone",
                              "tubular bells", "dulcimer"), 55, 91),
    "organ": (("drawbar organ", "percussive organ", "rock organ", "church organ", "reed organ", "accordion",
               "harmonica", "tango accordion"), 40, 86),
    "guitar": (("nylon string guitar", "steel string guitar", "jazz guitar", "clean electric guitar",
                "muted electric guitar", "overdriven guitar", "distorted guitar", "guitar harmonics"), 40, 79),
    "bass": (("acoustic bass", "fingered electric bass", "picked electric bass", "fretless bass", "slap bass",
              "popped slap bass", "synth bass", "hard synth bass"), 26, 52),
    "strings": (("violin", "viola", "cello", "double bass", "tremolo strings", "pizzicato strings", "harp",
                 "timpani"), 36, 84),
    "ensemble": (("string ensemble", "slow string ensemble", "synth strings", "bright synth strings", "choir aahs",
                  "voice oohs", "synth voice", "orchestra hit"), 40, 84),
    "brass": (("trumpet", "trombone", "tuba", "muted trumpet", "french horn", "brass section", "synth brass",
               "soft synth brass"), 36, 82),
    "reed": (("soprano saxophone", "alto saxophone", "tenor saxophone", "baritone saxophone", "oboe", "english horn",
              "bassoon", "clarinet"), 40, 84),
    "pipe": (("piccolo", "flute", "recorder", "pan flute", "blown bottle", "shakuhachi", "whistle", "ocarina"), 58, 92),
}  # fmt: skip
# an instrument whose range is narrower than its family's
RANGES = {"violin": (55, 93), "viola": (48, 84), "cello": (36, 72), "double bass": (28, 55), "timpani": (38, 55),
          "tuba": (29, 56), "trombone": (40, 70), "trumpet": (55, 82), "muted trumpet": (55, 82), "bassoon": (35, 67),
          "baritone saxophone": (36, 67), "piccolo": (74, 99), "glockenspiel": (76, 103)}  # fmt: skip
FONTS = {  # font -> package, file, split, notes per program, licence
    "fluid": ("fluid-soundfont-gm", "FluidR3_GM.sf2", "train", 12, "MIT"),
    "timgm": ("timgm6mb-soundfont", "TimGM6mb.sf2", "test", 8, "GPL-2.0"),
}
EXPECTED = {"train": 960, "test": 640}
HOW = {  # family -> what makes the sound, in words
    "piano": "a keyboard instrument with struck strings", "chromatic percussion": "a tuned percussion instrument",
    "organ": "a wind keyboard instrument", "guitar": "a plucked string instrument", "bass": "a low bass instrument",
    "strings": "an orchestral string instrument", "ensemble": "an ensemble of many voices",
    "brass": "a brass wind instrument", "reed": "a woodwind instrument with a reed",
    "pipe": "a flute like wind instrument",
}  # fmt: skip
VELOCITIES = (45, 64, 80, 96, 112, 124)
NOTES = ("c", "c sharp", "d", "d sharp", "e", "f", "f sharp", "g", "g sharp", "a", "a sharp", "b")


def clips(download: Path) -> Iterator[Clip]:
    for font, (package, file, split, count, licence) in FONTS.items():
        score = _score(font, count)
        paths = {note: download / "rendered" / font / f"{note[0]:03d}-{note[1]}-{note[2]}.flac" for note in score}
        missing = [note for note in score if not paths[note].is_file()]
        if missing:
            _render(folder(download, package, f"usr/share/sounds/sf2/{file}"), missing, paths, download / "python")
        for note in score:
            yield _clip(font, paths[note], note, split, licence)


def _score(font: str, count: int) -> list[tuple[int, int, int]]:
    """(program, key, velocity) of every note; the same on every machine."""
    score = []
    for f, (programs, low, high) in enumerate(FAMILIES.values()):
        for p, instrument in enumerate(programs):
            lowest, highest = RANGES.get(instrument, (low, high))
            keys = sorted(range(lowest, highest + 1), key=lambda k, i=instrument: number(font, i, str(k)))[:count]
            score += [(8 * f + p, key, pick(VELOCITIES, font, instrument, str(key), "v")) for key in keys]
    return score


def _render(font: Path, notes: list[tuple[int, int, int]], paths: dict, wheel: Path) -> None:
    """Each note to its file: about 1.2 s held, then released; 1.75 s in all, mono."""
    sys.path.append(str(wheel))
    try:
        import tinysoundfont
    except ImportError as error:
        raise DataError(f"{wheel}: tinysoundfont cannot be imported ({error}); run fetch.py (stage 0)") from None
    finally:
        sys.path.remove(str(wheel))
    logging.info("rendering %d notes of %s", len(notes), font.name)
    synth = tinysoundfont.Synth(samplerate=RATE)
    loaded = synth.sfload(str(font))
    for program, key, velocity in progress(notes, len(notes), f"rendering {font.stem}"):
        synth.program_select(0, loaded, 0, program)
        synth.noteon(0, key, velocity)
        held = _take(synth, 1.2)
        synth.noteoff(0, key)
        wave = np.concatenate([held, _take(synth, 0.55)]).mean(axis=1)
        synth.sounds_off(0)
        _take(synth, 0.1)
        wave[-RATE // 50 :] *= np.linspace(1, 0, RATE // 50)
        path = paths[program, key, velocity]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{os.getpid()}.flac")
        soundfile.write(str(temporary), wave / max(1.0, np.abs(wave).max()), RATE, subtype="PCM_16")
        os.replace(temporary, path)


def _take(synth, seconds: float) -> np.ndarray:
    """``seconds`` of stereo sound: (S, 2)."""
    return np.frombuffer(bytes(synth.generate(round(seconds * RATE))), dtype=np.float32).reshape(-1, 2)


def _clip(font: str, path: Path, note: tuple[int, int, int], split: str, licence: str) -> Clip:
    program, key, velocity = note
    family = list(FAMILIES)[program // 8]
    instrument = FAMILIES[family][0][program % 8]
    register = "very low" if key < 41 else "low" if key < 53 else "mid range" if key < 67 else "high" if key < 79 else \
        "very high"  # fmt: skip
    loud = "soft" if velocity < 60 else "loud" if velocity > 100 else "medium loud"
    pitch, one = f"{NOTES[key % 12]} {key // 12 - 1}", (font, instrument, str(key))
    captions = Captions()
    captions.add("template", f"{article(register)} {instrument} note", f"{article(loud)} note on {_the(instrument)}")
    captions.add("description", f"{HOW[family]}, {_the(instrument)}, plays one {register} note",
                 f"{_the(instrument)} of the {family} family, holding the note {pitch}",
                 f"{article(loud)}, {register} tone of {article(family + ' instrument')}")  # fmt: skip
    captions.add("template", f"{family}: {instrument}", pick((f"a single note played on {_the(instrument)}",
                 f"someone plays a note on {_the(instrument)}", f"one {instrument} tone"), *one))  # fmt: skip
    captions.add("filename", f"{instrument} {pitch}")
    return captions.clip(
        id=f"soundfont-{font}-{path.stem}", audio=path, domain="music", source="soundfont", licence=licence,
        split=split,
        labels={"midi_family": family, "instrument": instrument, "key": key, "velocity": velocity},
        family=f"soundfont-{instrument}",
        questions=[ask("Which instrument plays?", instrument), ask("Which instrument family is it?", family),
                   yes_no("Is it a {} instrument?", family, list(FAMILIES), *one), kind("music")],
    )  # fmt: skip


def _the(instrument: str) -> str:
    return instrument if instrument.endswith(("strings", "bells", "aahs", "oohs", "harmonics")) else article(instrument)
