# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.settings: which files count, and what is said about wrong ones."""

import pytest

from synod.base.errors import ConfigError
from synod.config.schema import SETTINGS
from synod.config.settings import load_settings, settings_files

ETC = "etc/synod"
RUN = "run/synod"
LOCAL = "usr/local/lib/synod"
USR = "usr/lib/synod"


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_files_all_is_default(tmp_path):
    loaded = load_settings(tmp_path)
    assert loaded.files == ()
    assert loaded.warnings == ()
    assert not loaded.origins
    for row in SETTINGS:
        assert getattr(loaded.settings, row.field) == row.default


def test_all_settings(tmp_path):
    put(
        tmp_path,
        f"{ETC}/synod.conf",
        "[Cluster]\nAddress=192.0.2.1\nPort=9000\n[Log]\nElectionTimeoutSec=2s\nHeartbeatSec=200ms\n"
        "[Agent]\nLogLevel=debug\n[Defaults]\nDependencyTimeoutSec=1min\n",
    )
    settings = load_settings(tmp_path).settings
    assert (settings.address, settings.port, settings.log_level) == ("192.0.2.1", 9000, "debug")
    assert settings.dependency_timeout_usec == 60_000_000
    timing = settings.timing()
    assert (timing.heartbeat, timing.election_min, timing.election_max) == (200_000, 2_000_000, 3_000_000)


def test_only_the_first_main_file_counts(tmp_path):
    put(tmp_path, f"{USR}/synod.conf", "[Cluster]\nPort=1\n[Agent]\nLogLevel=debug\n")
    put(tmp_path, f"{RUN}/synod.conf", "[Cluster]\nPort=2\n")
    loaded = load_settings(tmp_path)
    assert loaded.settings.port == 2
    assert loaded.settings.log_level == "info"
    assert loaded.origins == {"port": f"{tmp_path}/{RUN}/synod.conf:2"}


def test_dropins_come_by_name_over_the_main_file(tmp_path):
    put(tmp_path, f"{ETC}/synod.conf", "[Cluster]\nPort=1\n")
    put(tmp_path, f"{USR}/synod.conf.d/50-b.conf", "[Cluster]\nPort=5\n")
    put(tmp_path, f"{ETC}/synod.conf.d/10-a.conf", "[Cluster]\nPort=2\n")
    put(tmp_path, f"{LOCAL}/synod.conf.d/20-c.conf", "[Cluster]\nPort=3\n")
    put(tmp_path, f"{RUN}/synod.conf.d/20-c.conf", "[Cluster]\nPort=4\n")
    put(tmp_path, f"{RUN}/synod.conf.d/README", "[Cluster]\nPort=6\n")
    names = [str(path.relative_to(tmp_path)) for path in settings_files(tmp_path)]
    assert names == [
        f"{ETC}/synod.conf",
        f"{ETC}/synod.conf.d/10-a.conf",
        f"{RUN}/synod.conf.d/20-c.conf",
        f"{USR}/synod.conf.d/50-b.conf",
    ]
    assert load_settings(tmp_path).settings.port == 5


def test_a_link_to_dev_null_hides(tmp_path):
    put(tmp_path, f"{USR}/synod.conf.d/x.conf", "[Cluster]\nPort=5\n")
    put(tmp_path, f"{USR}/synod.conf", "[Cluster]\nPort=6\n")
    (tmp_path / ETC / "synod.conf.d").mkdir(parents=True)
    (tmp_path / ETC / "synod.conf.d/x.conf").symlink_to("/dev/null")
    (tmp_path / ETC / "synod.conf").symlink_to("/dev/null")
    assert load_settings(tmp_path).files == ()


def test_an_empty_assignment_brings_the_default_back(tmp_path):
    put(tmp_path, f"{USR}/synod.conf", "[Cluster]\nPort=5\n")
    put(tmp_path, f"{ETC}/synod.conf.d/x.conf", "[Cluster]\nPort=\n")
    loaded = load_settings(tmp_path)
    assert loaded.settings.port == 8470
    assert not loaded.origins


def test_unknown_names_warn_with_their_place(tmp_path):
    put(tmp_path, f"{ETC}/synod.conf", "[Cluster]\nPorts=5\n[Other]\nPort=1\nnonsense\n")
    path = f"{tmp_path}/{ETC}/synod.conf"
    assert sorted(load_settings(tmp_path).warnings) == [
        f"{path}:2: [Cluster] has no setting 'Ports=', ignoring",
        f"{path}:4: unknown section [Other], ignoring",
        f"{path}:5: 'nonsense' has no '=', ignoring",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[Cluster]\nPort=0\n", ":2: [Cluster] Port=: "),
        ("[Cluster]\n\nAddress=here\n", ":3: [Cluster] Address=: "),
        ("[Agent]\nLogLevel=loud\n", ":2: [Agent] LogLevel=: "),
        ("[Cluster\n", ":1: '[Cluster' is not"),
        ("[Log]\nHeartbeatSec=700ms\n", ":2: [Log] ElectionTimeoutSec= is to be"),
        ("[Log]\nElectionTimeoutSec=100ms\nHeartbeatSec=10ms\n", ":2: [Log] ElectionTimeoutSec= is to be"),
    ],
)
def test_bad_values_are_errors_with_their_place(tmp_path, text, place):
    put(tmp_path, f"{ETC}/synod.conf", text)
    with pytest.raises(ConfigError) as raised:
        load_settings(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/{ETC}/synod.conf{place}")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / ETC / "synod.conf").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path)
