"""Classification scores against cases worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from audiotext.metric.classification import accuracy, balanced_accuracy, mean_average_precision


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
