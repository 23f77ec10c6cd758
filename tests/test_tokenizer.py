"""The tokenizer: special ids, round trips, determinism, clipping, clear errors."""

from __future__ import annotations

import pickle
import random
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotext.config import ConfigError
from audiotext.text.clean import normalise
from audiotext.text.tokenizer import FILE, Tokenizer

CAPTIONS = [
    "A dog barks in the distance.",
    "The door closes; slowly, and creaks.",
    "Une porte claque, très doucement",
    "Snare drum hit, strong",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "A large dog growls and a cat hisses",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    return Tokenizer.train(CAPTIONS, 200, tmp_path_factory.mktemp("tokenizer"))


def test_special_ids_come_first_and_texts_round_trip(tokenizer):
    specials = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.mask_id)
    assert specials == (0, 1, 2, 3, 4)
    encoded = tokenizer.encode(CAPTIONS)
    assert encoded.data.dtype == torch.int64
    for row, length in zip(encoded.data.tolist(), encoded.lengths.tolist(), strict=True):
        assert row[0] == 2 and row[length - 1] == 3 and set(row[length:]) <= {0}
        assert not {0, 2, 3, 4} & set(row[1 : length - 1])
    assert tokenizer.decode(encoded.data.tolist()) == [normalise(c) for c in CAPTIONS]


@given(st.text(alphabet="abcdeghilnorst .,;!?'", max_size=60))
@settings(deadline=None, max_examples=60)
def test_any_text_of_known_letters_survives(tokenizer, text):
    encoded = tokenizer.encode([text], max_tokens=200)
    assert tokenizer.decode(encoded.data.tolist()) == [normalise(text)]


@given(st.text(max_size=80), st.integers(2, 20))
@settings(deadline=None, max_examples=60)
def test_any_text_encodes_within_its_limit(tokenizer, text, limit):
    encoded = tokenizer.encode([text, ""], max_tokens=limit)
    assert encoded.data.shape[1] <= limit and encoded.lengths.tolist()[1] == 2
    assert encoded.data[0, encoded.lengths[0] - 1] == tokenizer.eos_id
    assert int(encoded.data.max()) < tokenizer.vocab_size


def test_clipping_keeps_the_end_token_and_special_names_are_plain_text(tokenizer):
    clipped = tokenizer.encode([CAPTIONS[0]], max_tokens=4).data[0].tolist()
    assert clipped == tokenizer.encode([CAPTIONS[0]]).data[0, :3].tolist() + [3]
    assert tokenizer.encode([CAPTIONS[0]], bos=False, eos=False, max_tokens=2).data[0].tolist() == clipped[1:3]
    assert tokenizer.mask_id not in tokenizer.encode(["<mask>"]).data[0].tolist()


def test_same_captions_give_the_same_bytes_in_any_order(tmp_path):
    files = []
    for i in range(2):
        shuffled = random.Random(i).sample(CAPTIONS, len(CAPTIONS))
        Tokenizer.train(shuffled, 100, tmp_path / str(i))
        files.append((tmp_path / str(i) / FILE).read_bytes())
    assert files[0] == files[1]


def test_pickle_needs_no_folder_and_save_copies(tmp_path, tokenizer):
    tokenizer.save(tmp_path / "copy")
    copy = Tokenizer(tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy")
    again = pickle.loads(pickle.dumps(copy))
    assert again.ids("a dog barks") == tokenizer.ids("a dog barks")
    assert again.vocab_size == tokenizer.vocab_size


def test_a_small_corpus_says_what_size_came_out(tmp_path, caplog):
    with caplog.at_level("INFO"):
        tokenizer = Tokenizer.train(CAPTIONS, 5000, tmp_path)
    assert tokenizer.vocab_size < 5000
    assert f"{tokenizer.vocab_size} pieces (5000 asked for)" in caplog.text


def test_errors_are_for_people(tmp_path):
    with pytest.raises(ConfigError, match="no captions"):
        Tokenizer.train(["", " ... "], 100, tmp_path)
    with pytest.raises(ConfigError, match="10 pieces on 6 captions"):
        Tokenizer.train(CAPTIONS, 10, tmp_path)
    with pytest.raises(ConfigError, match="no such tokenizer"):
        Tokenizer(tmp_path / "nowhere")
    (tmp_path / FILE).write_bytes(b"not a model")
    with pytest.raises(ConfigError, match="not a sentencepiece model"):
        Tokenizer(tmp_path)
