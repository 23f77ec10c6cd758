"""Bad input to an evaluation: named, counted, and to be seen in the result's N; through the evaluate verb."""

import json

import pytest
import torch
from test_corpora import EGS, toy
from test_evaluate_cli import PITCHES, QUICK, Samples, evaluate, make_model, world, write_part  # noqa: F401

from audiotext.cli.main import main

LANGUAGE = """
language:
  decoder: {name: transformer, dim: 16, layers: 1, heads: 2, feedforward: 16}
  fit: {epochs: 2, batch_size: 8, lr: 1e-2, validate_every: 2}
"""
TASKS = {
    "part_probe": "task: probe\nlabel: pitch\nseeds: [0]\npoolings: [mean]\n",
    "part_verification": "task: verification\nlabel: pitch\n",
    "part_zero_shot": "task: zero_shot\nlabel: pitch\nclasses: {low: [low], mid: [mid], high: [high]}\n" + QUICK,
    "part_retrieval": "task: retrieval\n" + QUICK,
    "part_captioning": "task: captioning\n" + LANGUAGE,
    "part_question": "task: question\n" + LANGUAGE,
    "part_choice": "task: choice\n" + LANGUAGE,
}


class Gappy(Samples):
    """Says nothing finite of clips of an odd number of hundredths of a second."""

    def forward(self, x):
        return super().forward(x) / (x.shape[1] // 160 % 2 == 0)


class Narrow(Samples):
    def forward(self, x):
        return super().forward(x)[..., :8]


class Mute(Samples):
    def forward(self, x):
        return super().forward(x) * torch.nan


def foreign(world, kind):  # noqa: F811
    encoder = {"name": "foreign", "model": f"{__name__}:{kind.__name__}", "output_dim": 16, "sample_rate": 16000}
    make_model(world / f"exp/{kind.__name__}/model", encoder=encoder, frontend="waveform")
    return f"exp/{kind.__name__}/model"


def probe(world, model, *more):  # noqa: F811
    return evaluate(world, "--set", "probe.poolings=[mean]", "seeds=[0]", *more, tasks="probe_pitch", model=model)


def test_clips_without_finite_frames_are_named_and_missing_from_n(world, caplog):  # noqa: F811
    assert probe(world, foreign(world, Gappy)) == 0
    clips = json.loads((world / "results/Gappy/probe_pitch.json").read_text())["clips"]
    odd = [i for i in range(45) if (4000 + 200 * i) // 160 % 2]  # as write_part makes them
    assert 0 < len(odd) < 45 and clips == {"expected": 15, "found": 15 - len([i for i in odd if i >= 30])}
    left = [r.message for r in caplog.records if "not finite, left out" in r.message]
    assert {m.split(":")[0] for m in left} == {f"probe{i}" for i in odd}
    assert probe(world, foreign(world, Mute)) == 1
    assert "probe.jsonl: no clip has frames" in caplog.text and not list((world / "results/Mute").glob("*.json"))


def test_a_wrong_shape_names_the_encoder(world, caplog):  # noqa: F811
    assert probe(world, foreign(world, Narrow)) == 1
    assert "test_bad_evaluation:Narrow are 8 wide, output_dim says otherwise" in caplog.text


def test_an_encoder_that_sees_padding_is_refused(world, caplog, monkeypatch):  # noqa: F811
    encoder = {"name": "transformer", "dim": 16, "layers": 1, "heads": 2, "ff_dim": 16}
    make_model(world / "exp/padding/model", encoder=encoder)
    from audiotext.encoder.transformer import TransformerEncoder

    right = TransformerEncoder.forward

    def wrong(self, feats):
        found = right(self, feats)
        found.frames.add_(feats.data.shape[1])
        return found

    monkeypatch.setattr(TransformerEncoder, "forward", wrong)
    assert probe(world, "exp/padding/model") == 1
    assert "probe0: encoder transformer gives" in caplog.text and "it sees padding or other clips" in caplog.text
    monkeypatch.undo()
    assert probe(world, "exp/padding/model") == 0


def test_a_changed_or_missing_file_of_the_model_is_named(world, capsys):  # noqa: F811
    make_model(world / "exp/harmed/model")
    config = world / "exp/harmed/model/config.yaml"
    config.write_text(config.read_text() + "\n")
    assert probe(world, "exp/harmed/model") == 1
    assert "exp/harmed/model: its files changed since they were saved" in capsys.readouterr().err
    config.unlink()
    assert probe(world, "exp/harmed/model") == 1
    assert "config.yaml is missing" in capsys.readouterr().err


@pytest.fixture(scope="module")
def asked(world, tmp_path_factory):  # noqa: F811
    """The same corpus with stored features, and questions about every clip."""
    folder = tmp_path_factory.mktemp("asked")
    for name, count in {"pretrain": 24, "valid": 6, "heldout": 6, "probe": 45}.items():
        write_part(folder, name, count, "mixed" if name == "probe" else "train")
        manifest = folder / "features" / f"{name}.jsonl"
        cuts = [json.loads(line) for line in manifest.read_text().splitlines()]
        for i, cut in enumerate(cuts):
            asked = {"question": "which pitch", "answer": list(PITCHES)[i % 3], "choices": list(PITCHES)}
            cut["supervisions"][0]["custom"]["questions"] = [asked]
        manifest.rename(manifest.with_name(f"{name}-plain.jsonl"))
        manifest.with_name(f"{name}-plain.jsonl").write_text("".join(json.dumps(cut) + "\n" for cut in cuts))
        features = ["--manifest", str(manifest.with_name(f"{name}-plain.jsonl")), "--out", str(manifest), "--nj", "1"]
        assert main(["features", *features]) == 0
    return folder


@pytest.mark.parametrize("task", TASKS)
def test_a_test_set_that_is_partly_there_is_scored_and_counted(world, asked, task, tmp_path, caplog):  # noqa: F811
    """The audio of one test clip is harmed, the model hears samples; the publishers had 100."""
    path = tmp_path / f"{task}.yaml"
    path.write_text(TASKS[task] + "expected: 100\n")
    harmed = [asked / "audio" / name for name in ("heldout2.wav", "probe44.wav", "pretrain3.wav")]
    kept = [file.read_bytes() for file in harmed]
    for file in harmed:
        file.write_bytes(b"nothing")
    try:
        done = main(
            ["evaluate", "--model", str(world / foreign(world, Samples)), "--tasks", str(path), "--features-dir",
             str(asked / "features"), "--tokenizer", str(world / "tokenizer"), "--out", str(tmp_path)]
        )  # fmt: skip
    finally:
        for file, content in zip(harmed, kept, strict=True):
            file.write_bytes(content)
    assert done == 0, caplog.text
    result = json.loads((tmp_path / f"Samples/{task}.json").read_text())
    of_probe = task in ("part_probe", "part_verification", "part_zero_shot")
    assert result["clips"] == {"expected": 100, "found": 14 if of_probe else 5}
    assert result["protocol"]["report_on"]["clips"] == (15 if of_probe else 6)
    assert "cannot read its features or audio, left out" in caplog.text


def test_a_label_that_is_not_in_the_vocabulary_costs_its_clip_and_no_other(world, tmp_path):  # noqa: F811
    """FSD50K: a tag of a test clip is misspelt; the clip is named, and missing from the N of the result."""
    toy("fsd50k").write(tmp_path / "corpus")
    table = tmp_path / "corpus/FSD50K.ground_truth/eval.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], rows[1].replace("Dog", "Dgo"), *rows[2:]]) + "\n")
    out, config = tmp_path / "features", EGS / "fsd50k/conf/fsd50k.yaml"
    prepare = ["prepare", "--recipe", str(EGS / "fsd50k/local/prepare.py"), "--root", str(tmp_path / "corpus")]
    assert main([*prepare, "--out", str(tmp_path / "manifests"), "--nj", "1"]) == 0
    assert "'Dgo' stands not in vocabulary.csv" in (tmp_path / "manifests/rejected.jsonl").read_text()
    out.mkdir()
    (tmp_path / "manifests/cuts.jsonl").rename(out / "probe.jsonl")
    argv = ["evaluate", "--model", str(world / "exp/floor/model"), "--tasks", str(config), "--features-dir", str(out)]
    quick = ["probe.poolings=[mean]", "seeds=[0]", "probe.network.min_steps=10"]
    assert main([*argv, "--out", str(tmp_path), "--set", *quick]) == 0
    result = json.loads((tmp_path / "floor/fsd50k.json").read_text())
    assert result["clips"] == {"expected": 10231, "found": 7}
