"""The captures of a package read by tshark: of each kind of export the one cited record, which says what its index row
says, out of a datagram with those of others."""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import nat_datagrams
import netflow_datagrams
import pytest
from package_log import NS, PackageArchive

from archive.addresses import format_address
from archive.package import verify_package as verifier
from archive.package.builder import _raw_files
from archive.package.content import CITED, CitedRecord, Place
from archive.package.datagram_records import DatagramReader
from archive.package.record_reader import bare_record
from archive.package.records_csv import records_csv
from archive.package.verify_package import Unit, read_capture, reduce_datagram
from tests.collector.wire.flow_builder import message, netflow5, netflow7, one_set, template_set
from tests.collector.wire.sflow_builder import (
    counter_sample,
    datagram,
    ethernet,
    flow_sample,
    interface_counters,
    ipv4,
    raw_packet,
    tcp,
)

NETFLOW, SFLOW = "netflow/udp-2055", "sflow/udp-6343"
ROW = 1
"""Of a datagram in its chunk: the writer has told before it that it started."""
CFLOW_FIELDS = {
    "cflow.srcaddr": "source_address", "cflow.dstaddr": "destination_address", "cflow.srcport": "source_port",
    "cflow.dstport": "destination_port", "cflow.protocol": "protocol", "cflow.octets": "bytes",
    "cflow.packets": "packets", "cflow.post_natsource_ipv4_address": "postnat_source_address",
    "cflow.post_naptsource_transport_port": "postnat_source_port",
}  # fmt: skip
SFLOW_FIELDS = {
    "ip.src": "source_address", "ip.dst": "destination_address", "tcp.srcport": "source_port",
    "tcp.dstport": "destination_port", "ip.proto": "protocol", "sflow_245.header.frame_length": "bytes",
}  # fmt: skip
INTERFACE = (82, 65_535)
VARIABLE = (INTERFACE, (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), INTERFACE, (2, 4), (225, 4), (227, 2))


def variable(number: int) -> bytes:
    """A record with two fields of variable length, each of another one, the first with a length of three bytes."""
    ends = bytes([10, 0, 0, number, 198, 51, 100, 80]) + bytes([0x13, number, 1, 187, 6])
    long, short = b"x" * (300 + number), b"eth" * number
    counts = (1000 + number).to_bytes(4, "big"), (5 + number).to_bytes(4, "big")
    outside = bytes([203, 0, 113, 5]) + (40_000 + number).to_bytes(2, "big")
    first = b"\xff" + len(long).to_bytes(2, "big") + long
    return first + ends + counts[0] + bytes([len(short)]) + short + counts[1] + outside


def sampled(number: int) -> bytes:
    frame = ethernet(ipv4(tcp(source=20_000 + number, destination=30_000), last=number))
    return flow_sample(raw_packet(frame, frame_length=600 + number), sequence=number, rate=1)


def exports(archive: PackageArchive) -> dict[str, tuple[str, list[bytes]]]:
    """Of each kind the listener and its datagrams, the last of which is cited."""
    now = archive.now_ns
    flows = [(f"10.0.0.{n}", 5000 + n, "203.0.113.5", 40_000 + n) for n in range(1, 6)]
    start = now - 9 * NS
    plain = [nat_datagrams.plain(start, f"10.0.0.{n}", "198.51.100.80", (5000 + n, 443)) for n in range(1, 6)]
    _, fixed = nat_datagrams.message(now, nat_datagrams.PLAIN, *plain)
    return {
        "netflow5": (NETFLOW, [netflow5(5, seconds=now // NS)]),
        "netflow7": (NETFLOW, [netflow7(5, seconds=now // NS)]),
        "netflow9": (
            NETFLOW, [netflow_datagrams.template(now // NS), netflow_datagrams.data(now // NS, 2, *flows)],
        ),
        "ipfix": (nat_datagrams.LISTENER, [fixed]),
        "ipfix, variable lengths": (
            NETFLOW,
            [message(10, template_set(10, 300, VARIABLE), one_set(300, b"".join(map(variable, range(1, 6)))),
                     one_set(300, variable(6)), seconds=now // NS)],
        ),
        "sflow": (
            SFLOW,
            [datagram(sampled(1), counter_sample(interface_counters()), *map(sampled, range(2, 6)))],
        ),
    }  # fmt: skip


def read_cited(archive: PackageArchive, leaf: int, row: int, number: int) -> list[CitedRecord]:
    """The records of a package that cites one flow row of a datagram, counted from 0."""
    log = next(iter(archive.sources().source_logs().values()))
    flows = log.index_rows(leaf, row, ("flows",))
    record = bare_record(log, Place(log.number, leaf, row), CITED)
    with archive.sources().make_decode() as decode:
        chosen = sorted(flows, key=lambda one: one.values["source_address"])[number]
        return DatagramReader(decode).read(log, record, [chosen], flows, archive.log.decoding)


def shown_by_tshark(path: Path, fields: list[str]) -> dict[str, str]:
    """The last value of each field: in a frame the sampled packet stands behind the one that carried it."""
    command = ["tshark", "-r", str(path), "-d", "udp.port==2055,cflow", "-d", "udp.port==4739,cflow"]
    command += ["-T", "fields", "-E", "occurrence=l"]
    for name in fields:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return dict(zip(fields, done.stdout.splitlines()[-1].split("\t"), strict=True))


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Any:
    archive = PackageArchive(tmp_path_factory.mktemp("tshark"))
    places = {}
    for name, (listener, datagrams) in exports(archive).items():
        for one in datagrams:
            places[name] = archive.log.put("collector", (listener, one))
    archive.seal_roots()
    yield archive, places
    archive.close()


@pytest.mark.parametrize("name", ["netflow5", "netflow7", "netflow9", "ipfix", "ipfix, variable lengths", "sflow"])
@pytest.mark.parametrize("number", [0, 3])
def test_tshark_reads_from_the_capture_what_the_row_says(
    sent: tuple[PackageArchive, dict[str, int]], name: str, number: int, tmp_path: Path
) -> None:
    archive, places = sent
    records = read_cited(archive, places[name], ROW, number)
    ((_, capture),) = _raw_files(records).items()
    path = tmp_path / "one.pcap"
    path.write_bytes(capture)
    (row,) = records[-1].rows
    wanted = SFLOW_FIELDS if name == "sflow" else CFLOW_FIELDS
    shown = shown_by_tshark(path, list(wanted))
    compared = 0
    for field, column in wanted.items():
        value = row.values[column]
        text = "" if value is None else format_address(value) if column.endswith("_address") else str(value)
        assert shown[field] == text, field
        compared += bool(text)
    assert compared >= 6
    # Nobody else is in it.
    own = row.values["source_address"][-4:]
    others = {bytes([10, 0, 0, n]) for n in range(7)} - {own}
    assert own in capture
    assert not [one for one in others if one in capture]
    # The script that goes along makes the same datagrams from the proofs alone.
    places_of = list(dict.fromkeys(record.place for record in records))
    units = [
        {unit.offset: unit for record in records if record.place == place for unit in record.units}
        for place in places_of
    ]
    parts = [[Unit(json.loads(found[offset].encode()), "") for offset in sorted(found)] for found in units]
    assert [reduce_datagram(one) for one in parts] == read_capture(capture)
    assert b"flow" in records_csv(records, "Asia/Bangkok")


def test_an_sflow_row_that_was_falsified_does_not_stand_in_its_sample(
    sent: tuple[PackageArchive, dict[str, int]],
) -> None:
    archive, places = sent
    (record,) = read_cited(archive, places["sflow"], ROW, 2)
    (values,) = csv.DictReader(io.StringIO(records_csv([record], "Asia/Bangkok").decode("utf-8-sig")))
    row = verifier.Row(values)
    units = {row.place: [Unit(json.loads(unit.encode()), "") for unit in record.units]}
    verifier._check_flow_row(row, units, {})
    for name, value in (("source_address", "10.0.0.1"), ("destination_port", 30_001)):
        falsified = verifier.Row(values)
        assert falsified.fields[name] != value
        falsified.fields[name] = value
        with pytest.raises(verifier.PackageError, match="does not stand in its raw bytes"):
            verifier._check_flow_row(falsified, units, {})
