"""Caption text: one normal form for tokenizer and metrics, and the rules by which a caption is unusable."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

MIN_LETTERS = 2
MAX_WORDS = 250
MAX_CHARACTERS = 1500

_MARKUP = re.compile(
    r"</?[a-z][^<>]*>|&(?:[a-z]+|#\d+);|https?://|(?<!\d)%\d|```|\]\(|\*\*\S|^\s*[\[{]\s*\"",
    re.IGNORECASE | re.MULTILINE,
)
_TASK = r"(?:assist|help|provide|describe|listen|hear|generate|process|access|fulfil+|captions?|audio|request)"
_CANNOT = r"(?:can ?t|cannot|can not|unable to|not able to)"
_REFUSALS = (
    re.compile(r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"),
    re.compile(
        rf"^(?:i ?m |i am |we re |we are )?(?:very |so )?(?:sorry|afraid)\b.{{0,40}}\b{_CANNOT}\b.{{0,60}}\b{_TASK}\b"
    ),
    re.compile(
        rf"^(?:unfortunately )?i (?:can ?t|cannot|can not|am unable to|m unable to|do not have the ability to) "
        rf"(?:directly )?{_TASK}\b.{{0,80}}\b(?:audio|captions?|descriptions?|recording|sound|file|clip|request)s?\b"
    ),
)
_LONGEST_WORD = 40
_PLAIN = "".join(c if (c := chr(code).lower()).isalnum() else " " for code in range(128))
"""For str.translate of text in ASCII: capitals become small, all but letters and digits spaces."""
_NO_LETTERS = b" 0123456789"
_VOWELS = "eaiouy"
_SOUND = r"(?:audio|sound|music|speech|recording|clip|track|song|piece|file)"
_OPENINGS = {
    "the audio contains": re.compile(
        rf"(?:the|this) (?:{_SOUND} ){{1,3}}(?:contains|features|consists|includes|captures|presents|begins|starts)\b"
    ),
    "this is a recording": re.compile(rf"(?:this|it) is (?:an?|the) (?:\w+ )?{_SOUND}\b"),
    "in this audio": re.compile(rf"in (?:the|this) {_SOUND}\b"),
    "we can hear": re.compile(r"(?:we|you|one|i) can hear\b"),
}
_FIRST = "tiwyo"  # letters of all openings


class _Characters(dict):
    """A table for str.translate: characters whose category begins with one of ``chosen`` become ``other``, or where
    ``others`` is true all but those. It fills as characters are met."""

    def __init__(self, chosen: tuple[str, ...], other: str, others: bool = False):
        super().__init__()
        self._rule = (chosen, other, others)

    def __missing__(self, code: int) -> str:
        chosen, other, others = self._rule
        character = chr(code)
        self[code] = other if unicodedata.category(character).startswith(chosen) != others else character
        return self[code]


_VISIBLE = _Characters(("Cf",), "")
_WORDS = _Characters(("L", "M", "N"), " ", others=True)


def normalise(text: str) -> str:
    """NFKC, lower case, everything but letters, marks and digits to spaces, spaces folded.

    Letters of every script are kept. Idempotent. Invisible format characters (soft hyphen, joiners) vanish rather
    than split a word.
    """
    if text.isascii():
        return " ".join(text.translate(_PLAIN).split())
    visible = text.translate(_VISIBLE)
    # Lower-casing can undo NFKC (a dotted capital I becomes two code points), hence twice.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).lower())
    return " ".join(folded.translate(_WORDS).split())


def normalise_transcript(text: str) -> str:
    """``normalise`` that keeps apostrophes, by which words are spelt (don't, o'clock); one alone is no word."""
    spelt = ("'".join(map(normalise, word.split("'"))) for word in text.replace("\u2019", "'").split())
    return " ".join(word for word in " ".join(spelt).split() if word.strip("'"))


def rejection(text: object, spoken: bool = False) -> str | None:
    """The named rule by which ``text`` cannot be a caption, or None.

    Rules: not text, empty, no letters, too short, too long, bad encoding (a character was lost), markup, no language
    (symbols, keys hit at random, one word over and over), refusal (of a language model asked to describe). A ``spoken``
    text (transcript, translation) is exempt from the last two: a voice may well say that it is sorry, or hmm.
    """
    if not isinstance(text, str):
        return "not text"
    normal = normalise(text)
    if not text.strip():
        return "empty"
    letters = _letters(normal)
    if not letters:
        return "no letters"
    # One ideograph or syllable sign (category Lo) can be a whole word.
    if letters < MIN_LETTERS and unicodedata.category(next(filter(str.isalpha, normal))) != "Lo":
        return "too short"
    if len(text) > MAX_CHARACTERS or normal.count(" ") >= MAX_WORDS:
        return "too long"
    if "\ufffd" in text:
        return "bad encoding"
    if _may_be_markup(text) and _MARKUP.search(text):
        return "markup"
    if not spoken and _no_language(text, normal, letters):
        return "no language"
    # what they all begin with, or hold
    if not spoken and (normal[0] in "iwvsau" or "as a" in normal) and any(p.search(normal) for p in _REFUSALS):
        return "refusal"
    return None


def _may_be_markup(text: str) -> bool:
    """False where _MARKUP cannot match: looking for characters is many times faster."""
    return (
        "<" in text or "&" in text or "%" in text or "[" in text or "{" in text or "://" in text or "```" in text
        or "](" in text or "**" in text
    )  # fmt: skip


def _no_language(text: str, normal: str, letters: int) -> bool:
    words = normal.split()
    if 3 * letters < len(text) and 3 * letters < len("".join(text.split())):
        return True
    if max(map(len, words)) > _LONGEST_WORD and any(len(word) > _LONGEST_WORD and word.isascii() for word in words):
        return True
    # more than half are the same: then the different ones are no more than half, and one
    if len(words) >= 8 and 2 * (len(set(words)) - 1) < len(words):
        if 2 * Counter(words).most_common(1)[0][1] > len(words):
            return True
    return normal.isascii() and letters >= 12 and not any(vowel in normal for vowel in _VOWELS)


def _letters(normal: str) -> int:
    """How many letters a normalised text has."""
    if normal.isascii():
        return len(normal.encode().translate(None, _NO_LETTERS))
    return sum(map(str.isalpha, normal))


def opening(text: str) -> str | None:
    """The kind of stock phrase that a caption begins with, such as "the audio contains", or None.

    Such captions are fine; where they are many, a model learns to say the phrase.
    """
    first = text[:1].lower()
    if first.isascii() and first.isalnum() and first not in _FIRST:
        return None
    normal = normalise(text[:80])
    return next((name for name, pattern in _OPENINGS.items() if pattern.match(normal)), None)
