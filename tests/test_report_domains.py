"""Scores by domain and over parts of the training data, in tables and plots; scores that lack clips; wide tables."""

import csv
import io
import json

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from test_report import row, spread, with_items, write

from audiotext.data.digest import file_sha256
from audiotext.evaluate.findings import findings
from audiotext.evaluate.items import Kept, read_items, write_items
from audiotext.evaluate.plot_domain import axes_by_domain, draw_domains
from audiotext.evaluate.plot_low_resource import draw_low_resource
from audiotext.evaluate.plot_material import Material
from audiotext.evaluate.plots import draw_all
from audiotext.evaluate.probe_tables import domain_table
from audiotext.evaluate.render import csv_text, latex_text
from audiotext.evaluate.report import build_report, tables
from audiotext.evaluate.results import read_results, share_of
from audiotext.evaluate.table import WIDE, Column, Row, Score, Table, average

TASKS = {"voice": "speech", "word": "speech", "emotion": "speech", "drum": "music", "rain": "sound"}
ACCURACY = {"random": 0.4, "contrastive": 0.6, "captioning": 0.7}
SHARES = {str(k): {"clips": n, "classes": 4} for k, n in {1: 8, 10: 20, 100: 200}.items()}


@pytest.fixture
def folder(tmp_path):
    """Three models on five probes; the last model was not measured on ``word``; ``drum`` has shares."""
    for model, accuracy in ACCURACY.items():
        for place, (task, domain) in enumerate(TASKS.items()):
            if (model, task) == ("captioning", "word"):
                continue
            here = accuracy + 0.02 * place
            scores = {"mean": {"accuracy": spread(here, 0.01)}}
            details = {"majority": 0.2, "domain": domain}
            if task == "drum":
                scores |= {f"mean @ {share}%": {"accuracy": spread(here * part, 0.01)}
                           for share, part in ((1, 0.25), (10, 0.5))}  # fmt: skip
                details["shares"] = SHARES
            write(tmp_path, model, f"probe_{task}", "probe", scores, details)
        write(tmp_path, model, "verification_voice", "verification", {"mean": {"EER": 0.1}}, {"domain": "sound"})
    return tmp_path


def test_averages_by_domain_want_every_probe_of_it(folder):
    report = build_report(read_results(folder))
    head = [c.strip() for c in report.split("## Probes by domain")[1].strip().splitlines()[0].strip("|").split("|")]
    assert head == ["model", "speech, mean", "music, mean", "sound, mean"]
    assert row(report, "majority class", "## Probes by domain")[1:] == ["20.0", "20.0", "20.0"]
    # (0.6 + 0.62 + 0.64) / 3, one probe of music, one of sound
    assert row(report, "contrastive", "## Probes by domain")[1:] == ["**62.0**", "*66.0*", "*68.0*"]
    assert row(report, "captioning", "## Probes by domain")[1:] == ["-", "**76.0**", "**78.0**"]
    assert "speech: emotion, voice, word; music: drum; sound: rain." in report
    assert report.index("## At a glance") < report.index("## Probes by domain") < report.index("## Linear probes")
    # The summary leaves out the model that lacks a probe as well.
    assert row(report, "captioning", "## At a glance")[1:] == ["-", "10.0"]
    assert "| model       | probes, mean | verification, mean, EER |" in report


def test_without_domains_there_is_no_such_table(tmp_path):
    write(tmp_path, "a", "probe_x", "probe", {"mean": {"accuracy": 0.5}})
    assert not domain_table(read_results(tmp_path)).rows and "by domain" not in build_report(read_results(tmp_path))


def test_axes_run_from_guessing_to_perfect(folder):
    axes = {
        domain: {axis.label: axis for axis in found} for domain, found in axes_by_domain(read_results(folder)).items()
    }
    assert {domain: list(own) for domain, own in axes.items()} == {
        "speech": ["emotion", "voice", "word"], "music": ["drum"], "sound": ["rain", "voice, EER"],
    }  # fmt: skip
    voice = axes["speech"]["voice"]
    assert voice.scaled(0.2) == 0 and voice.scaled(1.0) == pytest.approx(100)
    assert voice.scaled(voice.scores["contrastive"].mean) == pytest.approx(50)  # 0.6 between 0.2 and 1
    rates = axes["sound"]["voice, EER"]
    assert rates.scaled(0.5) == 0 and rates.scaled(rates.scores["random"].mean) == pytest.approx(80)
    assert set(axes["speech"]["word"].scores) == {"random", "contrastive"}


def test_three_tasks_make_a_radar_and_fewer_bars(folder):
    figure = Figure()
    draw_domains(figure, Material(read_results(folder)))
    panels = {panel.get_title(): panel for panel in figure.axes}
    assert {title: panel.name for title, panel in panels.items()} == {
        "speech": "polar", "music": "rectilinear", "sound": "rectilinear",
    }  # fmt: skip
    lines = {line.get_label(): line.get_ydata() for line in panels["speech"].lines}
    assert list(lines["contrastive"]) == pytest.approx([55.0, 50.0, 52.5, 55.0])  # emotion, voice, word, closed
    assert lines["captioning"][2] != lines["captioning"][2]  # a gap where nothing was measured
    assert [bar.get_height() for bar in panels["music"].patches] == pytest.approx([32.5, 57.5, 70.0])


def test_low_resource_curves_stand_at_the_clips_there_were(folder):
    results = read_results(folder)
    report = build_report(results)
    assert row(report, "contrastive", "## Low resource: drum, mean")[1:] == [
        "*16.5 ± 1.0*",
        "*33.0 ± 1.0*",
        "*66.0 ± 1.0*",
    ]
    assert "1 % (8)" in report and "10 % (20)" in report and "100 % (200)" in report
    figure = Figure()
    draw_low_resource(figure, Material(results))
    (axis,) = figure.axes
    line = next(found for found in axis.lines if found.get_label() == "contrastive")
    assert list(line.get_xdata()) == [4.0, 10.0, 100.0]  # 8 of 200 clips are 4 %, whatever was asked for
    assert list(line.get_ydata()) == pytest.approx([16.5, 33.0, 66.0]) and axis.get_xscale() == "log"
    assert share_of("mlp, mean @ 10%") == ("mlp, mean", 10.0) and share_of("mean") == ("mean", 100.0)


def test_parts_that_lack_classes_are_named(folder):
    for path in folder.glob("*/probe_drum.json"):
        tree = json.loads(path.read_text())
        tree["details"]["shares"]["1"]["classes"] = 3
        path.write_text(json.dumps(tree))
    assert "1 % holds 3 of 4 classes." in build_report(read_results(folder))


def test_plots_are_the_same_bytes_twice(folder, tmp_path):
    material = Material(read_results(folder))
    with rc_context({"figure.dpi": 30}):  # quickly
        first, second = (draw_all(material, tmp_path / name) for name in ("one", "two"))
    assert [path.stem for path in first] == ["probes", "domains", "low_resource", "report"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(("few", "every", "answer"), [(0.5, 0.1, "yes"), (0.1, 0.5, "NO"), (0.1, 0.09, "NO")])
def test_a_gain_with_few_clips_is_found_where_it_is_no_noise(tmp_path, few, every, answer):
    right = {"random": (0.3, 0.3), "contrastive": (0.3 + few, 0.3 + every)}
    for model, (little, much) in right.items():
        parts = {"attention @ 10%": little, "attention": much}
        with_parts(tmp_path, model, {part: [i < 200 * share for i in range(200)] for part, share in parts.items()})
    found = next(f for f in findings(read_results(tmp_path)) if "on 10 % of the training data" in f.question)
    assert found.answer == answer and f"{100 * few:+.1f} points against {100 * every:+.1f} points" in found.measured
    assert ("within noise" in found.measured) == (few - every < 0.1 and few > every)


def with_parts(folder, model, right):
    """One result of several parts, each clip's score kept."""
    for part, values in right.items():
        with_items(folder / part, model, values, part=part)
    trees = [json.loads((folder / part / model / "probe_drum_type.json").read_text()) for part in right]
    kept = [read_items(folder / part / model / "probe_drum_type.npz") for part in right]
    path = folder / model / "probe_drum_type.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_items(path, Kept({k: v for one in kept for k, v in one.samples.items()},
                           {k: v for one in kept for k, v in one.resampled.items()}))  # fmt: skip
    scores = {name: part for tree in trees for name, part in tree["scores"].items()}
    items = {"file": path.name, "sha256": file_sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(trees[0] | {"scores": scores, "items": items}))


def test_a_score_of_fewer_clips_is_marked_and_counted(folder):
    for model in ("contrastive", "captioning"):
        path = folder / model / "probe_rain.json"
        clips = {"expected": 975, "found": 883}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"clips": clips, "protocol_id": "abc"}))
    results = read_results(folder)
    report = build_report(results)
    assert row(report, "contrastive", "## Linear probes, mean")[3] == "*68.0 ± 1.0†*"
    assert row(report, "random", "## Linear probes, mean")[3] == "48.0 ± 1.0"
    assert "† Clips found of those expected: 883/975 (contrastive, captioning) under rain; " in report
    assert "883/975 (contrastive, captioning)" in report.split("## Protocol")[1]
    rows = list(csv.DictReader(io.StringIO(csv_text(tables(results)))))
    found = {r["row"]: r for r in rows if r["table"].startswith("Linear") and r["column"] == "rain"}
    assert (found["contrastive"]["clips"], found["contrastive"]["protocol"]) == ("883/975", "abc")
    assert found["random"]["clips"] == "300/300" and found["majority class"]["clips"] == ""
    assert r"68.0 $\pm$ 1.0$^\dagger$" in latex_text(tables(results))


def test_a_probe_that_lacked_training_clips_says_so(tmp_path):
    for model, found in {"a": 100, "b": 97}.items():
        write(tmp_path, model, "probe_x", "probe", {"mean": {"accuracy": 0.5}}, {"train_found": found})
    assert row(build_report(read_results(tmp_path)), "probe_x", "## Protocol")[3] == "100, 97/100"


def test_an_average_counts_the_clips_of_all():
    found = average([Score(0.5, clips=(9, 10)), Score(0.7, clips=(20, 20))])
    assert found.mean == pytest.approx(0.6) and found.partial == "29/30"
    assert average([Score(0.5, clips=(9, 10)), Score(0.7)]).clips is None


def wide(rows, columns):
    cells = {f"c{i}": Score(i / 100) for i in range(columns)}
    every = [Row(f"model {n}", {k: Score(s.mean + n / 1000) for k, s in cells.items()}) for n in range(rows)]
    return Table("t", [Column(key, f"a long task {key}") for key in cells], every)


def test_wide_tables_are_turned_round_or_cut_and_lose_no_number():
    assert len(wide(3, 5).grids({})) == 1 and wide(3, 5).grids({})[0][0][0] == "model"
    (turned,) = wide(4, 20).grids({"best": "**{}**"})
    assert turned[0] == ["", "model 0", "model 1", "model 2", "model 3"] and len(turned) == 21
    assert turned[4] == ["a long task c3", "3.0", "3.1", "3.2", "**3.3**"]
    table = wide(25, 20)
    pieces = table.grids({})
    assert len(pieces) > 1 and {piece[2][0] for piece in pieces} == {"model 1"}
    assert [cell for piece in pieces for cell in piece[1][1:]] == [f"{i}.0" for i in range(20)]
    assert all(len(line) <= WIDE for line in table.lines())
    assert latex_text([table]).count(r"\begin{tabular}") == len(pieces)


def test_captions_of_two_corpora_never_share_a_column(tmp_path):
    for task in ("clotho", "audiocaps"):
        scores = {"trained": {"beam": {"cider_d": 0.5 if task == "clotho" else 0.9}}, "baseline": {
            name: {"cider_d": 0.1} for name in ("most_frequent", "nearest_log_mel")}}  # fmt: skip
        for model in "ab":
            write(tmp_path, model, task, "captioning", scores)
    report = build_report(read_results(tmp_path))
    assert "## Captioning: clotho" in report and "## Captioning: audiocaps" in report
    assert report.count("| a, decoder trained here") >= 2 and "clotho: a" not in report
