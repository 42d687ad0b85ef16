# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which address of this machine its peers should use."""

import socket

from synod.base.errors import UsageError

_ANYWHERE = "192.0.2.1"
"""A documentation address (RFC 5737): asking for the route to it sends nothing."""


def own_address(towards: str | None) -> str:
    """Return the local address that packets to a host leave with; without a host, to anywhere."""
    host = towards or _ANYWHERE
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            address = _address_of_host_name()
        else:
            address = str(probe.getsockname()[0])
    if not address or address.startswith("127.") or address == "::1":
        raise UsageError("cannot tell which address the other nodes should use; give it with --address")
    return address


def _address_of_host_name() -> str:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return ""
    return next((str(one[4][0]) for one in found if not str(one[4][0]).startswith("127.")), "")
