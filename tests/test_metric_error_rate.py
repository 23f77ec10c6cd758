"""Word and character error rate against alignments worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotext.metric.error_rate import Edits, character_edits, distances, edits, error_rate, word_edits
from audiotext.metric.weighted import STATISTICS


@pytest.mark.parametrize(
    "reference, hypothesis, substitutions, deletions, insertions",
    [
        ("the cat sat", "the cat sat", 0, 0, 0),
        ("the cat sat", "the bat sat", 1, 0, 0),
        ("the cat sat", "the sat", 0, 1, 0),
        ("the cat sat", "the fat cat sat", 0, 0, 1),
        ("the cat sat", "", 0, 3, 0),
        ("", "the cat", 0, 0, 2),
        ("a b c d", "b c d e", 0, 1, 1),  # four substitutions are twice as many
        ("one two three", "two three four five", 0, 1, 2),
        ("a a b", "a b b", 1, 0, 0),
    ],
)
def test_words(reference, hypothesis, substitutions, deletions, insertions):
    found = word_edits(reference, hypothesis)
    assert found == Edits(substitutions, deletions, insertions, len(reference.split()))
    assert found.errors == substitutions + deletions + insertions


def test_characters():
    # kitten -> sitting: k to s, e to i, a g at the end
    assert character_edits("kitten", "sitting") == Edits(2, 0, 1, 6)
    # a space is a character, two are one
    assert character_edits("a  b", "ab") == Edits(0, 1, 0, 3)
    assert character_edits("naïve", "naive") == Edits(1, 0, 0, 5)


def test_the_rate_is_of_sums_not_a_mean_of_rates():
    found = [word_edits("yes", "no"), word_edits("one two three four five", "one two three four five")]
    assert error_rate(found) == pytest.approx(1 / 6)
    assert error_rate([word_edits("yes", "oh no no")]) == 3.0
    assert error_rate([word_edits("", "oh"), word_edits("a b", "a b")]) == 0.5
    with pytest.raises(ValueError, match="none of 1 references"):
        error_rate([word_edits("", "oh")])


def test_the_bootstrap_resamples_the_same_rate():
    columns = {"value": np.array([1, 0, 3]), "size": np.array([1, 5, 2])}
    found = STATISTICS["ratio"](columns, np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
    assert found == pytest.approx([4 / 8, 2 / 7, 6 / 4])


def plain(reference, hypothesis):
    """By its definition."""
    if not reference or not hypothesis:
        return len(reference) + len(hypothesis)
    same = plain(reference[1:], hypothesis[1:]) + (reference[0] != hypothesis[0])
    return min(same, plain(reference[1:], hypothesis) + 1, plain(reference, hypothesis[1:]) + 1)


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_edits_are_as_few_as_can_be_and_make_the_lengths_meet(reference, hypothesis):
    found = edits(reference, hypothesis)
    assert found.errors == plain(reference, hypothesis) == distances(reference, hypothesis)[-1, -1]
    assert found.length - found.deletions + found.insertions == len(hypothesis)
