# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that asks for a page ten times a second and writes down, as lines of JSON, when it got an answer.

Runs outside the nodes as a program of its own (``python3 visitor.py URL``) until it is ended. Decides
nothing: a visit that failed may be just what was promised.
"""

import http.client
import json
import sys
import time
import urllib.request

INTERVAL_SEC = 0.1
TIMEOUT_SEC = 1.0

# The environment may name a proxy, which the lab's network does not lead to.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def visit(url: str) -> dict[str, object]:
    """Ask once; the result has the time of the request in microseconds, and whether there was an answer."""
    usec = time.time_ns() // 1000
    try:
        with _DIRECTLY.open(url, timeout=TIMEOUT_SEC) as response:
            response.read()
    except (OSError, http.client.HTTPException):
        return {"usec": usec, "ok": False}
    return {"usec": usec, "ok": True}


def main(url: str) -> None:
    """Visit until the process is ended."""
    while True:
        print(json.dumps(visit(url)), flush=True)
        time.sleep(INTERVAL_SEC)


if __name__ == "__main__":
    main(sys.argv[1])
