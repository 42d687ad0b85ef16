# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.load: units below a root, and the files that systemd reports."""

from pathlib import Path

import pytest

from synod.config.load import host_below, load_units, parse_unit
from synod.config.specifiers import Host

ETC = "etc/systemd/system"
USR = "usr/lib/systemd/system"


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_all_units_below_a_root(tmp_path):
    put(tmp_path, f"{USR}/web.service", "[Unit]\nAfter=net.target\n[X-Synod]\nAfter=db.service\n")
    put(tmp_path, f"{ETC}/web.service.d/x.conf", "[X-Synod]\nAfter=log.service\n")
    put(tmp_path, f"{ETC}/plain.service", "[Service]\n")
    put(tmp_path, f"{ETC}/shop@.service", "[X-Synod]\n")
    put(tmp_path, f"{ETC}/shop@one.service.d/x.conf", "")
    units = load_units(tmp_path)
    assert list(units) == ["plain.service", "shop@one.service", "web.service"]
    assert units["plain.service"].annotation is None
    assert units["web.service"].annotation.spec.after == ("db.service", "log.service")
    assert units["shop@one.service"].annotation.spec.unit == "shop@one.service"


def test_named_units_and_aliases(tmp_path):
    put(tmp_path, f"{USR}/real.service", "[X-Synod]\n")
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "other.service").symlink_to("/usr/lib/systemd/system/real.service")
    units = load_units(tmp_path, ["other.service", "missing.service", "not a unit"])
    assert list(units) == ["missing.service", "real.service"]
    assert units["missing.service"].files == ()


def test_masked_units_have_no_files(tmp_path):
    (tmp_path / ETC).mkdir(parents=True)
    put(tmp_path, f"{USR}/web.service", "[X-Synod]\n")
    (tmp_path / ETC / "web.service").symlink_to("/dev/null")
    unit = load_units(tmp_path)["web.service"]
    assert unit.is_masked
    assert unit.annotation is None


def test_specifiers_come_from_the_root(tmp_path):
    put(tmp_path, "etc/hostname", "alpha\n")
    put(tmp_path, "etc/machine-id", "0123\n")
    put(tmp_path, f"{ETC}/web.service", "[X-Synod]\nAfter=%H-%m.service\n")
    assert host_below(tmp_path) == Host(host_name="alpha", machine_id="0123")
    assert load_units(tmp_path)["web.service"].annotation.spec.after == ("alpha-0123.service",)


def test_links_are_followed_inside_the_root(tmp_path):
    put(tmp_path, "srv/web.service", "[X-Synod]\n")
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "web.service").symlink_to("/srv/web.service")
    (tmp_path / ETC / "gone.service").symlink_to("/srv/gone.service")
    units = load_units(tmp_path)
    assert units["web.service"].annotation is not None
    assert units["gone.service"].annotation is None
    assert units["gone.service"].findings == ()


def test_what_cannot_be_read_is_a_finding(tmp_path):
    put(tmp_path, f"{ETC}/web.service", "[X-Synod]\n")
    loop = tmp_path / ETC / "web.service.d"
    loop.mkdir()
    (loop / "x.conf").symlink_to("x.conf")
    (finding,) = load_units(tmp_path)["web.service"].findings
    assert finding.code == "unreadable"
    assert finding.file.endswith("web.service.d/x.conf")


def test_the_files_that_systemd_reports(tmp_path):
    fragment = put(tmp_path, "a/shop@.service", "[X-Synod]\nAfter=a-%i.service\n")
    second = put(tmp_path, "b/2.conf", "[X-Synod]\nAfter=b.service\n")
    first = put(tmp_path, "c/1.conf", "[X-Synod]\nAfter=\n")
    unit = parse_unit(fragment, [first, second], unit="shop@x.service")
    assert unit.annotation.spec.after == ("b.service",)
    assert [Path(file.path).name for file in unit.files] == ["shop@.service", "1.conf", "2.conf"]
    assert parse_unit(fragment, [], unit="shop@x.service").annotation.spec.after == ("a-x.service",)


def test_a_unit_of_dropins_only_needs_a_name(tmp_path):
    dropin = put(tmp_path, "b/2.conf", "[X-Synod]\n")
    assert parse_unit(None, [dropin], unit="srv.mount").annotation.spec.unit == "srv.mount"
    with pytest.raises(ValueError, match="not a unit name"):
        parse_unit(None, [dropin])


def test_settings_of_systemd(tmp_path):
    put(
        tmp_path,
        f"{ETC}/web.service",
        "[Unit]\nAfter=a.service bad %p-b.service\n[Service]\nKillMode=none\n",
    )
    put(
        tmp_path,
        f"{ETC}/web.service.d/x.conf",
        "[Unit]\nAfter=\n[Service]\nKillMode=mixed\nSendSIGKILL=on\n",
    )
    unit = load_units(tmp_path)["web.service"]
    assert unit.value("Service", "KillMode") == "mixed"
    assert unit.is_true("Service", "SendSIGKILL")
    assert unit.value("Service", "Type") == ""
    assert unit.last("Service", "Type") is None
    assert [name for name, _, _ in unit.names("Unit", "After")] == ["a.service", "web-b.service"]
