"""Multiple-choice questions on planted frames, and the adapters between frames and language models."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lhotse import MonoCut, SupervisionSegment

from audiotext.config import ConfigError
from audiotext.data.corpus import DataError
from audiotext.data.manifest import write_manifest
from audiotext.data.split import split_manifest
from audiotext.evaluate.adapter import ADAPTERS, ConvolutionConfig
from audiotext.evaluate.answer_tables import choice_tables
from audiotext.evaluate.choice import ChoiceTask
from audiotext.evaluate.fit import FitConfig
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.language import LanguageConfig
from audiotext.evaluate.protocol import ProtocolError
from audiotext.evaluate.question import example_rows
from audiotext.evaluate.results import Result
from audiotext.text.decoder import TransformerTextDecoderConfig
from audiotext.text.tokenizer import Tokenizer
from audiotext.types import EncoderOutput

WORDS = ["dog", "rain", "piano"]


def clip(id_: str, *questions: dict) -> EvalClip:
    return EvalClip(id_, ["x"], {}, "train", id_, "sound", "planted", 1.0, list(questions))


class Planted:
    """Frames that give the class away; the training questions have no choices, the test questions three."""

    name = "planted"

    def __init__(self, folder, count=12):
        self.folder = folder
        generator = torch.Generator().manual_seed(0)
        self._clips, self._frames = {}, {}
        for manifest, n in (("train", 3 * count), ("valid", 6), ("test", count)):
            clips, frames = [], []
            for i in range(n):
                word = WORDS[i % 3]
                asked = {"question": "What do you hear?", "answer": word}
                if manifest == "test":
                    task, level = ("sound", "music")[i % 2], ("easy", "hard")[i % 4 // 2]
                    asked |= {"choices": WORDS, "task": task, "difficulty": level, "about": f"a {word}"}
                clips.append(clip(f"{manifest}{i}", asked))
                x = 0.3 * torch.randn(3 + i % 4, 4, generator=generator)
                x[:, i % 3] += 3.0
                frames.append(x)
            self._clips[manifest], self._frames[manifest] = clips, FrozenFrames(clips, frames, [])
        self.tokenizer = Tokenizer.train(["what do you hear", *WORDS], 40, folder / "tokenizer")

    def manifest_path(self, name):
        return self.folder / f"{name}.jsonl"

    def clips(self, name):
        return self._clips[name]

    def frames(self, name):
        return self._frames[name]


def task(**changes) -> ChoiceTask:
    decoder = TransformerTextDecoderConfig(dim=32, layers=1, heads=2, feedforward=64, dropout=0.0)
    fit = FitConfig(epochs=30, batch_size=16, lr=1e-2, validate_every=5)
    language = LanguageConfig(decoder=decoder, fit=fit, label_smoothing=0.0, max_tokens=8)
    return ChoiceTask(**{"train": "train", "valid": "valid", "test": "test", "language": language} | changes)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return Planted(tmp_path_factory.mktemp("planted"))


def test_choices_are_answered_freely_and_by_likelihood(planted):
    asked = task()
    outcome = asked.run(planted, asked.protocol(planted))
    scores = {way: kinds["all"]["choice_accuracy"] for way, kinds in outcome.scores.items()}
    assert scores["trained"] > 0.9 and scores["likelihood"] > 0.9
    assert scores["deaf"] <= 0.5 and scores["chance"] == pytest.approx(1 / 3)
    assert set(outcome.scores["likelihood"]) == {"all", "sound", "music", "easy", "hard"}
    assert outcome.details["questions"] == {"sound": 6, "music": 6, "easy": 6, "hard": 6}
    assert outcome.items["likelihood/hard/choice_accuracy"].items.ids[0].startswith("test")
    tree = {"task": "mmau", "kind": "choice", "model": "m", "scores": outcome.scores, "details": outcome.details}
    rows = [line.split("|") for line in choice_tables([Result(planted.folder, tree)])[0].lines() if "|" in line]
    assert [row[1].strip() for row in rows[2:]] == [
        "chance", "m, free answer", "m, likeliest choice", "m, likeliest choice, deaf",
    ]  # fmt: skip
    assert rows[0][2].strip() == "all" and rows[0][3].strip() == "sound (6)" and rows[2][2].strip() == "33.3"
    example = outcome.details["examples"][0]
    assert example["choices"] == WORDS and example["about"] == "a dog" and example["likelihood"] in WORDS


def test_a_tie_is_wrong_and_an_empty_answer_is_counted(planted):
    class Mute:
        def generate(self, frames, clips, prompts, beam, batch):
            return [""] * len(clips)

        def log_likelihood(self, frames, examples, batch):
            return [-1.0] * len(examples)

    asked = task()
    asked._train = lambda *_: (Mute(), SimpleNamespace(best_epoch=1, best_score=0.0))
    outcome = asked.run(planted, asked.protocol(planted))
    assert outcome.scores["likelihood"]["all"]["choice_accuracy"] == 0.0
    assert outcome.details["empty_answers"]["trained"] == 12 and outcome.scores["trained"]["all"] == {
        "choice_accuracy": 0.0
    }


def test_a_question_that_cannot_be_scored_is_named(planted, tmp_path):
    broken = Planted(tmp_path, 3)
    broken._clips["test"] = [clip("t", {"question": "q?", "answer": "cat", "choices": WORDS})]
    with pytest.raises(ConfigError, match=r"test.jsonl: t: 'q\?' needs two choices or more, its answer among them"):
        task().protocol(broken)
    broken._clips["test"] = [clip("train0", {"question": "q?", "answer": "dog", "choices": WORDS})]
    with pytest.raises(ProtocolError, match="1 clips are both selected on and reported"):
        task().protocol(broken)


def test_choices_can_be_part_of_the_prompt(planted):
    first = task().asked(planted, "test")[0]
    assert task().prompt(first) == "What do you hear?"
    assert task(with_choices=True).prompt(first) == "What do you hear? Choose one of: dog; rain; piano."
    assert task(with_choices=True).prompt(task().asked(planted, "train")[0]) == "What do you hear?"


def test_every_answer_can_be_kept(planted):
    asked = task().asked(planted, "test")
    assert [len(example_rows(asked, {}, n)) for n in (0, 1, 5, 100)] == [12, 1, 5, 12]


@pytest.mark.parametrize("name", ADAPTERS.names())
def test_an_adapter_ignores_padding_and_trains_every_part(name):
    config = ADAPTERS[name]()
    adapter = config.build(6)
    frames, lengths = torch.randn(3, 11, 6), torch.tensor([11, 4, 1])
    together = adapter(EncoderOutput(frames, lengths))
    assert together.frames.shape[2] == config.dim and together.lengths.max() <= together.frames.shape[1]
    for i, length in enumerate(lengths):
        alone = adapter(EncoderOutput(frames[i : i + 1, :length], lengths[i : i + 1]))
        assert alone.lengths == together.lengths[i]
        real = together.frames[i, : alone.lengths]
        torch.testing.assert_close(alone.frames[0, : alone.lengths], real, atol=1e-5, rtol=1e-5)
    together.frames.square().sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="kernel must be odd, got 4"):
        ConvolutionConfig(kernel=4)
    for name in ADAPTERS.names():
        with pytest.raises(ConfigError, match="must be 1 or more"):
            ADAPTERS[name](dim=0)


def test_a_corpus_without_training_clips_is_asked_after_training_on_another(tmp_path):
    def manifest(name: str, splits: str) -> Path:
        cuts = []
        for i, split in enumerate(splits.split()):
            custom = {"caption": ["x"], "split": split, "family": f"{name}{i}"}
            segment = SupervisionSegment(f"{name}{i}", f"{name}{i}", 0.0, 1.0, custom=custom)
            cuts.append(MonoCut(f"{name}{i}", 0.0, 1.0, 0, supervisions=[segment]))
        write_manifest(cuts, tmp_path / f"{name}.jsonl")
        return tmp_path / f"{name}.jsonl"

    asked, other = manifest("asked", "test test"), manifest("other", "train train valid test")
    parts = split_manifest(asked, tmp_path, train=other)
    assert {name: [cut.id for cut in cuts] for name, cuts in parts.items()} == {
        "train": ["other0", "other1"], "valid": ["other2"], "test": ["asked0", "asked1"],
    }  # fmt: skip
    with pytest.raises(DataError, match="asked.jsonl: no clip for the split"):
        split_manifest(asked, tmp_path)
