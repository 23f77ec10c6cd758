"""Licences under one name each, however a corpus writes them."""

from __future__ import annotations

import re

UNKNOWN = "unknown"


def licence_name(text: str) -> str:
    """An SPDX-like name for a Creative Commons address or phrase; other text as it is, ``unknown`` for none.

    https://creativecommons.org/licenses/by-nc/3.0/ -> CC-BY-NC-3.0, .../publicdomain/zero/1.0/ -> CC0-1.0,
    "Attribution NonCommercial" -> CC-BY-NC, "CC BY 4.0" -> CC-BY-4.0
    """
    text = " ".join(text.split())
    low = text.lower()
    version = re.search(r"\b([1-4]\.[0-9])\b", low)
    ending = f"-{version[1]}" if version else ""
    if "publicdomain/zero" in low or re.search(r"\bcc[- ]?0\b|creative commons 0|\bcc zero\b", low):
        return "CC0" + (ending or "-1.0")
    if "publicdomain/mark" in low:
        return "public domain"
    if found := re.search(r"creativecommons\.org/licenses/([a-z+-]+)", low):
        return f"CC-{found[1].strip('-').upper()}{ending}"
    if found := re.match(r"cc[- ](by(?:[- ](?:nc|nd|sa))*)", low):
        return f"CC-{found[1].replace(' ', '-').upper()}{ending}"
    if low.startswith("attribution"):
        terms = [("noncommercial", "NC"), ("noderiv", "ND"), ("sharealike", "SA")]
        plain = re.sub(r"[\s-]", "", low)
        return "-".join(["CC-BY", *(short for word, short in terms if word in plain)]) + ending
    return text or UNKNOWN
