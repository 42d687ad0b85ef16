# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instance strings, frames and tables of generators/synod-address, byte by byte."""

import ipaddress
import struct
import subprocess
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
V4, V6 = "192.0.2.10-24", "2001:db8::10-64"


def link(module: ModuleType, index: int = 2, name: str = "eth0", kind: int = 1, flags: int = 0x10001):
    return module.Link(index, name, kind, flags, MAC)


def holding(module: ModuleType, text: str, index: int = 2, *, is_ours: bool = False):
    interface = ipaddress.ip_interface(text)
    return module.Holding(index, interface.ip.packed, interface.network.prefixlen, is_ours)


# Instance strings


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.10-24", "10.0.0.1-32", "10.0.0.0-31", "10.0.0.0-32",
        "2001:db8::10-64", "2001:db8::10-128", "fe80::1-10",
    ],
)  # fmt: skip
def test_instances(synod_address, text):
    address = synod_address.parse_instance(text)
    host, _, prefix = text.rpartition("-")
    assert (str(address), address.packed) == (f"{host}/{prefix}", ipaddress.ip_address(host).packed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not ADDRESS-PREFIXLEN"),
        ("-", "is not ADDRESS-PREFIXLEN"),
        ("192.0.2.10", "is not ADDRESS-PREFIXLEN"),
        ("192.0.2.10/24", "is not ADDRESS-PREFIXLEN"),
        ("192.0.2-24", "is not ADDRESS-PREFIXLEN"),
        ("192.0.2.010-24", "is not ADDRESS-PREFIXLEN"),
        ("web-24", "is not ADDRESS-PREFIXLEN"),
        ("192.0.2.10\n-24", "is not ADDRESS-PREFIXLEN"),
        ("fe80::1%eth0-64", "is not ADDRESS-PREFIXLEN"),
        ("192.0.2.10-", "does not end in a prefix length from 1 to 32"),
        ("192.0.2.10-0", "does not end in a prefix length from 1 to 32"),
        ("192.0.2.10-33", "does not end in a prefix length from 1 to 32"),
        ("192.0.2.10-x", "does not end in a prefix length from 1 to 32"),
        ("192.0.2.10-²", "does not end in a prefix length from 1 to 32"),
        ("2001:db8::10-129", "does not end in a prefix length from 1 to 128"),
        ("192.0.2.10-024", "use synod-address@192.0.2.10-24.service"),
        ("2001:DB8::10-64", "use synod-address@2001:db8::10-64.service"),
        ("2001:db8:0:0::10-64", "use synod-address@2001:db8::10-64.service"),
        ("127.0.0.1-8", "every host's loopback"),
        ("::1-128", "every host's loopback"),
        ("224.0.0.1-24", "multicast or reserved"),
        ("255.255.255.255-32", "multicast or reserved"),
        ("ff02::1-64", "multicast or reserved"),
        ("0.0.0.0-32", "unspecified"),
        ("::-128", "unspecified"),
        ("::ffff:192.0.2.1-128", "IPv4 address in IPv6 clothes"),
        ("192.0.2.0-24", "the network itself"),
        ("2001:db8::-64", "the network itself"),
        ("192.0.2.255-24", "the network's broadcast address"),
    ],
)
def test_mistakes_are_named_in_one_line(synod_address, program, text, reason):
    with pytest.raises(synod_address.AddressError, match=reason) as caught:
        synod_address.parse_instance(text)
    assert caught.value.status == 2
    done = subprocess.run([program, "start", text], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[0-9a-f:.]{0,45}-?[0-9]{0,4}", fullmatch=True)))
def test_any_text_is_understood_or_complained_about(synod_address, text):
    try:
        address = synod_address.parse_instance(text)
    except synod_address.AddressError as error:
        shown, status = text, error.status
    else:
        shown, status = str(address).replace("/", "-"), 2
    assert (shown, status) == (text, 2)


@given(
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(min_value=1, max_value=128),
)  # fmt: skip
def test_it_takes_what_the_library_calls_a_host(synod_address, host, prefix):
    prefix = min(prefix, host.max_prefixlen)
    network = ipaddress.ip_interface(f"{host}/{prefix}").network
    text = f"{synod_address.inet_ntop(10 if host.version == 6 else 2, host.packed)}-{prefix}"
    edges = [network.network_address] + ([network.broadcast_address] if host.version == 4 else [])
    is_odd = (
        host.is_multicast or host.is_loopback or host.is_unspecified
        or (host.version == 4 and (host.packed[0] in (0, 127) or host.packed[0] >= 224))
        or (host.version == 6 and int(host) >> 32 in (0, 0xFFFF))
        or (prefix < host.max_prefixlen - 1 and host in edges)
    )  # fmt: skip
    try:
        synod_address.parse_instance(text)
    except synod_address.AddressError:
        assert is_odd
    else:
        assert not is_odd


@pytest.mark.parametrize(("text", "seconds"), [("", 0.02), ("0", 0), ("250", 0.25), ("5000", 5)])
def test_probe_times(synod_address, text, seconds):
    assert synod_address.parse_probe(text) == seconds


@pytest.mark.parametrize("text", ["5001", "-1", "1.5", "30ms", "٣", "99999"])
def test_bad_probe_times(synod_address, text):
    with pytest.raises(synod_address.AddressError, match="is not a number from 0 to 5000"):
        synod_address.parse_probe(text)


# Frames


def test_an_arp_probe_is_that_of_rfc_5227(synod_address):
    (frame,) = synod_address.frames(link(synod_address), synod_address.parse_instance(V4), True)
    assert frame.hex() == (
        "ffffffffffff" "020000000001" "0806" "0001" "0800" "06" "04" "0001"
        "020000000001" "00000000" "000000000000" "c000020a"
    )  # fmt: skip


def test_a_gratuitous_arp_is_sent_in_both_forms(synod_address):
    request, reply = synod_address.frames(link(synod_address), synod_address.parse_instance(V4), False)
    head = "ffffffffffff" "020000000001" "0806" "0001" "0800" "06" "04"
    assert request.hex() == head + "0001" "020000000001" "c000020a" "000000000000" "c000020a"
    assert reply.hex() == head + "0002" "020000000001" "c000020a" "020000000001" "c000020a"


def checksum(frame: bytes) -> int:
    """RFC 1071 over the pseudo header of RFC 8200; 0 when it is right."""
    data = frame[22:54] + struct.pack("!II", len(frame) - 54, 58) + frame[54:]
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def test_a_neighbour_solicitation_is_that_of_rfc_4862(synod_address):
    (frame,) = synod_address.frames(link(synod_address), synod_address.parse_instance(V6), True)
    assert frame[:14].hex() == "3333ff000010" "020000000001" "86dd"
    assert frame[14:22].hex() == "60000000" "0018" "3a" "ff"
    assert ipaddress.ip_address(frame[22:38]).is_unspecified
    assert str(ipaddress.ip_address(frame[38:54])) == "ff02::1:ff00:10"
    assert (frame[54], frame[55], frame[58:62]) == (135, 0, bytes(4))
    assert frame[62:] == ipaddress.ip_address("2001:db8::10").packed
    assert checksum(frame) == 0


def test_an_unsolicited_advertisement_is_that_of_rfc_4861(synod_address):
    (frame,) = synod_address.frames(link(synod_address), synod_address.parse_instance(V6), False)
    assert frame[:14].hex() == "333300000001" "020000000001" "86dd"
    assert [str(ipaddress.ip_address(frame[at : at + 16])) for at in (22, 38)] == ["2001:db8::10", "ff02::1"]
    # Override and not solicited; router only where the kernel forwards.
    assert (frame[54], frame[55], frame[58] & 0x60) == (136, 0, 0x20)
    assert frame[62:] == ipaddress.ip_address("2001:db8::10").packed + bytes.fromhex("0201020000000001")
    assert checksum(frame) == 0


@given(st.ip_addresses(v=6), st.binary(min_size=6, max_size=6))
def test_checksums_are_right(synod_address, host, mac):
    address = SimpleNamespace(family=10, packed=host.packed)
    for is_probe in (True, False):
        for frame in synod_address.frames(SimpleNamespace(mac=mac, name="none"), address, is_probe):
            assert checksum(frame) == 0


def test_who_claims_an_address_by_arp(synod_address):
    address = synod_address.parse_instance(V4)
    announcement, reply = synod_address.frames(SimpleNamespace(mac=OTHER), address, False)
    (probe,) = synod_address.frames(SimpleNamespace(mac=OTHER), address, True)
    for frame in (announcement, reply, probe):
        assert synod_address.claimant(address, frame, [MAC]) == OTHER
        assert synod_address.claimant(address, frame, [MAC, OTHER]) is None
        assert synod_address.claimant(synod_address.parse_instance("192.0.2.11-24"), frame, [MAC]) is None
    # Somebody asks for the address without wanting it.
    question = probe[:28] + bytes([192, 0, 2, 7]) + probe[32:]
    assert synod_address.claimant(address, question, [MAC]) is None


def test_who_claims_an_address_by_an_advertisement(synod_address):
    address = synod_address.parse_instance(V6)
    (frame,) = synod_address.frames(SimpleNamespace(mac=OTHER, name="none"), address, False)
    message = frame[54:]
    assert synod_address.claimant(address, message, [MAC]) == OTHER
    assert synod_address.claimant(address, message, [OTHER]) is None
    assert synod_address.claimant(address, message[:24], [MAC]) == bytes(6)
    assert synod_address.claimant(synod_address.parse_instance("2001:db8::11-64"), message, [MAC]) is None


@given(st.sampled_from([V4, V6]), st.binary(max_size=100))
def test_any_frame_is_digested(synod_address, text, packet):
    found = synod_address.claimant(synod_address.parse_instance(text), packet, [])
    assert found in (None, bytes(6), packet[22:28], packet[26:32])


# The choice of an interface


def chosen(module, text, holdings, wanted=""):
    links = {2: link(module), 3: link(module, 3, "eth1"), 1: link(module, 1, "lo", 772, 0x10009)}
    return module.choose_link(module.parse_instance(text), links, holdings, wanted).name


def test_the_interface_is_the_one_in_the_network(synod_address):
    holdings = [holding(synod_address, "10.0.0.1/8"), holding(synod_address, "192.0.2.1/24", 3)]
    assert chosen(synod_address, V4, holdings) == "eth1"
    assert chosen(synod_address, V4, holdings, "eth0") == "eth0"
    assert chosen(synod_address, "10.9.9.9-32", holdings) == "eth0"
    holdings.append(holding(synod_address, "10.9.0.1/16", 3))
    assert chosen(synod_address, "10.9.9.9-32", holdings) == "eth1"


@pytest.mark.parametrize(
    ("holdings", "wanted", "reason"),
    [
        ([], "", "is in a network with 192.0.2.10; set Environment=SYNOD_INTERFACE= in a drop-in"),
        ([("192.0.2.10/24", 2)], "", "no interface of this node"),
        ([("192.0.2.1/24", 1)], "", "no interface of this node"),
        ([("192.0.2.1/24", 2), ("192.0.2.2/24", 3)], "", "interfaces eth0 and eth1 are in a network"),
        ([("192.0.2.1/24", 2)], "eth9", "no interface 'eth9'"),
    ],
)
def test_no_interface_is_guessed(synod_address, holdings, wanted, reason):
    entries = [holding(synod_address, text, index) for text, index in holdings]
    with pytest.raises(synod_address.AddressError, match=reason) as caught:
        chosen(synod_address, V4, entries, wanted)
    assert caught.value.status == 6


def test_tunnels_and_loopbacks_have_no_neighbours(synod_address):
    assert link(synod_address).has_neighbours
    assert not link(synod_address, kind=65534).has_neighbours
    assert not link(synod_address, flags=0x10081).has_neighbours
    assert not link(synod_address, kind=772, flags=0x10009).has_neighbours


@given(st.binary(max_size=80))
def test_any_attributes_are_digested(synod_address, body):
    assert all(len(value) <= len(body) for value in synod_address.attributes(body, 0).values())


@pytest.mark.parametrize("arguments", [[], ["start"], ["begin", V4], ["start", V4, "eth0"]])
def test_usage(program, arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: synod-address start|announce|stop|status ADDRESS-PREFIXLEN\n"
