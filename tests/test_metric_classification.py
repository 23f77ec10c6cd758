"""Classification scores against cases worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from audiotext.metric.classification import (
    accuracy,
    balanced_accuracy,
    d_prime,
    equal_error_rate,
    mean_average_precision,
    roc_auc,
)
from audiotext.metric.weighted import STATISTICS


def test_accuracy_and_balanced_accuracy_by_hand():
    predicted, target = [0, 0, 0, 1], [0, 0, 0, 0]
    assert accuracy(predicted, target) == 0.75
    # Recall 2/3 of class 0 and 0 of class 1.
    assert balanced_accuracy([0, 0, 1, 0], [0, 0, 0, 1]) == pytest.approx(1 / 3)


def test_balanced_accuracy_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    predicted, target = generator.integers(0, 4, 200), generator.integers(0, 4, 200)
    assert balanced_accuracy(predicted, target) == pytest.approx(balanced_accuracy_score(target, predicted))


def test_mean_average_precision_by_hand_leaves_out_empty_classes():
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.7, 0.5], [0.1, 0.2, 0.5]])
    target = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    # Class 0: hits at ranks 1 and 3, (1 + 2/3) / 2; class 1: rank 1; class 2 has no positive.
    assert mean_average_precision(scores, target) == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)


@pytest.mark.parametrize("function", [accuracy, balanced_accuracy])
def test_unequal_or_no_items_are_refused(function):
    with pytest.raises(ValueError):
        function([0, 1], [0])
    with pytest.raises(ValueError):
        function([], [])


def test_no_positive_is_refused():
    with pytest.raises(ValueError):
        mean_average_precision(np.zeros((2, 2)), np.zeros((2, 2)))


def test_area_and_separation_by_hand():
    # Positives 0.9 and 0.4 against negatives 0.4 and 0.1: 1 + 1 + 1/2 + 1 of 4 pairs are in order.
    scores, target = np.array([[0.9], [0.4], [0.4], [0.1]]), np.array([[1], [1], [0], [0]])
    assert roc_auc(scores, target) == pytest.approx(3.5 / 4)
    assert d_prime(0.5) == 0.0
    assert d_prime(0.9) == pytest.approx(1.8124, abs=1e-4)  # sqrt(2) * 1.28155
    assert d_prime(1.0) == pytest.approx(-d_prime(0.0))
    with pytest.raises(ValueError, match="no class has both"):
        roc_auc(scores, np.ones((4, 1)))


def test_equal_error_rate_by_hand():
    # Threshold between 0.6 and 0.5: one of four positives missed, one of four negatives let in.
    scores = np.array([0.9, 0.8, 0.6, 0.3, 0.7, 0.5, 0.2, 0.1])
    target = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    assert equal_error_rate(scores, target) == pytest.approx(0.25)
    assert equal_error_rate(scores, 1 - target) == pytest.approx(0.75)
    assert equal_error_rate(target.astype(float), target) == 0.0
    assert equal_error_rate(np.zeros(8), target) == pytest.approx(0.5)  # one score for all: the middle of the line
    with pytest.raises(ValueError, match="needs trials"):
        equal_error_rate(scores, np.ones(8))


def columns(generator, items=60, classes=4):
    scores = generator.integers(0, 12, (items, classes)) / 12  # with ties
    target = generator.random((items, classes)) < 0.3
    value, size = generator.integers(0, 2, items), generator.integers(1, 9, items)
    return {"scores": scores, "target": target, "value": value, "size": size}


# bleu and meteor are of counts that only captions give: test_metric_caption.py, test_caption_tools.py
@pytest.mark.parametrize("name", sorted(n for n in STATISTICS if not n.startswith(("bleu", "meteor"))))
def test_weighted_scores_equal_plain_ones_of_repeated_items(name):
    generator = np.random.default_rng(4)
    found = columns(generator)
    if name in ("balanced_accuracy", "EER"):
        found = {k: v if v.ndim == 1 else v[:, 0] for k, v in found.items()}
    if name == "median":
        found["value"] = generator.normal(size=60)
    plain = {
        "mean": lambda c: c["value"].mean(),
        "ratio": lambda c: c["value"].sum() / c["size"].sum(),
        "median": lambda c: np.median(c["value"]),
        "balanced_accuracy": lambda c: balanced_accuracy(np.where(c["value"], c["target"], -1), c["target"]),
        "mAP": lambda c: mean_average_precision(c["scores"], c["target"]),
        "AUC": lambda c: roc_auc(c["scores"], c["target"]),
        "d_prime": lambda c: d_prime(roc_auc(c["scores"], c["target"])),
        "EER": lambda c: equal_error_rate(c["scores"], c["target"]),
    }[name]
    weights = np.vstack([np.ones(60), generator.integers(0, 3, (5, 60))])
    wanted = [plain({k: v.repeat(w, axis=0) for k, v in found.items()}) for w in weights.astype(int)]
    np.testing.assert_allclose(STATISTICS[name](found, weights), wanted, atol=1e-12)
