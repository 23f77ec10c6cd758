"""Words for captions: clean names, several phrasings, questions with their answers, and choices that never change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from audiotext.data.corpus import Clip

T = TypeVar("T")
LANGUAGES = {
    "en": "English", "cs": "Czech", "nl": "Dutch", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian",
    "be": "Belarusian", "bg": "Bulgarian", "ca": "Catalan", "da": "Danish", "el": "Greek", "lt": "Lithuanian",
    "ml": "Malayalam", "ro": "Romanian", "pl": "Polish", "uk": "Ukrainian", "pt": "Portuguese", "de": "German",
}  # fmt: skip


def words(name: str) -> str:
    """A file name as lower-case words: HiHatOpen-2 -> hi hat open 2, door1-close -> door 1 close."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    name = re.sub(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", name)
    return " ".join(re.sub(r"[^\w']|_", " ", name).lower().split())


def stem(name: str) -> str:
    """The words of a name without its numbers: near-duplicates share it."""
    kept = [w for w in words(name).split() if not w.isdigit()]
    return " ".join(kept) or words(name)


MASS = (  # nouns that are not counted
    "machinery", "steam", "wind", "sparking", "applause", "ambience", "noise", "music", "water", "fire", "thunder",
    "static", "timpani", "bubbling", "plasma", "metal", "glass", "wood", "percussion", "creaking",
)  # fmt: skip


def article(noun: str) -> str:
    """``noun`` with a or an, unless it has one, is a plural, or cannot be counted."""
    if re.match(r"(a|an|the|some|two|several|many|running|something|someone)\b", noun):
        return noun
    last = noun.split()[-1] if noun else ""
    if last in MASS or (last.endswith("s") and not last.endswith(("ss", "us", "is"))):
        return noun
    return ("an " if noun[:1].lower() in "aeio" or noun.startswith("un") else "a ") + noun


def number(*key: str) -> int:
    """A number that depends on nothing but ``key``: the same on every machine."""
    return int.from_bytes(hashlib.sha256("\0".join(key).encode()).digest()[:8], "big")


def pick(options: Sequence[T], *key: str) -> T:
    """One of ``options``, chosen by ``key``."""
    return options[number(*key) % len(options)]


def draw(items: Iterable[T], count: int, key=lambda item: str(item), seed: str = "0") -> list[T]:
    """``count`` items chosen by the hash of their key, in their own order; all where there are fewer."""
    items = list(items)
    chosen = sorted(range(len(items)), key=lambda i: number(seed, key(items[i])))[:count]
    return [items[i] for i in sorted(chosen)]


def draw_even(groups: dict[str, list[T]], count: int, key=lambda item: str(item)) -> list[T]:
    """``count`` items, as evenly over ``groups`` as their sizes allow."""
    chosen: list[T] = []
    for done, name in enumerate(sorted(groups, key=lambda g: (len(groups[g]), g))):
        chosen += draw(groups[name], (count - len(chosen)) // (len(groups) - done), key, name)
    return chosen


class Captions:
    """Collects phrasings with their style, each text once."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, style: str, *texts: str) -> Captions:
        for text in texts:
            if text:
                self.texts.setdefault(text, style)
        return self

    def clip(self, **fields) -> Clip:
        """A clip that carries these captions."""
        return Clip(captions=list(self.texts), caption_styles=list(self.texts.values()), **fields)


def ask(question: str, answer: str) -> dict[str, str]:
    return {"question": question, "answer": answer}


KIND = "Is this speech, music or sound?"


def yes_no(question: str, truth: str, others: Sequence[str], *key: str) -> dict[str, str]:
    """``question`` with {} filled by the truth (yes) or, as often, by something else (no)."""
    wrong = [o for o in others if o != truth]
    if number("yes", *key) % 2 or not wrong:
        return ask(question.format(truth), "yes")
    return ask(question.format(pick(wrong, "no", *key)), "no")


def kind(domain: str) -> dict[str, str]:
    return ask(KIND, domain)


def effect(event: str, name: str, where: str = "", group: str = "") -> Captions:
    """Captions of a sound effect.

    event: what is heard, as a noun phrase ("a door closing"). name: the words of the file name. where: what the effect
    was made for ("a block building game"). group: the sort of sound ("water").
    """
    captions = Captions().add("template", event, f"the sound of {event}", f"sound effect of {event}")
    captions.add("filename", name, f"{group}, {stem(name)}" if group and group not in name else "")
    captions.add("description", f"{event}, recorded as a sound effect for {where}" if where else "")
    captions.add("template", f"{event} can be heard")
    return captions


def animal_question(truth: bool, *key: str) -> list[dict[str, str]]:
    """Always asked where an animal is heard, else one time in five: yes and no stay balanced over the corpus."""
    if truth or number("animal", *key) % 5 == 0:
        return [ask("Is an animal heard?", "yes" if truth else "no")]
    return []
