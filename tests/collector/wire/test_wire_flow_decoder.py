"""Flow messages made by hand: times, translations, late templates, lies; records and counters are compared."""

import json
import pickle
from struct import pack

import numpy as np
import pytest
from flow_builder import message, netflow5, one_set, options_template_set, template_set
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_chunks import ARRIVAL_UNIX_NS, CORPUS, make_chunk

from archive.schema import SCHEMAS
from collector.wire import flow_templates
from collector.wire.addresses import format_address
from collector.wire.flows import FlowDecoder

V4 = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1)]
RECORD = bytes([10, 0, 0, 5, 9, 9, 9, 9]) + pack(">HHB", 4000, 53, 17)
NAT = [*V4, (225, 4), (227, 2)]
NAT_RECORD = RECORD + bytes([203, 0, 113, 7]) + pack(">H", 61000)


def decode(*payloads: bytes, state=None, leaf_index=1, **arguments):
    decoder = FlowDecoder()
    state = decoder.initial_state() if state is None else state
    return decoder.decode(state, leaf_index, make_chunk(list(payloads), **arguments))


def rows(decoded, table="flows") -> list[dict]:
    if table not in decoded.tables:
        return []
    found = decoded.tables[table]
    assert found.schema.equals(SCHEMAS[table])
    found.validate(full=True)
    for field in SCHEMAS[table]:
        assert field.nullable or found.column(field.name).null_count == 0
    times = [field.name for field in SCHEMAS[table] if str(field.type).startswith("timestamp")]
    for name in times:
        index = found.column_names.index(name)
        found = found.set_column(index, name, found.column(name).cast("int64"))
    return [
        {key: format_address(value) if isinstance(value, bytes) else value for key, value in row.items()}
        for row in found.to_pylist()
    ]


def nat(decoded) -> list[dict]:
    return rows(decoded, "nat")


def test_netflow5_in_columns():
    found = rows(decode(netflow5(3)))
    assert [row["source_address"] for row in found] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    row = found[2]
    assert (row["destination_address"], row["next_hop"], row["bytes"], row["packets"]) == (
        "198.51.100.1",
        "10.0.0.254",
        1002,
        5,
    )
    assert (row["input_interface"], row["output_interface"], row["protocol"], row["tos"], row["tcp_flags"]) == (
        3,
        4,
        6,
        8,
        24,
    )
    assert row["start"] == 1_700_000_000 * 10**9 - 10_000 * 10**6
    assert row["end"] == 1_700_000_000 * 10**9 - 1_000 * 10**6
    assert (row["observation_domain"], row["sequence"], row["template_id"]) == (0x0102, 77, 0)
    assert json.loads(row["extra"]) == {
        "bgpSourceAsNumber": 65001,
        "bgpDestinationAsNumber": 65002,
        "sourceIPv4PrefixLength": 24,
        "destinationIPv4PrefixLength": 16,
        "samplingAlgorithm": 1,
        "samplingInterval": 100,
    }


@pytest.mark.parametrize(
    ("payload", "records", "counter"),
    [
        (netflow5(2, count=5), 2, {"cut_datagrams": 1}),
        (netflow5(5, count=2), 2, {"trailing_bytes": 144}),
        (netflow5(2)[:-1], 1, {"cut_datagrams": 1}),
        (netflow5(2) + b"\x01", 2, {"trailing_bytes": 1}),
        (netflow5(2, count=0), 0, {"malformed_datagrams": 1}),
        (netflow5(2, count=31), 0, {"malformed_datagrams": 1}),
        (b"\x00\x05", 0, {"malformed_datagrams": 1}),
        (b"", 0, {"malformed_datagrams": 1}),
        (b"\x00\x07" + bytes(60), 0, {"malformed_datagrams": 1}),
    ],
)
def test_header_that_lies_costs_only_its_own_records(payload, records, counter):
    decoded = decode(payload, netflow5(1))
    assert len(rows(decoded)) == records + 1
    assert decoded.counters == {"netflow_datagrams": 2, "flow_records": records + 1, **counter}


NINE = [template_set(9, 300, NAT), one_set(300, NAT_RECORD * 2)]
NINE += [options_template_set(9, 301, [(1, 4)], [(34, 4)]), one_set(301, bytes(8))]
TEN = [
    template_set(10, 300, [*V4, (96, 65535)]),
    one_set(300, RECORD + b"\x03abc" + RECORD + b"\xff\x00\x01x"),
]


@pytest.mark.parametrize("sample", [netflow5(2), message(9, *NINE), message(10, *TEN)], ids=["v5", "v9", "ipfix"])
def test_cut_at_every_length_and_followed_by_rubbish(sample):
    whole = rows(decode(sample))
    assert len(whole) == 2
    for length in range(len(sample)):
        decoded = decode(sample[:length], netflow5(1))
        found = rows(decoded)
        assert found[-1]["version"] == "netflow5", "the next datagram is unharmed"
        strip = [{**row, "extra": ""} for row in found[:-1]]
        assert strip == [{**row, "extra": ""} for row in whole[: len(found) - 1]]
        assert decoded.counters["netflow_datagrams"] == 2
        damage = decoded.counters.keys() & {
            "malformed_datagrams", "cut_datagrams", "cut_sets", "trailing_bytes", "templates_refused", "malformed_sets",
            "malformed_records",
        }  # fmt: skip
        assert damage or len(found) - 1 in (0, 2)
    for byte in range(256):
        assert len(rows(decode(sample + bytes([byte]) * 3))) == 2


@pytest.mark.parametrize("version", [9, 10])
def test_data_before_its_template_is_decoded_when_it_comes(version):
    first = decode(netflow5(1), message(version, one_set(300, RECORD * 2), sequence=5), leaf_index=4)
    assert (first.waiting, len(rows(first))) == (1, 1)
    state = pickle.loads(pickle.dumps(first.state))  # noqa: S301
    second = decode(message(version, template_set(version, 300, V4)), state=state, leaf_index=9)
    found = rows(second)
    assert second.waiting == 0
    assert [(row["leaf_index"], row["row"], row["sequence"], row["source_port"]) for row in found] == [
        (4, 1, 5, 4000)
    ] * 2
    assert second.counters["late_sets"] == 1
    # decode is pure: the state given in still waits
    assert len(rows(decode(message(version, template_set(version, 300, V4)), state=first.state))) == 2


@pytest.mark.parametrize("other", [{"source": bytes(16)}, {"port": 9}, {"domain": 7}, {"version": 10}])
def test_a_template_belongs_to_one_exporter_port_version_and_domain(other):
    learned = decode(message(9, template_set(9, 300, V4)))
    arguments = {name: other[name] for name in ("source", "port") if name in other}
    data = message(other.get("version", 9), one_set(300, RECORD), domain=other.get("domain", 0))
    decoded = decode(data, state=learned.state, **arguments)
    assert (rows(decoded), decoded.waiting) == ([], 1)


def test_a_redefined_template_counts_from_its_place():
    found = rows(
        decode(
            message(9, template_set(9, 300, V4)),
            message(9, one_set(300, RECORD)),
            message(9, template_set(9, 300, [(12, 4), (8, 4), (11, 2), (7, 2), (4, 1)])),
            message(9, one_set(300, RECORD)),
        )
    )
    assert [row["source_address"] for row in found] == ["10.0.0.5", "9.9.9.9"]
    assert [row["row"] for row in found] == [1, 3]


@pytest.mark.parametrize("withdrawn", [300, 2])
def test_withdrawn_template_makes_data_wait(withdrawn):
    withdrawal = message(10, one_set(2, pack(">HH", withdrawn, 0)))
    decoded = decode(message(10, template_set(10, 300, V4)), withdrawal, message(10, one_set(300, RECORD)))
    assert (rows(decoded), decoded.waiting, decoded.counters["templates_withdrawn"]) == ([], 1, 1)


def test_waiting_data_is_bounded_and_counted(monkeypatch):
    monkeypatch.setattr(flow_templates, "MAX_WAITING_SETS", 3)
    decoded = decode(*[message(9, one_set(300, RECORD))] * 5)
    assert (decoded.waiting, decoded.counters["waiting_sets_dropped"]) == (3, 2)
    monkeypatch.setattr(flow_templates, "MAX_WAITING_BYTES", 30)
    decoded = decode(*[message(9, one_set(300, RECORD))] * 3)
    assert (decoded.waiting, decoded.counters["waiting_sets_dropped"]) == (2, 1)


def test_templates_are_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(flow_templates, "MAX_TEMPLATES", 2)
    templates = [message(9, template_set(9, number, V4)) for number in (300, 301, 300, 302)]
    decoded = decode(*templates, *[message(9, one_set(number, RECORD)) for number in (300, 301, 302)])
    assert [row["template_id"] for row in rows(decoded)] == [300, 302]
    assert decoded.counters["templates_evicted"] == 1
    monkeypatch.setattr(flow_templates, "MAX_STATE_FIELDS", 6)
    assert len(decode(*templates).state.templates) == 1


@pytest.mark.parametrize(
    ("version", "bad"),
    [
        (9, template_set(9, 300, [(8, 0), (12, 0)])),
        (9, template_set(9, 300, [])),
        (9, template_set(9, 300, V4, count=40)),
        (10, template_set(10, 300, V4, count=65535)),
        (10, template_set(10, 300, [(1, 4, 5951)])[:-4]),
        (9, template_set(9, 77, V4)),
        (9, template_set(9, 300, [(4, 1)])),
    ],
)
def test_templates_that_cannot_be_are_refused_and_the_next_set_is_read(version, bad):
    good = template_set(version, 400, V4) + one_set(400, RECORD)
    if len(bad) % 4:
        bad += bytes(4 - len(bad) % 4)
    decoded = decode(message(version, bad), message(version, good))
    assert len(rows(decoded)) == 1
    assert decoded.counters["templates_refused"] == 1
    assert decoded.counters["templates_learned"] == 1


def test_zero_fields_and_repeated_fields():
    layout = [(0, 0), *V4, (0, 0), (8, 4), (1, 4), (85, 8)]
    data = RECORD + bytes([1, 2, 3, 4]) + pack(">IQ", 10, 20)
    (row,) = rows(decode(message(9, template_set(9, 300, layout), one_set(300, data))))
    assert (row["source_address"], row["bytes"]) == ("10.0.0.5", 10)
    assert json.loads(row["extra"]) == {"sourceIPv4Address": "1.2.3.4", "octetTotalCount": 20}


@pytest.mark.parametrize("length", [0, 1, 3])
def test_set_length_below_its_header_stops_the_message(length):
    broken = one_set(300, RECORD, length=length)
    decoded = decode(message(9, template_set(9, 300, V4), broken, one_set(300, RECORD)), netflow5(1))
    assert [row["version"] for row in rows(decoded)] == ["netflow5"]
    assert decoded.counters["malformed_sets"] == 1


def test_zero_filler_and_reserved_sets():
    decoded = decode(message(9, template_set(9, 300, V4), one_set(17, b"abcd"), one_set(300, RECORD), bytes(1200)))
    assert len(rows(decoded)) == 1
    assert decoded.counters == {
        "netflow_datagrams": 1,
        "templates_learned": 1,
        "skipped_sets": 1,
        "flow_records": 1,
    }


def test_ipfix_length_that_lies():
    good = [template_set(10, 300, V4), one_set(300, RECORD * 2)]
    size = 16 + sum(map(len, good))
    assert decode(message(10, *good, length=size + 10)).counters["cut_datagrams"] == 1
    assert decode(message(10, *good, length=15)).counters["malformed_datagrams"] == 1
    short = decode(message(10, *good, length=size - 13))
    assert (len(rows(short)), short.counters["trailing_bytes"], short.counters["cut_sets"]) == (1, 13, 1)


def test_reduced_and_oversized_numbers():
    layout = [(8, 4), (12, 4), (7, 4), (11, 1), (4, 1), (1, 3), (2, 8), (10, 8), (14, 2)]
    data = (
        bytes([10, 0, 0, 5, 9, 9, 9, 9]) + pack(">IBB", 70000, 53, 17) + b"\x01\x00\x00" + pack(">QQH", 2**63, 2**40, 9)
    )
    (row,) = rows(decode(message(10, template_set(10, 300, layout), one_set(300, data))))
    assert (row["source_port"], row["destination_port"], row["bytes"], row["packets"]) == (None, 53, 65536, 2**63)
    assert (row["input_interface"], row["output_interface"]) == (None, 9)
    assert json.loads(row["extra"]) == {"sourceTransportPort": 70000, "ingressInterface": 2**40}


def test_ipv6_and_dual_templates():
    layout = [(27, 16), (28, 16), (8, 4), (12, 4), (62, 16)]
    six = bytes.fromhex("20010db8" + "00" * 11 + "01")
    data = six + six + bytes(8) + six + bytes(32) + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + bytes(16)
    found = rows(decode(message(9, template_set(9, 300, layout), one_set(300, data))))
    assert [row["source_address"] for row in found] == ["2001:db8::1", "10.0.0.1"]
    assert [row["destination_address"] for row in found] == ["2001:db8::1", "10.0.0.2"]


SECOND = 1_700_000_000
NTP = (SECOND + 2_208_988_800) << 32


@pytest.mark.parametrize(
    ("fields", "data", "start", "end"),
    [
        ([(150, 4), (151, 4)], pack(">II", SECOND, SECOND + 1), SECOND * 10**9, (SECOND + 1) * 10**9),
        ([(152, 8), (153, 8)], pack(">QQ", SECOND * 1000 + 7, 0), SECOND * 10**9 + 7_000_000, None),
        ([(154, 8), (155, 8)], pack(">QQ", NTP | 1 << 31, NTP), SECOND * 10**9 + 500_000_000, SECOND * 10**9),
        ([(156, 8), (157, 8)], pack(">QQ", NTP | 1 << 30, 0), SECOND * 10**9 + 250_000_000, None),
        ([(158, 4), (159, 4)], pack(">II", 1_000_000, 0), (SECOND - 1) * 10**9, SECOND * 10**9),
        ([(160, 8), (22, 4), (21, 4)], pack(">QII", 5_000, 7, 9), 5_007 * 10**6, 5_009 * 10**6),
        ([(152, 8)], pack(">Q", 2**64 - 1), None, None),
        ([(323, 8)], pack(">Q", SECOND * 1000), SECOND * 10**9, None),
        ([(233, 1), (323, 8)], pack(">BQ", 2, SECOND * 1000), None, SECOND * 10**9),
    ],
)
def test_ipfix_times(fields, data, start, end):
    layout = [*V4, *fields]
    (row,) = rows(decode(message(10, template_set(10, 300, layout), one_set(300, RECORD + data), seconds=SECOND)))
    assert (row["start"], row["end"]) == (start, end)


def test_uptime_of_ipfix_without_a_base_is_estimated_from_the_latest_of_the_set():
    layout = [*V4, (22, 4), (21, 4)]
    data = RECORD + pack(">II", 2**32 - 1000, 500) + RECORD + pack(">II", 100, 2000)
    decoded = decode(message(10, template_set(10, 300, layout), one_set(300, data), seconds=SECOND))
    found = rows(decoded)
    base = SECOND * 10**9
    assert [(row["start"], row["end"]) for row in found] == [
        (base - 3_000 * 10**6, base - 1_500 * 10**6),
        (base - 1_900 * 10**6, base),
    ]
    assert decoded.counters["estimated_times"] == 2
    assert json.loads(found[0]["extra"])["flowEndSysUpTime"] == 500


def test_system_start_from_an_options_record_is_the_base_of_uptimes():
    options = options_template_set(10, 301, [(143, 4)], [(160, 8)]) + one_set(301, pack(">IQ", 1, SECOND * 1000))
    data = template_set(10, 300, [*V4, (22, 4)]) + one_set(300, RECORD + pack(">I", 5_000))
    decoded = decode(message(10, options), message(10, data, seconds=SECOND + 60))
    assert rows(decoded)[0]["start"] == (SECOND + 5) * 10**9
    assert "estimated_times" not in decoded.counters


@pytest.mark.parametrize(
    ("uptime", "first", "behind_ms"),
    [(1000, 2**32 - 500, 1500), (5000, 4000, 1000), (1000, 1200, -200), (2**32 - 1, 0, 2**32 - 1 - 2**32)],
)
def test_netflow9_uptime_wraps(uptime, first, behind_ms):
    data = template_set(9, 300, [*V4, (22, 4)]) + one_set(300, RECORD + pack(">I", first))
    (row,) = rows(decode(message(9, data, uptime=uptime, seconds=SECOND)))
    assert row["start"] == SECOND * 10**9 - behind_ms * 10**6


def test_eight_byte_switched_times():
    data = template_set(9, 300, [*V4, (22, 8), (21, 8)]) + one_set(300, RECORD + pack(">QQ", SECOND * 1000, 5_000))
    (row,) = rows(decode(message(9, data, uptime=6_000, seconds=SECOND)))
    assert (row["start"], row["end"]) == (SECOND * 10**9, (SECOND - 1) * 10**9)


def event(number: int, element=230, at=SECOND * 1000):
    layout = [*NAT, (element, 1), (323, 8)]
    data = template_set(10, 300, layout) + one_set(300, NAT_RECORD + pack(">BQ", number, at))
    return decode(message(10, data))


@pytest.mark.parametrize(
    ("element", "number", "word", "kind"),
    [
        (230, 1, "open", "session"), (230, 2, "close", "session"), (230, 4, "open", "session"),
        (230, 6, "open", "binding"), (230, 9, "close", "binding"), (233, 1, "open", "session"),
        (233, 2, "close", "session"), (233, 5, "update", "session"),
    ],
)  # fmt: skip
def test_nat_events(element, number, word, kind):
    (row,) = nat(event(number, element))
    assert (row["event"], row["kind"], row["quality"], row["time"]) == (word, kind, "exact", SECOND * 10**9)
    assert (row["inside_address"], row["inside_port"]) == ("10.0.0.5", 4000)
    assert (row["outside_address"], row["outside_port_low"], row["outside_port_high"]) == ("203.0.113.7", 61000, 61000)
    assert (row["destination_address"], row["destination_port"], row["protocol"]) == ("9.9.9.9", 53, 17)
    assert row["sender_address"] == "192.0.2.1"


def test_open_and_close_of_one_session_share_the_mapping_id():
    opened, closed = nat(event(1))[0], nat(event(2, at=SECOND * 1000 + 9))[0]
    assert opened["mapping_id"] == closed["mapping_id"]


@pytest.mark.parametrize(("element", "number"), [(230, 3), (230, 14), (230, 15), (230, 12), (233, 3), (233, 4)])
def test_events_that_open_no_port_mapping(element, number):
    decoded = event(number, element)
    assert (nat(decoded), len(rows(decoded))) == ([], 1)


def test_plain_flow_with_a_translation_is_in_use_from_start_to_end():
    layout = [*NAT, (152, 8), (153, 8)]
    data = NAT_RECORD + pack(">QQ", SECOND * 1000, SECOND * 1000 + 5)
    found = nat(decode(message(10, template_set(10, 300, layout), one_set(300, data))))
    assert [(row["event"], row["kind"], row["quality"], row["time"]) for row in found] == [
        ("open", "flow", "exact", SECOND * 10**9),
        ("close", "flow", "exact", SECOND * 10**9 + 5_000_000),
    ]
    assert found[0]["mapping_id"] == found[1]["mapping_id"]


def test_flow_without_times_takes_the_arrival():
    found = nat(decode(message(10, template_set(10, 300, NAT), one_set(300, NAT_RECORD))))
    assert {(row["quality"], row["time"]) for row in found} == {("arrival", ARRIVAL_UNIX_NS)}


@pytest.mark.parametrize(
    "outside", [bytes([10, 0, 0, 5]) + pack(">H", 4000), bytes(4) + pack(">H", 0), bytes([10, 0, 0, 5]) + bytes(2)]
)
def test_untranslated_and_zero_sources_make_no_mapping(outside):
    assert nat(decode(message(10, template_set(10, 300, NAT), one_set(300, RECORD + outside)))) == []


def test_old_asa_elements():
    layout = [(148, 4), *V4, (40001, 4), (40002, 4), (40003, 2), (40004, 2), (40005, 1), (323, 8)]
    data = (
        pack(">I", 8500) + RECORD + bytes([203, 0, 113, 7, 8, 8, 8, 8]) + pack(">HHBQ", 61000, 5353, 1, SECOND * 1000)
    )
    decoded = decode(message(9, template_set(9, 300, layout), one_set(300, data)))
    (row,) = nat(decoded)
    assert (row["event"], row["mapping_id"], row["outside_port_low"]) == ("open", "8500", 61000)
    assert (row["destination_address"], row["destination_port"]) == ("8.8.8.8", 5353)
    assert rows(decoded)[0]["postnat_destination_port"] == 5353
    # the same numbers mean nothing in IPFIX without an enterprise number's own space
    other = decode(message(10, template_set(10, 300, [(n & 0x7FFF, size) for n, size in layout]), one_set(300, data)))
    assert nat(other) == []


def test_initiator_and_responder_octets():
    layout = [*V4, (231, 4), (232, 4)]
    (row,) = rows(decode(message(9, template_set(9, 300, layout), one_set(300, RECORD + pack(">II", 69, 14178)))))
    assert row["bytes"] == 69
    assert json.loads(row["extra"]) == {"initiatorOctets": 69, "responderOctets": 14178}


def test_extra_shows_every_kind_of_value():
    layout = [*V4, (96, 6), (56, 6), (33000, 12), (434, 2), (320, 8), (18, 4), (63, 16), (95, 4), (61234, 2)]
    data = (
        RECORD + 'ก"'.encode() + b"\0\0" + bytes([0, 27, 33, 188, 36, 221]) + bytes(range(12)) + pack(">h", -2)
        + pack(">d", 1.5) + bytes([10, 1, 1, 1]) + bytes(15) + b"\x01" + b"\x03\0\0\x50" + b"\xab\xcd"
    )  # fmt: skip
    (row,) = rows(decode(message(9, template_set(9, 300, layout), one_set(300, data))))
    assert json.loads(row["extra"]) == {
        "applicationName": 'ก"',
        "sourceMacAddress": "00:1b:21:bc:24:dd",
        "ingressAclId": "000102030405060708090a0b",
        "mibObjectValueInteger": -2,
        "absoluteError": 1.5,
        "bgpNextHopIPv4Address": "10.1.1.1",
        "bgpNextHopIPv6Address": "::1",
        "applicationId": "03000050",
        "e0.61234": "abcd",
    }


def test_fields_of_no_length_take_no_room():
    layout = [(8, 4), *[(478, 0)] * 400]
    (row,) = rows(decode(message(9, template_set(9, 300, layout), one_set(300, bytes([10, 0, 0, 1])))))
    assert (row["source_address"], row["extra"]) == ("10.0.0.1", "{}")
    scope = options_template_set(9, 301, [(1, 0)], [(35, 1)]) + one_set(301, b"\x02")
    found = rows(decode(message(9, scope)), "options")
    assert [row["elements"] for row in found] == ['{"samplingAlgorithm":2}']


def test_enterprise_and_reverse_elements():
    layout = [(8, 4), (1, 8, 29305), (133, 4, 5951), (9, 2, 637)]
    (row,) = rows(decode(message(10, template_set(10, 300, layout), one_set(300, bytes(4) + pack(">QIH", 5, 6, 7)))))
    assert json.loads(row["extra"]) == {"reverseOctetDeltaCount": 5, "e5951.133": 6, "e637.9": "0007"}
    assert row["bytes"] is None


def test_options_records():
    sets = options_template_set(9, 301, [(2, 2)], [(82, 8)]) + one_set(301, pack(">H", 7) + b"eth0\0\0\0\0")
    found = rows(decode(message(9, sets)), "options")
    assert [json.loads(row["elements"]) for row in found] == [{"scopeInterface": 7, "interfaceName": "eth0"}]


def test_variable_length_records():
    layout = [(96, 65535), *V4]
    long = b"x" * 300
    data = b"\x00" + RECORD + b"\x02ab" + RECORD + b"\xff" + pack(">H", 300) + long + RECORD + b"\xff\xff"
    decoded = decode(message(10, template_set(10, 300, layout), one_set(300, data)))
    names = [json.loads(row["extra"])["applicationName"] for row in rows(decoded)]
    assert names == ["", "ab", long.decode()]
    broken = decode(message(10, template_set(10, 300, layout), one_set(300, RECORD[:0] + b"\xfe" + RECORD * 2)))
    assert (rows(broken), broken.counters["malformed_records"]) == ([], 1)


def test_rows_keep_the_order_of_their_records():
    other = [(12, 4), (8, 4), (4, 1)]
    sets = [template_set(9, 300, V4), template_set(9, 301, other)]
    data = [one_set(300, RECORD), one_set(301, RECORD[:9]), one_set(300, RECORD * 2)]
    found = rows(decode(netflow5(2), message(9, *sets, *data), netflow5(1)))
    assert [(row["row"], row["template_id"]) for row in found] == [
        (0, 0), (0, 0), (1, 300), (1, 301), (1, 300), (1, 300), (2, 0),
    ]  # fmt: skip


def test_many_exporters_share_a_layout():
    decoder = FlowDecoder()
    state = decoder.initial_state()
    for port in range(50):
        state = decoder.decode(state, port, make_chunk([message(9, template_set(9, 300, V4))], port=port)).state
    assert (len(state.templates), len(state.layouts)) == (50, 1)


def frames() -> list[bytes]:
    made = [
        netflow5(3),
        message(9, template_set(9, 300, NAT), one_set(300, NAT_RECORD * 2)),
        message(10, template_set(10, 300, [*V4, (96, 65535)]), one_set(300, RECORD + b"\x03abc")),
    ]
    return made + [path.read_bytes() for path in sorted(CORPUS.glob("*.dat"))]


@st.composite
def mutated(draw):
    frame = bytearray(draw(st.sampled_from(frames())))
    for _ in range(draw(st.integers(1, 8))):
        position = draw(st.integers(0, len(frame) - 1))
        frame[position] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))])


@settings(max_examples=250, deadline=None)
@given(st.lists(mutated() | st.binary(max_size=200), min_size=1, max_size=4))
def test_arbitrary_datagrams_never_raise_and_stay_bounded(payloads):
    decoded = decode(*payloads, netflow5(1))
    size = sum(map(len, payloads))
    for name, table in decoded.tables.items():
        assert table.schema.equals(SCHEMAS[name])
        table.validate(full=True)
        least = 1 if name == "options" else flow_templates.MIN_FLOW_RECORD_BYTES
        assert table.num_rows <= 2 * (size // least + 1)
    last = rows(decoded)[-1]
    assert (last["row"], last["version"]) == (len(payloads), "netflow5")
    pickle.dumps(decoded.state)


def test_other_kinds_and_empty_chunks():
    decoder = FlowDecoder()
    state = decoder.initial_state()
    assert decoder.decode(state, 0, make_chunk([netflow5(1)], "syslog/udp-514")).tables == {}
    mixed = make_chunk([b"<13>x", netflow5(1)], ["syslog", "netflow/udp-2055"])
    assert decoder.decode(state, 0, mixed).tables["flows"].column("row").to_pylist() == [1]
    assert decoder.decode(state, 0, mixed.slice(0, 0)).tables == {}


def test_full_netflow5_chunk_is_one_column_operation():
    decoded = decode(*[netflow5(30)] * 2_000)
    assert decoded.tables["flows"].num_rows == 60_000
    assert np.array_equal(
        np.unique(decoded.tables["flows"].column("row").to_numpy(), return_counts=True)[1], np.full(2_000, 30)
    )
