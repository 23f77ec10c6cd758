"""The six drum types of the probe, the names they go by, and which type an instrument's name means."""

from __future__ import annotations

import re

# type -> what a listener would say
MEANING = {
    "hi hat": "a pair of small cymbals",
    "snare": "a snappy, rattling drum",
    "kick": "the deep, low drum",
    "tom": "a round, resonant drum",
    "crash": "a large, splashing cymbal",
    "ride": "a pinging, sustained cymbal",
}
SYNONYMS = {
    "hi hat": ("hi hat", "hi-hat cymbal", "hi hat", "pair of hi hats"),
    "snare": ("snare drum", "snare"),
    "kick": ("kick drum", "bass drum", "kick"),
    "tom": ("tom", "tom drum", "tom tom"),
    "crash": ("crash cymbal", "crash"),
    "ride": ("ride cymbal", "ride"),
}
_RULES = (
    (r"click|stick|clap|splash|china|cowbell|tambourine|crash ride|ride crash|conga|agogo", ""),
    (r"\bhi hat\b", "hi hat"),
    (r"\b(snare|rimshot)\b", "snare"),
    (r"\b(kick|bass drum)\b", "kick"),
    (r"\btom(hi)?\b", "tom"),
    (r"\bcrash\b", "crash"),
    (r"\bride\b|^bell$", "ride"),
)


def drum_type(instrument: str) -> str:
    """The probe's label for an instrument in plain words; empty for what is none of the six."""
    return next((label for pattern, label in _RULES if re.search(pattern, instrument)), "")
