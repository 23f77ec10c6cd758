"""Objectives: hand-worked losses, shared captions, the parallel mixture, weighted sums, gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotext.config import ConfigError, from_tree
from audiotext.model import ModelConfig
from audiotext.objective import OBJECTIVES
from audiotext.objective.base import draw_captions
from audiotext.objective.contrastive import info_nce
from audiotext.objective.pairs import Pairs, carries, text_keys
from audiotext.objective.sigmoid import pairwise_sigmoid
from audiotext.text.tokenizer import Tokenizer
from audiotext.types import Batch, Padded

CAPTIONS = ["a dog barks loudly", "a woman speaks", "a snare drum is hit", "rain falls on a roof", "a door closes"]
MODEL = {
    "frontend": {"name": "fbank"},
    "encoder": {"name": "transformer"},
    "text_encoder": {"name": "transformer"},
    "text_decoder": {"name": "transformer"},
    "classifier": {"labels": ["dog", "rain", "speech"]},
    "embed_dim": "32",
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    Tokenizer.train(CAPTIONS * 4, vocab_size=60, folder=folder, seed=0)
    return Tokenizer(folder)


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(0)
    return from_tree(ModelConfig, MODEL).build(tokenizer)


def make_batch(captions: list[str], seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    size = len(captions)
    lengths = torch.tensor([60 + 10 * i for i in range(size)])
    feats = torch.randn(size, int(lengths.max()), 80, generator=generator)
    return Batch(
        ids=[str(i) for i in range(size)],
        feats=Padded(feats, lengths),
        captions=[[c] for c in captions],
        caption=captions,
        domains=["sound"] * size,
        sources=["test"] * size,
        durations=lengths / 100,
        labels=[{"tags": ["dog", "rain"]}, {"tags": "speech"}, {}, {"tags": []}, {"other": 1}][:size],
    )


def info_nce_of(audio, text, temperature, captions, texts, owner, chunk=None):
    """The loss of each clip, clips and texts named by words."""
    pairs = Pairs.of(audio, captions, text, texts, torch.tensor(owner))
    return info_nce(pairs, torch.as_tensor(temperature), chunk=chunk)[0]


def plain_info_nce(audio, text, temperature, captions, texts, owner):
    """The same by its definition, pair by pair of the softmax matrices."""
    logits, losses = audio @ text.T / temperature, []
    positive = torch.tensor([[t in own for t in texts] for own in captions]).to(logits)
    by_audio = -(positive / positive.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1)
    by_text = -(positive / positive.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0)
    for clip in range(len(audio)):
        own = [by_text[j] for j, of in enumerate(owner) if of == clip]
        losses.append((by_audio[clip] + torch.stack(own).mean()) / 2)
    return torch.stack(losses)


def test_info_nce_by_hand():
    loss = info_nce_of(torch.eye(2), torch.eye(2), 0.5, [["a"], ["b"]], ["a", "b"], [0, 1])
    # each row: logits (2, 0), target the first
    expected = -math.log(math.exp(2) / (math.exp(2) + 1))
    assert torch.allclose(loss, torch.full((2,), expected))


def test_a_text_is_positive_for_every_clip_that_carries_it():
    positive = carries(text_keys([["a", "x"], ["b"], ["c", "a"]]), text_keys([["a", "b", "c", "x"]])[0])
    assert positive.tolist() == [[True, False, False, True], [False, True, False, False], [True, False, True, False]]


def test_info_nce_with_several_captions_by_hand():
    """Clip 0 owns texts 0 and 2; far apart at a low temperature, so that only the spread over positives remains."""
    audio = torch.eye(2)
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    loss = info_nce_of(audio, text, 0.01, [["a", "c"], ["b"]], ["a", "b", "c"], [0, 1, 0])
    # audio 0 to two equal texts: log 2, its texts each find one clip: 0
    assert torch.allclose(loss, torch.tensor([math.log(2) / 2, 0.0]), atol=1e-5)


def test_info_nce_does_not_depend_on_batch_order():
    torch.manual_seed(0)
    audio, text = torch.nn.functional.normalize(torch.randn(2, 6, 8), dim=-1)
    order, words, owner = torch.randperm(6), "abcdef", list(range(6))
    plain = info_nce_of(audio, text, 0.07, list(words), list(words), owner)
    words = [words[i] for i in order]
    moved = info_nce_of(audio[order], text[order], 0.07, words, words, owner)
    assert torch.allclose(plain[order], moved, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3, unique=True), min_size=1, max_size=9),
       st.one_of(st.none(), st.integers(1, 10)), st.integers(0, 99))  # fmt: skip
def test_info_nce_equals_its_definition_in_chunks_of_any_size(captions, chunk, seed):
    """Value and gradient, several captions per clip and captions in common included."""
    generator = torch.Generator().manual_seed(seed)
    texts = [own[0] for own in captions] + [text for own in captions for text in own[1:]]
    owner = [*range(len(captions)), *(i for i, own in enumerate(captions) for _ in own[1:])]
    leaves = [torch.nn.functional.normalize(torch.randn(n, 4, generator=generator, dtype=torch.float64), dim=-1)
              for n in (len(captions), len(texts))]  # fmt: skip
    leaves = [x.requires_grad_() for x in (*leaves, torch.tensor(0.1, dtype=torch.float64))]
    weight = torch.rand(len(captions), generator=generator, dtype=torch.float64)
    ours = info_nce_of(*leaves, captions, texts, owner, chunk)
    plain = plain_info_nce(*leaves, captions, texts, owner)
    torch.testing.assert_close(ours, plain)
    for a, b in zip(*(torch.autograd.grad((x * weight).sum(), leaves) for x in (ours, plain)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["contrastive", "sigmoid"])
def test_chunks_change_neither_loss_nor_gradient(name, model):
    batch = replace(make_batch(CAPTIONS), captions=[[c, CAPTIONS[0]] for c in CAPTIONS])
    model.eval()
    found = []
    for chunk in ("null", "2"):
        objective = from_tree(OBJECTIVES[name], {"chunk": chunk}).build().eval()
        loss, report = objective(model, batch)
        parameters = [*model.encoder.parameters(), *objective.parameters()]
        parameters = [p for p in parameters if p.requires_grad]
        found.append((loss, report, torch.autograd.grad(loss, parameters)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="chunk: must be at least 1"):
        from_tree(OBJECTIVES[name], {"chunk": "0"})


def test_similarities_keep_their_precision_under_autocast(model):
    batch, objective = make_batch(CAPTIONS), OBJECTIVES["contrastive"]().build().eval()
    seen = []
    pairs_measured = Pairs.measured
    with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
        patch.setattr(Pairs, "measured", lambda self, measure, chunk: pairs_measured(
            self, lambda s, p: (seen.append(s.dtype), measure(s, p))[1], chunk))  # fmt: skip
        objective(model.eval(), batch)
    assert seen == [torch.float32]


def test_pairwise_sigmoid_by_hand():
    similarity, positive = torch.tensor([[1.0, 0.0], [0.5, 1.0]]), torch.eye(2, dtype=torch.bool)
    loss = pairwise_sigmoid(similarity, positive, torch.tensor(2.0), torch.tensor(-1.0))
    yes, no = math.log(1 + math.exp(-1)), math.log(1 + math.exp(-1))  # logits 1 for pairs; -1 and 0 for others
    assert torch.allclose(loss, torch.tensor([yes + no, math.log(2) + yes]))


def test_pairwise_sigmoid_counts_a_clip_alike_whatever_the_captions():
    torch.manual_seed(0)
    similarity, positive = torch.rand(3, 3), torch.eye(3, dtype=torch.bool)
    once = pairwise_sigmoid(similarity, positive, torch.tensor(10.0), torch.tensor(-10.0))
    twice = pairwise_sigmoid(similarity.repeat(1, 2), positive.repeat(1, 2), torch.tensor(10.0), torch.tensor(-10.0))
    assert torch.allclose(once, twice / 2)  # the objective scales by clips over texts


def test_drawn_captions_are_the_clips_own_and_differ():
    batch = replace(make_batch(["a", "b"]), captions=[["a", "x", "y", "z"], ["b"]])
    texts, owner = draw_captions(batch, 3)
    assert texts[:2] == ["a", "b"] and owner.tolist() == [0, 1, 0, 0]
    assert len(set(texts[2:])) == 2 and set(texts[2:]) < {"x", "y", "z"}
    assert draw_captions(batch, 1)[0] == ["a", "b"]


@pytest.mark.parametrize("name", ["contrastive", "sigmoid", "captioning"])
def test_more_captions_per_clip_leave_validation_alone(name, model):
    batch = make_batch(CAPTIONS)
    batch = replace(batch, captions=[[c, f"another {c}"] for c in CAPTIONS])
    model.eval()
    one, many = (from_tree(OBJECTIVES[name], {"captions_per_clip": n}).build().eval() for n in ("1", "2"))
    assert torch.equal(one(model, batch)[0], many(model, batch)[0])
    loss, report = many.train()(model, batch)
    assert torch.allclose(loss, report["loss_per_clip"].mean())


def test_captioning_loss_equals_the_plain_computation(model):
    """All autoregressive, one clip at a time, without padding: the mean of the per-clip losses is the batch's."""
    objective = from_tree(OBJECTIVES["captioning"], {"parallel": "0", "label_smoothing": "0"}).build().eval()
    model.eval()
    batch = make_batch(CAPTIONS)
    loss, report = objective(model, batch)
    for i, caption in enumerate(CAPTIONS):
        length = int(batch.feats.lengths[i])
        memory = model.encode_audio(Padded(batch.feats.data[i : i + 1, :length], batch.feats.lengths[i : i + 1]))
        ids = model.tokenizer.encode([caption]).data
        logits = model.text_decoder(Padded(ids[:, :-1], torch.tensor([ids.shape[1] - 1])), memory)
        alone = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:])
        assert torch.allclose(report["loss_per_clip"][i], alone, atol=1e-4)
    assert torch.allclose(loss, report["loss_per_clip"].mean())


def test_parallel_clips_see_no_words_and_are_not_asked_for_the_end(model):
    """With identical audio, two captions of equal length get the same parallel prediction."""
    objective = from_tree(OBJECTIVES["captioning"], {"parallel": "1"}).build().eval()
    model.eval()
    seen = []
    handle = model.text_decoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args[0], kwargs["causal"])), with_kwargs=True
    )
    objective(model, make_batch(CAPTIONS))
    handle.remove()
    ((tokens, causal),) = seen
    lengths = model.tokenizer.encode(CAPTIONS).lengths
    assert (tokens.data == model.tokenizer.mask_id).all() and not causal
    assert tokens.lengths.tolist() == (lengths - 2).tolist()


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_trains_the_model_it_needs(name, tokenizer):
    config = from_tree(ModelConfig, MODEL)
    objective = OBJECTIVES[name]().build()
    torch.manual_seed(0)
    model = config.pruned(objective.parts).build(tokenizer)
    loss, report = objective(model, make_batch(CAPTIONS))
    loss.backward()
    assert loss.isfinite() and report["loss_per_clip"].shape == (len(CAPTIONS),)
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


def test_tagging_by_hand(model):
    objective, batch = OBJECTIVES["tagging"]().build().eval(), make_batch(CAPTIONS)
    model.eval()
    loss, report = objective(model, batch)
    logits = model.classify(batch.feats).detach()
    for row, clip in enumerate([(1, 1, 0), (0, 0, 1), None, (0, 0, 0), None]):
        wanted = sum(
            -math.log(torch.sigmoid(x if y else -x)) for x, y in zip(logits[row], clip or (), strict=bool(clip))
        )
        assert float(report["loss_per_clip"][row]) == pytest.approx(wanted, abs=1e-5)
    assert torch.allclose(loss, report["loss_per_clip"].mean())
    assert float(report["labelled"]) == pytest.approx(0.6)
    with pytest.raises(ConfigError, match="'cat' is not in classifier.labels"):
        objective(model, replace(batch, labels=[{"tags": "cat"}] * len(batch)))


def test_classes_need_different_names():
    with pytest.raises(ConfigError, match="got a twice"):
        from_tree(ModelConfig, MODEL | {"classifier": {"labels": ["a", "b", "a"]}}).pruned({"classifier"}).build()


def test_weighted_is_the_sum_of_its_members(model):
    batch = make_batch(CAPTIONS)
    model.eval()
    options = {"weights": {"contrastive": "2", "captioning": "0.5"}}
    total, _ = from_tree(OBJECTIVES["weighted"], options).build().eval()(model, batch)
    contrastive, _ = OBJECTIVES["contrastive"]().build().eval()(model, batch)
    captioning, _ = OBJECTIVES["captioning"]().build().eval()(model, batch)
    assert torch.allclose(total, 2 * contrastive + 0.5 * captioning, atol=1e-5)
    with pytest.raises(ConfigError, match="options: captioning has no weight"):
        from_tree(OBJECTIVES["weighted"], {"weights": {"contrastive": "1"}, "options": {"captioning": {}}}).build()


def test_an_objective_whose_part_is_missing_says_so():
    config = from_tree(ModelConfig, MODEL | {"text_decoder": "null"})
    with pytest.raises(ConfigError, match="needs model.text_decoder"):
        config.pruned({"text_decoder"})
