"""Translations in flow records: natEvent in both numberings, NAT64, blocks of ports, and both directions."""

import itertools
from struct import pack

import pytest
from flow_builder import message, one_set, template_set
from wire_chunks import ARRIVAL_UNIX_NS, make_chunk

from archive.schema import SCHEMAS
from collector.wire.addresses import format_address
from collector.wire.flows import FlowDecoder

SECOND = 1_700_000_000
AT = pack(">Q", SECOND * 1000)
INSIDE, OUTSIDE, SERVER = bytes([10, 0, 0, 5]), bytes([203, 0, 113, 7]), bytes([198, 51, 100, 80])
INSIDE6 = bytes.fromhex("fd00000000000000000000000000aaaa")
SERVER6 = bytes.fromhex("0064ff9b0000000000000000c6336450")
NAT44 = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (225, 4), (226, 4), (227, 2), (228, 2), (230, 1), (323, 8)]
BLOCK = [(8, 4), (225, 4), (230, 1), (323, 8), (361, 2)]


def nat(fields, data: bytes, version=10) -> list[dict]:
    decoder = FlowDecoder()
    payload = message(version, template_set(version, 300, fields), one_set(300, data))
    found = decoder.decode(decoder.initial_state(), 1, make_chunk([payload])).tables.get("nat")
    if found is None:
        return []
    assert found.schema.equals(SCHEMAS["nat"])
    found.validate(full=True)
    found = found.set_column(found.column_names.index("time"), "time", found.column("time").cast("int64"))
    return [
        {key: format_address(value) if isinstance(value, bytes) else value for key, value in row.items()}
        for row in found.to_pylist()
    ]


def ends(row: dict) -> tuple:
    return (
        row["outside_address"], row["outside_port_low"], row["inside_address"], row["inside_port"],
        row["destination_address"], row["destination_port"],
    )  # fmt: skip


def session(event: int) -> bytes:
    return INSIDE + SERVER + pack(">HHB", 5000, 443, 6) + OUTSIDE + SERVER + pack(">HHB", 40000, 443, event) + AT


@pytest.mark.parametrize(
    ("event", "word", "kind"),
    [
        (1, "open", "session"), (2, "close", "session"), (4, "open", "session"), (5, "close", "session"),
        (6, "open", "binding"), (7, "close", "binding"), (8, "open", "binding"), (9, "close", "binding"),
        (10, "open", "binding"), (11, "close", "binding"),
    ],
)  # fmt: skip
def test_each_event_of_nat44_in_both_numberings(event, word, kind):
    (row,) = nat(NAT44, session(event))
    assert (row["event"], row["kind"], row["quality"], row["time"]) == (word, kind, "exact", SECOND * 10**9)
    assert ends(row) == ("203.0.113.7", 40000, "10.0.0.5", 5000, "198.51.100.80", 443)


@pytest.mark.parametrize("event", [3, 12, 13, 14, 15, 16, 17, 18, 255])
def test_alarms_and_address_bindings_map_no_port(event):
    assert nat(NAT44, session(event)) == []


@pytest.mark.parametrize(("event", "word"), [(4, "open"), (5, "close"), (6, "open"), (7, "close")])
def test_nat64_session(event, word):
    fields = [(27, 16), (28, 16), (7, 2), (11, 2), (4, 1), (225, 4), (226, 4), (227, 2), (228, 2), (230, 1), (323, 8)]
    data = INSIDE6 + SERVER6 + pack(">HHB", 5000, 443, 6) + OUTSIDE + SERVER + pack(">HHB", 40000, 443, event) + AT
    (row,) = nat(fields, data)
    assert (row["event"], row["kind"]) == (word, "session")
    assert ends(row) == ("203.0.113.7", 40000, "fd00::aaaa", 5000, "198.51.100.80", 443)


def test_binding_names_no_destination():
    fields = [(8, 4), (7, 2), (4, 1), (225, 4), (227, 2), (230, 1), (323, 8)]
    (row,) = nat(fields, INSIDE + pack(">HB", 5000, 17) + OUTSIDE + pack(">HB", 40000, 8) + AT)
    assert ends(row) == ("203.0.113.7", 40000, "10.0.0.5", 5000, None, None)
    assert row["kind"] == "binding"


@pytest.mark.parametrize(("opening", "closing"), [(14, 15), (16, 17), (1, 2)])
def test_block_of_ports_opens_and_closes_under_one_id(opening, closing):
    fields = [*BLOCK, (362, 2)]
    both = [INSIDE + OUTSIDE + pack(">B", event) + AT + pack(">HH", 11777, 12288) for event in (opening, closing)]
    opened, closed = nat(fields, b"".join(both))
    assert [row["event"] for row in (opened, closed)] == ["open", "close"]
    assert opened["mapping_id"] == closed["mapping_id"]
    assert (opened["outside_port_low"], opened["outside_port_high"], opened["protocol"]) == (11777, 12288, 0)
    assert (opened["inside_address"], opened["inside_port"], opened["destination_address"]) == ("10.0.0.5", None, None)
    assert (opened["kind"], opened["quality"]) == ("block", "exact")


@pytest.mark.parametrize(
    ("fields", "values", "high", "quality"),
    [
        ([(362, 2)], (1535,), 1535, "exact"),
        ([(364, 2)], (512,), 1535, "exact"),
        ([(362, 2), (364, 2)], (0, 512), 1535, "exact"),
        ([(362, 2), (363, 2)], (1535, 1), 1535, "exact"),
        ([(362, 2), (363, 2)], (1535, 4), 1535, "derived"),
        ([(362, 2), (363, 2)], (1535, 0), 1535, "derived"),
        ([(363, 2), (364, 2)], (4, 128), 1532, "derived"),
        ([(362, 2), (364, 2)], (1535, 128), 1535, "derived"),
        ([(362, 2), (363, 2), (364, 2)], (1535, 0, 512), 1535, "exact"),
    ],
)
def test_ends_and_gaps_of_a_block(fields, values, high, quality):
    """A range in which others have ports too is kept whole, and is no proof."""
    data = INSIDE + OUTSIDE + pack(">B", 16) + AT + pack(f">H{len(values)}H", 1024, *values)
    (row,) = nat([*BLOCK, *fields], data)
    assert (row["outside_port_low"], row["outside_port_high"], row["quality"]) == (1024, high, quality)


@pytest.mark.parametrize(
    ("fields", "values"),
    [([], ()), ([(362, 2)], (1023,)), ([(364, 2)], (65535,)), ([(364, 8)], (0,)), ([(362, 2)], (0,))],
)
def test_block_without_an_end_gives_no_row(fields, values):
    kinds = "".join("Q" if size == 8 else "H" for _, size in fields)
    data = INSIDE + OUTSIDE + pack(">B", 16) + AT + pack(f">H{kinds}", 1024, *values)
    assert nat([*BLOCK, *fields], data) == []


@pytest.mark.parametrize("event", [0, 3, 8, 12, 13, 18])
def test_events_that_are_of_no_block(event):
    assert nat([*BLOCK, (362, 2)], INSIDE + OUTSIDE + pack(">B", event) + AT + pack(">HH", 1024, 1535)) == []


def test_blocks_and_sessions_of_one_template_keep_their_order():
    """A template of everything: the range is zero in sessions, the port is zero in blocks."""
    fields = [*NAT44, (361, 2), (362, 2)]
    blank = INSIDE + bytes(4) + pack(">HHB", 0, 0, 0) + OUTSIDE + bytes(4) + pack(">HHB", 0, 0, 16) + AT
    data = blank + pack(">HH", 1024, 1535) + session(4) + bytes(4) + blank + pack(">HH", 2048, 2559)
    found = nat(fields, data)
    assert [(row["kind"], row["outside_port_low"]) for row in found] == [
        ("block", 1024), ("session", 40000), ("block", 2048),
    ]  # fmt: skip


PLAIN = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (225, 4), (226, 4), (227, 2), (228, 2), (152, 8), (153, 8)]


def flow(source, destination, after_source, after_destination) -> list[dict]:
    """(address, port) each; the first event of the flow."""
    (one, port), (two, to_port), (three, after), (four, to_after) = source, destination, after_source, after_destination
    data = one + two + pack(">HHB", port, to_port, 6) + three + four + pack(">HH", after, to_after) + AT + AT
    found = nat(PLAIN, data)
    assert [row["event"] for row in found] in ([], ["open", "close"])
    return found[:1]


def test_both_directions_of_a_connection_from_inside_name_the_same_mapping():
    (out,) = flow((INSIDE, 5000), (SERVER, 443), (OUTSIDE, 40000), (SERVER, 443))
    (back,) = flow((SERVER, 443), (OUTSIDE, 40000), (SERVER, 443), (INSIDE, 5000))
    assert ends(out) == ends(back) == ("203.0.113.7", 40000, "10.0.0.5", 5000, "198.51.100.80", 443)


def test_both_directions_of_a_connection_to_a_published_server_name_the_same_mapping():
    (to,) = flow((SERVER, 50000), (OUTSIDE, 80), (SERVER, 50000), (INSIDE, 8080))
    (back,) = flow((INSIDE, 8080), (SERVER, 50000), (OUTSIDE, 80), (SERVER, 50000))
    assert ends(to) == ends(back) == ("203.0.113.7", 80, "10.0.0.5", 8080, "198.51.100.80", 50000)


def test_a_port_alone_may_be_translated():
    (row,) = flow((SERVER, 50000), (OUTSIDE, 80), (SERVER, 50000), (OUTSIDE, 8080))
    assert ends(row)[:4] == ("203.0.113.7", 80, "203.0.113.7", 8080)


@pytest.mark.parametrize("zero", [(bytes(4), 0), (SERVER, 50000)])
def test_an_untranslated_source_may_be_zero_or_repeated(zero):
    (row,) = flow((SERVER, 50000), (OUTSIDE, 80), zero, (INSIDE, 8080))
    assert row["inside_address"] == "10.0.0.5"


def test_a_redirect_inside_says_nothing_about_the_address_it_was_meant_for():
    portal = bytes([10, 0, 0, 1])
    assert flow((INSIDE, 5000), (SERVER, 80), (INSIDE, 5000), (portal, 8080)) == []


def test_a_destination_that_becomes_public_is_no_inside_host():
    assert flow((SERVER, 50000), (INSIDE, 80), (SERVER, 50000), (OUTSIDE, 80)) == []


def test_both_ends_translated_is_one_mapping_of_the_source():
    resolver = bytes([192, 0, 2, 53])
    (row,) = flow((INSIDE, 5000), (SERVER, 53), (OUTSIDE, 40000), (resolver, 53))
    assert ends(row) == ("203.0.113.7", 40000, "10.0.0.5", 5000, "192.0.2.53", 53)


def test_inside_addresses_of_the_internet_with_both_ends_translated_are_one_mapping_too():
    inside, resolver = bytes([192, 0, 2, 5]), bytes([192, 0, 2, 53])
    (row,) = flow((inside, 5000), (SERVER, 53), (OUTSIDE, 40000), (resolver, 53))
    assert ends(row) == ("203.0.113.7", 40000, "192.0.2.5", 5000, "192.0.2.53", 53)


def test_a_published_server_that_sees_its_clients_under_an_inside_address():
    gateway = bytes([10, 0, 0, 1])
    (row,) = flow((SERVER, 50000), (OUTSIDE, 80), (gateway, 61000), (INSIDE, 8080))
    assert ends(row) == ("203.0.113.7", 80, "10.0.0.5", 8080, "198.51.100.80", 50000)


@pytest.mark.parametrize("prefix", ["10.0.0.0", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1"])
def test_private_sources_of_every_kind(prefix):
    source = bytes(int(part) for part in prefix.split("."))
    assert flow((source, 5000), (SERVER, 80), (source, 5000), (INSIDE, 8080)) == []


@pytest.mark.parametrize("prefix", ["11.0.0.0", "172.32.0.0", "192.169.0.1", "100.128.0.1", "9.255.255.255"])
def test_public_neighbours_of_private_networks(prefix):
    source = bytes(int(part) for part in prefix.split("."))
    assert flow((source, 5000), (SERVER, 80), (source, 5000), (INSIDE, 8080))


def nsel(event: int, element: int = 233) -> list[dict]:
    """As Cisco ASA sends it: connection id, ends, translated ends, event, extended event, time, octets each way."""
    fields = [
        (148, 4), (8, 4), (7, 2), (10, 2), (12, 4), (11, 2), (14, 2), (4, 1), (225, 4), (226, 4), (227, 2), (228, 2),
        (element, 1), (33002, 2), (323, 8), (152, 8), (231, 4), (232, 4),
    ]  # fmt: skip
    data = (
        pack(">I", 8501) + INSIDE + pack(">HH", 5000, 2) + SERVER + pack(">HHB", 443, 3, 6) + OUTSIDE + SERVER
        + pack(">HHBH", 40000, 443, event, 0) + AT + pack(">QII", SECOND * 1000 - 9, 69, 14178)
    )  # fmt: skip
    return nat(fields, data, version=9)


@pytest.mark.parametrize(("event", "word"), [(1, "open"), (2, "close"), (5, "update")])
def test_nsel_of_new_images(event, word):
    (row,) = nsel(event)
    assert (row["event"], row["kind"], row["mapping_id"], row["time"]) == (word, "session", "8501", SECOND * 10**9)
    assert ends(row) == ("203.0.113.7", 40000, "10.0.0.5", 5000, "198.51.100.80", 443)


@pytest.mark.parametrize("event", [3, 4])
def test_nsel_denied_and_alert_open_nothing(event):
    assert nsel(event) == []


def test_nsel_inbound_connection_to_a_published_server():
    fields = [(148, 4), (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (225, 4), (226, 4), (227, 2), (228, 2), (233, 1)]
    data = (
        pack(">I", 9) + SERVER + OUTSIDE + pack(">HHB", 50000, 80, 6) + SERVER + INSIDE
        + pack(">HHB", 50000, 8080, 1)
    )  # fmt: skip
    (row,) = nat(fields, data, version=9)
    assert ends(row) == ("203.0.113.7", 80, "10.0.0.5", 8080, "198.51.100.80", 50000)
    assert (row["event"], row["quality"], row["time"]) == ("open", "arrival", ARRIVAL_UNIX_NS)


def test_mixed_families_of_nsel():
    """Templates 269 and 271: an IPv4 host seen outside under IPv6 and the other way round."""
    outside6 = bytes.fromhex("20010db8000000000000000000000007")
    fields = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (281, 16), (227, 2), (233, 1), (323, 8)]
    data = INSIDE + SERVER + pack(">HHB", 5000, 443, 6) + outside6 + pack(">HB", 40000, 1) + AT
    (row,) = nat(fields, data, version=9)
    assert ends(row) == ("2001:db8::7", 40000, "10.0.0.5", 5000, "198.51.100.80", 443)


def test_ids_of_different_mappings_differ():
    variants = [session(1)]
    for position, value in ((3, 6), (9, 1), (12, 17), (16, 8), (20, 81), (22, 1), (24, 1)):
        changed = bytearray(session(1))
        changed[position] = value
        variants.append(bytes(changed))
    ids = [nat(NAT44, one)[0]["mapping_id"] for one in variants]
    assert all(a != b for a, b in itertools.combinations(ids, 2))
