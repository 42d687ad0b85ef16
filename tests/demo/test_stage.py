# SPDX-License-Identifier: LGPL-2.1-or-later
import json
from pathlib import Path

from demo.record import Visit
from demo.stage import read_visits


def test_visits_are_in_the_order_of_the_questions(tmp_path: Path) -> None:
    output = tmp_path / "visits"
    rows = [{"usec": 20, "end": 25, "ok": True}, {"usec": 10, "end": 30, "ok": False}]
    output.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"usec": 3')

    assert read_visits(output) == [Visit(usec=10, end=30, is_answered=False),
                                   Visit(usec=20, end=25, is_answered=True)]
