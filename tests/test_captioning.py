"""Captioning and question answering on planted frames: what the frames tell is said, what they hide is not."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lhotse import Features, MonoCut, NumpyFilesWriter, SupervisionSegment

from audiotext.config import ConfigError
from audiotext.data.manifest import read_manifest, write_manifest
from audiotext.evaluate.adapter import AdapterConfig
from audiotext.evaluate.baseline import blind_answers, most_frequent, nearest
from audiotext.evaluate.bootstrap import score
from audiotext.evaluate.caption_scoring import fewer_references, reference_counts
from audiotext.evaluate.captioning import CaptioningTask
from audiotext.evaluate.fit import FitConfig
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.language import LanguageConfig
from audiotext.evaluate.question import QuestionTask, question_kind
from audiotext.evaluate.report import captioning_tables
from audiotext.evaluate.results import Result
from audiotext.metric import caption_tools
from audiotext.metric.caption_tools import Tool, ToolError
from audiotext.text.decoder import TransformerTextDecoderConfig
from audiotext.text.search import Nucleus
from audiotext.text.tokenizer import Tokenizer
from audiotext.types import EncoderOutput

CLASSES = {"dog": "a dog barks twice", "rain": "steady rain falls on leaves", "piano": "slow piano notes ring out"}


def language(epochs=30):
    decoder = TransformerTextDecoderConfig(dim=32, layers=1, heads=2, feedforward=64, dropout=0.0)
    fit = FitConfig(epochs=epochs, batch_size=16, lr=1e-2, validate_every=5)
    return LanguageConfig(AdapterConfig(dim=16, stride=2), decoder, fit, label_smoothing=0.0, max_tokens=24)


class Planted:
    """A context whose frames give the class away as one-hot columns, and whose filterbanks say nothing."""

    name = "planted"

    def __init__(self, folder: Path, telling: bool = True):
        self.folder, self.telling = folder, telling
        self.model = SimpleNamespace(text_decoder=None)
        generator = torch.Generator().manual_seed(3)
        self._clips, self._frames = {}, {}
        storage = NumpyFilesWriter(folder / "feats")
        for manifest, count in (("pretrain", 48), ("valid", 9), ("heldout", 12)):
            cuts, frames = [], []
            for i in range(count):
                word = list(CLASSES)[i % 3]
                cuts.append(self.cut(f"{manifest}{i}", word, storage, generator))
                x = 0.3 * torch.randn(3 + i % 4, 4, generator=generator)
                x[:, i % 3] += 3.0 * telling
                frames.append(x)
            write_manifest(cuts, self.manifest_path(manifest))
            clips = [EvalClip.from_cut(cut) for cut in read_manifest(self.manifest_path(manifest))]
            self._clips[manifest], self._frames[manifest] = clips, FrozenFrames(clips, frames, [])
        texts = [*CLASSES.values(), "what do you hear", "is it a dog", *CLASSES, "yes", "no"]
        self.tokenizer = Tokenizer.train(texts, 60, folder / "tokenizer")

    def cut(self, id_, word, storage, generator):
        feats = torch.randn(20, 8, generator=generator).numpy()
        key = storage.write(id_, feats)
        custom = {
            "caption": [CLASSES[word].capitalize() + ".", f"{id_} said this"],
            "caption_style": ["template", "transcript"],
            "questions": [
                {"question": "What do you hear?", "answer": word},
                {"question": "Is it a dog?", "answer": "Yes." if word == "dog" else "No."},
            ],
        }
        features = Features(
            type="fbank", num_frames=20, num_features=8, frame_shift=0.01, sampling_rate=16000, start=0.0, duration=0.2,
            storage_type=storage.name, storage_path=str(storage.storage_path), storage_key=key, channels=0,
        )  # fmt: skip
        segment = SupervisionSegment(id_, id_, 0.0, 0.2, custom=custom)
        return MonoCut(id_, 0.0, 0.2, 0, supervisions=[segment], features=features)

    def manifest_path(self, name):
        return self.folder / f"{name}.jsonl"

    def clips(self, name):
        return self._clips[name]

    def frames(self, name):
        return self._frames[name]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return Planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def outcome(planted):
    task = CaptioningTask(language=language())
    return task.run(planted, task.protocol(planted))


def test_a_decoder_on_telling_frames_says_the_captions(outcome):
    assert outcome.scores["trained"]["greedy"]["rouge_l"] > 0.95
    assert outcome.scores["trained"]["beam"]["cider_d"] > 9
    assert (outcome.expected, outcome.found) == (12, 12)


def test_baselines_stand_in_the_same_result(outcome):
    baseline = outcome.scores["baseline"]
    assert baseline["most_frequent"]["vocabulary"] < 6
    assert baseline["most_frequent"]["rouge_l"] == pytest.approx(1 / 3, abs=0.01)
    assert baseline["nearest_log_mel"]["cider_d"] < outcome.scores["trained"]["greedy"]["cider_d"]
    assert "direct" not in outcome.scores
    assert set(outcome.details["examples"][0]) >= {"id", "references", "trained_greedy", "most_frequent"}


def test_transcripts_are_neither_targets_nor_references(planted, outcome):
    assert CaptioningTask().captions(planted, "heldout")["heldout0"] == ["a dog barks twice"]
    assert len(CaptioningTask(leave_out_styles=[]).captions(planted, "heldout")["heldout0"]) == 2
    assert outcome.details["references_per_clip"] == 1.0


def test_captioning_twice_gives_the_same_numbers(planted):
    task = CaptioningTask(language=language(epochs=3), seeds=[1])
    runs = [task.run(planted, task.protocol(planted)) for _ in range(2)]
    assert runs[0].scores == runs[1].scores and runs[0].details == runs[1].details


def test_seeds_give_mean_and_deviation(planted):
    task = CaptioningTask(language=language(epochs=1), seeds=[0, 1])
    scores = task.run(planted, task.protocol(planted)).scores
    assert set(scores["trained"]["greedy"]["bleu1"]) == {"mean", "std", "values"}


def test_a_nucleus_is_scored_beside_greedy_and_beam_whatever_the_batch(planted):
    task = CaptioningTask(language=language(epochs=2), nucleus=Nucleus(0.95), seeds=[0, 1])
    outcome, alone = (replace(task, batch_size=size).run(planted, task.protocol(planted)) for size in (64, 1))
    assert list(outcome.scores["trained"]) == ["greedy", "beam", "nucleus"]
    assert outcome.scores == alone.scores and outcome.details["nucleus"] == "0.95"
    drawn = outcome.items["trained/nucleus/cider_d"]
    assert len(drawn.runs) == 2 and "trained_nucleus" in outcome.details["examples"][0]
    assert "drawn once a seed by nucleus sampling, top-p 0.95" in task.protocol(planted).description
    tree = {"task": "captioning", "kind": "captioning", "model": "m"}
    result = Result(planted.folder, tree | {"scores": outcome.scores, "details": outcome.details})
    rows = "\n".join(captioning_tables([result])[0].lines())
    assert "m, decoder trained here, nucleus 0.95" in rows and "m, decoder trained here, greedy " in rows


def test_the_models_own_decoder_is_scored_directly(planted, outcome):
    class Model:
        text_decoder = object()

        def generate(self, output: EncoderOutput, max_tokens, numbers, beam):
            return ["a dog barks twice"] * len(output.lengths)

    context = SimpleNamespace(model=Model())
    said = CaptioningTask()._direct(context, planted.frames("heldout"))
    assert said["greedy"] == [["a dog barks twice"] * 12] == said["beam"]


def stand_in(name, value, statistic="mean"):
    """A tool that gives every caption ``value``."""
    values = lambda said, truth: np.array([value] * len(said), np.float32)  # noqa: E731
    return Tool(name.upper(), values, list, lambda: {name: "7"}, f"{name} stands in.", statistic)


def test_scores_of_tools_stand_beside_our_own_and_are_kept_by_clip(planted, monkeypatch):
    # two content words and no function word, one of them matched exactly in one chunk: precision and recall 1/2.
    counts = [2.0, 2, 0, 0, 1, 1, *[0] * 14, 1, 1, 1]
    monkeypatch.setattr(caption_tools, "TOOLS", {"meteor": stand_in("meteor", counts, "meteor"),
                                                 "spice": stand_in("spice", 0.5)})  # fmt: skip
    task = CaptioningTask(language=language(epochs=1), seeds=[0, 1], tools=["spider", "meteor"])
    protocol = task.protocol(planted)
    outcome = task.run(planted, protocol)
    assert "spice stands in. SPIDEr is the mean" in protocol.description
    assert outcome.versions == {"meteor": "7", "spice": "7"}
    baseline = outcome.scores["baseline"]["nearest_log_mel"]
    assert baseline["spider"] == pytest.approx((0.5 + baseline["cider_d"]) / 2)
    assert baseline["meteor"] == pytest.approx(0.5 * (1 - 0.6))
    trained = outcome.scores["trained"]["beam"]
    assert trained["spice"]["values"] == [0.5, 0.5] and set(trained["spider"]) == {"mean", "std", "values"}
    for name in ("meteor", "spice", "spider"):
        sample = outcome.items[f"trained/beam/{name}"]
        assert len(sample.runs) == 2 and len(sample.runs[0]["value"]) == 12
        assert score(sample) == pytest.approx(trained[name]["mean"])


def test_a_tool_that_is_not_there_ends_the_task_before_anything_is_trained(planted, monkeypatch):
    absent = Tool("SPICE", lambda *_: 1 / 0, lambda: ["two jars: fetch them", "Java: install it"], dict, "")
    monkeypatch.setattr(caption_tools, "TOOLS", {"spice": absent})
    task = CaptioningTask(language=language(), tools=["spider"])
    monkeypatch.setattr(planted, "frames", None)
    with pytest.raises(ToolError, match="SPICE needs two jars: fetch them; SPICE needs Java: install it.*: spider"):
        task.run(planted, task.protocol(planted))


def test_clips_with_fewer_references_than_most_are_counted_and_named(tmp_path, caplog):
    context = Planted(tmp_path)
    cuts = list(read_manifest(context.manifest_path("heldout")))
    for i, cut in enumerate(cuts):
        texts = ["a dog barks", "barking", "a dog"][: 1 if i == 4 else 3]
        cut.supervisions[0].custom |= {"caption": texts, "caption_style": ["human"] * len(texts)}
    cuts[7].supervisions[0].custom["caption_style"] = ["transcript"] * 3
    write_manifest(cuts, context.manifest_path("heldout"))
    task = CaptioningTask(language=language(epochs=1))
    outcome = task.run(context, task.protocol(context))
    assert outcome.details["references"] == {"0": 1, "1": 1, "3": 10}
    assert (
        "1 of 11 clips have fewer references than the usual 3, 1 without any not scored; fewest: heldout4"
        in caplog.text
    )
    assert (outcome.expected, outcome.found) == (11, 11)


def test_the_usual_number_of_references():
    assert fewer_references(reference_counts({"a": ["x"], "b": ["y"]})) is None
    assert fewer_references({"1": 2, "5": 2}) == "2 of 4 clips have fewer references than the usual 5"
    assert fewer_references({}) is None


def test_question_answering_beats_the_blind_baseline(planted):
    task = QuestionTask(language=language())
    outcome = task.run(planted, task.protocol(planted))
    assert outcome.scores["trained"]["all"]["exact_match"] > 0.95
    assert outcome.scores["blind"]["all"]["exact_match"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert outcome.scores["blind"]["yes or no"]["token_f1"] == pytest.approx(2 / 3)
    assert outcome.details["questions"] == {"what do you": 12, "yes or no": 12}


def test_frames_that_say_nothing_do_not_beat_the_blind_baseline(tmp_path):
    context = Planted(tmp_path, telling=False)
    task = QuestionTask(language=language(epochs=10))
    scores = task.run(context, task.protocol(context)).scores
    assert scores["trained"]["all"]["exact_match"] <= scores["blind"]["all"]["exact_match"] + 0.1


def test_a_question_without_an_answer_is_named(planted):
    broken = SimpleNamespace(**{"clips": lambda name: [SimpleNamespace(id="x", questions=[{"question": "why"}])]})
    broken.manifest_path = planted.manifest_path
    with pytest.raises(ConfigError, match=r"pretrain.jsonl: x: got .*'question' and 'answer'"):
        QuestionTask().asked(broken, "pretrain")


def test_baseline_choices():
    assert most_frequent(["b", "a", "b", "a", "c"]) == "a"
    assert blind_answers([("q", "x"), ("q", "y"), ("q", "y"), ("r", "x"), ("r", "x")]) == {"": "x", "q": "y", "r": "x"}
    assert nearest(torch.tensor([[0.0, 0.0], [1.0, 9.0]]), torch.tensor([[0.9, 8.0], [0.1, 1.0]])) == [1, 0]
    assert question_kind("which instrument plays here", "piano") == "which instrument plays"
