"""`decode_files`: raw payloads, text and captures as one stream; nothing in a file makes it raise."""

import json
from collections import Counter
from struct import pack

import pytest
from flow_builder import message, netflow5, one_set, template_set
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sflow_builder import datagram, flow_sample, sampled_ipv4
from wire_chunks import corpus_file

from collector.decode_file import decode_files
from collector.errors import CollectorError
from collector.wire.datagram_split import split_datagrams

V4 = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1)]
RECORD = bytes([10, 0, 0, 5, 9, 9, 9, 9]) + pack(">HHB", 4000, 53, 17)
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
MACS = bytes(12)


def udp(payload: bytes, port=2055) -> bytes:
    return pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload


def ipv4(segment: bytes, *, protocol=17, fragment=0) -> bytes:
    header = pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 1, fragment, 64, protocol, 0)
    return header + bytes([192, 0, 2, 1, 192, 0, 2, 9]) + segment


def ipv6(segment: bytes, *, next_header=17, extension=b"") -> bytes:
    source = bytes.fromhex("20010db8000000000000000000000001")
    return pack(">IHBB", 6 << 28, len(extension) + len(segment), next_header, 64) + source * 2 + extension + segment


def pcap(frames: list[bytes], link_type=1, *, order="<", magic=0xA1B2C3D4, fraction=5) -> bytes:
    content = pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for frame in frames:
        content += pack(order + "IIII", 1_700_000_000, fraction, len(frame), len(frame)) + frame
    return content


def block(kind: int, body: bytes, order="<") -> bytes:
    body += bytes(-len(body) % 4)
    return pack(order + "II", kind, len(body) + 12) + body + pack(order + "I", len(body) + 12)


def pcapng(frame: bytes, *, order="<", resolution=9) -> bytes:
    section = block(0x0A0D0D0A, pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    interface = block(1, pack(order + "HHI", 1, 0, 0) + pack(order + "HHB3x", 9, 1, resolution) + bytes(4), order)
    units = 1_700_000_000 * 10**resolution + 5
    packet = pack(order + "IIIII", 0, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame)) + frame
    return section + interface + block(6, packet, order) + block(99, b"other", order)


@pytest.fixture
def decode(tmp_path):
    def run(*contents: bytes, **arguments):
        paths = []
        for number, content in enumerate(contents):
            path = tmp_path / f"input{number}"
            path.write_bytes(content)
            paths.append(path)
        found = list(decode_files(paths, **arguments))
        for record in found:
            json.dumps(record)
        return found

    return run


ETHERNET = MACS + IPV4 + ipv4(udp(netflow5(1)))


@pytest.mark.parametrize(
    "capture",
    [
        pcap([ETHERNET]),
        pcap([ETHERNET], order=">"),
        pcap([ETHERNET], magic=0xA1B23C4D, fraction=5000),
        pcap([MACS + b"\x81\x00\x00\x05" + IPV4 + ipv4(udp(netflow5(1)))]),
        pcap([MACS + b"\x88\xa8\x00\x05\x81\x00\x00\x06" + IPV4 + ipv4(udp(netflow5(1)))]),
        pcap([bytes(14) + IPV4 + ipv4(udp(netflow5(1)))], 113),
        pcap([IPV4 + bytes(18) + ipv4(udp(netflow5(1)))], 276),
        pcap([ipv4(udp(netflow5(1)))], 101),
        pcapng(ETHERNET, resolution=6),
        pcapng(ETHERNET, order=">", resolution=6),
    ],
)
def test_link_types_and_capture_forms(decode, capture):
    (record,) = decode(capture)
    assert (record["table"], record["exporter_address"], record["exporter_port"]) == ("flows", "192.0.2.1", 40000)
    assert record["received"] == "2023-11-14T22:13:20.000005000Z"
    assert (record["source_address"], record["start"]) == ("10.0.0.0", "2023-11-14T22:13:10.000000000Z")


def test_pcapng_nanoseconds(decode):
    assert decode(pcapng(ETHERNET))[0]["received"] == "2023-11-14T22:13:20.000000005Z"


def test_ipv6_with_an_extension_header(decode):
    packet = ipv6(udp(netflow5(1)), next_header=60, extension=bytes([17, 0, 1, 4, 0, 0, 0, 0]))
    (record,) = decode(pcap([MACS + IPV6 + packet]))
    assert record["exporter_address"] == "2001:db8::1"


def test_what_is_skipped_is_counted(decode):
    frames = [
        MACS + IPV4 + ipv4(udp(netflow5(1)), fragment=0x2000),
        MACS + IPV4 + ipv4(udp(netflow5(1)), fragment=0x0010),
        MACS + IPV6 + ipv6(b"", next_header=44, extension=bytes(8)),
        MACS + IPV4 + ipv4(bytes(20), protocol=6),
        MACS + IPV4 + ipv4(udp(b"\x12\x34dns", port=53)),
        MACS + b"\x08\x06" + bytes(28),
        ETHERNET,
    ]
    counters: Counter[str] = Counter()
    assert len(decode(pcap(frames), counters=counters)) == 1
    assert (counters["fragments"], counters["other_packets"], counters["flow_records"]) == (3, 3, 1)
    assert (counters["waiting_sets"], counters["broken_captures"]) == (0, 0)


def test_kind_of_a_datagram_in_a_capture(decode):
    payloads = [(b"<13>Nov 20 06:14:15 h a: x", 9999), (b"plain text", 514), (netflow5(1), 9995), (b"text", 9999)]
    capture = pcap([MACS + IPV4 + ipv4(udp(payload, port)) for payload, port in payloads])
    assert Counter(record["table"] for record in decode(capture)) == {"logs": 2, "flows": 1}
    assert Counter(record["table"] for record in decode(capture, kind="syslog")) == {"logs": 4}
    assert Counter(record["table"] for record in decode(capture, kind="netflow")) == {"flows": 1}


@pytest.mark.parametrize("template_first", [True, False])
def test_files_share_one_state_in_the_given_order(decode, template_first):
    files = [message(9, template_set(9, 300, V4)), message(9, one_set(300, RECORD * 2))]
    found = decode(*(files if template_first else files[::-1]))
    assert [(record["row"], record["source_address"]) for record in found] == [(int(template_first), "10.0.0.5")] * 2


def test_text_file_is_one_line_each(decode):
    nat = (
        b"[NEW] udp 17 30 src=10.0.0.5 dst=9.9.9.9 sport=5353 dport=53 [UNREPLIED] "
        b"src=9.9.9.9 dst=203.0.113.7 sport=53 dport=5353"
    )
    found = decode(b"<13>Nov 20 06:14:15 h a: x\r\n\n" + nat + b"\nlast \xa1\xa2")
    assert [(record["table"], record["row"]) for record in found] == [("logs", 0), ("logs", 1), ("logs", 2), ("nat", 1)]
    assert found[2]["message"] == "last กข"
    assert (found[3]["outside_address"], found[3]["destination_address"]) == ("203.0.113.7", "9.9.9.9")
    assert decode(b"") == []


def test_extra_and_elements_are_objects_and_nulls_are_kept(decode):
    (record,) = decode(netflow5(1))
    assert record["extra"]["samplingInterval"] == 100
    assert record["postnat_source_address"] is None
    assert list(record)[:5] == ["table", "leaf_index", "row", "realm", "received"]


def test_joined_datagrams_are_split(decode):
    nine = message(9, template_set(9, 300, V4), one_set(300, RECORD))
    ten = message(10, template_set(10, 300, V4), one_set(300, RECORD))
    joined = nine + netflow5(2) + ten + netflow5(1) + nine
    assert split_datagrams(joined) == [nine, netflow5(2), ten, netflow5(1), nine]
    assert len(decode(joined)) == 6
    assert split_datagrams(netflow5(1) + b"rest") == [netflow5(1) + b"rest"]


def test_joined_captures_of_the_corpus(decode):
    counters: Counter[str] = Counter()
    assert len(decode(corpus_file("netflow5"), counters=counters)) == 30
    assert (counters["netflow_datagrams"], counters["trailing_bytes"]) == (12, 0)
    records = decode(corpus_file("ipfix"))
    assert Counter(record["table"] for record in records) == {"flows": 12, "options": 1}


def test_more_than_one_batch(decode, monkeypatch):
    monkeypatch.setattr("collector.decode_file.BATCH_RECORDS", 2)
    found = decode(message(9, one_set(300, RECORD)) + netflow5(1) * 4, message(9, template_set(9, 300, V4)))
    assert [(record["leaf_index"], record["row"], record["version"]) for record in found] == [
        (0, 1, "netflow5"),
        (1, 0, "netflow5"),
        (1, 1, "netflow5"),
        (2, 0, "netflow5"),
        (0, 0, "netflow9"),
    ]


def test_unreadable_file_and_unknown_kind(tmp_path):
    with pytest.raises(CollectorError, match=r"^Cannot read .*missing: No such file or directory\.$") as caught:
        list(decode_files([tmp_path / "missing"]))
    assert caught.value.code == "collector_input_file"
    with pytest.raises(CollectorError, match="Cannot read"):
        list(decode_files([tmp_path]))
    with pytest.raises(CollectorError, match="Unknown kind"):
        list(decode_files([], "ipfix"))


SAMPLES = [pcap([ETHERNET, MACS + IPV6 + ipv6(udp(netflow5(1)))]), pcapng(ETHERNET), netflow5(2)]


@pytest.mark.parametrize("sample", SAMPLES)
def test_cut_anywhere(decode, sample):
    whole = decode(sample)
    for length in range(len(sample)):
        assert len(decode(sample[:length], kind="auto")) <= max(len(whole), 3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.data())
def test_changed_captures_never_raise(decode, sample, changes, data):
    content = bytearray(sample)
    for position, byte in changes:
        content[position % len(content)] = byte
    decode(bytes(content), kind=data.draw(st.sampled_from(["auto", "netflow", "sflow", "syslog"])))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"", b"\xa1\xb2\xc3\xd4", b"\x0a\x0d\x0d\x0a", b"\x00\x05", b"<1>"]), st.binary(max_size=200))
def test_arbitrary_files_never_raise(decode, start, rest):
    decode(start + rest)


def test_sflow_in_a_capture_is_known_by_its_version_word_or_its_port(decode):
    sample = datagram(flow_sample(sampled_ipv4()))
    frames = [MACS + IPV4 + ipv4(udp(payload, port)) for payload, port in ((sample, 9999), (sample[:20], 6343))]
    counters: Counter[str] = Counter()
    assert [record["version"] for record in decode(pcap(frames), counters=counters)] == ["sflow5"]
    assert (counters["sflow_datagrams"], counters["sflow_malformed_datagrams"]) == (2, 1)
    assert decode(pcap(frames[:1]), kind="netflow") == []
