"""How long a connection may take to send a request, and to take the answer. Requests are parsed by h11, not here.

uvicorn ends a connection that is idle after an answer, but waits for ever for the first request, for the rest of a
header and for a body that nobody reads. A few hundred such connections ("slow loris") would fill `limit_concurrency`.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, h11  # h11 is uvicorn's choice, not ours


class Connection(H11Protocol):
    """uvicorn's connection, cut off when a request does not come whole, or an answer is not taken, in `seconds`."""

    seconds = 20.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; after an answer there is nothing left to say.

        A whole request before it on the same connection may be under way: its answer has nowhere to go any more.
        """
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()

    def _wait(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.seconds, self._late)

    def _late(self) -> None:
        whole = self.conn.their_state in (h11.DONE, h11.MUST_CLOSE)
        if whole and self.cycle and not self.cycle.response_complete and not self.transport.is_closing():
            self._wait()  # it is being answered, for which the guard has a limit of its own
        else:
            self.transport.abort()
