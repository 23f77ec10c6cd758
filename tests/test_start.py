"""A decoder that starts from that of a pretrained model: what is kept, what is trained, and that it is worth having."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import test_captioning
import test_choice
import torch

from audiotext.config import ConfigError, from_tree, to_tree
from audiotext.evaluate.adapter import AdapterConfig, QueryConfig
from audiotext.evaluate.fit import FitConfig
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.language import LANGUAGE_MODELS, Example, FrameDecoder, LanguageConfig, train_decoder
from audiotext.evaluate.question import QuestionTask
from audiotext.hub import ModelFolderError, load_model, save_model
from audiotext.model import ModelConfig
from audiotext.text.tokenizer import Tokenizer

CAPTIONS = ["a dog barks twice", "steady rain falls on leaves", "slow piano notes ring out"]
PART = {"name": "transformer", "layers": 1, "heads": 2}
SHAPE = {
    "encoder": {**PART, "dim": 16, "ff_dim": 16},
    "text_decoder": {**PART, "dim": 32, "layers": 2, "feedforward": 64, "dropout": 0.0},
}
LISTENING = ("adapter.", "decoder.memory_", ".cross.", ".cross_norm.")


def planted(seed: int, width: int, count: int = 48) -> FrozenFrames:
    """Frames that tell the caption, each encoder in a direction of its own."""
    generator = torch.Generator().manual_seed(seed)
    turn = 2 * torch.randn(3, width, generator=generator)
    noise = [0.3 * torch.randn(3 + i % 4, width, generator=generator) for i in range(count)]
    return FrozenFrames([None] * count, [x + turn[i % 3] for i, x in enumerate(noise)], [])


def trained(config: LanguageConfig, frames: FrozenFrames) -> tuple[FrameDecoder, float]:
    """The decoder, and its loss."""
    targets = [Example(i, CAPTIONS[i % 3]) for i in range(len(frames))]
    tokenizer = config.tokenizer(SimpleNamespace(tokenizer=None))

    def score(model: FrameDecoder) -> float:
        return -float(model.loss(frames, targets))

    model, report = train_decoder(config, tokenizer, frames, lambda i, _: targets[i], score, 0, "")
    return model, -report.best_score


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose decoder has learnt the captions from frames of another encoder than those of the tests."""
    place = tmp_path_factory.mktemp("start")
    texts = [*CAPTIONS, "what do you hear", "is it a dog", *test_captioning.CLASSES, "yes", "no"]
    model = from_tree(ModelConfig, SHAPE).build(Tokenizer.train(texts, 60, place / "tokenizer"))
    config = LanguageConfig(AdapterConfig(16), model.config.text_decoder, FitConfig(15, 16, 1e-2), 0.0)
    config.tokenizer = lambda _: model.tokenizer
    model.text_decoder.load_state_dict(trained(config, planted(1, 5))[0].decoder.state_dict())
    save_model(model, place / "model")
    return place / "model"


def config(folder, epochs: int = 2, train: str = "cross_attention", **changes) -> LanguageConfig:
    fit = FitConfig(epochs, 16, 5e-3)
    return LanguageConfig(AdapterConfig(24), fit=fit, label_smoothing=0.0, start=folder, train=train, **changes)


def is_listening(name: str) -> bool:
    return any(part in name for part in LISTENING)


def test_what_is_not_cross_attention_stays_as_it_was(folder):
    model, _ = trained(config(folder), planted(2, 7))
    before, after = load_model(folder).text_decoder.state_dict(), model.decoder.state_dict()
    assert set(before) == set(after)
    for name, value in before.items():
        same = value.shape == after[name].shape and torch.equal(value, after[name])
        assert same != is_listening(f"decoder.{name}"), name
    assert after["memory_projection.weight"].shape == (32, 24)


@pytest.mark.parametrize("adapter", [AdapterConfig(8, stride=2), QueryConfig(8, queries=3, heads=2)])
@pytest.mark.parametrize("train", ["cross_attention", "all"])
def test_the_gradient_reaches_what_is_trained_and_nothing_else(folder, adapter, train):
    wanted = replace(config(folder, train=train), adapter=adapter)
    torch.manual_seed(0)
    model = wanted.build(7, wanted.tokenizer(None))
    model.loss(planted(2, 7), [Example(i, CAPTIONS[i % 3]) for i in range(6)]).backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    everything = {name for name, _ in model.named_parameters()}
    assert reached == (everything if train == "all" else set(filter(is_listening, everything)))


def test_a_start_is_ahead_of_a_random_decoder_after_the_same_few_steps(folder):
    frames = planted(2, 7)
    random = replace(config(None, train="all"), decoder=load_model(folder).config.text_decoder)
    random.tokenizer = lambda _: load_model(folder).tokenizer
    losses = {"random": trained(random, frames)[1]}
    losses |= {train: trained(config(folder, train=train), frames)[1] for train in ("all", "cross_attention")}
    assert losses["all"] < 0.2 * losses["random"] and losses["cross_attention"] < 0.2 * losses["random"]


def test_cross_attention_alone_learns_to_listen(folder):
    frames = planted(3, 6)
    model, _ = trained(config(folder), frames)
    said = model.generate(frames, range(9))
    assert said == [CAPTIONS[i % 3] for i in range(9)]


def test_other_weights_are_another_setting_and_the_tokenizer_comes_along(folder, tmp_path):
    wanted = config(folder)
    context = SimpleNamespace(tokenizer=None)
    facts = wanted.facts(context)
    assert facts["start"] == load_model(folder).content_hash and facts == config(folder).facts(context)
    assert wanted.tokenizer(context).__getstate__() == load_model(folder).tokenizer.__getstate__()
    model = load_model(folder)
    with torch.no_grad():
        model.text_decoder.output_bias += 1
    save_model(model, tmp_path / "other")
    other = config(tmp_path / "other").facts(context)
    assert other["start"] != facts["start"] and other["tokenizer"] == facts["tokenizer"]


def test_what_cannot_be_started_is_named(folder, tmp_path):
    with pytest.raises(ConfigError, match="train: cross_attention needs start, a model folder with a text decoder"):
        LanguageConfig(train="cross_attention")
    with pytest.raises(ModelFolderError, match="nowhere: not a model folder"):
        config(tmp_path / "nowhere").facts(None)
    save_model(from_tree(ModelConfig, {"encoder": SHAPE["encoder"]}).build(), tmp_path / "bare")
    with pytest.raises(ConfigError, match="bare has no text decoder; a model pretrained by captioning has one"):
        config(tmp_path / "bare").tokenizer(None)
    tree = to_tree(
        from_tree(LanguageConfig, {"start": str(folder), "train": "cross_attention", "decoder": {"dim": "8"}})
    )
    assert tree["decoder"] is None and tree["start"] == str(folder)
    assert from_tree(LANGUAGE_MODELS[tree.pop("name")], tree).start == folder


def test_questions_and_choices_take_a_start_too(folder, tmp_path):
    fit = FitConfig(12, 16, 1e-2, validate_every=6)
    language = replace(config(folder, train="all"), fit=fit, max_tokens=8)
    context = test_captioning.Planted(tmp_path)
    task = QuestionTask(language=language)
    scores = task.run(context, task.protocol(context)).scores
    assert scores["trained"]["all"]["exact_match"] > scores["blind"]["all"]["exact_match"]
    assert (
        f"(the decoder of {folder}, pretrained with that model's encoder; all of it)"
        in task.protocol(context).description
    )
    (tmp_path / "choice").mkdir()
    context = test_choice.Planted(tmp_path / "choice")
    scores = test_choice.task(language=language)
    scores = scores.run(context, scores.protocol(context)).scores
    assert scores["likelihood"]["all"]["choice_accuracy"] > scores["deaf"]["all"]["choice_accuracy"]
