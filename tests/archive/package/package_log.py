"""Archives of which packages are made: real sealer with records roots, real index, sessions, lines, packets, flows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nat_datagrams
from ask_desk import ZONE, AskDesk
from flow_days import SYSLOG, to_next_day
from indexed_log import IndexedLog, LocalWorker

from archive.anchor.check import AnchorTrust
from archive.event_record import encode_event
from archive.index.settings import DecodingSettings
from archive.index.worker import LeafDecoder
from archive.package.builder import BuiltPackage, PackageSources, build_package
from archive.package.content import PackageFacts
from archive.package.decode_again import decode_with
from archive.package.signer import _as_set
from archive.package.verify_package import SIGNATURE, make_cms, make_signed_attributes, zip_package
from archive.sealer import Sealer
from archive.sealing.record_roots import RecordRoots
from archive.time_text import format_iso, format_utc_time
from authgw.session_events import encode_session_event
from deploy.decoders import make_chunk_decoder

OUTSIDE, INSIDE, OTHER, PORT = "203.0.113.5", "10.0.0.7", "10.0.0.8", 40_000
SERVER = "198.51.100.80"
NS = 10**9
FOLDER = "phayan-2026-11-20-abcdef"


class UnitLog(IndexedLog):
    """An indexed log whose decode worker reports units, and whose sealer seals their roots."""

    roots: RecordRoots

    def make_worker(self, settings: DecodingSettings | None = None) -> Any:
        used = settings or self.decoding
        made = LocalWorker(self.paths.segments, self.make_decoder(used.zone, used.networks, used.listeners))
        reading = made.decoder
        made.decoder = LeafDecoder(
            reading._decoder, reading._segments, reading._scratch, self.paths.inbox / "units"
        )  # fmt: skip
        return made

    def sealer(self) -> Sealer:
        self.roots = RecordRoots(self.paths, self.clock, lambda: self.sealers[-1].tree_size)
        sealer = Sealer(self.paths, self.keys, clock=self.clock, head_interval_seconds=0, sources=[self.roots])
        self.sealers.append(sealer)
        return sealer

    def seal_roots(self) -> None:
        self.roots.force()
        self._sealer.run_once()
        self._sealer.run_once()


class PackageArchive(AskDesk):
    log: UnitLog  # type: ignore[assignment]
    """`package(answer)` builds and signs one."""

    trust = AnchorTrust()

    def __init__(self, directory: Path, *, carries: bool = False) -> None:
        self.open(UnitLog.make(directory, carries=carries))

    @property
    def now_ns(self) -> int:
        return self.log.clock.unix_ns()

    @property
    def origin(self) -> str:
        return self.log.engine.origin

    def change_key(self) -> None:
        self.seal_roots()
        self.stop()
        self.log.change_key()
        self.open(self.log)
        self.log.index()
        while not self.log.former.is_complete:
            assert self.log.former.run_once()

    def stop(self) -> None:
        for writer in (self.audit_writer, self.cases_writer):
            self.log.writers.remove(writer)
            writer.close()
        self.operators._database.close()

    def seal_roots(self) -> None:
        self.log.index()
        self.log.seal_roots()
        self.log.index()

    def next_day(self) -> None:
        to_next_day(self.log)
        self.line("good morning")
        self.log.seal_carries()
        self.log.index()
        self.log.clock.advance(6 * 3600)

    def line(self, text: str) -> int:
        return self.log.put("collector", (SYSLOG, f"<13>1 - gw app - - - {text}".encode()))

    def conntrack(self, event: str, inside: str = INSIDE, port: int = PORT, *others: str) -> int:
        """A line of conntrack, among `others` of other people."""
        moment = self.now_ns / NS
        tuples = f"src={inside} dst={SERVER} sport=5000 dport=443 src={SERVER} dst={OUTSIDE} sport=443 dport={port}"
        text = f"<30>conntrack: [{moment:.6f}] [{event}] tcp 6 120 SYN_SENT {tuples} id=77"
        return self.log.put("collector", *((SYSLOG, one.encode()) for one in (*others, text)))

    def nat(self, event: int, *inside: str, ports: tuple[int, ...] = ()) -> int:
        """One IPFIX datagram with a translation for each inside address."""
        numbers = ports or tuple(PORT + n for n in range(len(inside)))
        sessions = [
            nat_datagrams.session(self.now_ns, event, one, OUTSIDE, port)
            for one, port in zip(inside, numbers, strict=True)
        ]
        return self.log.put("collector", nat_datagrams.message(self.now_ns, nat_datagrams.SESSION, *sessions))

    def login(self, event: Any, account: str = "somchai", address: str = INSIDE, **more: Any) -> int:
        values: dict[str, Any] = {
            "kind": "portal", "account": account, "session_id": f"p-{account}", "address": address, **more,
        }  # fmt: skip
        return self.log.put("portal", ("session", encode_session_event(event, self.now_ns, **values)))

    def person(self, account: str, name: str) -> int:
        values = {"account": account, "person": name, "actor": "admin", "details": {}}
        return self.log.put("identity", ("identity", encode_event("account_created", self.now_ns, values)))

    def who(self, at_ns: int, port: int = PORT) -> dict[str, Any]:
        return self.ask("who", address=OUTSIDE, port=port, at=format_iso(at_ns, ZONE), tolerance_seconds=10)

    def sources(self) -> PackageSources:
        used = self.log.decoding

        @contextmanager
        def decoding() -> Iterator[Any]:
            yield lambda request: decode_with(
                make_chunk_decoder(used.zone, used.networks, used.listeners), request
            )  # fmt: skip

        return PackageSources(self.log.paths, self.log.logs, used, decoding, self.trust)

    def facts(self) -> PackageFacts:
        made_at = format_iso(self.now_ns, ZONE)
        return PackageFacts(
            "2026-11-20-abcdef", "title", "letter 1/2569", "malee", made_at, "Office", "phayan 1", self.now_ns, ZONE
        )

    def build(self, answer: dict[str, Any]) -> BuiltPackage:
        self.seal_roots()
        return build_package(self.sources(), answer, self.facts())

    def sign(self, bag: dict[str, bytes]) -> dict[str, bytes]:
        """The bag with the signature of the log's real key, whatever is in it."""
        return signed(bag, self.log.keys, self.now_ns)

    def package(self, answer: dict[str, Any]) -> dict[str, bytes]:
        return self.sign(self.build(answer).bag)


def signed(bag: dict[str, bytes], keys: Any, unix_ns: int) -> dict[str, bytes]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    manifest = bag["tagmanifest-sha256.txt"]
    attributes = make_signed_attributes(manifest, format_utc_time(unix_ns))
    value = keys.package.sign(_as_set(attributes), ec.ECDSA(hashes.SHA256()))
    return {**bag, SIGNATURE: make_cms(keys.certificate, attributes, value)}


def write_zip(path: Path, files: dict[str, bytes], folder: str = FOLDER) -> Path:
    path.write_bytes(zip_package(folder, files))
    return path


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return path


def with_name(facts: PackageFacts, identifier: str) -> PackageFacts:
    return replace(facts, identifier=identifier)
