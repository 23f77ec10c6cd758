"""Retrieval scores against cases worked by hand."""

import pytest
import torch

from audiotext.metric.retrieval import chance_recall, direction_metrics, retrieval_metrics


def test_one_caption_per_clip_by_hand():
    # Clip 0 ranks its text 1st, clip 1 its text 2nd, clip 2 its text 3rd.
    similarity = torch.tensor([[0.9, 0.1, 0.0], [0.8, 0.5, 0.1], [0.7, 0.6, 0.2]])
    scores = retrieval_metrics(similarity, torch.eye(3))["audio_to_text"]
    assert scores["R@1"] == pytest.approx(1 / 3)
    assert scores["R@5"] == 1.0
    assert scores["mAP@10"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert scores["median_rank"] == 2
    # The other direction: columns rank their own clip 1st, 2nd and 1st.
    scores = retrieval_metrics(similarity, torch.eye(3))["text_to_audio"]
    assert scores["R@1"] == pytest.approx(2 / 3)
    assert scores["mAP@10"] == pytest.approx((1 + 0.5 + 1) / 3)


def test_several_captions_divide_by_the_number_relevant():
    # Relevant texts at ranks 1 and 3 of 4: AP = (1/1 + 2/3) / 2, and one of three relevant outside the top 10.
    similarity = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
    relevance = torch.tensor([[True, False, True, False]])
    assert direction_metrics(similarity, relevance)["mAP@10"] == pytest.approx((1 + 2 / 3) / 2)
    similarity = torch.arange(20, 0, -1.0)[None]
    relevance = torch.zeros(1, 20, dtype=torch.bool)
    relevance[0, [1, 4, 15]] = True
    scores = direction_metrics(similarity, relevance)
    assert scores["mAP@10"] == pytest.approx((1 / 2 + 2 / 5) / 3)
    assert scores["median_rank"] == 2
    # More than ten relevant: the divisor is ten, so a perfect ranking scores 1.
    relevance[0, :15] = True
    assert direction_metrics(similarity, relevance)["mAP@10"] == pytest.approx(1.0)


def test_perfect_embeddings_with_five_captions_score_one():
    relevance = torch.eye(30).repeat_interleave(5, dim=1).bool()
    for scores in retrieval_metrics(relevance.float(), relevance).values():
        assert scores["R@1"] == 1.0
        assert scores["mAP@10"] == pytest.approx(1.0)
        assert scores["median_rank"] == 1


def test_ties_are_broken_against_the_model():
    scores = direction_metrics(torch.zeros(4, 4), torch.eye(4).bool())
    assert scores["R@1"] == 0.0
    assert scores["median_rank"] == 4
    # One irrelevant text ties with the relevant one and is counted before it; two relevant ones tie: ranks 2 and 3.
    similarity = torch.tensor([[0.5, 0.5, 0.5, 0.1]])
    scores = direction_metrics(similarity, torch.tensor([[True, False, True, False]]))
    assert scores["mAP@10"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_random_embeddings_score_at_chance():
    generator = torch.Generator().manual_seed(0)
    similarity = torch.randn(1000, 1000, generator=generator)
    scores = direction_metrics(similarity, torch.eye(1000).bool())
    assert scores["chance_R@10"] == pytest.approx(0.01)
    assert scores["R@10"] < 0.03
    assert scores["mAP@10"] < 0.02


def test_chance_is_the_expectation_of_a_random_order():
    relevance = torch.tensor([[True, True, False, False, False], [False] * 5])
    assert chance_recall(relevance, 1) == pytest.approx(2 / 5)
    assert chance_recall(relevance, 2) == pytest.approx(1 - (3 / 5) * (2 / 4))


def test_chunks_change_nothing():
    generator = torch.Generator().manual_seed(1)
    similarity = torch.randint(0, 5, (37, 53), generator=generator).float()
    relevance = torch.rand(37, 53, generator=generator) < 0.1
    assert retrieval_metrics(similarity, relevance, chunk=5) == retrieval_metrics(similarity, relevance, chunk=1000)


def test_queries_without_relevant_items_are_left_out_and_counted():
    relevance = torch.tensor([[True, False], [False, False]])
    scores = direction_metrics(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), relevance)
    assert scores["queries"] == 1
    assert scores["R@1"] == 1.0


@pytest.mark.parametrize(
    ("similarity", "relevance"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.full((2, 2), float("nan")), torch.eye(2)),
        (torch.zeros(2, 2), torch.zeros(2, 2)),
    ],
)
def test_bad_input_is_refused(similarity, relevance):
    with pytest.raises(ValueError):
        retrieval_metrics(similarity, relevance)
