"""The report: right numbers in the right cells, honest marks, checks computed from numbers, no mixed protocols."""

import argparse
import csv
import io
import json
import re

import numpy as np
import pytest

from audiotext.cli import report as verb
from audiotext.data.digest import file_sha256
from audiotext.evaluate.bootstrap import resample
from audiotext.evaluate.findings import findings
from audiotext.evaluate.items import Items, Kept, Sample, items_path, write_items
from audiotext.evaluate.plot_material import Material
from audiotext.evaluate.plots import draw_all, flat, read_curves, recall_curve
from audiotext.evaluate.render import csv_text, latex_text, terminal_text
from audiotext.evaluate.report import build_report, tables, tables_text
from audiotext.evaluate.results import ReportError, read_results, read_runs
from audiotext.evaluate.table import Column, Row, Score, Table

PROBES = ("probe_drum_type", "probe_voice_pack")
ACCURACY = {"floor": 0.60, "random": 0.50, "contrastive": 0.80, "captioning": 0.62}


def spread(mean, std):
    return {"mean": mean, "std": std, "values": [mean - std, mean, mean + std]}


def write(folder, model, task, kind, scores, details=None, **more):
    tree = {
        "task": task, "kind": kind, "model": model, "model_hash": f"hash-{model}", "settings": {"seeds": [0, 1, 2]},
        "ids_hash": "f" * 64, "protocol": {"description": f"how {kind} is done", "select_on": {"clips": 100}},
        "manifest_hashes": {"heldout": "aa"}, "encoder": "transformer", "pooling": "", "scores": scores,
        "details": details or {}, "seeds": [0, 1, 2], "clips": {"expected": 300, "found": 300}, "synthetic": False,
        "versions": {"audiotext": "0.1.0"}, "git_revision": "abc1234", "command": f"audiotext evaluate --name {model}",
        "seconds": 12.3, "crop": "whole clips",
    }  # fmt: skip
    path = folder / model / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree | more))
    return path


def caption(cider):
    names = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "meteor_exact_stem", "distinct1", "distinct2")
    return dict.fromkeys(names, 0.25) | {"cider_d": cider, "vocabulary": 80.0, "words": 5.0, "empty": 0.0}


def direction(r10):
    chance = {"chance_R@1": 0.003, "chance_R@5": 0.015, "chance_R@10": 0.03}
    recalls = {"R@1": r10 / 4, "R@5": r10 / 2, "R@10": r10, "mAP@10": r10 / 3, "median_rank": 30.0}
    return recalls | chance | {"queries": 300, "items": 299}


@pytest.fixture()
def folder(tmp_path):
    results = tmp_path / "exp" / "results"
    for model, accuracy in ACCURACY.items():
        for probe in PROBES:
            scores = {
                "mean": {"accuracy": spread(accuracy - 0.1, 0.01), "balanced_accuracy": spread(accuracy, 0.01)},
                "attention": {"accuracy": spread(accuracy, 0.02), "balanced_accuracy": spread(accuracy, 0.02)},
            }
            write(results, model, probe, "probe", scores, {"majority": 0.25, "chance": 0.1})
        ways = {"audio_to_text": direction(0.36), "text_to_audio": direction(0.33)}
        spaces = {"lit": ways} | ({"direct": ways} if model == "contrastive" else {})
        write(results, model, "retrieval", "retrieval", spaces)
        zero_shot = {"lit": {"accuracy": accuracy / 2}}
        write(results, model, "zero_shot_drum_type", "zero_shot", zero_shot, {"majority": 0.2})
        trained = {"greedy": caption(1.0), "beam": caption(accuracy)}
        baseline = {"most_frequent": caption(0.1), "nearest_log_mel": caption(0.7)}
        own = {"direct": {"greedy": caption(0.5), "beam": caption(0.9)}} if model == "captioning" else {}
        write(results, model, "captioning", "captioning", {"trained": trained, "baseline": baseline} | own, {"beam": 4})
        kinds = {k: {"exact_match": accuracy, "token_f1": accuracy} for k in ("all", "yes or no")}
        blind = {k: {"exact_match": 0.6, "token_f1": 0.6} for k in ("all", "yes or no")}
        details = {"questions": {"yes or no": 40}}
        write(results, model, "question", "question", {"trained": kinds, "blind": blind}, details)
    return results


def row(report, start, heading):
    """The cells of the row that begins with ``start`` below ``heading``."""
    part = report.split(heading, 1)[1]
    line = next(line for line in part.splitlines() if line.startswith(f"| {start} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_number_stands_in_its_cell(folder):
    report = build_report(read_results(folder))
    assert row(report, "contrastive", "attention pooling") == ["contrastive"] + ["**80.0 ± 2.0**"] * 2 + ["**80.0**"]
    assert row(report, "random", "Linear probes, mean") == ["random", "40.0 ± 1.0", "40.0 ± 1.0", "40.0"]
    assert row(report, "majority class", "Linear probes, mean") == ["majority class", "25.0", "25.0", "25.0"]
    own = row(report, "contrastive, own text side", "## Retrieval")
    assert [own[3], own[5], own[8], own[10]] == ["33.0", "30.0", "36.0", "30.0"]
    assert "3.0" in row(report, "chance", "## Retrieval")
    captions = row(report, "captioning, own decoder, beam 4", "## Captioning: captioning")
    rest = row(report, "captioning, own decoder, beam 4", "CIDEr-D | distinct-1")
    assert rest[1] == "*0.900*" and captions[1] == "25.0"
    assert row(report, "nearest training clip by log-mel", "CIDEr-D | distinct-1")[1] == "0.700"
    assert row(report, "blind: commonest answer", "## Question")[1:] == ["60.0", "60.0", "60.0"]
    assert "yes or no (40)" in report
    assert row(report, "probes, attention", "## At a glance")[1:] == ["60.0", "50.0", "**80.0**", "*62.0*"]


def test_scores_of_tools_have_a_column_where_there_are_any_and_a_note_where_not(folder):
    report = build_report(read_results(folder))
    assert "Not computed: METEOR, SPICE, SPIDEr, FENSE; each is of its own program" in report
    header = row(report, "captions by", "## Captioning")
    assert not {"METEOR", "SPICE", "SPIDEr", "FENSE"} & set(header) and "METEOR (exact+stem)" in header
    more = {"meteor": 0.2, "spice": 0.1, "spider": 0.55}
    scores = {"trained": {"beam": caption(1.0) | more}, "baseline": {"most_frequent": caption(0.1) | more}}
    scores["baseline"]["nearest_log_mel"] = caption(0.1)
    write(folder, "random", "captioning", "captioning", scores, {"beam": 4, "references": {"1": 3, "5": 972}})
    report = build_report(read_results(folder))
    header = row(report, "captions by", "## Captioning")
    assert header[7:] == ["CIDEr-D"]  # the table is cut in two
    rest = "METEOR | "
    assert row(report, "random, decoder trained here, beam 4", rest)[1:4] == ["20.0", "10.0", "0.550"]
    assert "Not computed: FENSE;" in report
    assert "captioning: 3 of 975 clips have fewer references than the usual 5." in report


def test_models_come_in_the_order_of_the_recipe(folder):
    ways = dict.fromkeys(("audio_to_text", "text_to_audio"), direction(0.1))
    write(folder, "another", "retrieval", "retrieval", {"lit": ways})
    glance = build_report(read_results(folder)).split("## At a glance")[1].split("##")[0]
    names = re.findall(r"\w+", glance.strip().splitlines()[0])
    assert names == ["floor", "random", "contrastive", "captioning", "another"]


def test_protocol_block_counts_clips_and_names_hashes_and_commands(folder):
    path = folder / "floor/retrieval.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"clips": {"expected": 300, "found": 299}}))
    report = build_report(read_results(folder), "audiotext report")
    assert row(report, "retrieval", "## Protocol")[1:4] == ["300/300, 299/300 (floor)", "f" * 12, "100"]
    assert "Clips are heard as: whole clips." in report
    assert row(report, "captioning", "| weights")[3] == "hash-captioning"
    assert "audiotext evaluate --name floor" in report and "audiotext report" in report
    assert "processor core" in report and "audiotext 0.1.0" in report
    assert "## Protocol" not in tables_text(report) and "What it shows" in tables_text(report)


def test_findings_answer_from_the_numbers(folder):
    answers = {f.question.split("?")[0]: f for f in findings(read_results(folder))}

    def holds(start):
        return next(f for q, f in answers.items() if q.startswith(start)).holds

    assert holds("contrastive: 15 points over random") is True
    assert holds("captioning: 15 points over random") is False  # 12 points
    assert holds("captioning: over random by more than") is True  # 12 points against a spread of 4
    assert holds("better pretrained encoder") is True
    assert holds("contrastive: retrieval R@10 at least 10 times") is True  # 0.33 is 11 times 0.03
    assert holds("contrastive, decoder trained here: CIDEr-D") is True
    assert holds("captioning, decoder trained here: CIDEr-D") is False  # 0.62 against 0.7
    assert holds("captioning, own decoder: CIDEr-D") is True
    assert holds("captioning: answers better than") is True


def test_what_was_not_measured_is_said(folder):
    for probe in PROBES:
        (folder / "random" / f"{probe}.json").unlink()
    report = build_report(read_results(folder))
    assert re.search(r"contrastive: 15 points over random.*not measured", report)


def test_spread_larger_than_the_margin_is_a_no(folder):
    scores = {"attention": {"accuracy": spread(0.52, 0.015), "balanced_accuracy": spread(0.5, 0.0)}}
    write(folder, "captioning", PROBES[0], "probe", scores, {"majority": 0.25})
    found = [f for f in findings(read_results(folder)) if f.question.startswith("captioning: over random by more")]
    assert found[0].holds is False and "drum type +2.0 (spread 3.5)" in found[0].measured


def test_synthetic_data_is_said_in_the_title_and_every_table(folder):
    assert "SYNTHETIC" not in build_report(read_results(folder))
    write(folder, "floor", "probe_drum_type", "probe", {"mean": {"accuracy": 0.5}}, synthetic=True)
    headings = [line for line in build_report(read_results(folder)).splitlines() if line.startswith("#")]
    assert all("SYNTHETIC" in line for line in headings if line not in ("## Protocol", "## Plots"))


def test_scores_of_different_protocols_are_refused(folder):
    path = folder / "captioning" / "retrieval.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ids_hash": "e" * 64}))
    with pytest.raises(ReportError, match=r"floor/retrieval.json .*captioning/retrieval.json .*differ in ids_hash"):
        build_report(read_results(folder))


def test_two_sets_of_weights_under_one_name_are_refused(folder):
    path = folder / "floor" / "question.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_hash": "other"}))
    with pytest.raises(ReportError, match="different weights"):
        build_report(read_results(folder))


def test_missing_and_damaged_results_are_named(tmp_path):
    with pytest.raises(ReportError, match="no results .*audiotext evaluate"):
        read_results(tmp_path)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x.json").write_text("{")
    with pytest.raises(ReportError, match="x.json: cannot be read"):
        read_results(tmp_path)
    (tmp_path / "m" / "x.json").write_text('{"task": "x"}')
    with pytest.raises(ReportError, match="it lacks model"):
        read_results(tmp_path)


def test_equal_readings_share_the_mark_and_baselines_have_none():
    rows = [Row("base", {"a": Score(0.9)}, ranked=False), Row("x", {"a": Score(0.5)}), Row("y", {"a": Score(0.5001)})]
    none = "\n".join(Table("t", [Column("a", "a")], rows).lines())
    assert "**" not in none and none.count(" 50.0 ") == 2  # nobody is better than anybody
    rows += [Row("worse", {"a": Score(0.4)}), Row("z", {"a": None})]
    text = "\n".join(Table("t", [Column("a", "a")], rows).lines())
    assert text.count("**50.0**") == 2 and "*40.0*" in text and "**90.0**" not in text
    assert "| z     |        - |" in text


def test_recall_curve_from_ranks_and_without():
    class Fake:
        details = {"ranks": {"lit": {"text_to_audio": [1, 2, 2, 60]}}}
        scores = {"lit": {"text_to_audio": direction(0.4)}}

    ks, recall = recall_curve(Fake, "lit", "text_to_audio")
    assert ks[-1] == 50 and recall[:2] == [25.0, 75.0] and recall[-1] == 75.0
    Fake.details = {}
    assert recall_curve(Fake, "lit", "text_to_audio") == ([1, 5, 10], [10.0, 20.0, 40.0])


def test_a_map_is_the_same_every_time():
    vectors = np.random.default_rng(0).normal(size=(100, 8))
    assert flat(vectors).shape == (100, 2) and np.array_equal(flat(vectors), flat(vectors))
    assert flat(vectors[:5]).shape == (5, 2) and flat(vectors[:, :1]).shape == (100, 2)


def test_plots_are_written_one_by_one_and_as_a_page(folder, tmp_path):
    run = tmp_path / "exp" / "contrastive"
    run.mkdir(parents=True)
    rows = [{"kind": "train", "step": s, "epoch": 0, "loss": 3.0 / s} for s in (1, 2, 3)]
    recalls = {"audio_to_text/R@10": 0.2, "text_to_audio/R@10": 0.3}
    rows.append({"kind": "valid", "step": 3, "epoch": 0, "loss": 2.0} | recalls)
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows) + '{"cut sho')
    curves = read_curves(tmp_path / "exp")
    assert len(curves["contrastive"]) == 4
    maps = {"contrastive": (np.random.default_rng(0).normal(size=(20, 4)), ["speech", "music"] * 10)}
    results = read_results(folder)
    written = draw_all(Material(results, curves, maps), tmp_path / "plots")
    assert [p.stem for p in written] == ["learning_curves", "probes", "retrieval", "embeddings", "report"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written)


def test_probes_of_any_pooling_are_drawn(tmp_path):
    write(tmp_path / "none", "a", "judged", "judge", {"judged": {"all": {"score": 5}}}, {"judged": {}})
    assert draw_all(Material(read_results(tmp_path / "none")), tmp_path / "plots") == []
    write(tmp_path / "all", "a", "probe_x", "probe", {p: {"accuracy": 0.5} for p in ("max", "knn, max")})
    written = draw_all(Material(read_results(tmp_path / "all")), tmp_path / "plots")
    assert [p.stem for p in written] == ["probes", "report"]  # no domain is named, nothing was trained on a part


def test_equal_error_rates_have_a_table_and_the_low_one_is_marked(tmp_path):
    for name, rate in {"a": 0.1, "b": 0.3}.items():
        write(tmp_path, name, "verification_speaker", "verification", {"mean": {"EER": rate, "AUC": 1 - rate}})
    report = build_report(read_results(tmp_path))
    assert [row(report, name, "## Verification")[1] for name in "ab"] == ["**10.0**", "*30.0*"]


def test_word_error_rates_have_a_table_and_columns_at_a_glance(tmp_path):
    for name, rate in {"a": 0.4, "b": 1.2}.items():
        parts = {part: {"WER": spread(rate + more, 0.01), "CER": 0.1} for part, more in (("clean", 0), ("other", 0.1))}
        write(tmp_path, name, "librispeech", "transcription", parts)
    report = build_report(read_results(tmp_path))
    for heading in ("## At a glance", "## Transcription"):
        assert row(report, "a", heading)[1:] == ["**40.0 ± 1.0**", "**50.0 ± 1.0**"]
        assert row(report, "b", heading)[1:] == ["*120.0 ± 1.0*", "*130.0 ± 1.0*"]


def test_detection_has_a_table_and_a_column_at_a_glance(tmp_path):
    for name, value in {"a": 0.3, "b": 0.1}.items():
        write(tmp_path, name, "events", "detection", {"linear": {"PSDS1": spread(value, 0.01), "mAP": 0.5}})
    report = build_report(read_results(tmp_path))
    for heading in ("## At a glance", "## Sound event detection"):
        assert row(report, "a", heading)[1] == "**30.0 ± 1.0**", report


def test_the_verb_writes_the_report_and_prints_the_tables(folder, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    out = tmp_path / "exp" / "results.md"
    options = ["--results", folder, "--exp", tmp_path / "exp", "--out", out, "--plots", tmp_path / "exp" / "plots"]
    assert verb.run(parser.parse_args([str(o) for o in options])) == 0
    assert "At a glance" in capsys.readouterr().out
    text = out.read_text()
    assert "](plots/report.png)" in text and (out.parent / "plots" / "report.png").is_file()


def with_items(folder, model, right, task="probe_drum_type", part="attention", **more):
    """A result whose accuracy is kept clip by clip."""
    right = np.asarray(right, dtype=bool)
    sample = Sample(Items.of([f"clip{i}" for i in range(len(right))]), [{"value": right}])
    samples = {f"{part}/accuracy": sample}
    scores = {part: {"accuracy": spread(float(right.mean()), 0.0), "balanced_accuracy": 0.5}}
    path = items_path(folder / model / f"{task}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_items(path, Kept(samples, resample(samples)))
    kept = {"file": path.name, "sha256": file_sha256(path)}
    return write(folder, model, task, "probe", scores, {"majority": 0.25}, items=kept, **more)


def test_differences_within_noise_share_a_mark(tmp_path):
    generator = np.random.default_rng(0)
    strong = generator.random(400) < 0.8
    twin = strong.copy()
    twin[[*np.flatnonzero(strong)[:6], *np.flatnonzero(~strong)[:4]]] ^= True
    weak, weaker = (strong & (generator.random(400) > p) for p in (0.4, 0.7))
    for name, right in {"a": strong, "b": twin, "c": weak, "d": weaker}.items():
        with_items(tmp_path, name, right)
    results = read_results(tmp_path)
    report = build_report(results)
    read = {name: row(report, name, "## Linear probes")[1] for name in "abcd"}
    assert read["a"].startswith("**") and read["b"].startswith("**")
    assert re.fullmatch(r"\*\d.*[^*]\*", read["c"]) and "*" not in read["d"]
    assert "paired bootstrap" in report
    # Every number with its interval.
    cell = row(build_report(results, intervals=True), "d", "## Linear probes")[1]
    low, high = map(float, re.search(r"\[(.*), (.*)\]", cell).groups())
    assert low < 100 * weaker.mean() < high < 100 * weak.mean()
    rows = list(csv.DictReader(io.StringIO(csv_text(tables(results)))))
    mine = [r for r in rows if r["column"] == "drum type"]
    assert [r["mark"] for r in mine] == ["", "best", "best", "second", ""]  # the first row is guessing
    assert float(mine[3]["low"]) < float(mine[3]["score"]) < float(mine[3]["high"])
    # Where nobody is told from the best, nobody is marked.
    for name in "cd":
        (tmp_path / name / "probe_drum_type.json").unlink()
    assert "**" not in "".join(row(build_report(read_results(tmp_path)), "a", "## Linear probes"))


def test_items_of_another_result_are_refused(tmp_path):
    path = with_items(tmp_path, "a", [True, False])
    items_path(path).write_bytes(items_path(with_items(tmp_path, "b", [True, True])).read_bytes())
    with pytest.raises(ReportError, match="not the items that .*a/probe_drum_type.json was scored on"):
        build_report(read_results(tmp_path))
    items_path(path).unlink()
    with pytest.raises(ReportError, match="probe_drum_type.npz: not there"):
        build_report(read_results(tmp_path))


def test_protocols_are_mixed_only_on_demand_and_said(folder):
    path = folder / "captioning" / "retrieval.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ids_hash": "e" * 64}))
    report = build_report(read_results(folder), mix=True)
    assert "**Mixed protocols**" in report and "differ in ids_hash" in report


def test_runs_of_several_folders_are_merged(folder, tmp_path):
    other = tmp_path / "other"
    scores = {"mean": {"accuracy": 0.9, "balanced_accuracy": 0.9}}
    write(other, "contrastive", PROBES[0], "probe", scores, model_hash="new")
    with pytest.raises(ReportError, match="both probe_drum_type of 'contrastive' and differ.*LABEL="):
        read_runs([folder, other])
    results = read_runs([str(folder), f"new={other}"])
    assert {r.model for r in results} == {*ACCURACY, "new/contrastive"}
    assert row(build_report(results), "new/contrastive", "Linear probes, mean")[1] == "**90.0**"
    assert len(read_runs([folder, folder])) == len(read_results(folder))


def test_low_resource_and_compat_have_tables_of_their_own(tmp_path):
    scores = {"mean @ 10%": {"accuracy": 0.4}, "mean @ 1%": {"accuracy": 0.2}, "mean": {"accuracy": 0.8}}
    write(tmp_path, "a", "probe_drum_type", "probe", scores)
    way = direction(0.4)
    compat = {
        "auden": {"differs": "a miss costs nothing", "lit": dict.fromkeys(("audio_to_text", "text_to_audio"), way)}
    }
    write(tmp_path, "a", "retrieval", "retrieval", {"lit": compat["auden"]["lit"]}, {"compat": compat})
    report = build_report(read_results(tmp_path))
    assert row(report, "a", "## Low resource: drum type, mean") == ["a", "20.0", "40.0", "80.0"]
    assert "| model |  1 % | 10 % | 100 % |" in report
    assert "## Retrieval as auden computes it" in report and "a miss costs nothing" in report


def test_tables_in_latex_and_on_a_terminal(folder):
    found = tables(read_results(folder))
    latex = latex_text(found)
    assert r"\textbf{80.0 $\pm$ 2.0}" in latex and r"\underline{" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == len(found) + 1  # captioning is wide
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == len(found)
    assert "majority class & 25.0 & 25.0" in latex and r"T$\rightarrow$A R@1" in latex
    line = next(x for x in "\n".join(found[1].lines()).splitlines() if "contrastive" in x)
    shown = terminal_text(line)
    assert "\033[1m" in shown and "**" not in shown
    assert len(re.sub(r"\033\[\dm", "", shown)) == len(line)


def test_the_verb_writes_every_format_and_refuses_others(folder, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    out = [str(tmp_path / f"r.{kind}") for kind in ("md", "csv", "tex")]
    assert verb.run(parser.parse_args(["--results", str(folder), "--out", *out])) == 0
    assert all((tmp_path / f"r.{kind}").stat().st_size > 500 for kind in ("md", "csv", "tex"))
    with pytest.raises(ReportError, match="r.doc: a report ends in"):
        verb.run(parser.parse_args(["--results", str(folder), "--out", str(tmp_path / "r.doc")]))
