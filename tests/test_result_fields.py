"""Every kind of task that is registered leaves a result file with everything that a number has to carry."""

import json

import pytest
from test_evaluate_cli import QUICK, evaluate, world  # noqa: F401  world is a fixture

from audiotext.cli.main import main
from audiotext.evaluate.judge_result import judge_result
from audiotext.evaluate.protocol import EVALUATIONS
from audiotext.evaluate.report import build_report
from audiotext.evaluate.results import protocol_id, read_results

LANGUAGE = """
language:
  adapter: {dim: 8}
  decoder: {name: transformer, dim: 8, layers: 1, heads: 1, feedforward: 8}
  fit: {epochs: 1}
  max_tokens: 4
"""
KINDS = {
    "probe": "label: pitch\nseeds: [0]\npoolings: [mean]\nshares: [10]",
    "retrieval": QUICK,
    "zero_shot": "label: pitch\nclasses: {low: [low], mid: [mid], high: [high]}" + QUICK,
    "verification": "label: pitch",
    "captioning": "beam: 2" + LANGUAGE,
    "question": "examples: 0" + LANGUAGE,
    "detection": "manifest: more\nlabel: events\nseeds: [0]\nvalidation: valid\n"
    "detector: {lr: [1e-2], median: [0.0], min_steps: 20}",
    "choice": "by: []" + LANGUAGE,
    "transcription": "manifest: more\nlabel: pitch\nseeds: [0]\nctc: {frames_out: 4, fit: {epochs: 1}}",
}
TEXTS = ("task", "kind", "model", "model_hash", "encoder", "layer", "pooling", "frontend", "crop", "git_revision",
         "command", "finished", "protocol_id", "interval", "ids_hash")  # fmt: skip
BY_WORDS = ("zero_shot", "question", "choice", "judge")


def check(result):
    assert [name for name in TEXTS if not isinstance(result[name], str) or not result[name]] == []
    assert result["protocol"]["description"] and result["protocol_id"] == protocol_id(result)
    assert len(result["ids_hash"]) == 64 and result["protocol"]["report_on"]["clips"] > 0
    assert 0 < result["clips"]["found"] <= result["clips"]["expected"]
    assert result["seeds"] and result["sample_rate"] == 16000 and result["settings"] and result["manifest_hashes"]
    assert {"audiotext", "torch", "python", "numpy"} <= set(result["versions"])
    assert result["seconds"] > 0 and result["peak_memory_mb"]["process"] > 50
    assert result["scores"] and result["intervals"]
    assert all(low <= high for low, high in result["intervals"].values())
    assert (result["kind"] in BY_WORDS) == bool(result["prompts"])


def stored(world):  # noqa: F811
    """The manifests of captions with their features, for the captioning baseline."""
    for name in ("pretrain", "valid", "heldout"):
        manifest, out = (str(world / folder / f"{name}.jsonl") for folder in ("features", "stored"))
        assert main(["features", "--manifest", manifest, "--out", out, "--nj", "1"]) == 0
    return world / "stored"


def with_more_labels(world):  # noqa: F811
    """The probe's manifest as ``more``: some training clips to choose on, and where in each its tone is."""
    cuts = [json.loads(line) for line in (world / "features/probe.jsonl").read_text().splitlines()]
    for place, cut in enumerate(cuts):
        custom = cut["supervisions"][0]["custom"]
        custom["labels"]["events"] = [[0.0, 0.2, custom["labels"]["pitch"]]]
        if place % 4 == 3 and custom["split"] == "train":
            custom["split"] = "valid"
    (world / "features/more.jsonl").write_text("".join(json.dumps(cut) + "\n" for cut in cuts))


@pytest.mark.parametrize("kind", EVALUATIONS.names())
def test_a_result_carries_everything(world, kind):  # noqa: F811
    if kind == "detection":
        pytest.importorskip("psds_eval")
    assert kind in KINDS, f"a new kind of task: give KINDS a task of kind {kind} on tones"
    path = world / f"tasks/kind_{kind}.yaml"
    path.write_text(f"task: {kind}\n{KINDS[kind]}")
    with_more_labels(world)
    features = stored(world) if kind == "captioning" else world / "features"
    assert evaluate(world, "--name", "kinds", "--features-dir", str(features), tasks=path.stem) == 0
    result = json.loads((world / f"results/kinds/kind_{kind}.json").read_text())
    check(result)
    if kind == "question":
        _, judged = judge_result(world / f"results/kinds/kind_{kind}.json", lambda prompt: "5 4", "toy")
        check(judged)
    report = build_report([r for r in read_results(world / "results") if r.model == "kinds"])
    assert f"| kind_{kind} " in report and f"**{kind}** (kind_{kind}" in report
