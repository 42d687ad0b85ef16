# SPDX-License-Identifier: LGPL-2.1-or-later
"""One stream to one peer whose identity is proved: frames in, frames out, signs of life.

Decides when a stream is of no use any more. Refuses to know what is in a frame, and what follows from a
loss. An asyncio protocol rather than asyncio's streams: data is noted in the loop iteration in which it
arrives, hence a loop that stalled does not take its own delay for the silence of its peers.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from synod.base.codec import MalformedError
from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_SEC
from synod.net.settings import StreamSettings
from synod.wire.frames import FrameDecoder, encode_frame

HEARTBEAT: Final = 0
"""Frame kind that never leaves this layer. The first one also says: I have accepted you."""


SILENCE: Final = "no sign of life"
"""How the reason of a loss begins when nothing came any more; any other shows a machine that lives."""


class LinkOwner(Protocol):
    """Who is told of what happens on a link."""

    def link_confirmed(self, link: "PeerLink") -> None:
        """Note that the first frame has arrived: the peer has accepted this side."""

    def link_received(self, link: "PeerLink", kind: int, data: bytes) -> None:
        """Take a frame other than a heartbeat, in order."""

    def link_closed(self, link: "PeerLink", reason: str) -> None:
        """Note that it is over; said once."""


class PeerLink(asyncio.Protocol):
    """A stream to ``peer``, open from the moment it is made until ``link_closed``."""

    def __init__(
        self,
        peer: NodeName,
        certificate_fingerprint: str,
        transport: asyncio.Transport,
        owner: LinkOwner,
        settings: StreamSettings,
    ) -> None:
        self.peer = peer
        self.certificate_fingerprint = certificate_fingerprint
        self.is_confirmed = False
        self._transport = transport
        self._owner = owner
        self._settings = settings
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._decoder = FrameDecoder(settings.frame_bytes_max)
        self._is_closed = False
        self._heard = self._sent = self._checked = self._now()

    @property
    def heard(self) -> float:
        """Loop time at which the peer last showed a sign of life."""
        return self._heard

    def send(self, kind: int, data: bytes) -> bool:
        """Queue a frame and return True.

        Never blocks and never drops one frame out of many: when the queue is full the whole link is closed
        and False is returned, because a peer that resynchronises is right again, and one that missed a
        message is not. Raises TooLargeError for a frame no peer would accept.
        """
        frame = encode_frame(kind, data, self._settings.frame_bytes_max)
        if self._is_closed:
            return False
        waiting = self._transport.get_write_buffer_size()
        if waiting + len(frame) > self._settings.queue_bytes_max:
            self.close(f"it does not read: {waiting} bytes are waiting")
            return False
        self._sent = self._now()
        self._transport.write(frame)
        return True

    def check(self) -> None:
        """Send a heartbeat when idle, close when the peer is silent; called every ``check_usec``."""
        now, interval = self._now(), self._settings.heartbeat_usec / USEC_PER_SEC
        nearly = interval - self._settings.check_usec / USEC_PER_SEC / 2
        if now - self._checked > 2 * interval:
            # This loop slept, and with it the reading: give the peer one more interval to be heard.
            self._heard = max(self._heard, now - (self._settings.heartbeats_missed_max - 1) * interval)
        self._checked = now
        if now - self._heard > self._settings.heartbeats_missed_max * interval:
            self.close(f"{SILENCE} for {now - self._heard:.1f}s")
        elif now - self._sent > nearly:
            self.send(HEARTBEAT, b"")

    def close(self, reason: str) -> None:
        """End the link at once, whatever is queued."""
        if self._is_closed:
            return
        self._is_closed = True
        self._transport.abort()
        self._owner.link_closed(self, reason)

    def close_when_sent(self) -> None:
        """End the link once the queue is empty, if the peer reads it soon; it counts as closed already."""
        self._is_closed = True
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Note life, hand out whole frames."""
        self._heard = self._now()
        try:
            frames = self._decoder.feed(data)
        except MalformedError as error:
            self.close(f"it broke the protocol: {error}")
            return
        for kind, payload in frames:
            if self._is_closed:
                return
            if not self.is_confirmed:
                self.is_confirmed = True
                self._owner.link_confirmed(self)
            if kind != HEARTBEAT:
                self._owner.link_received(self, kind, payload)

    def eof_received(self) -> bool:
        """Take the end of one direction for the end of both."""
        self.close("it closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection broke."""
        self.close("the connection broke" if exc is None else f"the connection broke: {exc}")
