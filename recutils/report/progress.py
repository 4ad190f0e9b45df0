"""What a person sees while a report runs: a live line on a terminal, a line for each event elsewhere. No decisions."""

import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

HEARTBEAT_SECONDS = 30.0


def span(seconds: float) -> str:
    """A time span for people: 4.2 s, 42 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@dataclass
class Progress:
    """Writes events and the live line to a stream, and events with their time to the run's log."""

    log: Path
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    _last: float = field(default_factory=time.monotonic)
    _width: int = 0

    @property
    def live(self) -> bool:
        """Is the stream a terminal?"""
        return self.stream.isatty()

    def event(self, text: str) -> None:
        """One thing that happened."""
        self._clear()
        self.stream.write(text + "\n")
        self.stream.flush()
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def tick(self, line: str) -> None:
        """How things stand: redrawn at each call on a terminal, else written every 30 seconds."""
        if self.live:
            columns = shutil.get_terminal_size().columns - 1
            shown = line[:columns]
            self.stream.write("\r" + shown.ljust(min(self._width, columns)))
            self._width = len(shown)
            self.stream.flush()
        elif time.monotonic() - self._last >= HEARTBEAT_SECONDS:
            self._last = time.monotonic()
            self.stream.write(line + "\n")
            self.stream.flush()

    def _clear(self) -> None:
        if self.live and self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self._width = 0
        self._last = time.monotonic()
