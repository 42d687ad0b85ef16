# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo import visitor


class Page(BaseHTTPRequestHandler):
    is_over = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/slow":
            Page.is_over.wait(10)
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Page.is_over.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            Page.is_over.set()
            server.shutdown()
            thread.join(timeout=5)


def test_an_answer_counts(url: str) -> None:
    assert visitor.visit(f"{url}/good")["ok"] is True


def test_an_answer_that_is_an_error_does_not_count(url: str) -> None:
    assert visitor.visit(f"{url}/bad")["ok"] is False


def test_nobody_at_home_does_not_count() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        port = server.server_port

    assert visitor.visit(f"http://127.0.0.1:{port}/good")["ok"] is False


def test_it_goes_on_asking_while_nobody_answers(url: str) -> None:
    argv = (sys.executable, "-I", visitor.__file__, f"{url}/slow")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        visits = [json.loads(program.stdout.readline()) for _ in range(3)]
        program.terminate()

    assert [visit["ok"] for visit in visits] == [False, False, False]
    # Had each waited for the one before, they would be a timeout apart.
    assert visits[2]["usec"] - visits[0]["usec"] < visitor.TIMEOUT_SEC * 1e6
    assert visits[0]["end"] > visits[2]["usec"]
