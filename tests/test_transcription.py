"""Transcription by CTC on planted frames that spell their texts, and what cannot be spelt."""

import logging
from dataclasses import replace

import pytest
import torch
from test_evaluate import PlantedContext, make_clip

from audiotext.config import ConfigError, from_tree
from audiotext.evaluate.bootstrap import score
from audiotext.evaluate.ctc import (
    Alphabet,
    CtcConfig,
    CtcHead,
    collapse,
    outputs_needed,
    outputs_per_frame,
)
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.protocol import ProtocolError
from audiotext.evaluate.transcription import Transcription
from audiotext.text.clean import normalise_transcript

LETTERS = "'abcde "
LINEAR = {"frames_out": 1, "lstm_layers": 0, "dropout": 0.0, "fit": {"epochs": 12, "batch_size": 16, "lr": 0.1}}


def spelt(text, generator, shuffled=False):
    """A frame for every character and one of silence after it (T, 8), in noise; shuffled: in no order."""
    rows = [row for character in text for row in (LETTERS.index(character), len(LETTERS))]
    if shuffled:
        rows = [rows[i] for i in torch.randperm(len(rows), generator=generator)]
    frames = torch.nn.functional.one_hot(torch.tensor(rows), len(LETTERS) + 1).float()
    return frames + 0.1 * torch.randn(frames.shape, generator=generator)


def planted(shuffled=False, **sizes):
    generator = torch.Generator().manual_seed(0)
    rows = []
    for split, count in ({"train": 48, "valid": 8, "test": 12} | sizes).items():
        for n in range(count):
            words = [
                "".join(LETTERS[i] for i in torch.randint(1, 6, (3,), generator=generator).tolist()) for _ in range(3)
            ]
            words[0] = words[0][:1] + "'" + words[0][1:]
            clip = make_clip(f"{split}{n}", split, family=f"{split}{n // 4}", transcript=" ".join(words).upper() + "!",
                             part="noisy" if n % 2 else "clean")  # fmt: skip
            rows.append((clip, spelt(" ".join(words), generator, shuffled)))
    return rows


def run(rows, **changes):
    task = from_tree(Transcription, {"ctc": LINEAR, "seeds": [0]} | changes)
    context = PlantedContext(probe=rows)
    return task.run(context, task.protocol(context))


def test_frames_that_spell_the_text_are_read_and_shuffled_ones_are_not():
    outcome = run(planted(), apart="part", seeds=[0, 1])
    assert set(outcome.scores) == {"clean", "noisy"}
    for part, scores in outcome.scores.items():
        for name, found in scores.items():
            assert found["mean"] == 0.0 and len(found["values"]) == 2, (part, name)
            assert score(outcome.items[f"{part}/{name}"]) == 0.0
    assert (outcome.expected, outcome.found, outcome.details["alphabet"]) == (12, 12, " 'abcde")
    assert [seed["valid_CER"] for seed in outcome.details["chosen"]] == [0.0, 0.0]
    outcome = run(planted(shuffled=True))
    assert outcome.scores["test"]["WER"]["mean"] > 0.8 and outcome.scores["test"]["CER"]["mean"] > 0.4
    assert score(outcome.items["test/WER"]) == pytest.approx(outcome.scores["test"]["WER"]["mean"])
    edits = outcome.details["errors"]["test"]["WER"][0]
    assert edits["length"] == 36 and sum(edits.values()) - 36 == round(36 * outcome.scores["test"]["WER"]["mean"])


def test_slow_frames_are_made_faster_and_the_lstm_reads_them():
    """A character and its silence in one frame, 25 frames a second: two outputs are needed for each."""
    rows = [(clip, x.unflatten(0, (-1, 2)).flatten(1)) for clip, x in planted(train=64)]
    rows = [(replace(clip, duration=len(x) / 25), x) for clip, x in rows]
    fit = {"epochs": 30, "batch_size": 8, "lr": 0.01}
    outcome = run(rows, ctc={"lstm_dim": 32, "dropout": 0.0, "fit": fit})
    details = outcome.details
    assert (details["frames_out"], details["frames_a_second"], details["outputs_a_second"]) == (2, 25.0, 50.0)
    assert outcome.pooling == "LSTM, linear" and outcome.scores["test"]["CER"]["mean"] < 0.2


@pytest.mark.parametrize("rate, outputs", [(12.4, 4), (24.8, 2), (25, 2), (49.5, 1), (100, 1)])
def test_outputs_come_to_about_fifty_a_second(rate, outputs):
    frames = FrozenFrames([replace(make_clip("a"), duration=10.0)], [torch.zeros(round(rate * 10), 2)], [])
    assert outputs_per_frame(frames) == outputs


def test_what_cannot_be_spelt_is_counted_and_scored_as_wrong(caplog):
    rows = planted()
    (train, frames), (test, other), (last, _) = rows[0], rows[-1], rows[-2]
    rows[0] = (train, frames[:3])
    rows[-1] = (test, other[:2])
    last.labels["transcript"] = "zé " + last.labels["transcript"]
    silent = make_clip("silent", "test", transcript=" ... ", part="clean")
    with caplog.at_level(logging.WARNING):
        outcome = run([*rows, (silent, frames), (make_clip("none", "train"), frames)])
    assert outcome.details["too_short"] == {"train": 1, "valid": 0, "test": 1}
    assert outcome.details["without_words"] == 1 and outcome.details["train_clips"] == 47
    assert outcome.found == outcome.expected == 12
    assert "1 clips of split train" in caplog.text and "train0" in caplog.text
    assert outcome.details["unknown_characters"] == {"kinds": "zé", "count": 2}
    # three words of the clip that is too short, one of unknown characters
    assert outcome.scores["test"]["WER"]["mean"] == pytest.approx(4 / 37)
    with pytest.raises(ProtocolError, match="raise ctc.frames_out"):
        run([(clip, x[:1]) for clip, x in rows])


def test_a_split_or_label_that_is_not_there_is_named():
    rows = planted()
    with pytest.raises(ProtocolError, match="split 'dev'"):
        run(rows, validation="dev")
    with pytest.raises(ProtocolError, match="three different ones"):
        run(rows, validation="test")
    with pytest.raises(ProtocolError, match="no clip has the label 'words'.*part, transcript"):
        run(rows, label="words")
    with pytest.raises(ProtocolError, match="has no label 'room'"):
        run(rows, apart="room")
    with pytest.raises(ConfigError, match="mix"):
        Transcription(layer="mix")


def test_outputs_collapse_and_texts_need_room():
    assert collapse(torch.tensor([0, 1, 1, 0, 1, 2, 2, 2, 0, 0])) == [1, 1, 2]
    assert [outputs_needed(text) for text in ("", "abc", "aab", "letter")] == [0, 3, 4, 7]
    alphabet = Alphabet.of(["bad", "a cab"])
    assert alphabet.characters == " abcd" and alphabet.decode(alphabet.encode("a bad cab")) == "a bad cab"
    assert alphabet.lacks("a zebra") == "zer"


@pytest.mark.parametrize("layers", [0, 2])
def test_a_clip_is_read_alike_alone_and_beside_a_longer_one(layers):
    torch.manual_seed(0)
    head = CtcHead(4, Alphabet("abc"), CtcConfig(lstm_layers=layers, lstm_dim=8), frames_out=3).eval()
    frames = FrozenFrames([make_clip("a"), make_clip("b")], [torch.randn(3, 4), torch.randn(9, 4)], [])
    both, alone = head(frames.padded()), head(frames.padded([0]))
    assert both.lengths.tolist() == [9, 27] and both.data.shape == (2, 27, 4)
    torch.testing.assert_close(both.data[:1, :9], alone.data)
    torch.testing.assert_close(both.data.exp().sum(-1), torch.ones(2, 27))


@pytest.mark.parametrize(
    "text, normal",
    [
        ("DON'T you—O\u2019Clock!", "don't you o'clock"),
        ("rock 'n' roll - ' - 'tis", "rock 'n' roll 'tis"),
        ("3 Äpfel, bitte.", "3 äpfel bitte"),
        (" ... ", ""),
    ],
)
def test_transcripts_keep_their_apostrophes(text, normal):
    assert normalise_transcript(text) == normal == normalise_transcript(normal)
