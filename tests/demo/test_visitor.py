# SPDX-License-Identifier: LGPL-2.1-or-later
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from demo import visitor


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(timeout=5)


def test_an_answer_counts(url: str) -> None:
    assert visitor.visit(f"{url}/good")["ok"] is True


def test_an_answer_that_is_an_error_does_not_count(url: str) -> None:
    assert visitor.visit(f"{url}/bad")["ok"] is False


def test_nobody_at_home_does_not_count() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        port = server.server_port

    assert visitor.visit(f"http://127.0.0.1:{port}/good")["ok"] is False
