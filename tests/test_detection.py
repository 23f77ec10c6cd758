"""Sound event detection on planted frames, whose scores are known, and what is said of events that are none."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from audiotext.cli.prepare import load_recipe
from audiotext.config import ConfigError, from_tree
from audiotext.data.corpus import Clip, Rejected
from audiotext.evaluate.bootstrap import score
from audiotext.evaluate.detection import Detection
from audiotext.evaluate.detector import median_frames, median_of
from audiotext.evaluate.events import evenly, event_table, events_in, frame_targets
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.protocol import ProtocolError
from audiotext.metric.psds import EVENT, THRESHOLDS, events_of, psds1, thresholds, united

RECIPE = Path(__file__).resolve().parent.parent / "egs/audioset_strong"
SECONDS, FRAMES, DIM = 4.0, 40, 8
NAMES = ["dog", "cat", "rain"]
QUICK = {"lr": [5e-2], "median": [0.0, 0.3], "min_steps": 80, "fit": {"epochs": 1, "batch_size": 16, "max_norm": 0.0}}


def make_clip(id_, events, split="train", duration=SECONDS):
    return EvalClip(id_, [], {"events": events}, split, id_, "sound", "planted", duration, [])


class Planted:
    """Stands where a Context would."""

    def __init__(self, clips, frames, missing=()):
        self.all, kept = list(clips), [n for n, clip in enumerate(clips) if clip.id not in missing]
        self.found = FrozenFrames([clips[n] for n in kept], [frames[n] for n in kept], list(missing))

    def clips(self, name):
        return self.all

    def frames(self, name, layer="last"):
        return self.found

    def manifest_path(self, name):
        return f"{name}.jsonl"


def planted(counts=(("train", 40), ("test", 20)), seed=0, shuffled=False):
    """Clips of 4 s in 40 frames, in which a sound is one more of its own dimension; ``shuffled``: of a strange clip."""
    rng = np.random.default_rng(seed)
    clips, frames = [], []
    for split, count in counts:
        for n in range(count):
            x, events = rng.normal(0, 0.1, (FRAMES, DIM)), []
            for label, name in enumerate(NAMES):
                if n % 5 and rng.random() < 0.6:
                    first = int(rng.integers(0, 25))
                    last = first + int(rng.integers(5, 15))
                    x[first:last, label] += 1
                    events.append([first / 10, last / 10, name])
            clips.append(make_clip(f"{split}{n}", events, split))
            frames.append(torch.from_numpy(x).half())
    if shuffled:
        frames = [frames[i] for i in rng.permutation(len(frames))]
    return clips, frames


def task(**changes):
    return from_tree(Detection, {"label": "events", "seeds": [0, 1], "detector": QUICK} | changes)


@pytest.fixture()
def run(monkeypatch):
    """Run an evaluation, at fewer thresholds than it has: psds_eval takes its time for each."""
    pytest.importorskip("psds_eval")
    monkeypatch.setattr("audiotext.evaluate.detection.thresholds", lambda: thresholds(7))

    def run(context, **changes):
        detection = task(**{"seeds": [0]} | changes)
        return detection.run(context, detection.protocol(context))

    return run


# -- PSDS1 ------------------------------------------------------------------------------------------------------------


def of(*events):
    return np.array(list(events), EVENT)


def test_psds1_by_hand():
    pytest.importorskip("psds_eval")
    truth, seconds = of((0, 0, 1.0, 3.0), (0, 1, 5.0, 6.0), (1, 0, 0.0, 4.0)), np.full(3, 10.0)
    assert psds1([truth], truth, seconds) == pytest.approx({"PSDS1": 1.0, "PSDS1_alpha_st_0": 1.0})
    # Half of class 0, all of class 1: mean 0.75, less the deviation over classes, 0.25.
    assert psds1([truth[:2]], truth, seconds) == pytest.approx({"PSDS1": 0.5, "PSDS1_alpha_st_0": 0.75})
    nothing = psds1([truth[:0]], truth, seconds)
    assert nothing == {"PSDS1": 0.0, "PSDS1_alpha_st_0": 0.0}
    # 0.6 of the event is covered, or 0.6 of the detection is right: neither is enough, 0.7 is.
    one = of((0, 0, 0.0, 5.0))
    for event, wanted in (((0, 0, 0.0, 3.0), 0), ((0, 0, 0.0, 3.5), 1), ((0, 0, 2.0, 7.0), 0), ((0, 0, 1.5, 6.5), 1)):
        assert psds1([of(event)], one, seconds)["PSDS1"] == wanted, event


def test_psds1_counts_false_positives_by_the_hour():
    """Ten hours; a threshold finds half of the events, a lower one all, with 40 false positives an hour: the half from
    0 to 40 an hour, everything from there to 100."""
    pytest.importorskip("psds_eval")
    clips = 360
    seconds = np.full(clips, 100.0)
    truth = of((0, 0, 1.0, 2.0), (1, 0, 1.0, 2.0))
    false = of(*((n % clips, 0, 10.0 + 2 * (n // clips), 11.0 + 2 * (n // clips)) for n in range(400)))
    found = psds1([truth[:1], np.concatenate([truth, false])], truth, seconds)
    assert found["PSDS1"] == pytest.approx(0.4 * 0.5 + 0.6)
    other = np.concatenate([truth, false])
    other["label"][2:] = 7  # of a class without events nobody speaks
    assert psds1([truth[:1], other], truth, seconds)["PSDS1"] == pytest.approx(1.0)


def test_psds1_is_that_of_the_reference_as_it_was_released(monkeypatch):
    """The class of psds_eval untouched, all classes of a clip in one file; what pandas and numpy lack is lent."""
    package, pandas = pytest.importorskip("psds_eval"), pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    truths, points = [], [[] for _ in range(5)]
    for clip in range(12):
        active = np.repeat(rng.random((10, 3)) < 0.3, 6, axis=0)
        truths.append(events_of(active.astype(float), 0.1, 0.5, clip))
        scores = np.clip(0.4 * active + np.repeat(rng.random((15, 3)), 4, axis=0) * 0.6, 0, 1)
        for threshold, found in zip(thresholds(5), points, strict=True):
            found.append(events_of(scores, 0.1, threshold, clip))
    truth, points, seconds = np.concatenate(truths), [np.concatenate(found) for found in points], np.full(12, 6.0)
    mine = psds1(points, truth, seconds)
    assert 0 < mine["PSDS1"] < mine["PSDS1_alpha_st_0"] < 1

    def table(events):
        names = {"filename": events["clip"].astype(str), "event_label": events["label"].astype(str)}
        return pandas.DataFrame(names | {"onset": events["onset"], "offset": events["offset"]})

    files = pandas.DataFrame({"filename": [str(n) for n in range(12)], "duration": seconds})
    reference = package.PSDSEval(0.7, 0.7, ground_truth=table(truth), metadata=files, class_names=["0", "1", "2"])
    for events in points:
        reference.add_operating_point(table(events))
    fill = pandas.DataFrame.fillna
    lent = lambda frame, value=None, method=None: frame.ffill() if method else fill(frame, value)  # noqa: E731
    monkeypatch.setattr(pandas.DataFrame, "fillna", lent)
    monkeypatch.setattr(np, "argwhere", lambda mask: np.flatnonzero(mask)[0])
    wanted = [reference.psds(0.0, penalty, 100.0).value for penalty in (1.0, 0.0)]
    assert list(mine.values()) == pytest.approx(wanted, abs=1e-12)


def test_events_are_runs_of_frames_over_the_threshold():
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.2, 0.6], [0.7, 0.6]])
    wanted = of((3, 0, 0.0, 1.0), (3, 0, 1.5, 2.0), (3, 1, 1.0, 2.0))
    assert np.array_equal(events_of(scores, 0.5, 0.5, 3), wanted)
    assert not len(events_of(scores, 0.5, 0.9)) and not len(events_of(scores[:, :0], 0.5, 0.5))
    assert (len(thresholds()), thresholds()[0], thresholds()[-1]) == (THRESHOLDS, 0.01, 0.99)


def test_overlapping_events_of_a_class_are_one():
    events = of((1, 0, 0, 1), (0, 1, 2, 3), (0, 0, 1, 4), (0, 0, 2, 3), (0, 0, 3.5, 5), (0, 0, 5, 6))
    wanted = of((0, 0, 1, 5), (0, 0, 5, 6), (0, 1, 2, 3), (1, 0, 0, 1))
    assert np.array_equal(united(events), wanted) and not len(united(events[:0]))


def test_a_missing_package_is_an_error_before_anything_is_trained(monkeypatch):
    monkeypatch.setitem(sys.modules, "psds_eval", None)
    with pytest.raises(ConfigError, match=r"psds_eval.*pip install 'audiotext\[psds\]'"):
        task().protocol(Planted(*planted()))
    with pytest.raises(ConfigError, match="psds_eval"):
        psds1([], of((0, 0, 0.0, 1.0)), np.ones(1))


# -- the evaluation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [0, 16])
def test_planted_events_are_found(run, hidden):
    outcome = run(Planted(*planted(), missing=["test3", "train4"]), seeds=[0, 1], detector=QUICK | {"hidden": hidden})
    [(part, scores)] = outcome.scores.items()
    assert part == ("mlp 16" if hidden else "linear")
    for name in ("PSDS1", "PSDS1_alpha_st_0", "mAP"):
        assert scores[name]["mean"] == pytest.approx(1.0, abs=1e-3) and len(scores[name]["values"]) == 2, name
    assert (outcome.expected, outcome.found) == (20, 19)
    assert score(outcome.items[f"{part}/mAP"]) == pytest.approx(scores["mAP"]["mean"])
    assert outcome.details["classes"] == 3 and outcome.details["test_clips_without_event"] >= 4


def test_events_of_other_clips_are_not_found_and_the_same_seed_gives_the_same(run):
    context = Planted(*planted(shuffled=True))
    first, second = run(context), run(context)
    scores = first.scores["linear"]
    assert scores["PSDS1"]["mean"] < 0.3 and scores["mAP"]["mean"] < 0.5
    assert scores == second.scores["linear"]
    few = run(context, frames=100, validation_frames=50)
    assert few.details["frames"] == 100 and few.scores["linear"]["PSDS1"]["mean"] < 0.3


def test_a_split_of_its_own_chooses_and_the_filter_that_helps_is_chosen(run):
    """Every seventh frame of an event says nothing, so that the median of a few is needed to find it whole."""
    clips, frames = planted((("train", 30), ("valid", 15), ("test", 15)))
    for x in frames:
        x[::7] = 0
    outcome = run(Planted(clips, frames), validation="valid")
    [chosen] = outcome.details["chosen"]
    assert chosen["median"] == 0.3 and chosen["validation_split"] == "split valid"
    assert outcome.scores["linear"]["PSDS1"]["mean"] > 0.9


def test_overlap_of_selection_and_report_is_refused(monkeypatch):
    monkeypatch.setattr("audiotext.evaluate.detection.packages", lambda: None)
    clips, frames = planted()
    clips.append(make_clip("train1", [[0.0, 1.0, "dog"]], "test"))
    with pytest.raises(ProtocolError, match="1 clips are both selected on and reported .train1"):
        task().protocol(Planted(clips, [*frames, frames[0]]))


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([[1.0, 1.0, "dog"]], r"bad: events\[0\].*not after its onset"),
        ([[0.0, 1.0, "dog"], [3.0, 2.0, "dog"]], r"bad: events\[1\].*not after its onset"),
        ([[-1.0, 1.0, "dog"]], "bad: .*outside the clip, which is 4.00 s"),
        ([[4.0, 4.2, "dog"]], "bad: .*outside the clip"),
        ([[1.0, 4.6, "dog"]], "bad: .*outside the clip"),
        ([[0.0, float("nan"), "dog"]], "bad: .*nan is no number of seconds"),
        ([["0", 1.0, "dog"]], "bad: .*'0' is no number of seconds"),
        ([[0.0, True, "dog"]], "bad: .*True is no number of seconds"),
        ([[0.0, 1.0, 7]], "bad: .*7 is no name of a class"),
        ([[0.0, 1.0]], "bad: .*wanted is .onset in seconds, offset in seconds, class"),
        (["dog"], "bad: .*wanted is .onset"),
        ("dog", "bad: label 'events' is 'dog'; wanted is a list"),
        ([[0.0, 1.0, "cow"]], "1 classes of the test clips are not in training .'cow' in bad.*common: true"),
    ],
)
def test_what_is_no_event_is_named_by_its_clip(monkeypatch, events, says):
    monkeypatch.setattr("audiotext.evaluate.detection.packages", lambda: None)
    clips, frames = planted()
    context = Planted([*clips, make_clip("bad", events, "test")], [*frames, frames[0]])
    with pytest.raises(ProtocolError, match=says):
        task().protocol(context)


def test_labels_splits_and_layers_that_are_not_there_are_said(monkeypatch):
    monkeypatch.setattr("audiotext.evaluate.detection.packages", lambda: None)
    with pytest.raises(ProtocolError, match="no clip has the label 'sounds'; labels: events"):
        task(label="sounds").protocol(Planted(*planted()))
    with pytest.raises(ProtocolError, match="no clip of manifest probe is in split 'train'"):
        task().protocol(Planted(*planted((("test", 5),))))
    with pytest.raises(ProtocolError, match="no class has events in train and in test"):
        silent = [make_clip("a", []), make_clip("b", [], "test")]
        task().protocol(Planted(silent, [torch.zeros(4, 2)] * 2))
    with pytest.raises(ConfigError, match="mix keeps no frames"):
        task(layer="mix")


def test_classes_that_one_part_lacks_are_left_out_where_asked(run):
    clips, frames = planted()
    clips[-1].labels["events"].append([0.0, 1.0, "cow"])
    clips[0].labels["events"].append([0.0, 1.0, "owl"])
    outcome = run(Planted(clips, frames), common=True)
    assert outcome.scores["linear"]["PSDS1"]["mean"] == pytest.approx(1.0, abs=1e-3)
    assert outcome.details["classes"] == 3
    assert (outcome.details["classes_in_train_only"], outcome.details["classes_in_test_only"]) == (["owl"], ["cow"])


def test_an_event_that_ends_just_after_its_clip_is_cut():
    [event] = events_in(make_clip("a", [[3.0, 4.3, "dog"]]), "events")
    assert (event.onset, event.offset) == (3.0, 4.0)


def test_targets_are_the_frames_whose_centre_lies_in_an_event():
    clips = [make_clip("a", []), make_clip("b", [[1.0, 2.0, "dog"], [3.4, 3.6, "cat"], [0.1, 0.2, "dog"]])]
    events = event_table(clips, "events", ["dog", "cat"])
    assert set(events["clip"]) == {1}
    target = frame_targets(events, 4, SECONDS, 2)  # frames of a second, centres at 0.5, 1.5, ...
    assert target.T.tolist() == [[True, True, False, False], [False, False, False, True]]
    assert not frame_targets(events[:0], 4, SECONDS, 2).any()


def test_medians_go_over_whole_clips_or_chosen_frames():
    scores = np.array([[0.0], [9.0], [1.0], [2.0], [7.0]])
    assert median_of(scores, 3).ravel().tolist() == [0.0, 1.0, 2.0, 2.0, 7.0]
    assert median_of(scores, 3, [1, 4]).ravel().tolist() == [1.0, 7.0]
    assert median_of(scores, 1) is not scores and np.array_equal(median_of(scores, 1), scores)
    assert [median_frames(s, 0.04) for s in (0.0, 0.04, 0.2, 0.4)] == [1, 1, 5, 9]


def test_frames_are_taken_evenly():
    assert [x.tolist() for x in evenly([3, 1, 4], 100)] == [[0, 1, 2], [0], [0, 1, 2, 3]]
    assert [x.tolist() for x in evenly([3, 1, 4], 3)] == [[0], [0], [2]]


def test_segments_of_audioset_strong_are_clips_with_all_their_events_or_none(tmp_path):
    recipe = load_recipe(RECIPE / "local/prepare.py")
    load_recipe(RECIPE / "local/toy.py").write(tmp_path)
    table = tmp_path / "audioset_eval_strong.tsv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace("/m/", "/x/")
    lines += ["-eval000008_80000\t2.000\t2.000\t/m/06mb1", "-eval0000080\t0.000\t1.000\t/m/06mb1"]
    table.write_text("\n".join(lines) + "\n")
    found = list(recipe.clips(tmp_path))
    reasons = {x.reason.partition(":")[0]: x.reason for x in found if isinstance(x, Rejected)}
    assert set(reasons) == {"truncated", "bad field", "bad interval"} and len(found) == 35
    assert "ends after 3.00 s, its last event after 9.00 s" in reasons["truncated"]
    assert "audioset_eval_strong.tsv:" in reasons["bad interval"]
    clips = {x.id: x for x in found if isinstance(x, Clip)}
    clip = clips["audioset_strong_aeval000003_30000"]
    rows = [line.split("\t") for line in lines if line.startswith("aeval000003_30000")]
    assert [[on, off] for on, off, _ in clip.labels["events"]] == sorted([float(a), float(b)] for _, a, b, _ in rows)
    assert {name for *_, name in clip.labels["events"]} >= {"Only in evaluation"} and clip.split == "test"
    assert (clip.origin, clip.family) == ("youtube:aeval000003@30-40", "youtube_aeval000003")
