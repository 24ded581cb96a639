"""Checks an archive from docs/FORMAT.md and the public standards alone, with no code of the product.

python second_verifier.py DATA HEAD [--checkpoint FILE]... [--witness VKEY]...: 0 intact, 1 defects, 2 could not run.
"""

import argparse
import contextlib
import json
import re
import ssl
import struct
import sys
import time
from base64 import b64decode
from hashlib import sha256
from itertools import accumulate, islice, pairwise
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

DEFECTS: list[str] = []
MINUTE, DAY = 60 * 10**9, 86_400 * 10**9
BASE64 = "((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?)"  # RFC 4648, 3.5
FILED = "closed dropped kind log opened previous spool_sequence stream torn_bytes v writer "
FIELDS = {  # of leaves by kind, and of the objects in them by name
    "key": "former kind log package_certificate_sha256 unix_ns v vkey", "former": "checkpoint origin vkey why",
    "data": FILED + "first_unix_ns last_unix_ns length offset records segment sha256", "empty": FILED,
    "opened": "boot_id monotonic_ns unix_ns", "closed": "boot_id monotonic_ns unix_ns", "previous": "hash leaf",
    "heartbeat": "boot_id kind log monotonic_ns unix_ns v", "step": "from_unix_ns to_unix_ns",
    "outage": "boot_id cut_bytes from_unix_ns kind log to_unix_ns v why", "clock": "boot_id kind log samples step v",
    "samples[]": "dispersion_ns monotonic_ns offset_ns source synchronised unix_ns",
    "anchor": "by checkpoint evidence kind log name unix_ns v vkey", "records": "file kind log roots sha256 stream v",
    "roots[]": "generation leaf root units", "times": "age_leaf now_leaf",
    "successor": "kind log origin unix_ns v vkey",
    "purge": "age_unix_ns clock day held holds kind log previous retention_days streams unix_ns v",
    "streams[]": "bytes chunks first_leaf last_leaf records stream",
    "held": "file rows rows_file rows_sha256 sha256 units",
}  # fmt: skip


@contextlib.contextmanager
def part(file: object, leaf: int | str = "-"):  # whatever goes wrong inside is a defect of this file and leaf
    try:
        yield
    except Exception as error:
        DEFECTS.append(f"{' '.join((str(error) or repr(error)).split())}, {file}, leaf {leaf}")


def require(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(what)


def check_fields(value: object, name: str) -> None:
    """Checks that an object has exactly its fields, and that times and counts have their form."""
    if isinstance(value, dict) and name != "dropped":
        require(sorted(FIELDS[name].split()) == sorted(value), f"fields of {name} are not those of the format")
        for key, one in value.items():
            check_fields(one, "times" if name == "purge" and key == "clock" else key)
    for one in value if f"{name}[]" in FIELDS else ():
        check_fields(one, f"{name}[]")
    decimal = not name.endswith("_ns") or name in ("offset_ns", "dispersion_ns")
    require(decimal or re.fullmatch("0|-?[1-9][0-9]{0,18}", value), f"{name} is not a decimal number")


class Key:
    """A verifier key (C2SP signed-note): Ed25519 (1), or a witness's cosignature key (4, C2SP tlog-cosignature)."""

    def __init__(self, text: str, kind: int = 4) -> None:
        match = re.fullmatch(rf"([^\s+]+)\+([0-9a-f]{{8}})\+{BASE64}", text)
        self.text, self.kind, self.name, raw = text, kind, match[1], b64decode(match[3])
        self.id = sha256(f"{self.name}\n".encode() + raw).digest()[:4]
        self.public = Ed25519PublicKey.from_public_bytes(raw[1:])
        require(raw[0] == kind and match[2] == self.id.hex(), "verifier key has a wrong type or id")


class Note:
    """A checkpoint (C2SP tlog-checkpoint): a signed note (C2SP signed-note) of origin, size and root."""

    def __init__(self, data: bytes, only: Key | None = None) -> None:
        line = rf"— ([^\s+]+) {BASE64}\n"
        match = re.fullmatch(rf"(([^\s+]+)\n(0|[1-9][0-9]{{0,15}})\n{BASE64}\n)\n(({line})+)", data.decode())
        self.body, self.origin, self.size, self.root = match[1].encode(), match[2], int(match[3]), b64decode(match[4])
        self.signatures = [(name, b64decode(blob)) for name, blob in re.findall(line, match[5])]
        alone = not only or (self.origin == only.name and len(self.signatures) == 1 and self.check(only))
        require(alone, "checkpoint is not signed by the log's key alone")

    def check(self, key: Key) -> list[int]:
        """Checks the signatures of a key; the times that cosignatures state, in seconds."""
        found = [blob[4:] for name, blob in self.signatures if (name, blob[:4]) == (key.name, key.id)]
        for signature in found:
            time_line = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big")
            key.public.verify(*((signature[8:], time_line + self.body) if key.kind == 4 else (signature, self.body)))
        return [int.from_bytes(signature[:8], "big") for signature in found]


def root_of(hashes: list[bytes], low: int, high: int, memo: dict) -> bytes:
    """The Merkle tree hash of entries low to high (RFC 6962, 2.1)."""
    if high - low < 2:
        return hashes[low] if high > low else sha256().digest()
    if (low, high) not in memo:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        left, right = root_of(hashes, low, middle, memo), root_of(hashes, middle, high, memo)
        memo[low, high] = sha256(b"\1" + left + right).digest()
    return memo[low, high]


def climb(computed: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    last = size - 1
    require(0 <= index < size, "no such unit")
    for one in path:
        require(last and len(one) == 32, "inclusion proof is too long")
        if index & 1 or index == last:
            computed = sha256(b"\1" + one + computed).digest()
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            computed = sha256(b"\1" + computed + one).digest()
        index, last = index >> 1, last >> 1
    require(not last, "inclusion proof is too short")
    return computed


def unzstd(data: bytes) -> bytes:
    """The content of exactly one zstd frame with content size and checksum (RFC 8878, 3.1.1)."""
    frame, reader = zstandard.get_frame_parameters(data), zstandard.ZstdDecompressor().decompressobj()
    require(frame.has_checksum and frame.content_size < 2**40, "zstd frame lacks its size or its checksum")
    content = reader.decompress(data)
    require(reader.eof and not reader.unused_data, "not exactly one zstd frame")
    return content


def field(data: bytes, table: int, number: int, form: str = "<I") -> int:
    """A field of a flatbuffer's table, 0 if it is not there; of an offset the place it leads to."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    known = 4 + 2 * number < struct.unpack_from("<H", data, vtable)[0]
    place = table + struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0] if known else table
    value = struct.unpack_from(form, data, place)[0] if place > table else 0
    return place + value if value and form == "<I" else value


def read_chunk(folder: Path, leaf: dict) -> tuple[list[int], list[bytes]]:
    """Arrival times and payloads of a chunk (Arrow columnar format: IPC streaming format, Message.fbs)."""
    with open(folder / "segments" / leaf["segment"], "rb") as file:
        file.seek(leaf["offset"])
        chunk, at, arrivals, payloads = file.read(leaf["length"]), 0, [], []
    require(sha256(chunk).hexdigest() == leaf["sha256"], "SHA-256 of the chunk is wrong")
    data = unzstd(chunk)
    while (mark := struct.unpack_from("<II", data, at)) != (0xFFFFFFFF, 0):
        meta, at = data[at + 8 : at + 8 + mark[1]], at + 8 + mark[1]
        message = struct.unpack_from("<I", meta)[0]
        kind, header, length = field(meta, message, 1, "<B"), field(meta, message, 2), field(meta, message, 3, "<q")
        require(0 <= length <= len(data) - at, "Arrow message is damaged")
        body, at = data[at : at + length], at + length
        if kind == 3:  # a record batch: buffers 1, 13, 14 are the times, and the offsets and bytes of the payloads
            count, *spans = struct.unpack_from("<I30q", meta, field(meta, header, 2))
            times, ends, texts = (body[spans[2 * n] : spans[2 * n] + spans[2 * n + 1]] for n in (1, 13, 14))
            batch = [texts[start:end] for start, end in pairwise(struct.unpack(f"<{len(ends) // 4}i", ends))]
            require(count == 15 and b"".join(batch) == texts, "columns are not those of a chunk")
            arrivals, payloads = [*arrivals, *struct.unpack(f"<{len(batch)}q", times)], payloads + batch
    require(at + 8 == len(data), "chunk goes on after its Arrow stream")
    return arrivals, payloads


class Log:
    def __init__(self, folder: Path, head: Path, witnesses: list[Key]) -> None:
        self.folder, self.witnesses, self.key, self.leaves, self.hashes = folder, witnesses, None, [], []
        self.tree, self.last, self.ends = {}, {}, {}  # hashes of the tree; stream -> last leaf; segment -> its end
        self.gone, self.kept, self.purges = {}, {}, {}  # purged ranges; what is not purged; day -> last purge leaf
        self.samples, self.boots, self.jumps = [], {}, []  # jumps: [leaf, calm nanoseconds, leaf that ended it]
        with part(folder / "key.vkey"):
            origin, text = ((folder / name).read_bytes().decode() for name in ("origin", "key.vkey"))
            self.key = Key(text[:-1], 1)
            require(origin + text == f"{self.key.name}\n{self.key.text}\n", "origin or key is not one line of one name")
        for path in (folder / "checkpoint", head):  # in this order, for the head is written first
            with part(path):
                note = Note(path.read_bytes(), self.key)
                require(note.size >= len(self.leaves), "head is behind the checkpoint")
                self.check_tiles(note.size)
                self.check_root(note)
        for index, leaf in enumerate(self.leaves):
            for one in leaf.get("streams", ()):
                folder_name = f"{one['stream']}/{leaf['day']}"
                self.gone.setdefault(folder_name, []).append((one["first_leaf"], min(one["last_leaf"], index)))
        for index, leaf in enumerate(self.leaves):
            with part(folder / "segments" / leaf.get("segment", leaf.get("file", "")), index):
                self.check_leaf(index, leaf)
        for index, leaf in self.purges.values():
            with part(folder / "held" / leaf["day"], index):
                self.check_held(index, leaf)

    def is_gone(self, *numbers: int) -> bool:
        """Whether purge leaves list all these data leaves."""
        names = [(number, self.leaves[number]["segment"].rpartition("/")[0]) for number in numbers]
        return all(any(a <= n <= z for a, z in self.gone.get(name, ())) for n, name in names)

    def check_tiles(self, size: int) -> None:
        """Every tile and bundle that a tree of this size has, the partial ones too (C2SP tlog-tiles)."""
        require(size <= 256 * sum(1 for _ in (self.folder / "tile").rglob("*")), f"fewer tiles than for {size} leaves")
        self.leaves += [{}] * (size - len(self.leaves))
        self.hashes += [bytes(32)] * (size - len(self.hashes))
        for level in range(-1, 8):  # -1 are the entries
            for start in range(0, size >> 8 * max(level, 0), 256):
                end = min(start + 256, size >> 8 * max(level, 0))
                digits = re.sub("(...)(?=.)", r"x\1/", str(start >> 8).zfill((len(str(start >> 8)) + 2) // 3 * 3))
                name = digits if end == start + 256 else f"{digits}.p/{end - start}"
                path = self.folder / "tile" / (f"{level}/{name}" if level >= 0 else f"entries/{name}.zst")
                with part(path):
                    if level < 0:
                        self.read_bundle(path, start, end)
                        continue
                    spans = [(n << 8 * level, n + 1 << 8 * level) for n in range(start, end)]
                    row = b"".join(root_of(self.hashes, *span, self.tree) for span in spans)
                    require(path.read_bytes() == row, "tile is not that of the leaves")

    def read_bundle(self, path: Path, start: int, end: int) -> None:
        """A bundle (C2SP tlog-tiles) of leaves: canonical JSON (RFC 8785), with exactly the fields of their kind."""
        data, bundle, at = path.read_bytes(), [], 0
        require(data[-40:] == b"\x50\x2a\x4d\x18\x20\0\0\0" + sha256(data[:-40]).digest(), "bundle's SHA-256 is wrong")
        content = unzstd(data[:-40])
        while at < len(content):
            bundle.append(content[at + 2 : at + 2 + int.from_bytes(content[at : at + 2], "big")])
            at += 2 + len(bundle[-1])
        require(len(bundle) == end - start, "bundle is not as wide as its name says")
        for index, data in enumerate(bundle, start):
            self.hashes[index] = sha256(b"\0" + data).digest()
            with part(path, index):
                leaf = json.loads(data, parse_int=lambda text: int(text) if abs(int(text)) < 2**53 else None)
                text = json.dumps(leaf, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
                require(text.encode() == data and (leaf["log"], leaf["v"]) == (self.key.name, 1), "not canonical")
                check_fields(leaf, leaf["kind"])
                self.leaves[index] = leaf

    def check_root(self, note: Note) -> None:
        right = note.size <= len(self.leaves) and note.root == root_of(self.hashes, 0, note.size, self.tree)
        require(right, f"root of {note.size} leaves is not that of the tree, which has {len(self.leaves)}")

    def check_leaf(self, index: int, leaf: dict) -> None:
        kind, stream, sequence = leaf.get("kind"), leaf.get("stream"), leaf.get("spool_sequence")
        require((index == 0) == (kind == "key"), "leaf 0 and no other is of kind key")
        if kind == "key":
            pem = (self.folder / "package.crt").read_bytes().decode()
            der = ssl.PEM_cert_to_DER_cert(pem)
            same = (leaf["vkey"], leaf["package_certificate_sha256"]) == (self.key.text, sha256(der).hexdigest())
            require(same and pem == ssl.DER_cert_to_PEM_cert(der), "key or package.crt is not that of leaf 0")
        if kind in ("data", "empty"):
            before, self.last[stream] = self.last.get(stream), (index, sequence)
            link = before and {"leaf": before[0], "hash": self.hashes[before[0]].hex()}
            require(leaf["previous"] == link, "previous is not the stream's leaf before")
            require(not before or sequence == before[1] + 1, "spool_sequence does not grow by one")
        if kind in ("clock", "heartbeat", "outage"):
            self.boots.setdefault(leaf["boot_id"], index)
        getattr(self, f"check_{kind}", lambda *_: None)(index, leaf)

    def check_successor(self, index: int, leaf: dict) -> None:
        require(index == len(self.leaves) - 1, "leaves follow the one that names a successor")
        require(Key(leaf["vkey"], 1).name == leaf["origin"], "the successor's key has another name")

    def check_clock(self, index: int, leaf: dict) -> None:
        step = leaf["step"]
        require(not step or int(step["from_unix_ns"]) > int(step["to_unix_ns"]), "step is not backwards")
        for one in leaf["samples"]:
            wall, ticks = int(one["unix_ns"]), int(one["monotonic_ns"])
            self.samples.append((index, leaf["boot_id"], wall, ticks, one["synchronised"]))
            _, boot, wall_before, ticks_before, synchronised = (self.samples[-2:] or [None])[0]
            gone, passed, same = wall - wall_before, ticks - ticks_before, boot == leaf["boot_id"]
            if abs(gone - passed) > MINUTE if same else not -MINUTE <= gone <= 60 * DAY:
                self.jumps.append([index, 0, None])
            elif self.jumps and same and one["synchronised"] and synchronised and 0 <= passed <= 180 * MINUTE:
                self.jumps[-1][1] += passed
                self.jumps[-1][2] = self.jumps[-1][2] or (index if self.jumps[-1][1] >= 7 * DAY else None)

    def age_of(self, number: int, before: int) -> tuple[int, int]:
        """When the age of a folder that ends with this data leaf starts, and the clock leaf that says so."""
        leaf, known = self.leaves[number], [one for one in self.samples if one[4] and one[0] < before]
        if start := leaf["closed"] or leaf["opened"]:
            ticks = int(start["monotonic_ns"]) + (0 if leaf["closed"] else DAY)
            same = [one for one in known if one[1] == start["boot_id"] and one[3] >= ticks]
            if same:
                first = min(same, key=lambda one: one[3])
                return first[2] - (first[3] - ticks), first[0]
        later = [one for one in known if one[0] > number and self.boots[one[1]] > number]
        require(later, "no clock tells the age of what was purged")
        return later[0][2], later[0][0]

    def check_purge(self, index: int, leaf: dict) -> None:
        streams, day, now = [one["stream"] for one in leaf["streams"]], leaf["day"], int(leaf["unix_ns"])
        before, self.purges[day] = self.purges.get(day), (index, leaf)
        require(leaf["previous"] == (before and before[0]), "previous is not the day's purge before")
        require(streams == sorted(set(streams) - {"identity", "cases"}), "streams are not those of a purge")
        require(leaf["holds"] == sorted(set(leaf["holds"])), "holds are not sorted")
        for one in leaf["streams"]:
            found = self.kept.pop(f"{one['stream']}/{day}", None)
            names = ("first_leaf", "last_leaf", "chunks", "records", "bytes")
            require(found == [one[name] for name in names], f"what is purged of {one['stream']} is not what was there")
        ages = [self.age_of(one["last_leaf"], index) for one in leaf["streams"]]
        age, stated = ages and max(ages), (int(leaf["age_unix_ns"]), leaf["clock"]["age_leaf"])
        if not ages:
            require(before, "nothing is purged")
            age = int(before[1]["age_unix_ns"]), before[1]["clock"]["age_leaf"]
        require(age == stated, "age is not what the clock leaves tell")
        require(leaf["retention_days"] >= 90 and now >= age[0] + leaf["retention_days"] * DAY, "purged too early")
        known = [(one[0], one[2]) for one in self.samples if one[4]]
        require((leaf["clock"]["now_leaf"], now) in known, "no sample states the present")
        jumps = [jump for jump in self.jumps if jump[0] <= leaf["clock"]["now_leaf"]]
        require(not jumps or jumps[-1][2], "the clock has jumped")

    def check_held(self, index: int, leaf: dict) -> None:
        """What holds keep: each unit leads to the root of its chunk."""
        if not (held := leaf["held"]):
            return
        contents = [(self.folder / held[name]).read_bytes() for name in ("file", "rows_file")]
        names = [f"held/{leaf['day']}/{index:012}.{kind}" for kind in ("held", "rows")]
        require(names == [held["file"], held["rows_file"]], "held file has a wrong name")
        sums = [sha256(content).hexdigest() for content in contents]
        require(
            sums == [held["sha256"], held["rows_sha256"]] and unzstd(contents[1]) is not None, "held file is changed"
        )
        lines, count, end, place = unzstd(contents[0]).splitlines(keepends=True), 0, 0, (-1, -1)
        head, *values = [json.loads(line) for line in lines]
        require(
            head == {"day": leaf["day"], "leaf": index, "log": self.key.name, "v": 1}, "head of the held file is wrong"
        )
        for value in values:
            if record := value.get("record"):
                number, target = record["leaf"], self.leaves[:index][record["leaf"]]
                require(place < (number, record["row"]) and end is not None, "held records are not in order")
                place, end, length = (number, record["row"]), None, record["length"]
                inside = int(target["first_unix_ns"]) <= int(record["received_unix_ns"]) <= int(target["last_unix_ns"])
                day = target["segment"].split("/")[1]
                require(
                    inside and record["row"] < target["records"] and day == leaf["day"], "no such record was purged"
                )
                require(self.is_gone(number), "a held record was not purged")
                continue
            data, path = b64decode(value["data"]), [b64decode(one) for one in value["path"]]
            require(
                (value["leaf"], value["row"]) == place and value["offset"] >= (end or 0), "a held unit is out of place"
            )
            end, count = value["offset"] + len(data), count + 1
            hashed = sha256(b"\0" + bytes.fromhex(value["salt"]) + data).digest()
            root = climb(hashed, value["unit"], value["units"], path)
            keys = ("leaf", "generation", "units")
            roots = [
                one for one in self.leaves[value["records_leaf"]]["roots"] if all(one[k] == value[k] for k in keys)
            ]
            require(end <= length and root.hex() in [one["root"] for one in roots], "a held unit is not under its root")
        require(count == held["units"] and end is not None, "number of held units is wrong")

    def check_data(self, index: int, leaf: dict) -> None:
        segment, first, last = leaf["segment"], leaf["first_unix_ns"], leaf["last_unix_ns"]
        end, self.ends[segment] = self.ends.get(segment, 0), leaf["offset"] + leaf["length"]
        name = f"{leaf['stream']}/{time.strftime('%Y%m%d', time.gmtime(int(first) // 10**9))}/[0-9]{{6}}\\.seg"
        require(re.fullmatch(name, segment) and leaf["offset"] == end, "segment or offset is wrong")
        tally = self.kept.setdefault(segment.rpartition("/")[0], [index, index, 0, 0, 0])
        tally[1:] = index, tally[2] + 1, tally[3] + leaf["records"], tally[4] + leaf["length"]
        if self.is_gone(index) and not (self.folder / "segments" / segment).exists():
            return
        times, payloads = read_chunk(self.folder, leaf)
        if leaf["stream"] == "cases" and self.jumps and any(b'"clock_confirmed"' in one for one in payloads):
            events = [json.loads(one).get("event") for one in payloads if b'"clock_confirmed"' in one]
            self.jumps[-1][2] = self.jumps[-1][2] or ("clock_confirmed" in events and index) or None
        found = len(payloads), str(min(times)), str(max(times))
        require(found == (leaf["records"], first, last), "number of records, first or last arrival is wrong")

    def check_records(self, index: int, leaf: dict) -> None:
        path, at = self.folder / "segments" / leaf["file"], 0
        segments = [path.parents[2] / self.leaves[:index][root["leaf"]]["segment"] for root in leaf["roots"]]
        if self.is_gone(*(root["leaf"] for root in leaf["roots"])):
            if not all(one.exists() for one in (path, path.with_name("salt.key"), *segments)):
                return
        data, key = path.read_bytes(), path.with_name("salt.key").read_bytes()
        require(sha256(data).hexdigest() == leaf["sha256"], "SHA-256 of the units file is wrong")
        for root in leaf["roots"]:
            number, generation, total, of = root["leaf"], root["generation"], root["units"], f"of leaf {root['leaf']}"
            target = self.leaves[:index][number]
            name = f"{target['segment'].rpartition('/')[0]}/{index:012}.units"
            require(target["stream"] == leaf["stream"] and leaf["file"] == name, "units file has a wrong name")
            size, payloads = int.from_bytes(data[at : at + 4], "little"), read_chunk(self.folder, target)[1]
            content, at = unzstd(data[at + 4 : at + 4 + size]), at + 4 + size
            head, *numbers = struct.unpack(f"<20s{len(payloads) + total}I", content)
            require(head == struct.pack("<QIII", number, generation, len(payloads), total), f"part is not {of}")
            lengths, units = iter(numbers[len(payloads) :]), []
            for payload, count in zip(payloads, numbers, strict=False):
                cuts = [0, *accumulate(islice(lengths, count))]
                units += [payload[start:end] for start, end in pairwise(cuts)]
                require(cuts[1:] and cuts[-1] == len(payload), f"units {of} do not cut its payloads")
            require(len(units) == total == sum(numbers[: len(payloads)]), f"number of units {of} is wrong")
            blocks = b"".join(struct.pack(">QII", number, generation, n) for n in range(total))
            salts = Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(blocks)  # noqa: S305
            hashes = [sha256(b"\0" + salts[16 * n : 16 * n + 16] + unit).digest() for n, unit in enumerate(units)]
            require(root_of(hashes, 0, total, {}).hex() == root["root"], f"root of the units {of} is wrong")
        require(at == len(data), "units file has more parts than the leaf has roots")

    def check_anchor(self, index: int, leaf: dict) -> None:
        note = Note(leaf["checkpoint"].encode(), self.key)
        self.check_root(note)
        if self.jumps and abs(int(leaf["unix_ns"]) - self.samples[-1][2]) <= 60 * MINUTE:
            self.jumps[-1][2] = self.jumps[-1][2] or index
        if leaf["by"] == "witness":  # whose a time stamp is (RFC 3161) cannot be told without certificates
            witness, signed = Key(leaf["vkey"]), Note(note.body + f"\n{leaf['evidence']}\n".encode())
            known = [key.text for key in self.witnesses if key.name == leaf["name"]] or [witness.text]
            require(witness.name == leaf["name"] and witness.text in known, "vkey is not that of the witness")
            require([f"{n}000000000" for n in signed.check(witness)] == [leaf["unix_ns"]], "cosignature is wrong")


def check_archive(data: Path, head: Path, given: list, witnesses: list[Key]) -> None:
    """Checks all logs, the seams between them, and checkpoints outside of them."""
    logs = [Log(data / "log", head, witnesses)]
    for path in sorted(data.glob("former/*"), key=lambda path: -int(path.name)):
        former = logs[-1].leaves and logs[-1].leaves[0].get("former")
        is_restored = former and former["why"] == "restored"  # what is there may end before its newest head
        logs.append(Log(path / "log", path / ("log/checkpoint" if is_restored else "head"), witnesses))
    earlier = {log.key.text: log for log in logs[1:] if log.key}
    for log in logs:
        with part(log.folder, 0):
            if former := log.leaves[0]["former"]:
                if former["why"] == "moved" and former["vkey"] not in earlier:
                    continue
                before = earlier.pop(former["vkey"])
                note, last = Note(former["checkpoint"].encode(), before.key), before.leaves[-1]
                require(note.size >= len(before.leaves), "former log goes on behind the checkpoint that ends it")
                if former["why"] != "restored" or note.size == len(before.leaves):
                    before.check_root(note)
                successor = last["vkey"] if last["kind"] == "successor" else None
                fits = {"moved": successor == log.key.text, "key_changed": not successor, "restored": True}
                require(fits[former["why"]], "former log names another successor than this one")
    DEFECTS.extend(f"no log continues this one, {log.folder}, leaf -" for log in earlier.values())
    for file in given + [open(path, "rb") for path in data.glob("anchors/**/*.checkpoint")]:
        with part(file.name), file:
            note = Note(file.read())
            ours = [log for log in logs if log.key and note.origin == log.key.name and note.check(log.key)]
            require(ours, "checkpoint has no signature of a log of this archive")
            ours[0].check_root(note)
            for key in witnesses:
                note.check(key)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("--checkpoint", type=argparse.FileType("rb"), action="append", default=[])
    parser.add_argument("--witness", type=Key, action="append", default=[])
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder")
    check_archive(options.data, options.head, options.checkpoint, options.witness)
    sys.stdout.write("".join(f"{defect}\n" for defect in dict.fromkeys(DEFECTS)))
    sys.exit(1 if DEFECTS else 0)
