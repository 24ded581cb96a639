#!/usr/bin/env python3
"""Verify a Phayan evidence package: a folder, or the .zip it was handed over in.

    python3 verify_package.py PATH

Needs Python 3.9 or newer and the package `cryptography`; nothing of Phayan. Exit 0 verified, 1 does not
verify, 2 could not
run. Each step is numbered; every file and every byte of the package is covered by one of them.
"""

import base64
import csv
import hashlib
import io
import json
import os
import re
import sys
import zipfile

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_FILES = 20_000
MAX_TOTAL_BYTES = 8 * 1024**3
"""A package of more files or bytes is refused before it is read: no real one comes near."""

SIGNED = "tagmanifest-sha256.txt"
SIGNATURE = "tagmanifest-sha256.txt.p7s"
MANIFEST = "manifest-sha256.txt"
REQUIRED = (
    "bagit.txt",
    "bag-info.txt",
    MANIFEST,
    SIGNED,
    SIGNATURE,
    "VERIFY.txt",
    "data/checkpoint",
    "data/keys/log.vkey",
    "data/keys/package.crt",
    "data/leaves/0.json",
    "data/answer.csv",
)
_SAFE_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9._/-]{1,200}\Z")
_MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  (\S+)\Z")
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z")


class PackageError(Exception):
    """A package that does not verify: which file, and what is wrong with it."""

    def __init__(self, file, problem):
        super().__init__(f"{file}: {problem}")
        self.file = file


# 1. Reading: only plain files with harmless names, within limits.


def read_package(path):
    """Name -> bytes of every file. Raises PackageError; OSError when the path cannot be read."""
    return _read_folder(path) if os.path.isdir(path) else _read_zip(path)


def _check_name(name):
    if not _SAFE_PATH.match(name):
        raise PackageError(name, "a file of this name does not belong into a package")


def _read_folder(path):
    files = {}
    total = 0
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            full = os.path.join(folder, name)
            relative = os.path.relpath(full, path).replace(os.sep, "/")
            _check_name(relative)
            if os.path.islink(full) or not (os.path.isdir(full) or os.path.isfile(full)):
                raise PackageError(relative, "links and special files do not belong into a package")
        for name in names:
            full = os.path.join(folder, name)
            total += os.path.getsize(full)
            if len(files) >= MAX_FILES or total > MAX_TOTAL_BYTES:
                raise PackageError(name, "the package is too large")
            with open(full, "rb") as file:
                files[os.path.relpath(full, path).replace(os.sep, "/")] = file.read()
    return files


def _read_zip(path):
    with open(path, "rb") as file:
        stored = file.read()
    files = {}
    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_FILES or sum(e.file_size for e in entries) > MAX_TOTAL_BYTES:
                raise PackageError(os.path.basename(path), "the package is too large")
            folder = entries[0].filename.split("/")[0] if entries else ""
            for entry in entries:
                name = entry.filename[len(folder) + 1 :]
                _check_name(name)
                if name in files or not entry.filename.startswith(folder + "/"):
                    raise PackageError(name, "this name stands twice or outside the package's folder")
                files[name] = archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise PackageError(os.path.basename(path), f"not a sound zip file: {error}") from None
    if zip_package(folder, files) != stored:
        raise PackageError(os.path.basename(path), "the zip file is not as it was made (its own bytes differ)")
    return files


def zip_package(folder, files):
    """The one zip file these files make: stored, sorted, without dates."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, files[name])
    return sink.getvalue()


# 2. Manifests: exactly the listed files, with the listed hashes.


def _check_manifests(files):
    for name in REQUIRED:
        if name not in files:
            raise PackageError(name, "is missing")
    listed = _parse_manifest(files, MANIFEST)
    tags = _parse_manifest(files, SIGNED)
    for name in listed:
        if not name.startswith("data/"):
            raise PackageError(MANIFEST, f"lists {name}, which is no payload file")
    for name, digest in {**listed, **tags}.items():
        if name not in files:
            raise PackageError(name, "is missing")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise PackageError(name, "was changed: its SHA-256 is not the listed one")
    for name in files:
        if name not in listed and name not in tags and name not in (SIGNED, SIGNATURE):
            raise PackageError(name, "is in no manifest and does not belong to the package")
    if MANIFEST not in tags:
        raise PackageError(SIGNED, f"does not list {MANIFEST}")


def _parse_manifest(files, name):
    found = {}
    text = _text(files, name)
    if not text.endswith("\n"):
        raise PackageError(name, "does not end with a newline")
    for line in text[:-1].split("\n"):
        match = _MANIFEST_LINE.match(line)
        if not match or match[2] in found:
            raise PackageError(name, f"malformed or repeated line {line!r}")
        found[match[2]] = match[1]
    return found


def _text(files, name):
    try:
        return files[name].decode("utf-8")
    except UnicodeDecodeError:
        raise PackageError(name, "is not UTF-8") from None


# 3. The CMS signature over the tag manifest, by the certificate of the package. Everything in it but the
# signed attributes
#    and the signature itself is rebuilt and compared, so that no byte of it is free.

_OID = {
    "signed_data": bytes.fromhex("06092a864886f70d010702"),
    "data": bytes.fromhex("06092a864886f70d010701"),
    "sha256": bytes.fromhex("0609608648016503040201"),
    "ecdsa_sha256": bytes.fromhex("06082a8648ce3d040302"),
    "content_type": bytes.fromhex("06092a864886f70d010903"),
    "message_digest": bytes.fromhex("06092a864886f70d010904"),
}


def _der(tag, *parts):
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(body).to_bytes(size, "big") + body


def _take(data, position, tag):
    """(content, whole element, end) of the DER element at `position`."""
    if position + 2 > len(data) or data[position] != tag:
        raise ValueError("unexpected element")
    length, start = data[position + 1], position + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    end = start + length
    if end > len(data):
        raise ValueError("element is cut")
    return data[start:end], data[position:end], end


def _signer_parts(signature):
    """(signed attributes, signature value) of a CMS with one signer."""
    content, _, _ = _take(signature, 0, 0x30)
    _, _, after = _take(content, 0, 0x06)
    explicit, _, _ = _take(content, after, 0xA0)
    signed_data, _, _ = _take(explicit, 0, 0x30)
    position = 0
    for tag in (0x02, 0x31, 0x30, 0xA0):
        _, _, position = _take(signed_data, position, tag)
    infos, _, _ = _take(signed_data, position, 0x31)
    info, _, _ = _take(infos, 0, 0x30)
    position = 0
    for tag in (0x02, 0x30, 0x30):
        _, _, position = _take(info, position, tag)
    attributes, _, position = _take(info, position, 0xA0)
    _, _, position = _take(info, position, 0x30)
    value, _, _ = _take(info, position, 0x04)
    return attributes, value


def make_cms(certificate, attributes, value):
    """The one DER encoding of a detached CMS signature with these parts."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    issuer = certificate.issuer.public_bytes()
    serial = certificate.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    digest = _der(0x30, _OID["sha256"])
    signer = _der(
        0x30,
        _der(0x02, b"\x01"),
        _der(0x30, issuer, _der(0x02, number)),
        digest,
        _der(0xA0, attributes),
        _der(0x30, _OID["ecdsa_sha256"]),
        _der(0x04, value),
    )
    signed_data = _der(
        0x30,
        _der(0x02, b"\x01"),
        _der(0x31, digest),
        _der(0x30, _OID["data"]),
        _der(0xA0, der),
        _der(0x31, signer),
    )
    return _der(0x30, _OID["signed_data"], _der(0xA0, signed_data))


def make_signed_attributes(content, signing_time):
    """Content type, signing time (UTCTime text) and message digest, in DER order."""
    attributes = [
        _der(0x30, _OID["content_type"], _der(0x31, _OID["data"])),
        _der(0x30, bytes.fromhex("06092a864886f70d010905"), _der(0x31, _der(0x17, signing_time.encode()))),
        _der(0x30, _OID["message_digest"], _der(0x31, _der(0x04, hashlib.sha256(content).digest()))),
    ]
    return b"".join(sorted(attributes))


def _check_signature(files):
    certificate = x509.load_pem_x509_certificate(files["data/keys/package.crt"])
    signature = files[SIGNATURE]
    try:
        attributes, value = _signer_parts(signature)
    except (ValueError, IndexError):
        raise PackageError(SIGNATURE, "is not a CMS signature") from None
    if make_cms(certificate, attributes, value) != signature:
        raise PackageError(SIGNATURE, "is not the one CMS encoding of this certificate's signature")
    digest = _der(0x30, _OID["message_digest"], _der(0x31, _der(0x04, hashlib.sha256(files[SIGNED]).digest())))
    if digest not in attributes:
        raise PackageError(SIGNED, "is not what was signed")
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise PackageError("data/keys/package.crt", "is not an elliptic-curve certificate")
    try:
        key.verify(value, _der(0x31, attributes), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise PackageError(SIGNATURE, "does not verify") from None
    return certificate


# 4. The checkpoint, by the log's own key.


def _base64(text):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical")
    return data


def _check_checkpoint(files):
    """(origin, size, root) of the signed checkpoint."""
    name = "data/checkpoint"
    try:
        key_name, key_id, encoded = _text(files, "data/keys/log.vkey").rstrip("\n").split("+", 2)
        key = _base64(encoded)
        expected = hashlib.sha256(key_name.encode() + b"\n" + key).digest()[:4]
        if key[0] != 1 or expected.hex() != key_id:
            raise ValueError("key id")
        body, _, signatures = _text(files, name).rpartition("\n\n")
        body += "\n"
        origin, size, root, rest = body.split("\n")
        line = signatures.rstrip("\n").split("\n")
        if (
            rest
            or len(line) != 1
            or not _SIZE.match(size)
            or not line[0].startswith(f"— {origin} ")
            or origin != key_name
        ):
            raise ValueError("form")
        blob = _base64(line[0].rpartition(" ")[2])
        if blob[:4] != expected or signatures != line[0] + "\n":
            raise ValueError("key id")
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(blob[4:], body.encode())
        return origin, int(size), _base64(root)
    except (ValueError, IndexError, InvalidSignature):
        raise PackageError(name, "is not a checkpoint signed by data/keys/log.vkey") from None


# 5. Every leaf is in the log; every chunk is what its leaf says.


def _leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def _root_of(leaf, index, size, path):
    """RFC 9162 2.1.3.2; raises ValueError for a path of a wrong length."""
    node, last, current = index, size - 1, leaf
    if not 0 <= index < size:
        raise ValueError("index")
    for sibling in path:
        if len(sibling) != 32 or last == 0:
            raise ValueError("path")
        if node & 1 or node == last:
            current = hashlib.sha256(b"\x01" + sibling + current).digest()
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            current = hashlib.sha256(b"\x01" + current + sibling).digest()
        node >>= 1
        last >>= 1
    if last:
        raise ValueError("path")
    return current


def _check_leaves(files, checkpoint):
    origin, size, root = checkpoint
    leaves = {}
    for name in sorted(files):
        match = re.match(r"data/leaves/(0|[1-9][0-9]{0,15})\.json\Z", name)
        if not match:
            continue
        index = int(match[1])
        proof_name = f"data/proofs/{index}.tlog-proof"
        try:
            head, _, note = _text(files, proof_name).partition("\n\n")
            kind, number, *path = head.split("\n")
            if kind != "c2sp.org/tlog-proof@v1" or number != f"index {index}":
                raise ValueError("form")
            if note.encode() != files["data/checkpoint"]:
                raise ValueError("checkpoint")
            if _root_of(_leaf_hash(files[name]), index, size, [_base64(p) for p in path]) != root:
                raise ValueError("root")
        except KeyError:
            raise PackageError(proof_name, "is missing") from None
        except ValueError:
            raise PackageError(proof_name, "does not prove that this leaf is in the log") from None
        leaf = json.loads(files[name])
        if leaf["log"] != origin:
            raise PackageError(name, "belongs to another log")
        leaves[index] = leaf
    for index, leaf in leaves.items():
        if leaf["kind"] == "data":
            name = f"data/chunks/{index}.arrow.zst"
            chunk = files.get(name)
            if chunk is None:
                raise PackageError(name, "is missing")
            if len(chunk) != leaf["length"] or hashlib.sha256(chunk).hexdigest() != leaf["sha256"]:
                raise PackageError(name, "is not the chunk its leaf names")
    return leaves


# 6. Leaf 0 binds both keys to the log; each line of the answer cites a record that is here.


def _check_keys(files, leaves, certificate):
    key_leaf = leaves.get(0)
    if key_leaf is None or key_leaf["kind"] != "key":
        raise PackageError("data/leaves/0.json", "is not the log's key leaf")
    if key_leaf["vkey"] != _text(files, "data/keys/log.vkey").rstrip("\n"):
        raise PackageError("data/keys/log.vkey", "is not the key the log began with")
    if key_leaf["package_certificate_sha256"] != certificate.fingerprint(hashes.SHA256()).hex():
        raise PackageError("data/keys/package.crt", "is not the certificate the log began with")


def _check_answer(files, leaves):
    cited = 0
    for row in csv.DictReader(io.StringIO(files["data/answer.csv"].decode("utf-8-sig"))):
        if not row["leaf_index"]:
            continue
        index, number = int(row["leaf_index"]), int(row["row"])
        if index not in leaves or not 0 <= number < leaves[index].get("records", 0):
            raise PackageError("data/answer.csv", f"cites leaf {index} row {number}, which is not in the package")
        cited += 1
    return cited


def _check_records(files, leaves):
    """Raw records beside their chunks are those of the chunks; needs pyarrow and zstandard, else None."""
    try:
        import pyarrow.ipc
        import zstandard
    except ImportError:
        return None
    checked = 0
    for name in files:
        match = re.match(r"data/records/(\d+)-(\d+)\.bin\Z", name)
        if match:
            stored = files[f"data/chunks/{match[1]}.arrow.zst"]
            table = pyarrow.ipc.open_stream(zstandard.ZstdDecompressor().decompress(stored)).read_all()
            if table.column("payload")[int(match[2])].as_py() != files[name]:
                raise PackageError(name, "is not that record of its chunk")
            checked += 1
    return checked


def verify_package(path):
    """What was proven, as lines. Raises PackageError for the first thing that does not hold."""
    files = read_package(path)
    _check_manifests(files)
    certificate = _check_signature(files)
    checkpoint = _check_checkpoint(files)
    leaves = _check_leaves(files, checkpoint)
    _check_keys(files, leaves, certificate)
    cited = _check_answer(files, leaves)
    records = _check_records(files, leaves)
    lines = [
        f"{len(files)} files, each as listed and signed",
        f"certificate SHA-256 {certificate.fingerprint(hashes.SHA256()).hex()}",
        f"log {checkpoint[0]}: checkpoint of {checkpoint[1]} leaves, root {checkpoint[2].hex()}",
        f"{len(leaves)} leaves proven to be in the log; {cited} records cited by the answer",
    ]
    if records is None:
        lines.append(
            "raw records not compared with their chunks (that needs the Python packages pyarrow and zstandard)"
        )
    else:
        lines.append(f"{records} raw records are those of their chunks")
    return lines


def main(arguments):
    if len(arguments) != 1:
        print("usage: verify_package.py PATH", file=sys.stderr)
        return 2
    try:
        lines = verify_package(arguments[0])
    except PackageError as error:
        print(f"DOES NOT VERIFY / ไม่ผ่านการตรวจสอบ: {error}")
        return 1
    except OSError as error:
        print(f"could not run: {error}", file=sys.stderr)
        return 2
    print("VERIFIED / ผ่านการตรวจสอบ")
    for line in lines:
        print(f"  {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
