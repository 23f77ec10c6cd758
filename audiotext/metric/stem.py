"""English stems by the algorithm of Porter ("An algorithm for suffix stripping", Program 14(3), 1980)."""

from __future__ import annotations

import re
from functools import lru_cache

# A word is [C](VC)^m[V]: C a run of consonants, V of vowels. y after a consonant is a vowel.
_STEP_2 = (
    "ational ate|tional tion|enci ence|anci ance|izer ize|abli able|alli al|entli ent|eli e|ousli ous|ization ize|"
    "ation ate|ator ate|alism al|iveness ive|fulness ful|ousness ous|aliti al|iviti ive|biliti ble"
)
_STEP_3 = "icate ic|ative |alize al|iciti ic|ical ic|ful |ness "
_STEP_4 = "al |ance |ence |er |ic |able |ible |ant |ement |ment |ent |ion |ou |ism |ate |iti |ous |ive |ize "


def _table(rules: str) -> list[tuple[str, str]]:
    pairs = [rule.split(" ") for rule in rules.split("|")]
    return sorted(((suffix, new) for suffix, new in pairs), key=lambda pair: -len(pair[0]))


_TABLES = {2: _table(_STEP_2), 3: _table(_STEP_3), 4: _table(_STEP_4)}


def _shape(word: str) -> str:
    """``c`` and ``v`` for each letter."""
    shape = ""
    for i, letter in enumerate(word):
        vowel = letter in "aeiou" or (letter == "y" and i > 0 and shape[-1] == "c")
        shape += "v" if vowel else "c"
    return shape


def _measure(word: str) -> int:
    """m: how many times vowels are followed by consonants."""
    return len(re.findall("v+c+", _shape(word)))


def _doubled(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _shape(word)[-1] == "c"


def _short_end(word: str) -> bool:
    """Ends consonant, vowel, consonant, the last not w, x or y: the stem that wants its e back."""
    return _shape(word)[-3:] == "cvc" and word[-1] not in "wxy"


def _plural_and_tense(word: str) -> str:
    for suffix, new in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(suffix):
            word = word[: -len(suffix)] + new
            break
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        base = word[: -len(suffix)]
        if word.endswith(suffix) and "v" in _shape(base):
            if base.endswith(("at", "bl", "iz")):
                return base + "e"
            if _doubled(base) and base[-1] not in "lsz":
                return base[:-1]
            return base + "e" if _measure(base) == 1 and _short_end(base) else base
        if word.endswith(suffix):
            break
    return word


def _swap(word: str, table: list[tuple[str, str]], least: int) -> str:
    """Apply the rule of the longest suffix that fits, if the stem before it has a measure above ``least``."""
    for suffix, new in table:
        if word.endswith(suffix):
            base = word[: -len(suffix)]
            allowed = _measure(base) > least and (suffix != "ion" or base.endswith(("s", "t")))
            return base + new if allowed else word
    return word


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The stem of a lower-case English word; words of two letters or not in ASCII stay as they are."""
    if len(word) < 3 or not (word.isascii() and word.isalpha()):
        return word
    word = _plural_and_tense(word)
    if word.endswith("y") and "v" in _shape(word[:-1]):
        word = word[:-1] + "i"
    word = _swap(word, _TABLES[2], 0)
    word = _swap(word, _TABLES[3], 0)
    word = _swap(word, _TABLES[4], 1)
    if word.endswith("e"):
        base = word[:-1]
        if _measure(base) > 1 or (_measure(base) == 1 and not _short_end(base)):
            word = base
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word
