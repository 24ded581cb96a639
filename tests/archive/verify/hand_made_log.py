"""A small archive made by hand from docs/FORMAT.md, without any of the writer's code, to verify and to
damage.
"""

import base64
import hashlib
import json
import os
import random
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import rfc8785
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

ORIGIN = "phayan.example/test"
FIRST_UNIX_NS = 1_795_000_000 * 1_000_000_000
DAY_NS = 86_400 * 1_000_000_000
STREAMS = ("collector", "radius", "audit")
BOOT_ID = "6c1c3b1e-0000-4000-8000-000000000001"


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 as it is written: split at the largest power of two below n."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root_of(hashes[:split]), root_of(hashes[split:]))


def number_path(number: int) -> str:
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([f"x{group}" for group in groups[:-1]] + [groups[-1]])


def encode_bundle(leaves: list[bytes]) -> bytes:
    content = b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in leaves)
    frame = zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress(content)
    return frame + bytes.fromhex("502a4d18") + struct.pack("<I", 32) + hashlib.sha256(frame).digest()


def day_of(unix_ns: int) -> str:
    days = unix_ns // DAY_NS
    assert FIRST_UNIX_NS // DAY_NS <= days <= FIRST_UNIX_NS // DAY_NS + 20
    return f"202611{18 + days - FIRST_UNIX_NS // DAY_NS:02d}"


def put(path: Path, data: bytes) -> None:
    """Write by rename, as a reader may be looking."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def encode_chunk(payloads: list[bytes]) -> bytes:
    """The stored frame of a chunk (docs/FORMAT.md, "Chunk and segment")."""
    name = pa.dictionary(pa.int8(), pa.string())
    n = len(payloads)
    columns = {
        "received_unix_ns": pa.array([FIRST_UNIX_NS] * n, pa.int64()),
        "source_address": pa.array([bytes(16)] * n, pa.binary(16)),
        "source_port": pa.array([1] * n, pa.uint16()),
        "transport": pa.array(["udp"] * n).dictionary_encode().cast(name),
        "listener": pa.array(["syslog/udp-5514"] * n).dictionary_encode().cast(name),
        "truncated": pa.array([False] * n, pa.bool_()),
        "payload": pa.array(payloads, pa.binary()),
    }
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    compressor = zstandard.ZstdCompressor(write_checksum=True, write_content_size=True)
    return compressor.compress(sink.getvalue().to_pybytes())


def encode_part(leaf: int, generation: int, units: list[list[bytes]], *, checksum: bool = True) -> bytes:
    """A part of a units file (docs/FORMAT.md, "Records roots")."""
    lengths = [len(unit) for record in units for unit in record]
    plain = struct.pack("<QIII", leaf, generation, len(units), len(lengths))
    plain += b"".join(struct.pack("<I", number) for number in [*map(len, units), *lengths])
    frame = zstandard.ZstdCompressor(write_checksum=checksum).compress(plain)
    return struct.pack("<I", len(frame)) + frame


def records_root(key: bytes, leaf: int, generation: int, units: list[bytes]) -> bytes:
    """Each salt by itself, as it is written: AES-256 in ECB mode of one block."""
    hashes = []
    for number, unit in enumerate(units):
        encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305
        salt = encryptor.update(struct.pack(">QII", leaf, generation, number))
        hashes.append(hashlib.sha256(b"\x00" + salt + unit).digest())
    return root_of(hashes)


@dataclass
class HandMadeWitness:
    """A witness by C2SP tlog-cosignature, cosignature/v1."""

    name: str
    seed: int = 5

    def __post_init__(self) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(random.Random(f"{self.name} {self.seed}").randbytes(32))
        blob = b"\x04" + self.key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(self.name.encode() + b"\n" + blob).digest()[:4]
        self.vkey = f"{self.name}+{self.key_id.hex()}+{base64.b64encode(blob).decode()}"

    def cosign(self, checkpoint: bytes, seconds: int) -> bytes:
        """The signature line with its newline."""
        body = checkpoint[: checkpoint.index(b"\n\n") + 1]
        signature = self.key.sign(b"cosignature/v1\ntime %d\n" % seconds + body)
        blob = self.key_id + struct.pack(">Q", seconds) + signature
        return f"\u2014 {self.name} {base64.b64encode(blob).decode()}\n".encode()


@dataclass
class HandMadeLog:
    """`directory` is DIR. Leaves are appended in memory; `publish` writes tree and heads like the sealer."""

    directory: Path
    seed: int = 1
    origin: str = ORIGIN
    former: dict[str, str] | None = None
    leaves: list[bytes] = field(default_factory=list)
    _last: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    _ends: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.key = Ed25519PrivateKey.from_private_bytes(self.random.randbytes(32))
        blob = b"\x01" + self.key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(self.origin.encode() + b"\n" + blob).digest()[:4]
        self.vkey = f"{self.origin}+{self.key_id.hex()}+{base64.b64encode(blob).decode()}"
        self.log = self.directory / "log"
        self.head_path = self.directory.with_name(self.directory.name + ".head")
        put(self.log / "origin", f"{self.origin}\n".encode())
        put(self.log / "key.vkey", f"{self.vkey}\n".encode())
        self.now_unix_ns = FIRST_UNIX_NS
        certificate = hashlib.sha256(b"certificate").hexdigest()
        self.append(
            "key",
            vkey=self.vkey,
            package_certificate_sha256=certificate,
            unix_ns=str(self.now_unix_ns),
            former=self.former,
        )

    def append(self, kind: str, **fields: Any) -> int:
        self.leaves.append(rfc8785.dumps({"v": 1, "kind": kind, "log": self.origin, **fields}))
        return len(self.leaves) - 1

    def clock(self) -> dict[str, str]:
        self.now_unix_ns += 1_000_000_000
        return {
            "unix_ns": str(self.now_unix_ns),
            "monotonic_ns": str(self.now_unix_ns - FIRST_UNIX_NS),
            "boot_id": BOOT_ID,
        }

    def spool_fields(self, stream: str) -> dict[str, Any]:
        known = self._last.get(stream)
        return {
            "stream": stream,
            "spool_sequence": 0 if known is None else known[1] + 1,
            "writer": f"writer-{stream}",
            "opened": self.clock(),
            "closed": self.clock() if self.random.random() < 0.9 else None,
            "dropped": {},
            "torn_bytes": 0,
            "previous": None if known is None else {"leaf": known[0], "hash": known[2].hex()},
        }

    def remember(self, stream: str, leaf: int, sequence: int) -> None:
        self._last[stream] = leaf, sequence, hashlib.sha256(b"\x00" + self.leaves[leaf]).digest()

    def append_empty(self, stream: str, **changes: Any) -> int:
        fields = self.spool_fields(stream) | changes
        leaf = self.append("empty", **fields)
        self.remember(stream, leaf, fields["spool_sequence"])
        return leaf

    def append_data(self, stream: str, chunk: bytes | None = None, number: int = 0, **changes: Any) -> int:
        """Append a chunk (random bytes) to the stream's segment `number` of today, and its leaf."""
        chunk = self.random.randbytes(self.random.randint(40, 200)) if chunk is None else chunk
        fields = self.spool_fields(stream)
        last = self.now_unix_ns
        segment = f"{stream}/{day_of(last)}/{number:06d}.seg"
        offset = self._ends.get(segment, 0)
        path = self.log / "segments" / segment
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(chunk)
        self._ends[segment] = offset + len(chunk)
        fields |= {
            "segment": segment,
            "offset": offset,
            "length": len(chunk),
            "sha256": hashlib.sha256(chunk).hexdigest(),
            "records": self.random.randint(1, 9),
            "first_unix_ns": str(last - 1_000),
            "last_unix_ns": str(last),
        } | changes
        leaf = self.append("data", **fields)
        self.remember(stream, leaf, fields["spool_sequence"])
        return leaf

    def append_heartbeat(self) -> int:
        return self.append("heartbeat", **self.clock())

    def append_clock(self, *samples: tuple[bool, int | None], step: dict[str, str] | None = None) -> int:
        """A sample for each (synchronised, offset_ns), a minute after the one before."""
        found = []
        for synchronised, offset_ns in samples:
            self.now_unix_ns += 60_000_000_000
            moment = {name: value for name, value in self.clock().items() if name != "boot_id"}
            state = {"synchronised": synchronised, "offset_ns": offset_ns, "dispersion_ns": None, "source": "kernel"}
            found.append(moment | state)
        return self.append("clock", boot_id=BOOT_ID, step=step, samples=found)

    def append_witnessed(self, witness: "HandMadeWitness", size: int, **changes: Any) -> int:
        """An anchor leaf: `witness` saw the head of `size` leaves of this log."""
        checkpoint = changes.pop("of", self).checkpoint(size).decode()
        self.now_unix_ns += 10**9
        seconds = self.now_unix_ns // 10**9
        fields = {
            "by": "witness",
            "name": witness.name,
            "checkpoint": checkpoint,
            "unix_ns": str(seconds * 10**9),
            "vkey": witness.vkey,
            "evidence": witness.cosign(checkpoint.encode(), seconds).decode().removesuffix("\n"),
        }
        return self.append("anchor", **fields | changes)

    def append_stamped(self, name: str, size: int, response: bytes, unix_ns: int, **changes: Any) -> int:
        """An anchor leaf: the time stamp authority `name` stamped the head of `size` leaves."""
        fields = {
            "by": "timestamp_authority",
            "name": name,
            "checkpoint": self.checkpoint(size).decode(),
            "unix_ns": str(unix_ns),
            "vkey": "",
            "evidence": base64.b64encode(response).decode(),
        }
        return self.append("anchor", **fields | changes)

    def append_records_chunk(self, stream: str, payloads: list[bytes], **changes: Any) -> int:
        """A chunk as docs/FORMAT.md describes it, of records with these payloads."""
        return self.append_data(stream, encode_chunk(payloads), records=len(payloads), **changes)

    def salt_key(self, folder: str) -> bytes:
        """Key of the salts of a folder below `log/segments`, made at its first use."""
        path = self.log / "segments" / folder / "salt.key"
        if not path.exists():
            put(path, self.random.randbytes(32))
        return path.read_bytes()

    def append_roots(self, parts: list[tuple[int, int, list[list[bytes]]]], **changes: Any) -> int:
        """A records leaf and its units file: data leaf, generation and the units of each record."""
        first = json.loads(self.leaves[parts[0][0]])
        folder = first["segment"].rpartition("/")[0]
        content, roots = b"", []
        for leaf, generation, units in parts:
            content += encode_part(leaf, generation, units)
            key = self.salt_key(json.loads(self.leaves[leaf])["segment"].rpartition("/")[0])
            flat = [unit for record in units for unit in record]
            root = records_root(key, leaf, generation, flat).hex()
            roots.append({"leaf": leaf, "generation": generation, "units": len(flat), "root": root})
        file = f"{folder}/{len(self.leaves):012d}.units"
        put(self.log / "segments" / file, content)
        sha256 = hashlib.sha256(content).hexdigest()
        fields = {"stream": first["stream"], "file": file, "sha256": sha256, "roots": roots}
        return self.append("records", **fields | changes)

    def fill(self, size: int) -> "HandMadeLog":
        """Leaves of every kind up to `size`, over two days and two segments of one day."""
        while len(self.leaves) < size:
            choice = len(self.leaves)
            if choice % 40 == 7:
                self.append_heartbeat()
            elif choice % 40 == 9:
                self.append_empty(STREAMS[choice % 3])
            else:
                self.append_data(STREAMS[choice % 3], number=choice // 200 if choice < 300 else 5)
            if choice == 300:
                self.now_unix_ns += DAY_NS
        return self

    def checkpoint(self, size: int, leaves: list[bytes] | None = None) -> bytes:
        """The signed checkpoint of the first `size` leaves."""
        hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in (leaves or self.leaves)[:size]]
        return self.sign_root(size, root_of(hashes))

    def sign_root(self, size: int, root: bytes) -> bytes:
        return self.sign(f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n")

    def sign(self, text: str) -> bytes:
        signature = base64.b64encode(self.key_id + self.key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {self.origin} {signature}\n".encode()

    def write_bundle(self, index: int, leaves: list[bytes]) -> Path:
        partial = "" if len(leaves) == 256 else f".p/{len(leaves)}"
        path = self.log / "tile" / "entries" / f"{number_path(index)}{partial}.zst"
        put(path, encode_bundle(leaves))
        return path

    def write_tree(self, size: int | None = None, leaves: list[bytes] | None = None) -> None:
        """Bundles and tiles of the first `size` leaves."""
        leaves = (leaves or self.leaves)[:size]
        for index in range(-(-len(leaves) // 256)):
            self.write_bundle(index, leaves[256 * index : 256 * index + 256])
        level, hashes = 0, [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
        while hashes:
            for index in range(-(-len(hashes) // 256)):
                part = hashes[256 * index : 256 * index + 256]
                partial = "" if len(part) == 256 else f".p/{len(part)}"
                put(self.log / "tile" / str(level) / f"{number_path(index)}{partial}", b"".join(part))
            full = len(hashes) // 256
            hashes = [root_of(hashes[256 * index : 256 * index + 256]) for index in range(full)]
            level += 1

    def publish(self, size: int | None = None) -> "HandMadeLog":
        """Tree, then DIR.head, then log/checkpoint."""
        size = len(self.leaves) if size is None else size
        self.write_tree(size)
        put(self.head_path, self.checkpoint(size))
        put(self.log / "checkpoint", self.checkpoint(size))
        return self
