# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that asks for a page twenty times a second and writes down, as lines of JSON, what came of it.

Runs outside the nodes as a program of its own (``python3 visitor.py URL``) until it is ended. It asks at its
own pace, whether the requests before were answered or not: a slow answer does not hide that there was none.
Decides nothing: a visit that failed may be just what was promised.
"""

import http.client
import json
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

INTERVAL_SEC = 0.05
TIMEOUT_SEC = 0.9
"""Below the second after which TCP asks again: an answer belongs to the time at which it was asked for."""

# The environment may name a proxy, which the lab's network does not lead to.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_THREADS = 2 * round(TIMEOUT_SEC / INTERVAL_SEC)
_OUTPUT = threading.Lock()


def visit(url: str) -> dict[str, object]:
    """Ask once; the result has the times of request and answer in microseconds, and whether it was one."""
    usec = _clock()
    try:
        with _DIRECTLY.open(url, timeout=TIMEOUT_SEC) as response:
            response.read()
    except (OSError, http.client.HTTPException):
        return {"usec": usec, "end": _clock(), "ok": False}
    return {"usec": usec, "end": _clock(), "ok": True}


def main(url: str) -> None:
    """Visit until the process is ended."""
    with ThreadPoolExecutor(_THREADS) as pool:
        due = time.monotonic()
        while True:
            pool.submit(_tell, url)
            due = max(due + INTERVAL_SEC, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))


def _tell(url: str) -> None:
    line = f"{json.dumps(visit(url))}\n"
    with _OUTPUT:
        sys.stdout.write(line)
        sys.stdout.flush()


def _clock() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    main(sys.argv[1])
