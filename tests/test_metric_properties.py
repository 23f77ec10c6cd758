"""Scores against scikit-learn on whatever items, ties included, that hypothesis finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn import metrics

from audiotext.metric import classification
from audiotext.metric.retrieval import direction_metrics, ranks_of_vectors
from audiotext.metric.retrieval_compat import compat_scores
from audiotext.metric.weighted import STATISTICS

few = settings(max_examples=25, deadline=None)


@st.composite
def scored(draw, classes=3):
    """Scores (N, C) of few levels, truth (N, C) with both kinds in every class, whole weights (N,) of 1 or more."""
    count = draw(st.integers(4, 24))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = generator.integers(0, draw(st.integers(1, 30)), (count, classes)) / 8
    target = generator.random((count, classes)) < draw(st.floats(0.1, 0.9))
    target[0], target[1] = True, False
    return scores, target, generator.integers(1, 4, count).astype(float)


@few
@given(scored())
def test_scores_of_several_labels(found):
    scores, target, weights = found
    columns = {"scores": scores, "target": target}
    for name, plain, theirs in (
        ("mAP", classification.mean_average_precision, metrics.average_precision_score),
        ("AUC", classification.roc_auc, metrics.roc_auc_score),
    ):
        wanted = theirs(target, scores, average="macro", sample_weight=weights)
        assert STATISTICS[name](columns, weights[None])[0] == pytest.approx(wanted)
        assert plain(scores, target) == pytest.approx(theirs(target, scores, average="macro"))


@few
@given(scored(classes=1))
def test_the_equal_error_rate_lies_where_the_roc_curve_meets_the_diagonal(found):
    scores, target, weights = (x.squeeze() for x in found)
    alarms, hits, _ = metrics.roc_curve(target, scores, sample_weight=weights, drop_intermediate=False)
    places = np.arange(len(alarms))
    at = brentq(lambda u: 1 - np.interp(u, places, hits) - np.interp(u, places, alarms), 0, places[-1])
    weighted = STATISTICS["EER"]({"scores": scores, "target": target}, weights[None])[0]
    assert weighted == pytest.approx(np.interp(at, places, alarms), abs=1e-9)
    plain = classification.equal_error_rate(scores, target)
    assert classification.equal_error_rate(np.exp(scores), target) == pytest.approx(plain)
    assert classification.equal_error_rate(-scores, target) == pytest.approx(1 - plain)


@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_scores_of_one_label(pairs):
    predicted, target = np.array(pairs).T
    assert classification.accuracy(predicted, target) == pytest.approx(metrics.accuracy_score(target, predicted))
    recalls = metrics.recall_score(target, predicted, labels=np.unique(target), average="macro", zero_division=0)
    assert classification.balanced_accuracy(predicted, target) == pytest.approx(recalls)


@few
@given(st.integers(0, 2**32 - 1), st.integers(2, 10), st.integers(1, 6))
def test_average_precision_of_ten_items_or_fewer_is_the_usual_one(seed, items, queries):
    generator = np.random.default_rng(seed)
    similarity = generator.permuted(np.tile(np.arange(items), (queries, 1)), axis=1)  # no ties, which are broken apart
    relevance = generator.random((queries, items)) < 0.4
    relevance[:, 0] = True
    wanted = metrics.label_ranking_average_precision_score(relevance, similarity)
    found = direction_metrics(torch.from_numpy(similarity).float(), torch.from_numpy(relevance))
    assert found["mAP@10"] == pytest.approx(wanted, abs=1e-6)


def test_random_vectors_score_near_28_percent_in_the_auden_mode():
    """A thousand random clips and texts: R@10 is 1 %, and the mean over the few hits some 29 % whatever they are."""
    generator = torch.Generator().manual_seed(0)
    audio, text = (torch.nn.functional.normalize(torch.randn(1000, 64, generator=generator)) for _ in range(2))
    pairs = torch.arange(1000)[:, None].repeat(1, 2)
    for ranks in ranks_of_vectors(audio, text, pairs).values():
        found = compat_scores("auden", ranks)
        assert found["R@10"] < 0.025 and 0.15 < found["mAP@10"] < 0.45
        assert compat_scores("laion", ranks)["mAP@10"] < 0.01
