# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sealed packets over one UDP socket: out to members, in from members, nothing else.

Decides how much is read at once and what is dropped. Refuses to know what is said. Nothing waits here: what
the kernel does not take at once is dropped, as the network may do with any packet; and what arrives is kept
by the kernel, within the socket's buffer, until it is read.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

from synod.base.errors import SynodError
from synod.base.ids import NodeName
from synod.net.sealed import PACKET_BYTES_MAX, Opened, Opener, Rejection, Sealer
from synod.net.streams import PeerAddress

READS_MAX: Final = 64
"""Packets read in one iteration of the loop, so that a flood of them leaves room for the rest."""

_DRAINS_MAX: Final = 4 * READS_MAX
"""Packets read by one drain(): more than a socket buffer of the usual size holds."""

_SocketAddress = tuple[str, int]


class DatagramEndpoint:
    """The UDP half of a node's port; ``receive`` gets the sender and payload of each packet believed."""

    def __init__(self, sealer: Sealer, opener: Opener, receive: Callable[[NodeName, bytes], None]) -> None:
        """Prepare, without I/O; keys and senders stay the caller's to change."""
        self.rejected: Counter[Rejection] = Counter()
        """Packets that were not believed, by reason; anyone can cause them."""
        self.dropped = 0
        """Packets that could not be sent at once, or to an address that does not exist."""
        self._sealer = sealer
        self._opener = opener
        self._receive = receive
        self._peers: dict[NodeName, _SocketAddress] = {}
        self._addresses: dict[NodeName, PeerAddress] = {}
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port in use; meaningful once started."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    def start(self, address: str, port: int) -> None:
        """Begin, on "" meaning everywhere; raise SynodError when that is not possible."""
        is_dual = address in ("", "::") and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if is_dual or ":" in address else socket.AF_INET
        endpoint = socket.socket(family, socket.SOCK_DGRAM)
        try:
            endpoint.setblocking(False)
            if family == socket.AF_INET6:
                endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
            endpoint.bind(("" if is_dual else address, port))
        except OSError as error:
            endpoint.close()
            raise SynodError(f"cannot use UDP on '{address}' port {port}: {error.strerror}") from None
        self._socket = endpoint
        self._resolve()
        asyncio.get_running_loop().add_reader(endpoint, self._read, READS_MAX)

    def stop(self) -> None:
        """Close the socket; harmless when not started."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def set_peers(self, peers: Mapping[NodeName, PeerAddress]) -> None:
        """Talk to, and believe, exactly these nodes from now on; their hosts are IP addresses."""
        self._addresses = dict(peers)
        self._opener.set_senders(peers)
        self._resolve()

    def send(self, peer: NodeName, payload: bytes) -> bool:
        """Send a packet and return whether the kernel took it; True promises no arrival.

        Never blocks. Raises TooLargeError for a payload beyond PAYLOAD_BYTES_MAX.
        """
        packet = self._sealer.seal(peer, payload)
        address = self._peers.get(peer)
        try:
            if self._socket is not None and address is not None:
                self._socket.sendto(packet, address)
                return True
        except OSError:
            pass  # a full queue, no route, an ICMP error of an earlier packet: all the same to the caller
        self.dropped += 1
        return False

    def drain(self) -> None:
        """Read what has arrived already; for a caller about to conclude something from silence."""
        self._read(_DRAINS_MAX)

    def _read(self, packets_max: int) -> None:
        for _ in range(packets_max):
            if self._socket is None:
                return
            try:
                packet = self._socket.recv(PACKET_BYTES_MAX + 1)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier packet, reported once
            opened = self._opener.open(packet)
            if isinstance(opened, Opened):
                self._receive(opened.sender, opened.payload)
            else:
                self.rejected[opened] += 1

    def _resolve(self) -> None:
        """Write addresses as the socket's family wants them; leave out those it cannot reach."""
        self._peers = {}
        if self._socket is None:
            return
        for name, peer in self._addresses.items():
            host = _socket_host(peer.host, self._socket.family)
            if host is not None:
                self._peers[name] = (host, peer.port)


def _socket_host(host: str, family: int) -> str | None:
    """Return the address for a socket of that family (IPv4 is mapped, RFC 4291, 2.5.5.2), or None."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if family == socket.AF_INET6:
        return f"::ffff:{address}" if address.version == 4 else str(address)
    return str(address) if address.version == 4 else None
