"""Transcription: how much of what was said a frozen encoder keeps, by CTC on its frames and word error rate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from audiotext.config import ConfigError
from audiotext.evaluate.captioning import examples
from audiotext.evaluate.context import Context
from audiotext.evaluate.ctc import (
    Alphabet,
    CtcConfig,
    CtcHead,
    frame_rate,
    outputs_needed,
    outputs_per_frame,
    train_ctc,
)
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.items import Items, Sample
from audiotext.evaluate.labels import labelled
from audiotext.evaluate.layers import LAST, MIX, check_layer
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol, ProtocolError, spread
from audiotext.metric.error_rate import Edits, character_edits, error_rate, word_edits
from audiotext.text.clean import normalise_transcript

LOG = logging.getLogger(__name__)
TEST = "test"
DESCRIPTION = (
    "Encoder frozen. A CTC head ({head}) on its frames, standardised over training, is trained on split train; the "
    "epoch is chosen by greedy character error rate on {valid}; test is decoded greedily once per seed, without a "
    "language model. Texts: NFKC, lower case, apostrophes kept, other punctuation to spaces. Characters are those of "
    "training; others are errors. Word (character) error rate: edits of all clips by words (characters, spaces too) of "
    "all clips."
)


@EVALUATIONS.register("transcription")
@dataclass
class Transcription(Evaluation):
    """Write down ``labels[label]``, a text, as the ASR task of SUPERB does (S. Yang et al., Interspeech 2021)."""

    label: str = "transcript"
    manifest: str = "probe"
    domain: str = "speech"
    description: str = ""
    validation: str = "valid"
    """The split that chooses the epoch."""
    apart: str | None = None
    """The label by whose values the test clips are scored apart, such as clean and noisy ones; None: all together."""
    layer: int | str = LAST
    ctc: CtcConfig = field(default_factory=CtcConfig)
    examples: int = 12
    """Test clips whose transcripts are kept in the result file."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])

    def __post_init__(self) -> None:
        check_layer(self.layer)
        if self.layer == MIX:
            raise ConfigError("layer: mix is of pooled vectors; a transcription wants frames: give a number, or last")
        if min(self.ctc.frames_out, self.ctc.lstm_layers) < 0:
            raise ConfigError("ctc: frames_out and lstm_layers are 0 or more")

    def texts(self, context: Context) -> dict[str, str]:
        """The normalised transcript of every clip that has words."""
        clips = labelled(context, self.manifest, self.label)
        return {c.id: text for c in clips if (text := normalise_transcript(str(c.labels[self.label])))}

    def protocol(self, context: Context) -> Protocol:
        texts = self.texts(context)
        clips = [clip for clip in context.clips(self.manifest) if clip.id in texts]
        ids = {split: tuple(c.id for c in clips if c.split == split) for split in ("train", self.validation, TEST)}
        for split, found in ids.items():
            if not found or self.validation in ("train", TEST):
                raise ProtocolError(
                    f"transcription: no clip of manifest {self.manifest} with words in {self.label!r} is in split "
                    f"{split!r}; wanted are train, {self.validation} (to choose on) and test, three different ones"
                )
        parts_of([clip for clip in clips if clip.split == TEST], self.apart)
        layers, width = self.ctc.lstm_layers, self.ctc.lstm_dim
        head = f"{layers} bidirectional LSTM of {width}, linear" if layers else "linear"
        text = DESCRIPTION.format(head=head, valid=self.validation)
        return Protocol("transcription", text, ids["train"] + ids[self.validation], ids[TEST], (self.manifest,))

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        texts, frames = self.texts(context), self._frames(context, protocol)
        said = {split: [texts[id_] for id_ in found.ids] for split, found in frames.items()}
        frames_out = self.ctc.frames_out or outputs_per_frame(frames["train"])
        short = {split: too_short(found, said[split], frames_out) for split, found in frames.items()}
        whole = [i for i in range(len(said["train"])) if i not in short["train"]]
        if not whole:
            raise ProtocolError("transcription: no training clip has outputs enough for its text; raise ctc.frames_out")
        train = frames["train"].select([frames["train"].ids[i] for i in whole])
        said["train"] = [said["train"][i] for i in whole]
        alphabet = Alphabet.of(said["train"])
        unknown = "".join(map(alphabet.lacks, said[TEST]))
        rate = frame_rate(train)
        details = {
            "chosen": [],
            "frames_out": frames_out,
            "frames_a_second": round(rate, 2),
            "outputs_a_second": round(rate * frames_out, 2),
            "alphabet": alphabet.characters,
            "unknown_characters": {"kinds": "".join(sorted(set(unknown))), "count": len(unknown)},
            "too_short": {split: len(places) for split, places in short.items()},
            "without_words": len(labelled(context, self.manifest, self.label)) - len(texts),
            "train_clips": len(train),
            "domain": self.domain,
        }
        runs = []
        for seed in self.seeds:
            label = f"{context.name}: transcription, seed {seed}"
            score = partial(self._score, frames=frames[self.validation], said=said[self.validation])
            head, report = train_ctc(
                self.ctc, alphabet, frames_out, train, said["train"], score, seed, label, context.device
            )
            details["chosen"].append({"seed": seed, "epoch": report.best_epoch, "valid_CER": -report.best_score})
            runs.append(head.transcribe(frames[TEST], self.ctc.fit.batch_size))
        return self._outcome(protocol, frames[TEST], said[TEST], runs, details)

    def _frames(self, context: Context, protocol: Protocol) -> dict[str, FrozenFrames]:
        """Those of every split, standardised over training. Raises ProtocolError for a split without any."""
        every = context.frames(self.manifest, self.layer).select([*protocol.select_on, *protocol.report_on])
        found = {}
        for split in ("train", self.validation, TEST):
            found[split] = every.select([clip.id for clip in every.clips if clip.split == split])
            if not len(found[split]):
                raise ProtocolError(
                    f"transcription: no clip of split {split!r} could be read ({every.missing[:3]} ...)"
                )
        scale = found["train"].scale()
        return {split: frames.standardised(*scale) for split, frames in found.items()}

    def _score(self, head: CtcHead, frames: FrozenFrames, said: list[str]) -> float:
        """Of an epoch: the character error rate, which moves where no word is right yet; high is good."""
        written = head.transcribe(frames, self.ctc.fit.batch_size)
        return -error_rate([character_edits(a, b) for a, b in zip(said, written, strict=True)])

    def _outcome(
        self, protocol: Protocol, test: FrozenFrames, said: list[str], runs: list[list[str]], details: dict
    ) -> Outcome:
        """Scores of every part of the test clips, over seeds."""
        scores, items, errors = {}, {}, {}
        for part, rows in parts_of(test.clips, self.apart).items():
            clips = Items.of([test.ids[i] for i in rows], [test.clips[i].family for i in rows])
            scores[part] = {}
            for name, compare in (("WER", word_edits), ("CER", character_edits)):
                found = [[compare(said[i], written[i]) for i in rows] for written in runs]
                scores[part][name] = spread(map(error_rate, found))
                items[f"{part}/{name}"] = Sample(clips, [_columns(each) for each in found], "ratio")
                errors.setdefault(part, {})[name] = [vars(sum(each, Edits())) for each in found]
            LOG.info("transcription, %s: WER %.3f, CER %.3f", part, *(x["mean"] for x in scores[part].values()))
        details["errors"] = errors
        details["examples"] = examples(test.ids, [[text] for text in said], {"written": runs[0]}, self.examples)
        head = "linear" if not self.ctc.lstm_layers else "LSTM, linear"
        return Outcome(scores, details, head, len(protocol.report_on), len(test), items, str(self.layer))


def too_short(frames: FrozenFrames, said: Sequence[str], frames_out: int) -> set[int]:
    """Places of clips with fewer outputs than CTC needs for their text. Training does without them, which is logged."""
    rows = enumerate(zip(frames.lengths, said, strict=True))
    found = {i for i, (length, text) in rows if length * frames_out < outputs_needed(text)}
    if found:
        clip = frames.clips[min(found)]
        LOG.warning("transcription: %d clips of split %s have fewer outputs than their text needs, such as %s: not "
                    "trained on; counted as errors where scored", len(found), clip.split, clip.id)  # fmt: skip
    return found


def parts_of(clips: Sequence[EvalClip], label: str | None) -> dict[str, list[int]]:
    """Places of the clips by the value of a label, all as ``test`` without one. Raises ProtocolError naming a clip that
    has no value."""
    if label is None:
        return {TEST: list(range(len(clips)))}
    found: dict[str, list[int]] = {}
    for place, clip in enumerate(clips):
        if not (value := str(clip.labels.get(label) or "")):
            raise ProtocolError(f"{clip.id}: has no label {label!r}, by which test clips are scored apart")
        found.setdefault(value, []).append(place)
    return dict(sorted(found.items()))


def _columns(found: Sequence[Edits]) -> dict[str, np.ndarray]:
    """What the statistic ``ratio`` takes."""
    return {"value": np.array([x.errors for x in found]), "size": np.array([x.length for x in found])}
