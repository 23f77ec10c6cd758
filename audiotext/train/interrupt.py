"""Being asked to stop: SIGTERM and SIGINT become a flag that the trainer reads between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupt:
    """A context in which the first SIGTERM or SIGINT sets ``requested``; a second one acts as it did before.

    With ``patient``, later ones do nothing: torchrun passes on what a batch system has sent to every process already,
    and ends a process that takes too long itself. Outside the main thread, where Python delivers no signals, it only
    holds the flag.
    """

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient
        self.requested = ""
        """Name of the signal that came, or empty."""
        self._previous: dict[int, object] = {}
        self._children: object = signal.SIG_DFL

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()
        if self.requested:
            signal.signal(signal.SIGCHLD, self._children)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            return
        self.requested = signal.Signals(number).name
        if not self.patient:
            self._restore()
        # The signal may have ended the workers of a data loader too, for which torch would raise in mid-step.
        self._children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
