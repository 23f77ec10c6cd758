"""Caption and answer metrics against numbers worked by hand."""

import math

import numpy as np
import pytest

from audiotext.metric.answer import exact_match, token_f1
from audiotext.metric.bleu import bleu
from audiotext.metric.caption import caption_items, caption_scores, distinct
from audiotext.metric.cider import cider_d
from audiotext.metric.meteor import align, meteor
from audiotext.metric.rouge import longest_common_subsequence, rouge_l
from audiotext.metric.stem import stem
from audiotext.metric.weighted import STATISTICS


def words(text):
    return text.split()


def test_bleu_clips_repeated_words():
    # Papineni's example: "the" occurs at most twice in a reference, so 2 of 7 words count.
    score = bleu([words("the the the the the the the")], [[words("the cat is on the mat")]], order=1)
    assert score[0] == pytest.approx(2 / 7)


def test_bleu_orders_and_brevity():
    # 3 of 3 words, 2 of 2 pairs, 1 of 1 triples; length 3 against 4.
    penalty = math.exp(1 - 4 / 3)
    assert bleu([words("a dog barks")], [[words("a dog barks loudly")]], order=3) == pytest.approx([penalty] * 3)


def test_bleu_takes_the_closest_reference_length_and_the_shorter_of_a_tie():
    # lengths 2 and 4 tie around 3: the shorter is used, so there is no penalty.
    assert bleu([words("a b c")], [[words("a b"), words("a b c d")]], order=1)[0] == pytest.approx(1.0)


def test_bleu_sums_counts_over_the_corpus():
    score = bleu([words("a b"), words("x y z w")], [[words("a c")], [words("x y z w")]], order=2)
    assert score == pytest.approx([5 / 6, math.sqrt(5 / 6 * 3 / 4)])


def test_bleu_without_any_match_of_an_order_is_almost_zero_from_there_on():
    assert bleu([words("b a d c")], [[words("a b c d")]]) == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-7)


def test_bleu_of_an_order_that_nothing_is_long_enough_for_is_that_of_coco():
    # no 4-gram is proposed: a precision of (0 + 1e-15) / (0 + 1e-9), its fourth root 0.0316.
    assert bleu([words("a dog barks")], [[words("a dog barks")]])[3] == pytest.approx(1e-6**0.25)


def test_rouge_l_by_hand():
    assert longest_common_subsequence(words("the gun kills the police"), words("police killed the gunman")) == 1
    # common "a dog barks" = 3, precision 3/4, recall 3/5.
    p, r = 3 / 4, 3 / 5
    expected = (1 + 1.44) * p * r / (r + 1.44 * p)
    assert rouge_l(words("a big dog barks"), [words("a dog barks at night")]) == pytest.approx(expected)
    assert rouge_l([], [words("a dog")]) == 0.0


def test_cider_of_a_perfect_caption_is_ten():
    # every n-gram is told apart by appearing in one of two clips; 4 orders all agree.
    references = [[words("a dog barks in rain")], [words("slow piano notes ring out")]]
    assert cider_d([r[0] for r in references], references) == pytest.approx([10.0, 10.0])


def test_cider_by_hand():
    # "a" is in both clips: idf 0. "dog", "cat" have idf log 2. Unigram vectors (a:0, dog:log2) agree with the
    # reference fully; the bigram "a dog" too; orders 3 and 4 are empty: (1 + 1 + 0 + 0) / 4 * 10.
    references = [[words("a dog")], [words("a cat")]]
    assert cider_d([words("a dog"), words("a dog")], references) == pytest.approx([5.0, 0.0])


def test_cider_punishes_length_and_clips_counts():
    # "dog dog": unigram vector (2 log2) clipped to log2: cosine-like term 1 * 1 / (2 * 1) = 1/2, one word too long.
    references = [[words("dog")], [words("cat")]]
    expected = 10 / 4 * 0.5 * math.exp(-1 / 72)
    assert cider_d([words("dog dog"), words("cat")], references)[0] == pytest.approx(expected)


def test_cider_averages_over_references():
    references = [[words("dog"), words("hound")], [words("cat")]]
    assert cider_d([words("dog"), words("cat")], references) == pytest.approx([10 / 4 / 2, 10 / 4])


@pytest.mark.parametrize(
    "word,expected",
    [
        ("caresses", "caress"), ("ponies", "poni"), ("cats", "cat"), ("agreed", "agre"), ("plastered", "plaster"),
        ("bled", "bled"), ("motoring", "motor"), ("sing", "sing"), ("conflated", "conflat"), ("hopping", "hop"),
        ("falling", "fall"), ("hissing", "hiss"), ("filing", "file"), ("happy", "happi"), ("sky", "sky"),
        ("relational", "relat"), ("rational", "ration"), ("digitizer", "digit"), ("electrical", "electr"),
        ("hopefulness", "hope"), ("adoption", "adopt"), ("replacement", "replac"), ("controlling", "control"),
        ("barking", "bark"), ("barks", "bark"), ("rate", "rate"), ("cease", "ceas"), ("señales", "señales"),
    ],
)  # fmt: skip
def test_porter_stems(word, expected):
    assert stem(word) == expected


def test_meteor_alignment_prefers_pairs_then_few_chunks():
    assert align(words("the dog the cat"), words("the cat")) == (2, 2.0, 1)
    assert align(words("a dog barks"), words("a dog barking")) == (3, 2.6, 1)
    assert align(words("on the mat sat the cat"), words("the cat sat on the mat"))[0] == 6


def test_meteor_by_hand():
    assert meteor(words("a dog barks"), [words("a dog barks")]) == 1.0
    # "dog" alone: precision 1, recall 1/3, one chunk of one pair.
    mean = 1 * (1 / 3) / (0.85 * 1 + 0.15 / 3)
    assert meteor(words("dog"), [words("a dog barks")]) == pytest.approx(mean * (1 - 0.6))
    # order broken into two chunks over two pairs.
    assert meteor(words("dog a"), [words("a dog")]) == pytest.approx(1 - 0.6)
    assert meteor(words("cat"), [words("a dog"), words("cat")]) == 1.0
    assert meteor([], [words("a dog")]) == 0.0


def test_distinct():
    assert distinct([words("a b a b"), words("a b")], 1) == pytest.approx(2 / 6)
    assert distinct([words("a b a b"), words("a b")], 2) == pytest.approx(2 / 4)


def test_answers():
    assert exact_match("the piano", "piano") == 1.0
    assert exact_match("piano", "grand piano") == 0.0
    assert token_f1("piano", "grand piano") == pytest.approx(2 / 3)
    assert token_f1("dog dog", "dog") == pytest.approx(2 / 3)
    assert token_f1("", "dog") == 0.0


def test_caption_scores_hold_every_metric_and_count_empty_captions():
    scores = caption_scores(["a dog barks", ""], [["a dog barks", "barking"], ["rain falls"]])
    assert scores["empty"] == 1 and scores["vocabulary"] == 3 and scores["words"] == 1.5
    assert scores["rouge_l"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no reference"):
        caption_scores(["a", "b"], [["a"], [" "]])
    with pytest.raises(ValueError, match="one caption per clip"):
        caption_scores(["a"], [["a"], ["b"]])


def test_scores_of_all_clips_follow_from_what_each_gives():
    said = ["a dog barks", "the cat is on the mat", "rain falls on a roof", ""]
    truth = [["a dog barks loudly", "dogs bark"], ["a cat is on the mat"], ["rain on a tin roof"], ["silence"]]
    whole, each, ones = caption_scores(said, truth), caption_items(said, truth), np.ones((1, 4))
    for order in (1, 2, 3, 4):
        assert STATISTICS[f"bleu{order}"]({"value": each["bleu"]}, ones)[0] == pytest.approx(whole[f"bleu{order}"])
    for name in ("rouge_l", "meteor_exact_stem", "cider_d", "words"):
        assert each[name].mean() == pytest.approx(whole[name], rel=1e-6)
