"""Evaluations on planted embeddings, whose scores are known, and the evaluate verb on real files."""

import gzip
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audiotext.config import ConfigError, from_tree
from audiotext.data.digest import manifest_sha256
from audiotext.evaluate.attentive import AttentiveConfig, AttentiveProbes, Member, fit_attentive
from audiotext.evaluate.bootstrap import score
from audiotext.evaluate.fit import FitConfig, fit, minibatches
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.layers import take_layer
from audiotext.evaluate.lit import Space, Texts
from audiotext.evaluate.probe import Probe, split_protocol
from audiotext.evaluate.protocol import Protocol, ProtocolError, ids_hash, spread
from audiotext.evaluate.retrieval import Retrieval
from audiotext.evaluate.split import nested_share, validation_split
from audiotext.evaluate.verification import Verification, trials
from audiotext.evaluate.zero_shot import ZeroShot
from audiotext.head.pooling import MeanPoolingConfig
from audiotext.types import EncoderOutput, Padded

DIM = 16


def make_clip(id_, split="train", captions=(), family="", **labels):
    return EvalClip(id_, list(captions), labels, split, family or id_, "sound", "planted", 1.0, [])


class PlantedContext:
    """Stands where a Context would, with frames made up here."""

    name, model_hash, device = "planted", "0" * 16, "cpu"

    def __init__(self, **manifests):
        pairs = {k: tuple(zip(*rows, strict=True)) for k, rows in manifests.items()}
        self._frames = {k: FrozenFrames(list(c), list(f), []) for k, (c, f) in pairs.items()}
        self.model = SimpleNamespace(text_encoder=None, config=SimpleNamespace(pooling=None))

    def clips(self, name):
        return self._frames[name].clips

    def frames(self, name, layer="last"):
        return self._frames[name if layer == "last" else f"{name} {layer}"]

    def manifest_path(self, name):
        return f"{name}.jsonl"

    def has_manifest(self, name):
        return name in self._frames


def planted(classes=4, train=40, test=20, distance=3.0, seed=0):
    """Clips of 1 to 12 frames of unit noise around class means that are ``distance`` long."""
    generator = torch.Generator().manual_seed(seed)
    centres = distance * torch.nn.functional.normalize(torch.randn(classes, DIM, generator=generator), dim=1)
    rows = []
    for split, count in (("train", train), ("test", test)):
        for i in range(count * classes):
            length = int(torch.randint(1, 13, (), generator=generator))
            frames = centres[i % classes] + torch.randn(length, DIM, generator=generator)
            labels = {"kind": f"class{i % classes}", "fold": str(i % 5)}
            clip = make_clip(f"{split}{i}", split, family=f"{split}{i // 2}", **labels)
            rows.append((clip, frames.half()))
    return rows


def quick_probe(**changes):
    attention = {"lr": [1e-2], "dropout": [0.1], "fit": {"epochs": 12}}
    tree = {"label": "kind", "seeds": [0, 1], "c": [0.03, 1.0], "attention": attention}
    return from_tree(Probe, tree | changes)


def test_probe_finds_planted_classes_with_both_poolings():
    context, task = PlantedContext(probe=planted()), quick_probe()
    outcome = task.run(context, task.protocol(context))
    for pooling in ("mean", "attention"):
        assert outcome.scores[pooling]["accuracy"]["mean"] > 0.9
        assert len(outcome.scores[pooling]["accuracy"]["values"]) == 2
    assert outcome.expected == outcome.found == 80
    assert outcome.details["chance"] == 0.25


def test_probe_of_noise_scores_near_chance():
    context, task = PlantedContext(probe=planted(distance=0.0)), quick_probe()
    outcome = task.run(context, task.protocol(context))
    for pooling in ("mean", "attention"):
        assert outcome.scores[pooling]["accuracy"]["mean"] < 0.45


def test_attention_finds_what_the_mean_drowns():
    """One frame of twelve carries the class; its sign is the class, its size marks it."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i in range(400):
        frames = torch.randn(12, DIM, generator=generator)
        frames[int(torch.randint(12, (), generator=generator)), :2] = torch.tensor([6.0, 1.5 if i % 2 else -1.5])
        rows.append((make_clip(str(i), "train" if i < 250 else "test", kind=str(i % 2)), frames))
    context = PlantedContext(probe=rows)
    task = quick_probe(attention={"lr": [1e-2], "dropout": [0.1], "fit": {"epochs": 60}}, seeds=[0])
    scores = task.run(context, task.protocol(context)).scores
    assert scores["attention"]["accuracy"]["mean"] > scores["mean"]["accuracy"]["mean"] + 0.1


QUICK_NETWORK = {"hidden": 16, "lr": [5e-2], "weight_decay": [1e-2], "min_steps": 50, "fit": {"epochs": 1}}


@pytest.mark.parametrize("pooling", ["mean", "max", "statistics"])
def test_every_probe_of_pooled_vectors_finds_planted_classes(pooling):
    task = quick_probe(poolings=[pooling], probes=["linear", "mlp", "knn"], seeds=[0], network=QUICK_NETWORK)
    context = PlantedContext(probe=planted(distance=5.0))
    outcome = task.run(context, task.protocol(context))
    assert set(outcome.scores) == {pooling, f"mlp, {pooling}", f"knn, {pooling}"}
    for part, scores in outcome.scores.items():
        assert scores["accuracy"]["mean"] > 0.85, part
        assert score(outcome.items[f"{part}/accuracy"]) == pytest.approx(scores["accuracy"]["mean"])
        assert score(outcome.items[f"{part}/balanced_accuracy"]) == pytest.approx(scores["balanced_accuracy"]["mean"])


def test_clips_with_several_labels_are_scored_by_mean_average_precision():
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i in range(200):
        tags = [c for c in range(4) if torch.rand((), generator=generator) < 0.4] or [i % 4]
        frames = torch.randn(5, DIM, generator=generator) + 3 * sum(torch.eye(DIM)[c] for c in tags)
        rows.append((make_clip(str(i), "train" if i < 120 else "test", tags=[f"tag{c}" for c in tags]), frames))
    context = PlantedContext(probe=rows)
    task = quick_probe(label="tags", several=True, seeds=[0], network=QUICK_NETWORK, probes=["linear", "mlp"])
    outcome = task.run(context, task.protocol(context))
    for part in ("mean", "mlp, mean", "attention"):
        assert outcome.scores[part]["mAP"]["mean"] > 0.9, part
        assert outcome.scores[part]["d_prime"]["mean"] > 1.5
        assert score(outcome.items[f"{part}/mAP"]) == pytest.approx(outcome.scores[part]["mAP"]["mean"], abs=1e-6)
    assert outcome.details["metric"] == "mAP"
    with pytest.raises(ProtocolError, match="one class per clip; set several"):
        quick_probe(label="tags").protocol(context)


def test_small_shares_are_nested_and_hold_every_class():
    targets = np.array([i % 5 for i in range(400)])
    one, five, ten, every = (set(nested_share(targets, share, seed=3)) for share in (1, 5, 10, None))
    assert one < five < ten < every == set(range(400))
    assert [len(x) for x in (one, five, ten)] == [10, 20, 40]  # of 80 a class: 2 at least, 4, 8
    assert all({targets[i] for i in x} == set(range(5)) for x in (one, five, ten))
    assert nested_share(targets, 5, seed=3) == sorted(five) != nested_share(targets, 5, seed=4)
    assert len(nested_share(np.zeros((50, 3)), 10, seed=0)) == 5


def test_a_probe_of_little_data_is_worse_and_stands_apart(monkeypatch):
    monkeypatch.setattr("audiotext.evaluate.probe.STEPS", 60)
    task = quick_probe(shares=[5], seeds=[0])
    context = PlantedContext(probe=planted(distance=1.5))
    scores = task.run(context, task.protocol(context)).scores
    for pooling in ("mean", "attention"):
        few, every = (scores[pooling + part]["accuracy"]["mean"] for part in (" @ 5%", ""))
        assert 0.25 < few < every


def test_a_split_of_its_own_may_choose():
    rows = planted()
    rows = [(make_clip(c.id, "valid" if c.split == "train" and n % 3 == 0 else c.split, **c.labels), f)
            for n, (c, f) in enumerate(rows)]  # fmt: skip
    context, task = PlantedContext(probe=rows), quick_probe(validation="valid", poolings=["mean"])
    protocol = task.protocol(context)
    assert len(protocol.select_on) == 160 and "chosen on valid" in protocol.description
    outcome = task.run(context, protocol)
    assert outcome.details["validation_split"] == "split valid"
    assert outcome.scores["mean"]["accuracy"]["values"][0] > 0.9
    with pytest.raises(ProtocolError, match="in split 'dev'"):
        quick_probe(validation="dev").protocol(context)
    with pytest.raises(ConfigError, match="validation: valid: with folds"):
        quick_probe(validation="valid", folds="fold")


def test_a_learnt_mix_takes_the_layer_that_tells():
    """Three layers, the middle one carries the classes; rows are mean, deviation and maximum of each."""
    generator = torch.Generator().manual_seed(1)
    rows, mixed = planted(distance=4.0), []
    for clip, frames in rows:
        layers = torch.randn(3, 3, DIM, generator=generator)
        layers[1, 0] = frames.float().mean(0)
        mixed.append((clip, layers.flatten(0, 1)))
    task = quick_probe(poolings=["mean"], layer="mix", seeds=[0], network=QUICK_NETWORK)
    context = PlantedContext(probe=rows, **{"probe mix": mixed})
    outcome = task.run(context, task.protocol(context))
    assert outcome.scores["mean"]["accuracy"]["mean"] > 0.85 and outcome.layer == "mix"
    mix = outcome.details["chosen"]["mean"][0]["mix"]
    assert sum(mix) == pytest.approx(1, abs=1e-5) and max(mix) == mix[1] > 0.4
    with pytest.raises(ConfigError, match="mix is learnt by"):
        quick_probe(layer="mix")
    with pytest.raises(ConfigError, match="'first' is neither"):
        quick_probe(layer="first")


def test_layers_are_cut_where_the_clip_ends():
    """A layer of twice the rate of the frames, and narrower; past the end all are zero."""
    frames, fast = torch.ones(2, 4, 3), torch.arange(1.0, 9.0)[None, :, None].repeat(2, 1, 2)
    frames[1, 2:], fast[1, 3:] = 0, 0
    output = EncoderOutput(frames, torch.tensor([4, 2]), (fast, frames))
    assert [len(x) for x in take_layer(output, "last")] == [4, 2]
    assert [x[:, 0].tolist() for x in take_layer(output, 0)] == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3]]
    assert torch.equal(take_layer(output, -1)[1], frames[1, :2])
    mean, std, top = take_layer(output, "mix")[1].unflatten(0, (2, 3))[0]
    assert mean.tolist() == [2, 2, 0] and top.tolist() == [3, 3, 0] and std[2] == 0
    with pytest.raises(ConfigError, match="layer: 2 is not there, this encoder has 2"):
        take_layer(output, 2)


def test_probe_is_deterministic():
    context, task = PlantedContext(probe=planted(distance=1.0, train=15)), quick_probe(seeds=[3])
    first, second = (task.run(context, task.protocol(context)).scores for _ in range(2))
    assert first == second


def test_probe_with_one_frame_per_clip_and_odd_width():
    rows = [(clip, frames[:1, :13]) for clip, frames in planted(distance=6.0)]
    context, task = PlantedContext(probe=rows), quick_probe(seeds=[0])
    assert task.run(context, task.protocol(context)).scores["attention"]["accuracy"]["mean"] > 0.9


def test_folds_are_reported_once_by_a_probe_of_the_others():
    rows = [(clip, frames) for clip, frames in planted(test=0)]
    context, task = PlantedContext(probe=rows), quick_probe(folds="fold", poolings=["mean"], seeds=[0])
    protocol = task.protocol(context)
    assert len(protocol.folds) == 5
    assert sorted(i for part in protocol.folds for i in part.report_on) == sorted(protocol.report_on)
    assert all(not set(part.select_on) & set(part.report_on) for part in protocol.folds)
    outcome = task.run(context, protocol)
    assert outcome.scores["mean"]["accuracy"]["mean"] > 0.9
    assert len(outcome.details["chosen"]["mean"]) == 5


def test_unknown_label_says_which_there_are():
    context = PlantedContext(probe=planted())
    with pytest.raises(ProtocolError, match="'instrument'.*fold, kind"):
        quick_probe(label="instrument").protocol(context)


def test_test_class_unseen_in_training_is_named():
    rows = planted() + [(make_clip("odd", "test", kind="unheard"), torch.zeros(2, DIM))]
    context, task = PlantedContext(probe=rows), quick_probe(poolings=["mean"])
    with pytest.raises(ProtocolError, match="1 clips, the first odd, have a kind .* known classes: 'unheard'"):
        task.run(context, task.protocol(context))


def test_a_class_of_one_training_clip_is_named():
    rows = planted() + [(make_clip("odd", kind="once"), torch.zeros(2, DIM))]
    context, task = PlantedContext(probe=rows), quick_probe(poolings=["mean"])
    with pytest.raises(ProtocolError, match="kind: one training clip of 'once'"):
        task.run(context, task.protocol(context))


def test_clips_that_have_no_frames_leave_a_fold_with_nothing():
    context, task = PlantedContext(probe=planted()), quick_probe(poolings=["mean"])
    protocol = task.protocol(context)
    context._frames["probe"] = context.frames("probe").select(protocol.select_on)
    with pytest.raises(ProtocolError, match="160 clips to train on and 0 to test on have frames"):
        task.run(context, protocol)


def test_families_on_both_sides_are_counted():
    rows = planted()
    for apart, count in ((True, 0), (False, 40)):
        split = [(make_clip(c.id, c.split, family=c.family if apart else c.family.strip("tesrain"), **c.labels), f)
                 for c, f in rows]  # fmt: skip
        context, task = PlantedContext(probe=split), quick_probe(poolings=["mean"], seeds=[0])
        assert task.run(context, task.protocol(context)).details["families_in_train_and_test"] == count


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_neither_test_clips_nor_undrawn_ones_change_what_is_learnt(pooling, monkeypatch):
    """Training clips that no seed draws are a thousand times as large, then test clips: the choice stays as it was."""
    monkeypatch.setattr("audiotext.evaluate.probe.STEPS", 5)
    attention = {"lr": [1e-2, 1e-3], "dropout": [0.1], "fit": {"epochs": 2}}
    task = quick_probe(poolings=[pooling], seeds=[0], shares=[20], attention=attention)
    rows = planted(distance=1.0, train=15, test=5)
    train = [clip for clip, _ in rows if clip.split == "train"]
    drawn = {train[i].id for i in nested_share(np.array([int(c.labels["kind"][-1]) for c in train]), 20, 0)}

    def run(large):
        found = [(clip, frames.float() * (1e3 if large(clip) else 1)) for clip, frames in rows]
        context = PlantedContext(probe=found)
        return task.run(context, task.protocol(context))

    plain = run(lambda clip: False)
    undrawn = run(lambda clip: clip.split == "train" and clip.id not in drawn)
    assert undrawn.scores[f"{pooling} @ 20%"] == plain.scores[f"{pooling} @ 20%"]
    assert run(lambda clip: clip.split == "test").details["chosen"] == plain.details["chosen"]


def test_overlap_of_selection_and_report_is_refused():
    with pytest.raises(ProtocolError, match="both selected on and reported"):
        Protocol("x", "", ("a", "b"), ("b",))
    with pytest.raises(ProtocolError, match="no clip"):
        Protocol("x", "", ("a",), ())


def test_missing_fold_is_named():
    clips = [make_clip("a", kind="x", fold="1"), make_clip("b", kind="x")]
    with pytest.raises(ProtocolError, match="no label 'fold'"):
        split_protocol(clips, "fold", "kind", "probe")


def test_validation_part_holds_whole_families_and_every_class():
    targets = [i % 3 for i in range(120)]
    families = [f"{i % 3}-{i // 12}" for i in range(120)]
    train, chosen, how = validation_split(targets, families, 0.2, seed=0)
    assert how == "grouped"
    assert not {families[i] for i in train} & {families[i] for i in chosen}
    assert {targets[i] for i in train} == {targets[i] for i in chosen} == {0, 1, 2}
    assert sorted(train + chosen) == list(range(120))
    assert 10 <= len(chosen) <= 45
    # One family per class cannot be parted by family.
    train, chosen, how = validation_split(targets, [str(t) for t in targets], 0.2, seed=0)
    assert how == "stratified"
    assert {targets[i] for i in train} == {targets[i] for i in chosen} == {0, 1, 2}
    with pytest.raises(ValueError, match="one training clip"):
        validation_split([0, 0, 1], ["a", "b", "c"], 0.2, seed=0)


def members(count):
    return [Member({"lr": 1e-3, "dropout": 0.5}, seed, range(4)) for seed in range(count)]


def test_probes_side_by_side_equal_attention_pooling_and_a_linear_layer():
    probes = AttentiveProbes(12, 5, AttentiveConfig(heads=3, queries=2), members(3)).eval()
    torch.manual_seed(0)
    for pooling in probes.pooling:
        torch.nn.init.normal_(pooling.query)
    frames = Padded(torch.randn(4, 7, 12), torch.tensor([7, 3, 1, 5]))
    logits = probes(frames)
    for k in range(3):
        wanted = probes.linear[k](probes.pooling[k](frames.data, frames.mask()))
        torch.testing.assert_close(logits[k], wanted)
        parameters = [probes.pooling[k].query, probes.pooling[k].key.weight, probes.linear[k].weight]
        grads = [torch.autograd.grad(x.square().sum(), parameters, retain_graph=True) for x in (logits[k], wanted)]
        torch.testing.assert_close(*grads)


def test_probes_side_by_side_do_not_touch_each_other():
    rows = planted(distance=1.0, train=10, test=0)
    frames = FrozenFrames([c for c, _ in rows], [f.float() for _, f in rows], [])
    targets = torch.arange(40) % 4
    config = AttentiveConfig(input_dropout=0.0, fit=FitConfig(epochs=3, batch_size=8, max_norm=0.0))
    many = [Member({"lr": 10.0**-k, "dropout": 0.0}, k, range(5 * k, 40)) for k in (1, 2, 3)]
    together = fit_attentive(config, frames, targets, 4, many, seed=0)
    alone = fit_attentive(config, frames, targets, 4, many[1:2], seed=0)
    torch.testing.assert_close(together.linear[1].weight, alone.linear[0].weight)


def test_probe_output_does_not_change_with_padding():
    probes = AttentiveProbes(DIM, 3, AttentiveConfig(), members(2)).eval()
    torch.manual_seed(0)
    frames = FrozenFrames([make_clip("a"), make_clip("b")], [torch.randn(3, DIM), torch.randn(9, DIM)], [])
    torch.testing.assert_close(probes(frames.padded())[:, :1], probes(frames.padded([0])))


def test_fit_keeps_the_best_state_and_repeats_with_its_seed():
    inputs, targets = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 2

    def train(seed):
        torch.manual_seed(1)
        module = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.3))
        scores = iter([0.1, 0.9, 0.2, 0.3])
        report = fit(
            module, [1] * 64, lambda b: torch.nn.functional.cross_entropy(module(inputs[b]), targets[b]),
            FitConfig(epochs=4, batch_size=16, lr=0.1), seed, lambda: next(scores),
        )  # fmt: skip
        return module[0].weight.detach().clone(), report

    (first, report), (second, _), (other, _) = train(0), train(0), train(1)
    assert report.best_epoch == 2 and report.best_score == 0.9
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_fit_stops_where_the_loss_is_not_a_number():
    module = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="learning rate"):
        fit(module, [1, 1], lambda b: module.weight.sum() * math.nan, FitConfig(epochs=1))


def test_minibatches_hold_every_item_once():
    generator = torch.Generator().manual_seed(0)
    batches = list(minibatches([i % 17 for i in range(1000)], 32, generator))
    assert sorted(i for batch in batches for i in batch) == list(range(1000))
    assert all(len(batch) <= 32 for batch in batches)


def test_verification_of_planted_speakers():
    rows = planted(distance=4.0)
    task = Verification("kind", pairs=500)
    context = PlantedContext(probe=rows)
    outcome = task.run(context, task.protocol(context))
    assert outcome.scores["mean"]["EER"] < 0.1 and outcome.details["pairs"] == 1000 == 2 * outcome.details["same"]
    assert score(outcome.items["mean/EER"]) == pytest.approx(outcome.scores["mean"]["EER"], abs=1e-6)
    context = PlantedContext(probe=planted(distance=0.0))
    assert 0.4 < task.run(context, task.protocol(context)).scores["mean"]["EER"] < 0.6


def test_trials_hold_every_pair_once_and_both_kinds():
    left, right = trials(["a", "a", "a", "b", "c"], 100, seed=0)
    assert sorted(zip(left.tolist(), right.tolist(), strict=True))[:2] == [(0, 1), (0, 2)]
    assert len(set(zip(left.tolist(), right.tolist(), strict=True))) == len(left) == 6
    assert [np.array(trials(["a", "b"] * 50, 30, seed=s)).shape for s in (0, 1)] == [(2, 60)] * 2
    with pytest.raises(ProtocolError, match="no pairs of both kinds"):
        trials(["a", "b"], 10, seed=0)


class WordSpace(Space):
    """Audio and text are the same hashed bag of words, so that retrieval must be perfect."""

    def embed_output(self, output):
        return torch.nn.functional.normalize(output.frames.sum(1), dim=-1)

    def embed_texts(self, texts):
        rows = [sum(torch.nn.functional.one_hot(torch.tensor(int(w)), DIM) for w in t.split()).float() for t in texts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def test_space_keeps_the_order_of_clips_of_mixed_length():
    frames = [torch.eye(DIM)[i % DIM].repeat(1 + (i * 7) % 5, 1) for i in range(20)]
    clips = [make_clip(str(i), captions=[str(i % DIM)]) for i in range(20)]
    vectors = WordSpace().audio(FrozenFrames(clips, frames, []), size=3)
    assert vectors.argmax(1).tolist() == [i % DIM for i in range(20)]


def test_equal_captions_are_one_text_relevant_to_all_their_clips():
    clips = [make_clip("a", captions=["A dog.", "Bark!"]), make_clip("b", captions=["a dog"]), make_clip("c")]
    texts = Texts.of(clips)
    assert texts.texts == ["a dog", "bark"]
    assert texts.relevance.tolist() == [[True, True], [True, False], [False, False]]


def test_texts_of_several_clips_may_be_left_out():
    """The second clip keeps no text of its own: it stays among the items and asks no question."""
    clips = [make_clip("a", captions=["A dog.", "Bark!"]), make_clip("b", captions=["a dog"])]
    texts = Texts.of(clips, max_clips=1)
    assert texts.texts == ["bark"] and texts.relevance.tolist() == [[True], [False]]


def test_retrieval_and_zero_shot_through_a_planted_space(monkeypatch):
    rows = [
        (make_clip(f"clip{i}", "test", [str(i), f"{i} {i}"], kind=f"k{i % 3}"), torch.eye(DIM)[i][None])
        for i in range(12)
    ]
    context = PlantedContext(heldout=rows, probe=[(c, torch.eye(DIM)[i % 3][None]) for i, (c, _) in enumerate(rows)])
    context.model = SimpleNamespace(text_encoder=object(), config=SimpleNamespace(pooling=MeanPoolingConfig()))
    monkeypatch.setattr("audiotext.evaluate.retrieval.ModelSpace", lambda model: WordSpace())
    task = Retrieval(lit_for_all=False)
    outcome = task.run(context, task.protocol(context))
    for way in ("audio_to_text", "text_to_audio"):
        assert outcome.scores["direct"][way]["mAP@10"] == pytest.approx(1.0)
        assert outcome.scores["direct"][way]["median_rank"] == 1
    assert outcome.details["distinct_captions"] == 24
    classes = {f"k{i}": [str(i)] for i in range(3)}
    zero = ZeroShot(label="kind", classes=classes, templates=["{}", "{} {}"], lit_for_all=False)
    outcome = zero.run(context, zero.protocol(context))
    assert outcome.scores["direct"]["accuracy"] == 1.0


def test_a_class_is_the_mean_of_its_names_in_every_template():
    """Unit vectors of "0 1", "0 2" and of "5 1", "5 2": each prompt weighs the same, however long its sum is."""
    vectors = WordSpace().prompts([["0", "5"], ["3"]], ["{} 1", "{} 2"])
    wanted = torch.zeros(2, DIM)
    wanted[0, [0, 5, 1, 2]] = 1.0
    wanted[1, [3, 1, 2]] = torch.tensor([2.0, 1.0, 1.0])
    torch.testing.assert_close(vectors, torch.nn.functional.normalize(wanted))


def test_zero_shot_names_a_class_without_prompts():
    context = PlantedContext(probe=[(make_clip("a", "test", kind="snare"), torch.zeros(1, DIM))])
    context.model.text_encoder = object()
    with pytest.raises(ConfigError, match="no prompts for kind 'snare'.*snares"):
        ZeroShot(label="kind", classes={"snares": ["snare"], "kick": ["kick"]}, lit_for_all=False).protocol(context)
    with pytest.raises(ConfigError, match="templates"):
        ZeroShot(label="kind", classes={"a": ["a"], "b": ["b"]}, templates=["a sound"])


def test_spread_is_the_sample_deviation():
    assert spread([1.0, 3.0]) == {"mean": 2.0, "std": pytest.approx(math.sqrt(2)), "values": [1.0, 3.0]}
    assert spread([1.0])["std"] == 0.0


def test_id_hash_does_not_depend_on_order():
    assert ids_hash(["b", "a"]) == ids_hash(["a", "b"]) != ids_hash(["a"])


def test_a_manifest_is_known_by_what_it_says_wherever_its_files_lie(tmp_path):
    cut = {"id": "a", "duration": 1.0, "supervisions": [{"custom": {"caption": ["rain"]}}]}
    cut |= {"recording": {"id": "a", "num_samples": 16000, "sources": [{"source": "/here/a.wav"}]}}
    cut |= {"features": {"num_features": 80, "storage_path": "/here", "storage_key": "0,1"}}
    there = json.loads(json.dumps(cut).replace("/here", "/there"))
    other = json.loads(json.dumps(cut).replace("rain", "hail"))
    paths = [tmp_path / name for name in ("here.jsonl", "there.jsonl.gz", "other.jsonl", "broken.jsonl")]
    paths[0].write_text(json.dumps(cut) + "\n")
    paths[1].write_bytes(gzip.compress(json.dumps(dict(reversed(there.items()))).encode()))
    paths[2].write_text(json.dumps(other) + "\n")
    paths[3].write_text(json.dumps(cut) + "\n[1]\n")
    here, elsewhere, hail = map(manifest_sha256, paths[:3])
    assert here == elsewhere != hail
    with pytest.raises(ValueError, match=r"broken.jsonl:2: not a cut"):
        manifest_sha256(paths[3])
