"""Nucleus sampling: what may be drawn, how often, and that a text depends on its seed and number alone."""

import dataclasses

import pytest
import torch

from audiotext.config import ConfigError, from_tree
from audiotext.evaluate.captioning import CaptioningTask
from audiotext.text.base import TEXT_DECODERS
from audiotext.text.search import Nucleus, nucleus_search
from audiotext.types import EncoderOutput, Padded

VOCAB, MEMORY_DIM, BOS, EOS = 23, 20, 2, 3
CHANCES = torch.tensor([0.05, 0.4, 0.0, 0.1, 0.3, 0.15])  # token 3 ends a text


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    model = TEXT_DECODERS["transformer"](dim=32, layers=2, heads=4, feedforward=48).build(VOCAB, MEMORY_DIM)
    with torch.no_grad():
        model.output_bias[EOS] = 1.0
    return model.eval()


def memory(lengths: list[int]) -> EncoderOutput:
    frames = torch.randn(len(lengths), max(lengths), MEMORY_DIM, generator=torch.Generator().manual_seed(5))
    return EncoderOutput(frames, torch.tensor(lengths))


def same_chances(ids: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """A language in which every word is as likely as it ever was."""
    assert order is None
    return CHANCES.log().expand(len(ids), -1)


def test_words_are_drawn_from_the_nucleus_in_their_proportions():
    """Of 0.4, 0.3, 0.15, 0.1, 0.05 the first three are the fewest that hold 0.8: each is drawn as 0.4 / 0.85, ..."""
    count = 6000
    start = torch.full((count, 1), BOS)
    said = nucleus_search(same_chances, start, EOS, 3, Nucleus(0.8, seed=1), range(count), None)
    assert all(len(text) == 3 for text in said)  # the end is not in the nucleus
    shares = torch.tensor(said).flatten().bincount(minlength=6) / (3 * count)
    assert shares.tolist() == pytest.approx([0, 0.4 / 0.85, 0, 0, 0.3 / 0.85, 0.15 / 0.85], abs=0.015)


def test_the_whole_distribution_and_temperature():
    draws = (torch.arange(20_000) + 0.5) / 20_000  # a draw takes the token at this height of the cumulated chances
    for temperature in (1.0, 0.5, 2.0):
        found = Nucleus(1.0, temperature).choose(CHANCES.log().expand(len(draws), -1), draws)
        wanted = CHANCES ** (1 / temperature)
        assert (found.bincount(minlength=6) / len(draws)).tolist() == pytest.approx(
            (wanted / wanted.sum()).tolist(), abs=1e-3
        )
    edges = torch.tensor([0.0, 0.4 / 0.7 - 1e-4, 0.4 / 0.7 + 1e-4, 1.0])  # two tokens hold 0.7, in the order 1, 4
    assert Nucleus(0.7).choose(CHANCES.log().expand(4, -1), edges).tolist() == [1, 1, 4, 4]


def test_a_text_ends_and_what_comes_after_its_end_is_not_said():
    said = nucleus_search(same_chances, torch.full((500, 1), BOS), EOS, 9, Nucleus(1.0), range(500), None)
    lengths = torch.tensor([float(len(text)) for text in said])
    assert not any(EOS in text for text in said)
    assert lengths.mean() == pytest.approx(sum(0.9**k for k in range(1, 10)), abs=0.5)  # ends with 0.1 each time


def test_a_tiny_nucleus_is_greedy_search(decoder):
    frames = memory([7, 4, 12, 2])
    assert decoder.generate(frames, BOS, EOS, 9, nucleus=Nucleus(1e-9)) == decoder.generate(frames, BOS, EOS, 9)


@torch.no_grad()
def plain(
    decoder, frames: EncoderOutput, nucleus: Nucleus, number: int, max_tokens: int, prompt: list[int]
) -> list[int]:
    """One text without a cache: the whole text is read anew for every token."""
    said: list[int] = []
    for draw in nucleus.draws([number], max_tokens)[0]:
        ids = [BOS, *prompt, *said]
        logits = decoder(Padded(torch.tensor([ids]), torch.tensor([len(ids)])), frames)[0, -1:]
        logits[:, BOS] = -torch.inf
        token = int(nucleus.choose(logits.log_softmax(-1), draw[None]))
        if token == EOS:
            break
        said.append(token)
    return said


@pytest.mark.parametrize("prompted", [False, True])
def test_cache_batch_and_prompts_change_nothing(decoder, prompted):
    lengths, numbers, nucleus = [7, 4, 12, 2], [5, 0, 9, 3], Nucleus(0.9, 0.8, seed=2)
    frames, prompt = memory(lengths), None
    prompts = [[7, 8, 9], [6], [5, 5, 5, 5], [10, 4]] if prompted else [[]] * 4
    if prompted:
        rows = [row + [0] * (4 - len(row)) for row in prompts]
        prompt = Padded(torch.tensor(rows), torch.tensor([len(row) for row in prompts]))
    together = decoder.generate(frames, BOS, EOS, 9, prompt=prompt, nucleus=nucleus, numbers=numbers)
    for i, number in enumerate(numbers):
        one = EncoderOutput(frames.frames[i : i + 1, : lengths[i]], frames.lengths[i : i + 1])
        assert together[i] == plain(decoder, one, nucleus, number, 9, prompts[i])
    assert together == decoder.generate(frames, BOS, EOS, 9, prompt=prompt, nucleus=nucleus, numbers=numbers)
    others = dataclasses.replace(nucleus, seed=3)
    assert together != decoder.generate(frames, BOS, EOS, 9, prompt=prompt, nucleus=others, numbers=numbers)


def test_equal_clips_of_different_number_say_different_things(decoder):
    frames = memory([6])
    frames = EncoderOutput(frames.frames.expand(20, -1, -1), frames.lengths.expand(20))
    said = decoder.generate(frames, BOS, EOS, 9, nucleus=Nucleus(0.95))
    assert len(set(map(tuple, said))) > 10
    assert said == decoder.generate(frames, BOS, EOS, 9, nucleus=Nucleus(0.95), numbers=range(20))


def test_it_is_configured_and_refused_like_any_option(decoder):
    task = from_tree(CaptioningTask, {"nucleus": {"top_p": "0.8", "temperature": "0.7"}})
    assert str(task.nucleus) == "0.8 at temperature 0.7" and str(Nucleus()) == "0.9"
    assert list(task.searches()) == ["greedy", "beam", "nucleus"] and list(CaptioningTask().searches()) == [
        "greedy",
        "beam",
    ]
    assert task.searches(seed=3)["nucleus"] == {"nucleus": Nucleus(0.8, 0.7, seed=3)}
    for wrong in ({"top_p": 0.0}, {"top_p": 1.1}, {"temperature": 0.0}, {"seed": -1}):
        with pytest.raises(ConfigError, match="top_p must be in"):
            Nucleus(**wrong)
    with pytest.raises(ConfigError, match="sampled or searched, not both, got beam 4"):
        decoder.generate(memory([3]), BOS, EOS, beam=4, nucleus=Nucleus())
