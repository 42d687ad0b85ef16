# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo's web service: answers every request with what a table in PostgreSQL holds at this moment.

Where the database is comes from the environment that libpq reads. The service knows nothing of clusters: on
SIGTERM it asks the database once more, which succeeds only if the database is stopped after it. See
sd_notify(3).
"""

import os
import signal
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2  # type: ignore[import-untyped]

PORT = 8080


class Window(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Answer with the stock, one line for each item."""
        try:
            status, text = HTTPStatus.OK, "".join(f"{name}\t{count}\n" for name, count in stock())
        except psycopg2.Error as error:
            status, text = HTTPStatus.SERVICE_UNAVAILABLE, f"no database: {error}\n"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Keep the journal for what matters."""


def stock() -> list[tuple[str, int]]:
    """Ask PostgreSQL."""
    connection = psycopg2.connect("")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, count FROM item ORDER BY name")
            return list(cursor.fetchall())
    finally:
        connection.close()


def notify(state: str) -> None:
    """Tell systemd, if it asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # An abstract socket's name starts with a zero byte.
            channel.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def main() -> int:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        print(f"PostgreSQL on {os.environ.get('PGHOST')} answers: {len(stock())} items", flush=True)
        with ThreadingHTTPServer(("", PORT), Window) as server:
            notify("READY=1")
            try:
                server.serve_forever()
            finally:
                print(f"last query before the end: {len(stock())} items", flush=True)
    except psycopg2.Error as error:
        print(f"PostgreSQL does not answer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
