"""What curation did, counted by step and rule, with a few random examples of each; bounded however much it was."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict

from audiotext.curate.entry import seeded

EXAMPLES = 20
_SHOWN = 240  # characters of an example


class Tally:
    """Counts per (step, rule) and source. The examples of a rule are those whose seeded hash is smallest: a random
    choice, and the same for any order of input."""

    def __init__(self, seed: int = 0):
        self.seed = seed
        self.counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._examples: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)

    def add(self, step: str, rule: str, source: str, id: str, text: str) -> None:
        """One thing that ``rule`` of ``step`` did to clip ``id``, told by ``text``."""
        self.counts[step, rule][source] += 1
        kept = self._examples[step, rule]
        item = (-int(seeded(self.seed, f"{step}\0{rule}\0{id}\0{text}")[:16], 16), id, text)
        if len(kept) < EXAMPLES:
            heapq.heappush(kept, item)
        else:
            heapq.heappushpop(kept, item)

    def examples(self, step: str, rule: str) -> list[tuple[str, str]]:
        """(id, text) of at most EXAMPLES things that the rule did, by id."""
        return sorted((id, text) for _, id, text in self._examples.get((step, rule), []))

    def markdown(self) -> str:
        """A table of all counts, then the examples of each rule."""
        lines = ["| step | rule | count | by source |", "|---|---|---:|---|"]
        rows = sorted(self.counts.items())
        for (step, rule), sources in rows:
            each = ", ".join(f"{name} {count}" for name, count in sorted(sources.items(), key=lambda x: (-x[1], x[0])))
            lines.append(f"| {step} | {rule} | {sources.total()} | {each} |")
        for (step, rule), sources in rows:
            found = self.examples(step, rule)
            lines += ["", f"## {step}: {rule}", "", f"{len(found)} of {sources.total()}, drawn at random:", ""]
            lines += [f"* `{id}`: {text if len(text) <= _SHOWN else text[:_SHOWN] + ' ...'}" for id, text in found]
        return "\n".join(lines)
