"""From an answer to the files of its bag: records with their units, the logs that prove them, the texts."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from archive.anchor.check import AnchorTrust
from archive.index.logs import ArchiveLogs
from archive.index.settings import DecodingSettings
from archive.origin import ArchivePaths
from archive.package.bag import make_bag
from archive.package.content import TEMPLATE, CitedRecord, PackageContent, PackageFacts, Place
from archive.package.custody import custody
from archive.package.decode_again import Decode
from archive.package.gather import Gathered, gather_records
from archive.package.log_files import LogPart, anchors_of, authority_pem, log_part, records_of
from archive.package.names import capture_name, record_name
from archive.package.records_csv import records_csv
from archive.package.source_log import SourceLog
from archive.package.surroundings import read_surroundings
from archive.package.texts import text_files
from archive.package.verify_package import AUTHORITIES, CERTIFICATE, CUSTODY, RECORDS_CSV, make_capture
from archive.package.verify_txt import verify_txt
from archive.reduced_datagram import reduce_datagram

CLOCK_REACH = 5_000
"""Leaves around the cited ones among which statements of the clock are looked for: hours of a busy log."""
HELD_NOTE = (
    "Records of purged days: only what a hold kept is left. Each is proven as it was received; its time of receipt "
    "and its sender come from a file that is not in the package, whose SHA-256 a leaf of the log seals. Its own leaf "
    "proves the interval of receipt.",
    "ระเบียนของวันที่ลบตามกำหนดแล้ว: เหลือเฉพาะที่มีคำสั่งให้เก็บ แต่ละรายการพิสูจน์ได้ว่าตรงตามที่ได้รับ เวลารับและผู้ส่งมาจากแฟ้มที่ไม่อยู่ในชุด "
    "ซึ่งใบในบันทึกผนึกค่า SHA-256 ของแฟ้มไว้ ส่วนใบของระเบียนเองพิสูจน์ช่วงเวลารับ",
)
"""English, Thai."""
DEFAULT_PORTS = {"netflow": 2055, "sflow": 6343}


@dataclass(frozen=True)
class PackageSources:
    """What a package is made from. `paths` are those of the newest log; `make_decode` gives a decoding process for the
    time of one package."""

    paths: ArchivePaths
    logs: ArchiveLogs
    settings: DecodingSettings
    make_decode: Callable[[], AbstractContextManager[Decode]]
    trust: AnchorTrust = field(default_factory=AnchorTrust)

    def source_logs(self) -> dict[str, SourceLog]:
        """Every log by its origin, the oldest first."""
        every = (*self.logs.former, self.logs.newest)
        return {
            one.origin: SourceLog(number, one.paths, one.engine, is_newest=one is self.logs.newest)
            for number, one in enumerate(every, start=1)
        }


@dataclass(frozen=True)
class BuiltPackage:
    """Every file of the bag but the signature, and what it was made from."""

    bag: dict[str, bytes]
    content: PackageContent


def gather(sources: PackageSources, answer: dict) -> Gathered:
    """The records of an answer. Raises as gather_records does."""
    with sources.make_decode() as decode:
        return gather_records(sources.source_logs(), answer, decode, sources.settings)


def build_package(sources: PackageSources, answer: dict, facts: PackageFacts) -> BuiltPackage:
    """Every file but the signature. Raises AskError `answer_disagrees`, `record_gone`, ArchiveError `no_records_root`,
    ArchiveIntegrityError where evidence does not hold."""
    gathered = gather(sources, answer)
    logs = list(sources.source_logs().values())
    oldest = min((record.place.log for record in gathered.records), default=len(logs))
    parts = [
        log_part(
            log,
            anchors_of(sources.paths, log),
            records_of(gathered.records, log),
            sources.trust,
            following=logs[log.number] if log.number < len(logs) else None,
        )
        for log in logs[oldest - 1 :]
    ]
    certificate = (sources.paths.log / "package.crt").read_bytes()
    content = _content(gathered, parts, logs, facts, certificate)
    content.surroundings = read_surroundings(logs, gathered.records, gathered.answer, facts.zone)
    payload = _raw_files(gathered.records)
    for part in parts:
        payload |= part.files
    payload |= text_files(content)
    payload |= {RECORDS_CSV: records_csv(gathered.records, facts.zone), CERTIFICATE: certificate}
    if sources.trust.authorities:
        payload[AUTHORITIES] = b"".join(authority_pem(one) for one in sources.trust.authorities)
    payload[CUSTODY] = custody(content, payload)
    tags = {
        "VERIFY.txt": verify_txt(content, has_authorities=bool(sources.trust.authorities)).encode(),
        "verify_package.py": (Path(__file__).parent / "verify_package.py").read_bytes(),
    }
    info = {
        "Source-Organization": facts.site_name,
        "Bagging-Date": facts.made_at[:10],
        "External-Identifier": facts.identifier,
        "External-Description": facts.title or "answer to an attribution question",
        "Bag-Software-Agent": facts.software,
    }
    bag = make_bag(payload, tags, {name: " ".join(value.split()) for name, value in info.items()})
    return BuiltPackage(bag, content)


def _content(
    gathered: Gathered, parts: list[LogPart], logs: list[SourceLog], facts: PackageFacts, certificate: bytes
) -> PackageContent:
    clock = []
    for log in logs:
        leaves = [record.place.leaf for record in gathered.records if record.place.log == log.number]
        if leaves:
            found = dict(log.clock_leaves_around(min(leaves), max(leaves), CLOCK_REACH))
            clock += [{"log": log.number, "leaf": index, **leaf} for index, leaf in sorted(found.items())]
    fingerprint = x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()
    return PackageContent(
        facts=facts,
        answer=gathered.answer,
        records=gathered.records,
        logs=[part.facts for part in parts],
        zones=gathered.zones,
        losses=gathered.answer["losses"],
        clock=clock,
        outside_before=[one for part in parts for one in part.before],
        outside_after=[one for part in parts for one in part.after],
        certificate_sha256=fingerprint,
        versions={"software": facts.software},
        withheld=dict(gathered.withheld),
        notes=[HELD_NOTE] if any(one.purge_leaf is not None for one in gathered.records) else [],
    )


def _raw_files(records: list[CitedRecord]) -> dict[str, bytes]:
    """Each record with all its units that are in the package, whoever needs them."""
    pieces: dict[Place, dict[int, bytes]] = {}
    for record in records:
        pieces.setdefault(record.place, {}).update((unit.offset, unit.data) for unit in record.units)
    payloads = {place: sorted(found.items()) for place, found in pieces.items() if found}
    datagrams = {
        record.place: reduce_datagram(payloads[record.place])
        for record in records
        if record.is_datagram and record.units
    }
    files: dict[str, bytes] = {}
    for record in records:
        if not record.units or record.role == TEMPLATE:
            continue
        if record.is_datagram:
            taught = [one for one in records if one.role == TEMPLATE and one.template_for == record.place]
            packets = {one.place: _packet(one, datagrams[one.place]) for one in (*taught, record)}
            files[capture_name(record.place)] = make_capture(packets.values())
        else:
            files[record_name(record.place)] = b"".join(data for _, data in payloads[record.place])
    return files


def _packet(record: CitedRecord, payload: bytes) -> tuple[int, bytes, int, int, bytes]:
    kind, _, place = record.listener.partition("/")
    number = place.rpartition("-")[2]
    port = int(number) if number.isdigit() and int(number) <= 65_535 else DEFAULT_PORTS.get(kind, 2055)
    return record.received_unix_ns, record.source_address, record.source_port, port, payload
