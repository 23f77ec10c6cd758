"""Caption metrics against the COCO caption tools: by their recorded numbers, and for real where they are installed."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from audiotext.metric import coco_jars, fense
from audiotext.metric.caption import caption_items, caption_scores
from audiotext.metric.caption_tools import ToolError, require, tool_items
from audiotext.metric.meteor import meteor_counts
from audiotext.metric.weighted import STATISTICS

SETS = json.loads((Path(__file__).parent / "golden/coco_captions.json").read_text(encoding="utf-8"))["sets"]
OURS = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider_d")
JAVA = """#!{python}
import json, sys
if "-version" in sys.argv:
    print('openjdk version "{version}" 2019', file=sys.stderr)
elif "-stdio" in sys.argv:
    for line in sys.stdin:
        print(*[float(len(line.split("|||")))] * 23)
else:
    entries = json.load(open(next(a for a in sys.argv if a.endswith("in.json"))))
    scored = [dict(image_id=e["image_id"], scores=dict(All=dict(f=len(e["refs"]) / 10))) for e in entries]
    json.dump(scored, open(sys.argv[sys.argv.index("-out") + 1], "w"))
    sys.exit({code})
"""


@pytest.fixture(params=SETS)
def case(request):
    return SETS[request.param]


def test_our_scores_equal_those_of_the_coco_tools(case):
    scores = caption_scores(case["candidates"], case["references"])
    for name in OURS:
        assert scores[name] == pytest.approx(case["scores"][name], abs=1e-6), name
    items = caption_items(case["candidates"], case["references"])
    for name in ("rouge_l", "cider_d"):
        assert items[name] == pytest.approx(case["clips"][name], abs=1e-5), name
    whole = np.ones((1, len(case["candidates"])))
    for name in OURS[:4]:
        found = STATISTICS[name]({"value": items["bleu"]}, whole)[0]
        assert found == pytest.approx(case["scores"][name], abs=1e-6), name


def test_what_the_meteor_jar_counts_becomes_meteor(case):
    counts = meteor_counts(np.array([line.split() for line in case["meteor_stats"]], np.float64))
    clips = STATISTICS["meteor"]({"value": counts}, np.eye(len(counts)))
    assert clips == pytest.approx(case["clips"]["meteor"], abs=1e-6)
    whole = STATISTICS["meteor"]({"value": counts}, np.ones((1, len(counts))))[0]
    assert whole == pytest.approx(case["scores"]["meteor"], abs=1e-6)


def test_the_coco_tools_themselves_say_the_same(case):
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu", reason="needs the extra [coco]")
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    said = {i: [text] for i, text in enumerate(case["candidates"])}
    truth = dict(enumerate(case["references"]))
    scores = dict(zip(OURS, bleu.Bleu(4).compute_score(truth, said, verbose=0)[0], strict=False))
    scores |= {"rouge_l": Rouge().compute_score(truth, said)[0], "cider_d": Cider().compute_score(truth, said)[0]}
    ours = caption_scores(case["candidates"], case["references"])
    assert {name: ours[name] for name in OURS} == pytest.approx(scores, abs=1e-6)


@pytest.mark.skipif(bool(coco_jars.meteor_missing()), reason="; ".join(coco_jars.meteor_missing()))
def test_the_meteor_jar_itself_counts_the_same():
    said, truth = ([x for case in SETS.values() for x in case[key]] for key in ("candidates", "references"))
    recorded = np.array([line.split() for case in SETS.values() for line in case["meteor_stats"]], np.float64)
    assert np.array_equal(tool_items(["meteor"], [said], truth)[0]["meteor"], meteor_counts(recorded))


@pytest.fixture()
def installed(tmp_path, monkeypatch):
    """A package of jars that a Java of ours pretends to run: gives a function that sets up that Java."""
    for name in (coco_jars.METEOR_JAR, coco_jars.PARAPHRASES, coco_jars.SPICE_JAR, "meteor/meteor.py"):
        path = tmp_path / "packages/coco_stand_in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    about = tmp_path / "packages/coco_stand_in-1.2.dist-info/METADATA"
    about.parent.mkdir()
    about.write_text("Name: coco_stand_in\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(coco_jars, "PACKAGE", "coco_stand_in")
    monkeypatch.setattr(coco_jars, "MODULE", "coco_stand_in.meteor.meteor")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    def java(version="1.8.0_402", code=0, parser=True):
        program = tmp_path / "jdk/bin/java"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(JAVA.format(python=sys.executable, version=version, code=code))
        program.chmod(0o755)
        for name in coco_jars.PARSER_JARS * parser:
            path = tmp_path / "packages/coco_stand_in" / name
            path.parent.mkdir(exist_ok=True)
            path.touch()

    return java


def test_what_is_missing_is_named_with_its_remedy(installed, monkeypatch):
    with pytest.raises(ToolError, match=r"METEOR needs Java \(.*No such file.*jdk/bin/java'\): install"):
        require(["meteor"])
    installed(parser=False)
    (Path(os.environ["JAVA_HOME"]) / "bin/java").write_text("#!/bin/sh\necho no runtime present >&2; exit 1\n")
    assert "no runtime present" in coco_jars.spice_missing()[0]
    installed(version="17.0.15", parser=False)
    assert coco_jars.meteor_missing() == []
    with pytest.raises(
        ToolError, match=r"version 8 to 14 \(this is 17.0.15\).*3.6.0-models.jar: `python -m .*: spider"
    ):
        require(["spider"])
    installed(version="1.8.0_402")
    assert coco_jars.spice_missing() == []
    monkeypatch.setattr(coco_jars, "PACKAGE", "never_installed")
    with pytest.raises(ToolError, match=r"METEOR needs the package never_installed: pip install 'audiotext\[coco\]'"):
        require(["meteor"])


def test_spice_is_asked_about_captions_that_say_something(installed):
    installed()
    require(["spice"])
    found = tool_items(["spice"], [["a dog", " "], ["", "rain"]], [["a dog", "dogs"], ["rain"]])
    assert [one["spice"].tolist() for one in found] == [pytest.approx([0.2, 0.0]), pytest.approx([0.0, 0.1])]
    assert coco_jars.versions() == {"coco_stand_in": "1.2", "java": "1.8.0_402"}


def test_meteor_is_told_one_line_a_caption(installed):
    installed()
    found = coco_jars.meteor(["a ||| dog", "rain\nfalls"], [["a dog", "dogs"], ["rain"]])
    assert found[:, 0].tolist() == [4.0, 3.0]


def test_a_jar_that_fails_is_said_to(installed):
    installed(code=3)
    with pytest.raises(ToolError, match="SPICE failed: java ended with 3"):
        require(["spice"])


def test_fense_is_missing_without_its_package_or_its_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aac_metrics", None)
    with pytest.raises(ToolError, match=r"FENSE needs the package aac-metrics .*pip install 'audiotext\[fense\]'"):
        require(["fense"])
    for name in ("aac_metrics", "aac_metrics.functional", "aac_metrics.functional.fense"):
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
    monkeypatch.setenv("FENSE_DATA", str(tmp_path))
    assert fense.missing() == [f"{tmp_path}/echecker_clotho_audiocaps_base.ckpt: {fense.FETCH}"]
