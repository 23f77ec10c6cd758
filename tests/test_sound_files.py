"""describe and search: what a model makes of any sound files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiotext.cli.main import main
from audiotext.config import from_tree
from audiotext.data.audio import read_audio
from audiotext.evaluate.frames import pad
from audiotext.hub import load_model, save_model
from audiotext.model import ModelConfig
from audiotext.text.tokenizer import Tokenizer

PART = {"name": "transformer", "dim": 16, "layers": 1, "heads": 2}
TEXT = {**PART, "feedforward": 16}
SHAPE = {"frontend": "fbank", "encoder": {**PART, "ff_dim": 16}, "embed_dim": 16}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Untrained models (text: both text parts; bare: none) and sounds/: three good files, a long one, a bad one."""
    folder = tmp_path_factory.mktemp("world")
    Tokenizer.train(["a dog barks", "rain falls", "a low tone", "a high tone"], 40, folder / "tokenizer")
    tokenizer = Tokenizer(folder / "tokenizer")
    for seed, (name, more) in enumerate({"text": {"text_encoder": TEXT, "text_decoder": TEXT}, "bare": {}}.items()):
        torch.manual_seed(seed)
        save_model(from_tree(ModelConfig, SHAPE | more).build(tokenizer if more else None), folder / name)
    rng = np.random.default_rng(0)
    (folder / "sounds/inner").mkdir(parents=True)
    for name, seconds, rate in (("a.wav", 0.7, 16000), ("inner/b.flac", 1.3, 8000), ("inner/c.ogg", 0.9, 44100)):
        soundfile.write(folder / "sounds" / name, rng.normal(0, 0.1, round(seconds * rate)), rate)
    soundfile.write(folder / "long.wav", rng.normal(0, 0.1, 5 * 16000), 16000)
    (folder / "bad.wav").write_bytes(b"no sound at all")
    (folder / "sounds/notes.txt").write_text("not a sound")
    return folder


def run(verb: str, world: Path, model: str, *words: str | Path) -> int:
    return main([verb, "--model", str(world / model), *map(str, words)])


def embed(folder: Path, *files: Path) -> torch.Tensor:
    """Each file alone, by the functions of the model."""
    model = load_model(folder)
    with torch.no_grad():
        return torch.cat([model.embed_audio(model.frontend(pad([read_audio(file)]))) for file in files])


def test_describe_says_captions_labels_texts_and_keeps_vectors(world, tmp_path, capsys):
    (tmp_path / "texts").write_text("rain falls\na dog barks\n\nrain falls\n")
    out, vectors = tmp_path / "out.jsonl", tmp_path / "vectors.npz"
    more = ("--texts", tmp_path / "texts", "--out", out, "--vectors", vectors, "--beam", "2", "--top", "2")
    assert run("describe", world, "text", "--labels", "dog", "rain", "tone", *more, "--", world / "sounds") == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    files = [world / "sounds/a.wav", world / "sounds/inner/b.flac", world / "sounds/inner/c.ogg"]
    assert [row["path"] for row in rows] == list(map(str, files))
    expected, model = embed(world / "text", *files), load_model(world / "text")
    found = np.load(vectors)
    assert found["shared"] == pytest.approx(expected.numpy(), abs=1e-5) and found["mean"].shape == (3, 16)
    assert found["seconds"] == pytest.approx([0.7, 1.3, 0.9])
    with torch.no_grad():
        texts = model.embed_text(["rain falls", "a dog barks"])
        label = torch.nn.functional.normalize(model.embed_text(["dog", "the sound of dog"]).mean(0), dim=0)
    for row, vector in zip(rows, expected, strict=True):
        assert {x["text"]: x["cosine"] for x in row["texts"]} == pytest.approx(
            {"rain falls": float(vector @ texts[0]), "a dog barks": float(vector @ texts[1])}, abs=1e-3
        )
        assert len(row["labels"]) == 2 and row["labels"][0]["cosine"] >= row["labels"][1]["cosine"]
        for choice in row["labels"]:
            if choice["text"] == "dog":
                assert choice["cosine"] == pytest.approx(float(vector @ label), abs=1e-3)
        assert isinstance(row["caption"], str)
    assert str(files[1]) in capsys.readouterr().out


def test_describe_draws_captions_from_a_nucleus(world, tmp_path, capsys):
    said = []
    for p in ("1", "1", "1e-9"):
        assert run("describe", world, "text", "--nucleus", p, "--out", tmp_path / "out", "--", world / "sounds") == 0
        said.append([json.loads(line)["caption"] for line in (tmp_path / "out").read_text().splitlines()])
    assert run("describe", world, "text", "--beam", "1", "--out", tmp_path / "out", "--", world / "sounds") == 0
    greedy = [json.loads(line)["caption"] for line in (tmp_path / "out").read_text().splitlines()]
    assert said[0] == said[1] != greedy and said[2] == greedy
    assert run("describe", world, "bare", "--nucleus", "0.9", "--vectors", tmp_path / "v", "--", world / "sounds") == 1
    assert "no text decoder" in capsys.readouterr().err
    assert run("describe", world, "text", "--nucleus", "1.5", "--", world / "sounds") == 1
    assert "top_p must be in (0, 1]" in capsys.readouterr().err


def test_search_ranks_by_cosine_from_files_and_from_vectors(world, tmp_path, capsys):
    files = sorted((world / "sounds").rglob("*.*"))
    files = [f for f in files if f.suffix != ".txt"]
    with torch.no_grad():
        scores = load_model(world / "text").embed_text(["rain"])[0] @ embed(world / "text", *files).T
    expected = [str(files[i]) for i in scores.argsort(descending=True)]
    assert run("search", world, "text", "--text", "rain", "--", world / "sounds") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "rain" and [line.split("  ")[-1] for line in shown[1:]] == expected
    assert run("describe", world, "text", "--vectors", tmp_path / "v.npz", "--beam", "0", "--", world / "sounds") == 0
    capsys.readouterr()
    assert run("search", world, "text", "--top", "1", "--text", "rain", "a dog", "--", tmp_path / "v.npz") == 0
    again = capsys.readouterr().out.splitlines()
    assert len(again) == 4 and again[:2] == shown[:2]


def test_a_long_file_is_taken_in_equal_parts(world, tmp_path):
    where = tmp_path / "v.npz"
    assert run("describe", world, "bare", "--vectors", where, "--longest", "2", world / "long.wav") == 0
    found = np.load(where)
    assert found["start"] == pytest.approx([0, 5 / 3, 10 / 3]) and found["seconds"].sum() == pytest.approx(5, abs=1e-3)
    assert "shared" not in found.files


def test_a_file_that_cannot_be_read_is_left_out_and_the_exit_code_tells(world, capsys, caplog):
    good = world / "sounds/a.wav"
    for verb, words in (("describe", ("--beam", "1")), ("search", ("--text", "rain"))):
        assert run(verb, world, "text", *words, "--", world / "bad.wav", good) == 1
        assert str(good) in capsys.readouterr().out
        assert "bad.wav" in caplog.text and "1 of 2 files" in caplog.text
        caplog.clear()
    assert run("search", world, "text", "--text", "rain", "--", world / "bad.wav") == 1
    assert "not one of 1 files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "model", "words", "says"),
    [
        ("describe", "bare", ["--labels", "dog", "cat", "--"], "no text encoder"),
        ("search", "bare", ["--text", "dog", "--"], "no text encoder"),
        ("describe", "bare", [], "writes no captions; give --labels"),
        ("describe", "text", ["--labels", "dog", "--templates", "a sound", "--"], "needs {} where"),
        ("describe", "text", ["--texts", "nowhere"], "nowhere: no such file"),
        ("describe", "text", ["--top", "0"], "--top is 1 or more"),
        ("describe", "text", ["nowhere.wav"], "nowhere.wav: no such file or folder"),
        ("search", "nowhere", ["--text", "dog", "--"], "not a model folder"),
    ],
)
def test_wrong_use_is_one_message(world, verb, model, words, says, capsys):
    assert run(verb, world, model, *words, world / "sounds/a.wav") == 1
    assert says in capsys.readouterr().err


def test_vectors_of_another_model_are_refused(world, tmp_path, capsys):
    torch.manual_seed(9)
    other = from_tree(ModelConfig, SHAPE | {"text_encoder": TEXT}).build(Tokenizer(world / "tokenizer"))
    save_model(other, tmp_path / "other")
    assert main(["describe", "--model", str(tmp_path / "other"), "--vectors", str(tmp_path / "v.npz"),
                 str(world / "sounds")]) == 0  # fmt: skip
    assert run("search", world, "text", "--text", "rain", "--", tmp_path / "v.npz") == 1
    assert "vectors of another model" in capsys.readouterr().err
    (tmp_path / "no.npz").write_bytes((tmp_path / "v.npz").read_bytes()[:500])
    assert run("search", world, "text", "--text", "rain", "--", tmp_path / "no.npz") == 1
    assert "no.npz: holds no vectors" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run("search", world, "text", "--text", "rain", "--", tmp_path / "empty") == 1
    assert "holds no sound file" in capsys.readouterr().err
