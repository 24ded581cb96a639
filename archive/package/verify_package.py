#!/usr/bin/env python3
# ruff: noqa: B905, RUF007, S105, UP017
# pyright: reportOptionalSubscript=false, reportOptionalMemberAccess=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportOperatorIssue=false
# Written for Python 3.9: what newer ones offer is not used.
"""Verify a Phayan evidence package: a folder, or the .zip it was handed over in.

    python3 verify_package.py PATH [--ca FILE] [--at TIME] [--policy FILE] [--log-key FILE]

--ca       certificates (PEM) of who issued the package's certificate, or that certificate itself; any other is refused
--at       moment as of which the package's certificate counts, ISO 8601 with offset or seconds since 1970; without it:
           the time stamp's, or now where there is none
--policy   a C2SP tlog-policy of your own: whose cosignatures the newest log's checkpoint must have
--log-key  the verifier key (.vkey) that you know the newest log by; any other is refused

Needs Python 3.9 or newer and the package `cryptography`; nothing of Phayan, no network. Exit 0 verified, 1 does not
verify, 2 could not run. Steps are numbered; every file and every byte of the package is covered by one of them.
Signatures of a time stamp are verified here, with `cryptography`; VERIFY.txt has the commands that let openssl do it.
"""

import base64
import csv
import datetime
import hashlib
import io
import ipaddress
import json
import os
import re
import struct
import sys
import unicodedata
import zipfile

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_FILES = 20_000
MAX_TOTAL_BYTES = 1024**3
MAX_FILE_BYTES = 256 * 1024**2
"""A package of more files or bytes is refused before it is read: no real one comes near."""
MAX_CHECKPOINT_BYTES = 64 * 1024
MAX_SIGNATURES = 64
"""Of one checkpoint: ours, and those of witnesses."""
MAX_UNIT_LINE_BYTES = 256 * 1024
MAX_UNITS = 2**24
MAX_TOKEN_BYTES = 32 * 1024
MAX_POLICY_BYTES = 256 * 1024
NS = 1_000_000_000
MALFORMED = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError, struct.error,
    x509.InvalidVersion, x509.DuplicateExtension, x509.ExtensionNotFound, x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)  # fmt: skip
"""What reading bytes that are not what they should be raises."""

SIGNED = "tagmanifest-sha256.txt"
SIGNATURE = "tagmanifest-sha256.txt.p7s"
TOKEN = "tagmanifest-sha256.txt.p7s.tsr"
MANIFEST = "manifest-sha256.txt"
CERTIFICATE = "data/keys/package.crt"
AUTHORITIES = "data/keys/authorities.pem"
ANSWER_CSV, ANSWER_JSON, RECORDS_CSV = "data/answer.csv", "data/answer.json", "data/records.csv"
COMPLETENESS, DECODING = "data/completeness.json", "data/decoding.json"
LETTER_TEXT, LETTER_PDF, DICTIONARY = "data/letter.txt", "data/letter.pdf", "data/dictionary.csv"
CUSTODY, CLOCK = "data/custody.jsonld", "data/clock.json"
REQUIRED = (
    "bagit.txt", "bag-info.txt", MANIFEST, SIGNED, SIGNATURE, "VERIFY.txt", "verify_package.py", CERTIFICATE,
    ANSWER_CSV, ANSWER_JSON, RECORDS_CSV, COMPLETENESS, DECODING, LETTER_TEXT, DICTIONARY, CUSTODY, CLOCK,
)  # fmt: skip
TAG_FILES = ("bagit.txt", "bag-info.txt", MANIFEST, "VERIFY.txt", "verify_package.py")
TEXTS = (
    LETTER_PDF, LETTER_TEXT, ANSWER_JSON, ANSWER_CSV, RECORDS_CSV, DICTIONARY, CUSTODY, COMPLETENESS, CLOCK,
    "data/case.json", DECODING,
    CERTIFICATE, AUTHORITIES,
)  # fmt: skip
_NUMBER = r"(?:0|[1-9][0-9]{0,15})"
_RECORD_FILE = re.compile(rf"data/records/({_NUMBER})-({_NUMBER})-({_NUMBER})\.bin\Z")
_CAPTURE_FILE = re.compile(rf"data/pcap/({_NUMBER})-({_NUMBER})-({_NUMBER})\.pcap\Z")
_LOG_FILE = re.compile(
    rf"data/logs/([1-9][0-9]{{0,3}})/(?:(log\.vkey|checkpoint|policy\.txt)|leaves/({_NUMBER})\.json|"
    rf"proofs/({_NUMBER})\.tlog-proof|units/({_NUMBER})\.jsonl|"
    rf"anchors/({_NUMBER})\.(checkpoint|consistency)|anchors/({_NUMBER})\.([a-z0-9_-]{{1,32}})\.(?:unread\.)?tsr|"
    r"anchors/([a-z0-9_-]{1,32})\.pem)\Z"
)
_SAFE_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.\.?(?:/|$))(?!.*//)[A-Za-z0-9._/-]{1,200}\Z")
_MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  (\S+)\Z")
_SIZE = re.compile(rf"{_NUMBER}\Z")
RECORD_COLUMNS = ("log", "leaf_index", "row", "offset", "kind", "raw_file", "show", "received", "fields")

STEPS = {
    1: ("limits and names of files", "ขนาดและชื่อไฟล์"),
    2: ("manifests: every file listed and unchanged", "บัญชีไฟล์: ทุกไฟล์อยู่ในบัญชีและไม่ถูกเปลี่ยน"),
    3: ("signature over the package", "ลายมือชื่ออิเล็กทรอนิกส์ของชุด"),
    4: ("time stamp over the signature", "ตราประทับเวลาของลายมือชื่อ"),
    5: ("certificate: time and issuer", "ใบรับรอง: เวลาและผู้ออก"),
    6: ("logs: checkpoint, witnesses, policy", "บันทึก: จุดตรวจสอบ พยาน และนโยบาย"),
    7: ("leaves and proofs, keys, seams between logs", "ใบ ข้อพิสูจน์ กุญแจ และรอยต่อระหว่างบันทึก"),
    8: ("units of records under their roots", "หน่วยของระเบียนใต้รากของมัน"),
    9: ("raw files are made of those units", "ไฟล์ดิบประกอบจากหน่วยเหล่านั้น"),
    10: ("rows computed again from the bytes", "คำนวณแถวซ้ำจากไบต์ดิบ"),
    11: ("each step of the answer cites such a row", "ทุกขั้นของคำตอบอ้างถึงแถวเช่นนั้น"),
    12: ("nothing in the package that is not cited", "ไม่มีสิ่งใดในชุดที่ไม่ถูกอ้างถึง"),
}


class PackageError(Exception):
    """A package that does not verify: at which step, which file, and what is wrong with it."""

    def __init__(self, step, file, problem):
        english, thai = STEPS[step]
        super().__init__(f"step {step} ({english} / {thai}): {file}: {problem} / ไฟล์ {file} ไม่ผ่านการตรวจขั้นที่ {step}")
        self.step = step
        self.file = file


# 1. Reading: only plain files with harmless names, within limits that are looked at before anything is read.


def read_package(path):
    """Name -> bytes of every file. Raises PackageError; OSError when the path cannot be read."""
    return _read_folder(path) if os.path.isdir(path) else _read_zip(path)


def _check_name(name):
    if not _SAFE_PATH.match(name):
        raise PackageError(1, repr(name)[:120], "a file of this name does not belong into a package")


def _check_size(name, size, count, total):
    if size > MAX_FILE_BYTES or count > MAX_FILES or total > MAX_TOTAL_BYTES:
        raise PackageError(1, name, "the package is too large")
    if "/checkpoint" in name or name.endswith((".checkpoint", ".tlog-proof")):
        if size > 2 * MAX_CHECKPOINT_BYTES:
            raise PackageError(1, name, "is too large for a checkpoint: no real one has so many signatures")


def _read_folder(path):
    sizes = {}
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            full = os.path.join(folder, name)
            relative = os.path.relpath(full, path).replace(os.sep, "/")
            _check_name(relative)
            if os.path.islink(full) or not (os.path.isdir(full) or os.path.isfile(full)):
                raise PackageError(1, relative, "links and special files do not belong into a package")
            if name in names:
                sizes[relative] = os.path.getsize(full)
                _check_size(relative, sizes[relative], len(sizes), sum(sizes.values()) if len(sizes) % 64 == 0 else 0)
    _check_size("package", 0, len(sizes), sum(sizes.values()))
    files = {}
    for relative, size in sizes.items():
        with open(os.path.join(path, *relative.split("/")), "rb") as file:
            files[relative] = file.read(size + 1)
    return files


def _read_zip(path):
    base = os.path.basename(path)
    if os.path.getsize(path) > MAX_TOTAL_BYTES:
        raise PackageError(1, base, "the package is too large")
    with open(path, "rb") as file:
        stored = file.read()
    files = {}
    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            entries = archive.infolist()
            _check_size(base, 0, len(entries), sum(entry.file_size for entry in entries))
            folder = entries[0].filename.split("/")[0] if entries else ""
            if sum(entry.file_size for entry in entries) > len(stored):
                raise PackageError(1, base, "holds more bytes than the file has: a zip bomb")
            for entry in entries:
                name = entry.filename[len(folder) + 1 :]
                _check_name(name)
                _check_name(folder)
                if (entry.external_attr >> 16) & 0o170000 not in (0, 0o100000):
                    raise PackageError(1, name, "links and special files do not belong into a package")
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                    raise PackageError(1, name, "is compressed; a package stores its files as they are")
                if name in files or not entry.filename.startswith(folder + "/"):
                    raise PackageError(1, name, "this name stands twice or outside the package's folder")
                _check_size(name, entry.file_size, 0, 0)
                files[name] = archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OverflowError, EOFError) as error:
        raise PackageError(1, base, f"not a sound zip file: {error}") from None
    if zip_package(folder, files) != stored:
        raise PackageError(1, base, "the zip file is not as it was made (order, dates or bytes between files differ)")
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


# 2. Manifests: exactly the listed files, with the listed hashes, and only files that a package has.


def _check_manifests(files):
    for name in REQUIRED:
        if name not in files:
            raise PackageError(2, name, "is missing")
    listed = _parse_manifest(files, MANIFEST)
    tags = _parse_manifest(files, SIGNED)
    for name in listed:
        if not name.startswith("data/"):
            raise PackageError(2, MANIFEST, f"lists {name}, which is no payload file")
    for name in tags:
        if name not in TAG_FILES:
            raise PackageError(2, SIGNED, f"lists {name}, which is no file of a package")
    for name, digest in list(listed.items()) + list(tags.items()):
        if name not in files:
            raise PackageError(2, name, "is missing")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise PackageError(2, name, "was changed: its SHA-256 is not the listed one")
    for name in files:
        if name not in listed and name not in tags and name not in (SIGNED, SIGNATURE, TOKEN):
            raise PackageError(2, name, "is in no manifest and does not belong to the package")
        known = name in TEXTS or _RECORD_FILE.match(name) or _CAPTURE_FILE.match(name) or _LOG_FILE.match(name)
        if name.startswith("data/") and not known:
            raise PackageError(2, name, "is no file that a package has")
    for name in TAG_FILES:
        if name not in tags:
            raise PackageError(2, SIGNED, f"does not list {name}")
    if files["bagit.txt"] != b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n":
        raise PackageError(2, "bagit.txt", "is not that of BagIt 1.0")


def _parse_manifest(files, name):
    found = {}
    text = _text(2, files, name)
    if not text.endswith("\n"):
        raise PackageError(2, name, "does not end with a newline")
    for line in text[:-1].split("\n"):
        match = _MANIFEST_LINE.match(line)
        if not match or match[2] in found:
            raise PackageError(2, name, f"malformed or repeated line {line[:120]!r}")
        found[match[2]] = match[1]
    return found


def _text(step, files, name):
    if name not in files:
        raise PackageError(step, name, "is missing")
    try:
        return files[name].decode("utf-8")
    except UnicodeDecodeError:
        raise PackageError(step, name, "is not UTF-8") from None


def _json(step, files, name, kind):
    try:
        value = json.loads(_text(step, files, name))
    except (ValueError, RecursionError):
        raise PackageError(step, name, "is not JSON") from None
    if not isinstance(value, kind):
        raise PackageError(step, name, "is not the JSON it should be")
    return value


# 3. The CMS signature over the tag manifest, by the certificate of the package. Everything in it but the signed
#    attributes and the signature itself is rebuilt and compared, so that no byte of it is free.

_OID = {
    "signed_data": bytes.fromhex("06092a864886f70d010702"),
    "data": bytes.fromhex("06092a864886f70d010701"),
    "sha256": bytes.fromhex("0609608648016503040201"),
    "ecdsa_sha256": bytes.fromhex("06082a8648ce3d040302"),
    "content_type": bytes.fromhex("06092a864886f70d010903"),
    "message_digest": bytes.fromhex("06092a864886f70d010904"),
    "signing_time": bytes.fromhex("06092a864886f70d010905"),
    "tst_info": bytes.fromhex("060b2a864886f70d0109100104"),
    "signing_certificate": bytes.fromhex("060b2a864886f70d010910020c"),
    "signing_certificate_v2": bytes.fromhex("060b2a864886f70d010910022f"),
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
    if _der(tag, data[start:end]) != data[position:end]:
        raise ValueError("length is not DER")
    return data[start:end], data[position:end], end


def _elements(data):
    """(tag, content, whole element) of each element of a SEQUENCE's or SET's content."""
    found, position = [], 0
    while position < len(data):
        content, whole, end = _take(data, position, data[position])
        found.append((data[position], content, whole))
        position = end
    return found


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
        _der(0x30, _OID["signing_time"], _der(0x31, _der(0x17, signing_time.encode()))),
        _der(0x30, _OID["message_digest"], _der(0x31, _der(0x04, hashlib.sha256(content).digest()))),
    ]
    return b"".join(sorted(attributes))


def _utc(text, form):
    return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc)


def _check_signature(files):
    """(certificate, the time that the signer states)."""
    try:
        certificate = x509.load_pem_x509_certificate(files[CERTIFICATE])
    except MALFORMED:
        raise PackageError(3, CERTIFICATE, "is not a certificate") from None
    signature = files[SIGNATURE]
    try:
        attributes, value = _signer_parts(signature)
    except MALFORMED:
        raise PackageError(3, SIGNATURE, "is not a CMS signature") from None
    if make_cms(certificate, attributes, value) != signature:
        raise PackageError(3, SIGNATURE, "is not the one CMS encoding of this certificate's signature")
    digest = _der(0x30, _OID["message_digest"], _der(0x31, _der(0x04, hashlib.sha256(files[SIGNED]).digest())))
    if digest not in attributes:
        raise PackageError(3, SIGNED, "is not what was signed")
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise PackageError(3, CERTIFICATE, "is not an elliptic-curve certificate")
    try:
        key.verify(value, _der(0x31, attributes), ec.ECDSA(hashes.SHA256()))
        stated = [
            whole
            for _, _, whole in _elements(attributes)
            if whole.startswith(b"\x30") and _OID["signing_time"] in whole
        ]
        text = _elements(_elements(_elements(_elements(stated[0])[0][1])[1][1])[0][2])[0][1].decode()
        signed_at = _utc(text, "%y%m%d%H%M%SZ")
    except InvalidSignature:
        raise PackageError(3, SIGNATURE, "does not verify") from None
    except MALFORMED:
        raise PackageError(3, SIGNATURE, "states no time of signing") from None
    return certificate, signed_at


# 4. The RFC 3161 time stamp over the bytes of the signature, where there is one. DER is read here; the signature in it
#    is verified with `cryptography`, up to a certificate of data/keys/authorities.pem.

_HASHES = {
    bytes.fromhex("0609608648016503040201"): hashes.SHA256,
    bytes.fromhex("0609608648016503040202"): hashes.SHA384,
    bytes.fromhex("0609608648016503040203"): hashes.SHA512,
}
_NULL = b"\x05\x00"
_RSA_ENCRYPTION = _der(0x30, bytes.fromhex("06092a864886f70d010101"), _NULL)


def _signature_kinds(key, digest_kind):
    """Algorithm identifiers that may stand in a signer info for a key and a digest."""
    number = {hashes.SHA256: 0, hashes.SHA384: 1, hashes.SHA512: 2}[digest_kind]
    if isinstance(key, rsa.RSAPublicKey):
        with_digest = bytes.fromhex(
            ("06092a864886f70d01010b", "06092a864886f70d01010c", "06092a864886f70d01010d")[number]
        )
        return [_RSA_ENCRYPTION, _der(0x30, with_digest, _NULL)]
    return [_der(0x30, bytes.fromhex("06082a8648ce3d04030" + "234"[number]))]


_TIME_STAMPING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.8")


def read_token(response):
    """(time, imprint, TSTInfo, certificates, signer info elements) of a TimeStampResp. Raises one of MALFORMED."""
    if len(response) > MAX_TOKEN_BYTES:
        raise ValueError("too long")
    content, _, end = _take(response, 0, 0x30)
    if end != len(response):
        raise ValueError("bytes behind the response")
    status, token = _elements(content)
    if _elements(status[1])[0][2] != b"\x02\x01\x00":
        raise ValueError("the authority refused it")
    kind, explicit = _elements(token[1])
    if kind[2] != _OID["signed_data"] or explicit[0] != 0xA0:
        raise ValueError("not signed data")
    version, algorithms, inner, certificates, infos = _elements(_elements(explicit[1])[0][1])
    (info,) = _elements(infos[1])
    kind, explicit = _elements(inner[1])
    if kind[2] != _OID["tst_info"] or version[2] != b"\x02\x01\x03" or certificates[0] != 0xA0 or infos[0] != 0x31:
        raise ValueError("not a time stamp")
    stated = _elements(explicit[1])[0][1]
    fields = _elements(_elements(stated)[0][1])
    algorithm, imprint = _elements(fields[2][1])
    if _elements(algorithm[1])[0][2] != _OID["sha256"] or fields[0][2] != b"\x02\x01\x01" or fields[4][0] != 0x18:
        raise ValueError("not an imprint of SHA-256")
    time = _utc(fields[4][1].decode("ascii").split(".")[0].rstrip("Z"), "%Y%m%d%H%M%S")
    embedded = [x509.load_der_x509_certificate(one) for _, _, one in _elements(certificates[1])]
    signer = _elements(info[1])
    if algorithms[1] != signer[2][2]:
        raise ValueError("another digest than the signer's")
    return time, imprint[1], stated, embedded, signer


def verify_token(response, data, trusted):
    """The time that `response` states over `data`. Raises ValueError with what is wrong."""
    try:
        time, imprint, stated, embedded, signer = read_token(response)
        version, sid, digest, attributes, _, value = signer
        if version[2] != b"\x02\x01\x01" or attributes[0] != 0xA0 or value[0] != 0x04:
            raise ValueError("not a signature that is read here")
        digest_kind = _HASHES[_elements(digest[1])[0][2]]
        if [one[2] for one in _elements(digest[1])[1:]] not in ([], [_NULL]):
            raise ValueError("digest")
        issuer, serial = _elements(sid[1])
        found = [
            one
            for one in embedded
            if one.issuer.public_bytes() == issuer[2] and one.serial_number == int.from_bytes(serial[1], "big")
        ]
        attributes_by_kind = {_elements(one)[0][2]: _elements(one)[1][1] for _, one, _ in _elements(attributes[1])}
        hashed = hashes.Hash(digest_kind())
        hashed.update(stated)
        if attributes_by_kind[_OID["message_digest"]] != _der(0x04, hashed.finalize()):
            raise ValueError("its signature is over another statement")
        if attributes_by_kind[_OID["content_type"]] != _OID["tst_info"]:
            raise ValueError("its signature is over something else")
    except MALFORMED as error:
        raise ValueError(f"is not a time stamp that can be read ({error})") from None
    if imprint != hashlib.sha256(data).digest():
        raise ValueError("is over other bytes")
    if len(found) != 1:
        raise ValueError("does not hold its signer's certificate")
    certificate = found[0]
    try:
        is_canonical = _make_token(response, certificate, embedded, stated, signer) == response
    except MALFORMED as error:
        raise ValueError(f"is signed in a way that is not read here ({error})") from None
    if not is_canonical:
        raise ValueError("is not a time stamp in its one encoding")
    der = certificate.public_bytes(serialization.Encoding.DER)
    named = attributes_by_kind.get(_OID["signing_certificate_v2"]) or attributes_by_kind.get(
        _OID["signing_certificate"]
    )
    if named is None or not any(make(der).digest() in named for make in (hashlib.sha256, hashlib.sha1, hashlib.sha512)):
        raise ValueError("does not name its signer's certificate")
    try:
        _verify(certificate.public_key(), value[1], _der(0x31, attributes[1]), digest_kind())
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if list(usage) != [_TIME_STAMPING]:
            raise ValueError("usage")
        _check_chain(certificate, embedded, trusted, time)
    except (InvalidSignature, *MALFORMED):
        raise ValueError("was not signed by an authority of data/keys/authorities.pem") from None
    return time


def _make_token(response, certificate, embedded, stated, signer):
    """The one encoding of a response with these parts, so that no byte of it is free but what an authority may say
    beside `granted`."""
    _, _, digest, attributes, algorithm, value = signer
    if algorithm[2] not in _signature_kinds(certificate.public_key(), _HASHES[_elements(digest[1])[0][2]]):
        raise ValueError("kind of signature")
    serial = certificate.serial_number
    number = _der(0x02, serial.to_bytes(serial.bit_length() // 8 + 1, "big"))
    info = _der(
        0x30, b"\x02\x01\x01", _der(0x30, certificate.issuer.public_bytes(), number), _der(0x30, digest[1]),
        _der(0xA0, attributes[1]), algorithm[2], _der(0x04, value[1]),
    )  # fmt: skip
    signed_data = _der(
        0x30, b"\x02\x01\x03", _der(0x31, _der(0x30, digest[1])),
        _der(0x30, _OID["tst_info"], _der(0xA0, _der(0x04, stated))),
        _der(0xA0, *(one.public_bytes(serialization.Encoding.DER) for one in embedded)), _der(0x31, info),
    )  # fmt: skip
    status = _elements(_take(response, 0, 0x30)[0])[0][1]
    return _der(0x30, _der(0x30, status), _der(0x30, _OID["signed_data"], _der(0xA0, signed_data)))


def _verify(key, value, data, algorithm):
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(value, data, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(value, data, ec.ECDSA(algorithm))
    else:
        raise ValueError("another kind of key")


def _verify_issued(certificate, issuer):
    if certificate.issuer != issuer.subject:
        raise ValueError("issuer")
    _verify(
        issuer.public_key(), certificate.signature, certificate.tbs_certificate_bytes,
        certificate.signature_hash_algorithm,
    )  # fmt: skip


def _is_valid_at(certificate, time):
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc
    moment = time.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return certificate.not_valid_before <= moment <= certificate.not_valid_after


def _check_chain(certificate, embedded, trusted, time):
    """Returns if `certificate` is one of `trusted` or leads to one. Raises ValueError or InvalidSignature."""
    current = certificate
    for _ in range(8):
        if not _is_valid_at(current, time):
            raise ValueError("not valid at that time")
        if current in trusted:
            return
        candidates = [one for one in list(trusted) + list(embedded) if one.subject == current.issuer and one != current]
        if not candidates:
            break
        _verify_issued(current, candidates[0])
        if not candidates[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise ValueError("issued by one that may not issue")
        current = candidates[0]
    raise ValueError("no trusted certificate")


def load_certificates(pem):
    """Every certificate of a PEM text. Raises ValueError."""
    parts = re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL)
    try:
        return [x509.load_pem_x509_certificate(part) for part in parts]
    except MALFORMED as error:
        raise ValueError(f"holds something that is no certificate ({error})") from None


def _check_token(files):
    """The time of the token, None where there is none."""
    if TOKEN not in files:
        return None
    try:
        return verify_token(files[TOKEN], files[SIGNATURE], load_certificates(files.get(AUTHORITIES, b"")))
    except ValueError as error:
        raise PackageError(4, TOKEN, str(error)) from None


# 5. The certificate: valid when it signed, and of whom the reader expects.


def _check_certificate(certificate, signed_at, stamped_at, options):
    now = datetime.datetime.now(datetime.timezone.utc)
    time = options.at or stamped_at or now
    if not _is_valid_at(certificate, time):
        hint = f"; as of its signing: --at {signed_at.isoformat()}" if not options.at else ""
        raise PackageError(5, CERTIFICATE, f"was not valid at {time.isoformat()}{hint}")
    if not _is_valid_at(certificate, signed_at):
        raise PackageError(5, CERTIFICATE, f"was not valid when the package was signed, {signed_at.isoformat()}")
    if options.ca is None:
        return time
    try:
        _check_chain(certificate, [], options.ca, time)
    except (InvalidSignature, *MALFORMED):
        raise PackageError(5, CERTIFICATE, "was not issued by the certificate given with --ca") from None
    return time


# 6. The checkpoint of each log: our key, the witnesses' keys, the policy.


def _base64(text):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical")
    return data


def parse_key(text, kind):
    """(name, key id, public key) of a verifier key. Raises ValueError."""
    name, number, encoded = text.split("+", 2)
    key = _base64(encoded)
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if key[0] != kind or len(key) != 33 or expected.hex() != number or not name or " " in name:
        raise ValueError("not a verifier key")
    return name, expected, Ed25519PublicKey.from_public_bytes(key[1:])


def split_note(step, name, note):
    """(body, [(name, blob)]). Raises PackageError."""
    try:
        if len(note) > MAX_CHECKPOINT_BYTES:
            raise ValueError("it is too long")
        body, separator, signatures = note.decode("utf-8").rpartition("\n\n")
        lines = signatures[:-1].split("\n")
        if not separator or not signatures.endswith("\n"):
            raise ValueError("it has no signatures")
        if len(lines) > MAX_SIGNATURES:
            raise ValueError(f"it has {len(lines)} signatures; at most {MAX_SIGNATURES} are read")
        found = []
        for line in lines:
            mark, signer, blob = line.split(" ")
            if mark != "—":
                raise ValueError("it has a line that is no signature")
            found.append((signer, _base64(blob)))
        return body + "\n", found
    except (ValueError, UnicodeDecodeError) as error:
        raise PackageError(step, name, f"is not a checkpoint: {error}") from None


def open_checkpoint(step, name, note, key):
    """(size, root, body, signatures) of a note that `key` signed."""
    body, signatures = split_note(step, name, note)
    origin, number, public = key
    try:
        first, size, root, rest = body.split("\n")
        if rest or first != origin or not _SIZE.match(size):
            raise ValueError("form")
        own = [blob for signer, blob in signatures if signer == origin and blob[:4] == number]
        if len(own) != 1 or len(_base64(root)) != 32:
            raise ValueError("signature")
        public.verify(own[0][4:], body.encode())
        return int(size), _base64(root), body, signatures
    except (ValueError, InvalidSignature):
        raise PackageError(step, name, "is not a checkpoint signed by the key of its log") from None


def read_policy(data):
    """({log key texts}, {name: witness key text}, [(group, threshold, members)], quorum). Raises ValueError."""
    if len(data) > MAX_POLICY_BYTES:
        raise ValueError("it is too long")
    logs, witnesses, groups, quorum = set(), {}, [], None
    for line in data.decode("utf-8").split("\n"):
        items = line.split()
        if not items or items[0].startswith("#"):
            continue
        if items[0] == "log":
            logs.add(items[1])
        elif items[0] == "witness":
            witnesses[items[1]] = items[2]
        elif items[0] == "group":
            members = items[3:]
            count = {"all": len(members), "any": 1}.get(items[2]) or int(items[2])
            groups.append((items[1], count, members))
        elif items[0] == "quorum":
            quorum = items[1]
        else:
            raise ValueError(f"it has a line {items[0][:40]!r}")
    if quorum is None:
        raise ValueError("it has no quorum")
    return logs, witnesses, groups, quorum


def cosigned_by(body, signatures, policy):
    """{policy's name of a witness: time} of the cosignatures that verify."""
    found = {}
    for name, text in policy[1].items():
        try:
            witness, number, public = parse_key(text, 4)
        except (ValueError, IndexError):
            continue
        for signer, blob in signatures:
            if (signer, blob[:4]) != (witness, number) or len(blob) != 4 + 72:
                continue
            seconds = int.from_bytes(blob[4:12], "big")
            try:
                public.verify(blob[12:], f"cosignature/v1\ntime {seconds}\n{body}".encode())
                found[name] = seconds
            except InvalidSignature:
                continue
    return found


def meets_policy(policy, cosigned):
    """Whether these witnesses are enough."""
    _, _, groups, quorum = policy
    if quorum == "none":
        return True
    met = set(cosigned)
    for name, threshold, members in groups:
        if len(met.intersection(members)) >= threshold:
            met.add(name)
    return quorum in met


class Log:
    """One log of the package: what is proven of it so far."""

    def __init__(self, number, files, names):
        self.number = number
        self.folder = f"data/logs/{number}/"
        self.files = files
        self.leaves = {}
        self.raw_leaves = {}
        self.names = names
        for name in ("log.vkey", "checkpoint", "policy.txt"):
            if self.folder + name not in files:
                raise PackageError(6, self.folder + name, "is missing")
        self.key_text = _text(6, files, self.folder + "log.vkey").rstrip("\n")
        try:
            self.key = parse_key(self.key_text, 1)
        except (ValueError, IndexError):
            raise PackageError(6, self.folder + "log.vkey", "is not a verifier key") from None
        self.origin = self.key[0]
        self.note = files[self.folder + "checkpoint"]
        opened = open_checkpoint(6, self.folder + "checkpoint", self.note, self.key)
        self.size, self.root, self.body, self.signatures = opened

    def check_policy(self, data, name):
        """Cosignatures that count, and whether they are enough."""
        try:
            policy = read_policy(data)
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise PackageError(6, name, f"is not a policy: {error}") from None
        if self.key_text not in policy[0]:
            raise PackageError(6, name, f"does not trust the log {self.origin}")
        cosigned = cosigned_by(self.body, self.signatures, policy)
        return cosigned, meets_policy(policy, cosigned), policy


def _read_logs(files, options):
    by_number = {}
    for name in files:
        match = _LOG_FILE.match(name)
        if match:
            by_number.setdefault(int(match[1]), []).append(name)
    numbers = sorted(by_number)
    if not numbers or numbers != list(range(numbers[0], numbers[-1] + 1)):
        raise PackageError(6, "data/logs", "the logs of the package are not all there")
    logs = {number: Log(number, files, by_number[number]) for number in numbers}
    newest = logs[numbers[-1]]
    if options.log_key is not None and options.log_key != newest.key_text:
        raise PackageError(6, newest.folder + "log.vkey", "is another key than the one given with --log-key")
    return logs


def _check_policies(files, logs, options):
    """Lines about witnesses."""
    lines = []
    newest = max(logs)
    for number, log in sorted(logs.items()):
        cosigned, is_met, _ = log.check_policy(files[log.folder + "policy.txt"], log.folder + "policy.txt")
        if options.policy is not None and number == newest:
            cosigned, is_met, _ = log.check_policy(options.policy, "--policy")
            if not is_met:
                raise PackageError(6, log.folder + "checkpoint", "has not the cosignatures that --policy demands")
        if cosigned:
            times = ", ".join(f"{name} {_iso(seconds)}" for name, seconds in sorted(cosigned.items()))
            enough = "as its policy demands" if is_met else "fewer than its policy demands"
            lines.append((
                f"log {log.origin}: checkpoint of {log.size} leaves, cosigned by {times}, {enough}",
                f"บันทึก {log.origin}: จุดตรวจสอบ {log.size} ใบ มีพยานลงนามร่วม {times}"
                + ("" if is_met else " (น้อยกว่าที่นโยบายกำหนด)"),
            ))  # fmt: skip
        else:
            lines.append((
                f"log {log.origin}: checkpoint of {log.size} leaves; NOT PROVEN by any witness: whoever holds the "
                "log's key could have rewritten it before it was handed over",
                f"บันทึก {log.origin}: จุดตรวจสอบ {log.size} ใบ ไม่มีพยานภายนอกลงนามร่วม "
                "ผู้ถือกุญแจอาจเขียนใหม่ได้ก่อนส่งมอบ",
            ))  # fmt: skip
    return lines


def _iso(seconds):
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(seconds)


# 7. Every leaf is in its log; leaf 0 binds the keys; each log continues the one before it.


def _leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hash, index, size, path):
    """RFC 9162 2.1.3.2; raises ValueError for a path of a wrong length."""
    node, last, current = index, size - 1, leaf_hash
    if not 0 <= index < size:
        raise ValueError("index")
    for sibling in path:
        if len(sibling) != 32 or last == 0:
            raise ValueError("path")
        if node & 1 or node == last:
            current = _node(sibling, current)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            current = _node(current, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise ValueError("path")
    return current


def check_consistency(old, old_root, new, new_root, path):
    """RFC 9162 2.1.4.2. Raises ValueError."""
    if old == new:
        if path or old_root != new_root:
            raise ValueError("two heads of one size")
        return
    if not 0 < old < new or (not path and old & (old - 1)):
        raise ValueError("path")
    path = list(path)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ValueError("path")
        if node & 1 or node == last:
            first, second = _node(sibling, first), _node(sibling, second)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            second = _node(second, sibling)
        node >>= 1
        last >>= 1
    if last or first != old_root or second != new_root:
        raise ValueError("roots")


def _check_leaves(log):
    for name in log.names:
        match = _LOG_FILE.match(name)
        if match[3] is None:
            continue
        index = int(match[3])
        proof_name = f"{log.folder}proofs/{index}.tlog-proof"
        try:
            head, _, note = _text(7, log.files, proof_name).partition("\n\n")
            kind, number, *path = head.split("\n")
            if kind != "c2sp.org/tlog-proof@v1" or number != f"index {index}" or note.encode() != log.note:
                raise ValueError("form")
            if root_of(_leaf_hash(log.files[name]), index, log.size, [_base64(one) for one in path]) != log.root:
                raise ValueError("root")
        except ValueError:
            raise PackageError(7, proof_name, "does not prove that this leaf is in the log") from None
        leaf = _json(7, log.files, name, dict)
        if leaf.get("log") != log.origin:
            raise PackageError(7, name, "belongs to another log")
        log.leaves[index] = leaf
    for name in log.names:
        match = _LOG_FILE.match(name)
        if match[4] is not None and int(match[4]) not in log.leaves:
            raise PackageError(7, name, "proves a leaf that is not in the package")


def _check_keys(logs, certificate):
    before = None
    for _, log in sorted(logs.items()):
        name = log.folder + "leaves/0.json"
        leaf = log.leaves.get(0)
        if leaf is None or leaf.get("kind") != "key":
            raise PackageError(7, name, "is not there or is not the log's key leaf")
        if leaf.get("vkey") != log.key_text:
            raise PackageError(7, log.folder + "log.vkey", "is not the key the log began with")
        if before is not None:
            _check_seam(before, log, leaf.get("former"))
        before = log
    newest = logs[max(logs)]
    if newest.leaves[0].get("package_certificate_sha256") != certificate.fingerprint(hashes.SHA256()).hex():
        raise PackageError(7, CERTIFICATE, "is not the certificate the newest log began with")


def _check_seam(before, log, former):
    """The log names the one before it by its key and by its newest checkpoint, of which the one here is a part."""
    name = log.folder + "leaves/0.json"
    if not isinstance(former, dict) or former.get("vkey") != before.key_text or former.get("origin") != before.origin:
        raise PackageError(7, name, f"does not continue the log {before.origin}")
    size, root, _, _ = open_checkpoint(7, name, str(former.get("checkpoint")).encode(), before.key)
    if size == before.size and root == before.root:
        return
    _check_consistent(before, f"{before.folder}anchors/{size}.consistency", size, root)


def _check_consistent(log, name, size, root):
    """One of the two checkpoints is the beginning of the other, as file `name` shows."""
    try:
        path = [_base64(line) for line in _text(7, log.files, name).split("\n")[:-1]]
        if size <= log.size:
            check_consistency(size, root, log.size, log.root, path)
        else:
            check_consistency(log.size, log.root, size, root, path)
    except ValueError:
        raise PackageError(7, name, "does not show that both checkpoints are of one history") from None


def _check_anchors(files, log):
    """Time bounds: (size, earliest outside time) of each anchor file whose evidence verifies."""
    found = []
    policy = read_policy(files[log.folder + "policy.txt"])
    certificates = []
    for name in log.names:
        if _LOG_FILE.match(name)[10]:
            certificates += _load_pem(files, name)
    for name in log.names:
        match = _LOG_FILE.match(name)
        if match[7] == "checkpoint":
            size, root, body, signatures = open_checkpoint(7, name, files[name], log.key)
            if size != int(match[6]):
                raise PackageError(7, name, "is a checkpoint of another size")
            if (size, root) != (log.size, log.root):
                _check_consistent(log, f"{log.folder}anchors/{size}.consistency", size, root)
            for seconds in cosigned_by(body, signatures, policy).values():
                found.append((size, seconds))
        elif match[8] is not None:
            note_name = f"{log.folder}anchors/{match[8]}.checkpoint"
            if note_name not in files:
                raise PackageError(7, name, "stamps a checkpoint that is not in the package")
            note = b"".join(files[note_name].splitlines(keepends=True)[:5])
            try:
                found.append((int(match[8]), int(verify_token(files[name], note, certificates).timestamp())))
            except ValueError as error:
                raise PackageError(7, name, str(error)) from None
    return found


def _load_pem(files, name):
    try:
        return load_certificates(files[name])
    except ValueError:
        raise PackageError(7, name, "holds something that is no certificate") from None


def _check_held(files, logs, rows):
    """{(log, leaf, row): purge leaf} of the records whose day was purged and that a hold kept: a purge leaf of their
    log seals the file they were kept in, and it or one that it continues lists their leaf."""
    stated = _json(7, files, DECODING, dict).get("held", {})
    found, used = {}, set()
    try:
        for text, number in stated.items():
            if not re.match(rf"{_NUMBER}-{_NUMBER}-{_NUMBER}\Z", text) or type(number) is not int:
                raise ValueError("place")
            place = tuple(int(one) for one in text.split("-"))
            if place not in {row.place for row in rows}:
                raise ValueError("is not cited")
            log = logs[place[0]]
            record_leaf, purge = log.leaves[place[1]], log.leaves[number]
            if re.match(r"[0-9a-f]{64}\Z", purge["held"]["sha256"]) is None:
                raise ValueError("no held file")
            found[place] = number
            while True:
                if purge["kind"] != "purge" or number <= place[1]:
                    raise ValueError("no purge")
                used.add((place[0], number))
                if any(
                    one["stream"] == record_leaf["stream"] and one["first_leaf"] <= place[1] <= one["last_leaf"]
                    for one in purge["streams"]
                ):
                    break
                number, purge, day = purge["previous"], log.leaves[purge["previous"]], purge["day"]
                if purge["day"] != day:
                    raise ValueError("another day")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise PackageError(7, DECODING, "names a held record that no purge leaf of the package seals") from None
    for number, log in logs.items():
        for index, leaf in log.leaves.items():
            if leaf.get("kind") == "purge" and (number, index) not in used:
                raise PackageError(12, f"{log.folder}leaves/{index}.json", "is a leaf that is not cited")
    return found


# 8. Units: each under the records root that a leaf of the log states.


class Unit:
    """A proven range of bytes of a record."""

    def __init__(self, values, name):
        integers = ("leaf", "generation", "row", "offset", "unit", "units", "records_leaf")
        if set(values) != {*integers, "salt", "data", "path"}:
            raise ValueError("fields")
        if any(type(values[one]) is not int or values[one] < 0 for one in integers):
            raise ValueError("numbers")
        self.leaf, self.generation, self.row = values["leaf"], values["generation"], values["row"]
        self.offset, self.unit, self.units = values["offset"], values["unit"], values["units"]
        self.records_leaf = values["records_leaf"]
        self.salt = bytes.fromhex(values["salt"])
        self.data = _base64(values["data"])
        self.path = [_base64(one) for one in values["path"]]
        self.name = name
        if len(self.salt) != 16 or self.units > MAX_UNITS:
            raise ValueError("salt")

    @property
    def end(self):
        return self.offset + len(self.data)


def _read_units(log):
    """{(leaf, row): units in order of their offsets}."""
    found = {}
    for name in log.names:
        match = _LOG_FILE.match(name)
        if match[5] is None:
            continue
        for number, line in enumerate(log.files[name].splitlines(keepends=True), 1):
            place = f"{name}, line {number}"
            try:
                if len(line) > MAX_UNIT_LINE_BYTES or not line.endswith(b"\n"):
                    raise ValueError("length")
                values = json.loads(line)
                unit = Unit(values, place)
                if json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n" != line:
                    raise ValueError("spelling")
            except (ValueError, TypeError, KeyError, RecursionError):
                raise PackageError(8, place, "is not a unit with its proof") from None
            if unit.leaf != int(match[5]):
                raise PackageError(8, place, "is a unit of another leaf")
            _check_unit(log, unit)
            found.setdefault((unit.leaf, unit.row), []).append(unit)
    for place, units in found.items():
        units.sort(key=lambda unit: unit.offset)
        for before, unit in zip(units, units[1:]):
            if unit.offset < before.end or unit.unit <= before.unit or unit.generation != before.generation:
                raise PackageError(8, unit.name, "overlaps another unit of its record")
        row_count = log.leaves[place[0]].get("records", 0)
        if place[1] >= row_count:
            raise PackageError(8, units[0].name, f"its leaf has {row_count} records")
    return found


def _check_unit(log, unit):
    leaf, stating = log.leaves.get(unit.leaf), log.leaves.get(unit.records_leaf)
    if leaf is None or leaf.get("kind") != "data":
        raise PackageError(8, unit.name, f"leaf {unit.leaf} is not in the package or is no data leaf")
    if stating is None or stating.get("kind") != "records" or unit.records_leaf <= unit.leaf:
        raise PackageError(8, unit.name, f"leaf {unit.records_leaf} is not in the package or states no records roots")
    roots = [
        one for one in stating.get("roots", ()) if (one["leaf"], one["generation"]) == (unit.leaf, unit.generation)
    ]
    try:
        if len(roots) != 1 or roots[0]["units"] != unit.units:
            raise ValueError("root")
        found = root_of(_leaf_hash(unit.salt + unit.data), unit.unit, unit.units, unit.path)
        if found.hex() != roots[0]["root"]:
            raise ValueError("root")
    except ValueError:
        raise PackageError(8, unit.name, "is not under the records root of its leaf") from None


# 9. Raw files: the bytes of records, made of nothing but the proven units.


class Row:
    """One line of data/records.csv."""

    def __init__(self, values):
        for name in ("log", "leaf_index", "row", "offset"):
            if not _SIZE.match(values[name] or ""):
                raise ValueError(name)
        self.log, self.leaf, self.row = int(values["log"]), int(values["leaf_index"]), int(values["row"])
        self.offset, self.kind, self.raw_file = int(values["offset"]), values["kind"], values["raw_file"]
        self.received = _unix_ns(values["received"])
        self.fields = json.loads(values["fields"])
        canonical = json.dumps(self.fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if not isinstance(self.fields, dict) or canonical != values["fields"] or self.kind not in KINDS:
            raise ValueError("fields")

    @property
    def place(self):
        return self.log, self.leaf, self.row

    def text(self):
        return f"{RECORDS_CSV}, log {self.log} leaf {self.leaf} row {self.row} ({self.kind})"


KINDS = ("line", "session", "identity", "nat", "flow", "loss", "template", "carried_template")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})([+-]\d\d:\d\d)\Z")


def _unix_ns(text):
    match = _MOMENT.match(text or "")
    if not match:
        raise ValueError("time")
    return int(datetime.datetime.fromisoformat(match[1] + match[3]).timestamp()) * NS + int(match[2])


def _read_records_csv(files, logs):
    rows = []
    reader = csv.DictReader(io.StringIO(_csv_text(10, files, RECORDS_CSV)), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != RECORD_COLUMNS:
            raise ValueError("columns")
        for values in reader:
            if None in values or None in values.values():
                raise ValueError("columns")
            row = Row(values)
            rows.append(row)
            leaf = logs[row.log].leaves.get(row.leaf) if row.log in logs else None
            if leaf is None or leaf.get("kind") != "data" or row.row >= leaf["records"]:
                raise PackageError(10, row.text(), "its leaf is not in the package or has no such record")
            if not int(leaf["first_unix_ns"]) <= row.received <= int(leaf["last_unix_ns"]):
                raise PackageError(10, row.text(), "states a time of receipt outside of what its leaf proves")
    except (ValueError, csv.Error, RecursionError) as error:
        raise PackageError(10, RECORDS_CSV, f"cannot be read ({error})") from None
    return rows


def _csv_text(step, files, name):
    try:
        return files[name].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PackageError(step, name, "is not UTF-8") from None


def _check_raw_files(files, rows, units):
    """{raw file: rows}; each named file is made of the units of its records."""
    by_file = {}
    for row in rows:
        if row.raw_file:
            by_file.setdefault(row.raw_file, []).append(row)
        elif row.kind != "loss":
            raise PackageError(9, row.text(), "names no raw file")
    for name, found in sorted(by_file.items()):
        if name not in files:
            raise PackageError(9, name, "is missing")
        match = _RECORD_FILE.match(name)
        if match:
            place = tuple(int(one) for one in match.groups())
            if any(row.place != place for row in found):
                raise PackageError(9, name, "is cited for another record")
            parts = units.get(place, [])
            if not parts or b"".join(unit.data for unit in parts) != files[name] or parts[0].offset:
                raise PackageError(9, name, "is not made of the proven units of its record")
        elif _CAPTURE_FILE.match(name):
            _check_capture(files, name, found, units)
        else:
            raise PackageError(9, name, "is no raw file of a record")
    return by_file


def _check_capture(files, name, rows, units):
    """Each packet is a record of the rows, in their order, made of nothing but its units here."""
    places = list(dict.fromkeys(row.place for row in rows if row.kind != "carried_template"))
    payloads = read_capture(files[name])
    if payloads is None or len(payloads) != len(places):
        raise PackageError(9, name, "is not a capture of the records it is cited for")
    cited = tuple(int(one) for one in _CAPTURE_FILE.match(name).groups())
    if places[-1] != cited:
        raise PackageError(9, name, "is cited for another record")
    for place, payload in zip(places, payloads):
        parts = units.get(place, [])
        try:
            is_made = reduce_datagram(parts) == payload
        except (ValueError, IndexError):
            is_made = False
        if not is_made:
            raise PackageError(9, name, f"record {place[1]}/{place[2]} is not made of its proven units")


def split_sets(units):
    """[(set header, records)] of the units of a NetFlow v9 or IPFIX datagram; the first unit is its header. A unit that
    begins behind the set before it is the header of the next one. Raises ValueError."""
    sets, end = [], units[0].end
    for unit in units[1:]:
        if unit.offset < end:
            sets[-1][1].append(unit)
        elif len(unit.data) == 4:
            sets.append((unit, []))
            end = unit.offset + int.from_bytes(unit.data[2:], "big")
        else:
            raise ValueError("a record without the header of its set")
    return sets


def reduce_datagram(units):
    """The datagram of these units, the first being its header: one behind the other, with lengths and counts in headers
    set to what is left. Raises ValueError, IndexError."""
    if units[0].offset:
        raise ValueError("no header")
    header, rest = units[0].data, b"".join(unit.data for unit in units[1:])
    version = header[:2]
    if version in (b"\0\5", b"\0\7") and len(header) == 24:
        return version + struct.pack(">H", len(units) - 1) + header[4:] + rest
    if header[:4] == b"\0\0\0\5":
        return header[:-4] + struct.pack(">I", len(units) - 1) + rest
    if version not in (b"\0\x09", b"\0\x0a"):
        return header + rest
    sets = split_sets(units)
    body = b"".join(
        head.data[:2]
        + struct.pack(">H", 4 + sum(len(one.data) for one in records))
        + b"".join(one.data for one in records)
        for head, records in sets
    )
    number = len(header) + len(body) if version == b"\0\x0a" else sum(len(records) for _, records in sets)
    return version + struct.pack(">H", number) + header[4:] + body


_PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 101)


def make_capture(packets):
    """A pcap (nanoseconds, raw IP) of UDP datagrams: (unix_ns, source address of 16 bytes, source port, destination
    port, payload). The destination address is not known and 0."""
    parts = [_PCAP_HEADER]
    for unix_ns, address, source_port, port, payload in packets:
        udp = struct.pack(">HHHH", source_port, port, 8 + len(payload), 0) + payload
        if address[:12] == bytes(10) + b"\xff\xff":
            head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + address[12:] + bytes(4)
            total = sum(struct.unpack(">10H", head))
            total = (total & 0xFFFF) + (total >> 16)
            head = head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
        else:
            head = struct.pack(">IHBB", 0x60000000, len(udp), 17, 64) + address + bytes(16)
        frame = head + udp
        parts.append(struct.pack("<IIII", unix_ns // NS, unix_ns % NS, len(frame), len(frame)) + frame)
    return b"".join(parts)


def read_capture(data):
    """UDP payloads of such a file; None where it is another one."""
    if data[: len(_PCAP_HEADER)] != _PCAP_HEADER:
        return None
    payloads, position = [], len(_PCAP_HEADER)
    while position < len(data):
        if position + 16 > len(data):
            return None
        _, _, length, whole = struct.unpack_from("<IIII", data, position)
        frame = data[position + 16 : position + 16 + length]
        head = 20 if frame[:1] == b"\x45" else 40
        if len(frame) != length or whole != length or length < head + 8:
            return None
        payloads.append(frame[head + 8 :])
        position += 16 + length
    return payloads


# 10. Rows computed again from the raw bytes: lines, session and identity events, accounting packets, what was open, our
#     own records of losses. Of flow records: every address and port of a row stands in the record.

STATED = frozenset({
    "realm", "sender_address", "sender_port", "transport", "listener", "truncated", "length",
    "exporter_address", "exporter_port",
})  # fmt: skip
"""Of what the appliance's settings and its receiver say of a record; not in its bytes."""


def _filled(values):
    """Without what is empty: unknown, no text, no address, not true."""
    return {name: value for name, value in values.items() if value not in (None, "", "::") and value is not False}


def _address_text(packed):
    if packed is None or not any(packed):
        return ""
    if len(packed) == 16 and packed[:12] == bytes(10) + b"\xff\xff":
        packed = packed[12:]
    address = ipaddress.ip_address(packed)
    return str(getattr(address, "ipv4_mapped", None) or address)


def _parsed(text):
    """Canonical text of an address in text; None for what is none."""
    if not isinstance(text, str):
        return None
    try:
        return _address_text(ipaddress.ip_address(text.partition("%")[0] if ":" in text else text).packed)
    except ValueError:
        return None


def _number(value, largest=2**64 - 1):
    return value if type(value) is int and 0 <= value <= largest else None


def _wide(value):
    """A number as records.csv has it: text where JSON would lose digits."""
    return str(value) if value is not None and value >= 2**53 else value


# Lines (RFC 3164, RFC 5424, and what devices make of them).

_ISO_TIME_TEXT = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?"
_MODERN = re.compile(
    r"<(\d{1,3})>1 (?:-|" + _ISO_TIME_TEXT + r"|[^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) "
    r'(-|(?:\[[^ \]="]+(?: +[^ =\]"]+="(?:[^"\\]|\\.)*")* *\])+)(?: |\Z)',
    re.DOTALL,
)
_PRIORITY = re.compile(r"<(\d{1,3})>")
_BSD_TIME = re.compile(
    r"[*.]?([A-Z][a-z]{2} {1,2}\d{1,2} )(?:(\d{4}) )?(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?: (\d{4}))?:?(?: +|\Z)"
)
_ISO_TIME = re.compile(_ISO_TIME_TEXT + r"(?: +|\Z)")
_HOST = re.compile(r"(?!last message repeated|message repeated)([^\s\[\],=<>(){}\"']{1,255})(?<!:) +(?=\S)")
_TAG = re.compile(r"([^\s:\[\]]{1,64})(?:\[([^\]\s]{0,64})\])?:(?: +|\Z)|([a-z]+(?:,[a-z0-9!-]+)+) +")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_LAST_SECOND = (2**63 - 1) // NS - 1


def _decode_line(payload):
    try:
        return payload.decode(), "utf-8"
    except UnicodeDecodeError as error:
        start = error.start
        if error.end == len(payload) and error.reason == "unexpected end of data":
            return payload[:start].decode() + "".join(f"\\x{byte:02x}" for byte in payload[start:]), "utf-8-cut"
    try:
        return payload.decode("cp874"), "cp874"
    except UnicodeDecodeError:
        return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in payload), "escaped"


def load_zone(name):
    """A time zone; None where this machine does not know it."""
    try:
        import zoneinfo

        return zoneinfo.ZoneInfo(name)
    except Exception:
        return datetime.timezone(datetime.timedelta(hours=7)) if name == "Asia/Bangkok" else None


def _seconds(moment):
    delta = moment - _EPOCH
    seconds = delta.days * 86_400 + delta.seconds
    return seconds if abs(seconds) <= _LAST_SECOND else None


def _with_fraction(seconds, fraction):
    return None if seconds is None else seconds * NS + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def _iso_moment(text, fraction, offset, zone):
    try:
        if not offset:
            place = zone
        elif offset in "Zz":
            place = datetime.timezone.utc
        else:
            delta = datetime.timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
            place = datetime.timezone(-delta if offset[0] == "-" else delta)
        return _with_fraction(_seconds(datetime.datetime.fromisoformat(text).replace(tzinfo=place)), fraction)
    except (ValueError, OverflowError):
        return None


def _bsd_moment(text, year, fraction, received, zone):
    if text[:3].title() not in _MONTHS:
        return None
    month, day = _MONTHS.index(text[:3].title()) + 1, int(text[3:-8])
    hour, minute, second = (int(part) for part in text[-8:].split(":"))
    arrived = (_EPOCH + datetime.timedelta(seconds=received // NS)).year
    found = []
    for candidate in [int(year)] if year else [arrived - 1, arrived, arrived + 1]:
        try:
            seconds = _seconds(datetime.datetime(candidate, month, day, hour, minute, second, tzinfo=zone))
        except (ValueError, OverflowError):
            continue
        if seconds is not None:
            found.append(seconds)
    nearest = min(found, key=lambda seconds: abs(seconds * NS - received)) if found else None
    return _with_fraction(nearest, fraction)


def _header(line, received, zone):
    """(format, priority, device time, host, app, process id, message id, structured data, start of the message)."""
    unknown = ("unknown", None, None, "", "", "", "", "", 0)
    position, priority = 0, None
    match = _PRIORITY.match(line)
    if match:
        priority, position = int(match[1]), match.end()
        if priority > 191:
            return unknown
        modern = _MODERN.match(line) if line.startswith("1 ", position) else None
        if modern:
            _, moment, fraction, offset, *texts = modern.groups()
            start = modern.end() + (1 if line.startswith("\ufeff", modern.end()) else 0)
            time = _iso_moment(moment, fraction, offset, zone) if moment else None
            return ("rfc5424", priority, time, *("" if one == "-" else one for one in texts), start)
    time = None
    match = _BSD_TIME.match(line, position)
    if match:
        day, year, clock, fraction, late_year = match.groups()
        time = _bsd_moment(day + clock, year or late_year, fraction, received, zone)
    else:
        match = _ISO_TIME.match(line, position)
        if match:
            time = _iso_moment(match[1], match[2], match[3], zone)
        elif priority is None:
            return unknown
    host = ""
    if match:
        position = match.end()
        match = _HOST.match(line, position)
        if match:
            host, position = match[1], match.end()
    match = _TAG.match(line, position)
    if not match:
        return ("rfc3164", priority, time, host, "", "", "", "", position)
    tag, process, topics = match.groups()
    return ("rfc3164", priority, time, host, tag or topics, process or "", "", "", match.end())


_TUPLE = (
    r"src=(\S{1,64}) dst=(\S{1,64})(?: sport=(\d{1,5}) dport=(\d{1,5})| type=\d{1,3} code=\d{1,3}(?: id=\d{1,5})?)?"
)
_EVENT = re.compile(
    r"\s*(?:\[(\d{1,10})\.(\d{1,9})\s*\]\s*)?(?:\[(NEW|UPDATE|DESTROY)\]\s+)?(?:ipv[46]\s+\d+\s+)?"
    r"([\w-]+)\s+(\d{1,3})\s+(?:\d+\s+)?(?:[A-Z][A-Z_0-9]*\s+)?" + _TUPLE + r"(.*?)" + _TUPLE,
    re.DOTALL,
)
_IDENTIFIER = re.compile(r" id=(\d{1,20})")
_ULOGD_TUPLE = r"SRC=(\S{1,64}) DST=(\S{1,64}) PROTO=(\w{1,16})(?: SPT=(\d{1,5}) DPT=(\d{1,5}))?"
_ULOGD = re.compile(
    r"\s*\[(NEW|UPDATE|DESTROY)\]\s+ORIG: " + _ULOGD_TUPLE + r"(.*?), REPLY: " + _ULOGD_TUPLE, re.DOTALL
)
_PACKET = re.compile(
    r"(?:\[ *\d{1,12}\.\d{1,9}\] ?)?(.{0,160}?)\bIN=\S{0,64} OUT=\S{0,64} [^\[]{0,400}?SRC=(\S{1,64}) DST=(\S{1,64}) "
    r"[^\[]{0,200}?PROTO=(\w{1,16})(?: SPT=(\d{1,5}) DPT=(\d{1,5}))?"
)
_ACTION = re.compile(r"accept|allow|drop|deny|denied|reject|block", re.IGNORECASE)
_WORDS = {"NEW": "open", "UPDATE": "update", "DESTROY": "close", None: "update"}
PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "ospf": 89,
    "pim": 103,
    "vrrp": 112,
    "l2tp": 115,
    "sctp": 132,
    "udplite": 136,
}


def _protocol(text):
    if text.isdecimal() and text.isascii() and len(text) <= 3:
        return int(text) if int(text) <= 255 else None
    return PROTOCOLS.get(text.lower())


def _port(text):
    return int(text) if text is not None and int(text) <= 65_535 else None


def _connection(message):
    """(format, source, port, destination, port, protocol, action) and, where it is translated, the `nat` fields."""
    if "SRC=" in message and "PROTO=" in message:
        match = _PACKET.match(message)
        if match:
            prefix, source, destination, protocol, source_port, destination_port = match.groups()
            action = _ACTION.search(prefix)
            action = "" if action is None else action[0].lower()
            ends = (_parsed(source), _port(source_port), _parsed(destination), _port(destination_port))
            return ("netfilter", *ends, _protocol(protocol), "deny" if action == "denied" else action), None
    if " dst=" in message:
        match = _EVENT.match(message)
        if not match:
            return None
        seconds, fraction, word, _, number, *tuples = match.groups()
        time = int(seconds) * NS + int(fraction.ljust(9, "0")) if seconds is not None else None
        identifier = _IDENTIFIER.search(message, match.end())
        protocol = int(number) if int(number) <= 255 else None
        time = None if time is not None and time >= 2**63 else time
        return _tracked("conntrack", word, time, protocol, tuples[:4], tuples[5:9], identifier and identifier[1])
    match = _ULOGD.match(message) if ", REPLY: " in message else None
    if not match:
        return None
    word, source, destination, protocol, sport, dport, _, back, reply, _, reply_sport, reply_dport = match.groups()
    original = [source, destination, sport, dport]
    return _tracked("ulogd", word, None, _protocol(protocol), original, [back, reply, reply_sport, reply_dport], None)


def _tracked(form, word, time, protocol, original, reply, identifier):
    addresses = [_parsed(text or "") for text in (original[0], original[1], reply[0], reply[1])]
    if None in addresses:
        return None
    source, destination, seen_as, outside = addresses
    ports = [_port(text) for text in (original[2], original[3], reply[2], reply[3])]
    connection = (form, source, ports[0], destination, ports[1], protocol, "")
    if protocol is None or (outside == source and ports[3] == ports[0]):
        return connection, None
    key = ",".join([str(protocol), *(part or "" for part in original), *(part or "" for part in reply)])
    return connection, {
        "outside_address": outside, "outside_port_low": ports[3] or 0, "outside_port_high": ports[3] or 0,
        "protocol": protocol, "destination_address": seen_as, "destination_port": ports[2], "inside_address": source,
        "inside_port": ports[0], "event": _WORDS[word], "time_unix_ns": time, "kind": "session",
        "quality": "arrival" if time is None else "exact", "mapping_id": identifier or key,
    }  # fmt: skip


def _line_rows(payload, received, zone):
    text, encoding = _decode_line(payload.rstrip(b"\r\n\x00"))
    form, priority, time, host, app, process, identifier, data, start = _header(text, received, zone)
    message = text[start:] if start else text
    connection, translation = _connection(message) or (None, None)
    line = {
        "format": connection[0] if connection else form,
        "facility": None if priority is None else priority >> 3,
        "severity": None if priority is None else priority & 7,
        "device_time_unix_ns": None if time is None else str(time),
        "hostname": host, "app_name": app, "process_id": process, "message_id": identifier, "structured_data": data,
        "message": message, "encoding": encoding,
    }  # fmt: skip
    if connection:
        names = ("source_address", "source_port", "destination_address", "destination_port", "protocol", "action")
        line.update(zip(names, connection[1:]))
    rows = [("line", line)]
    if translation:
        moment = received if translation["time_unix_ns"] is None else translation["time_unix_ns"]
        rows.append(("nat", {**translation, "time_unix_ns": str(moment)}))
    return rows


# Events of portal and accounts, and accounting packets (RFC 2866).


def _key_of(name):
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _clean(text):
    return text.encode("utf-8", "replace").decode()


def _event(payload):
    event = json.loads(payload)
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise ValueError("not an event")
    int(event["time_unix_ns"])
    return event


def _member(event, name):
    value = event.get(name)
    return _clean(value) if isinstance(value, str) else ""


def _dump(details):
    return _clean(json.dumps(details, ensure_ascii=False, sort_keys=True))


def _session_rows(payload):
    event = _event(payload)
    if event["event"] == "open" and isinstance(event.get("values"), dict):
        return [_carried_row(event)]
    details = event.get("details") if isinstance(event.get("details"), dict) else {}
    time, account = str(int(event["time_unix_ns"])), _key_of(_member(event, "account"))
    texts = ("kind", "session_id", "station", "nas_identifier", "login_id", "ended_why")
    row = {
        "time_unix_ns": time, "event": event["event"], "account": account,
        "quality": _member(event, "quality") or "exact",
        "address": _parsed(event.get("address")), "nas_address": _parsed(event.get("nas_address")),
        "details": _dump(details), **{name: _member(event, name) for name in texts},
    }  # fmt: skip
    for name in ("input_octets", "output_octets", "session_seconds"):
        row[name] = _wide(_number(event.get(name, details.get(name))))
    person = details.get("person")
    if not account or not isinstance(person, str) or not person:
        return [("session", row)]
    seen = {
        "time_unix_ns": time, "event": "account_seen", "account": account, "person": _clean(person),
        "actor": str(details.get("source") or row["kind"]),
        "details": _dump({"login_id": row["login_id"], "identified_how": "directory"}),
    }  # fmt: skip
    return [("session", row), ("identity", seen)]


def _identity_rows(payload):
    event = _event(payload)
    details = event.get("details")
    return [("identity", {
        "time_unix_ns": str(int(event["time_unix_ns"])), "event": _clean(event["event"]),
        "account": _key_of(_member(event, "account")), "person": _member(event, "person"),
        "actor": _member(event, "actor"), "details": _dump(details if isinstance(details, dict) else {}),
    })]  # fmt: skip


def _carried_row(event):
    """What was open at a day's start: the columns of a row, under their own names."""
    values = {name: _wide(value) if type(value) is int else value for name, value in event["values"].items()}
    for name in list(values):
        if name.endswith("_address") or name == "address":
            values[name] = _parsed(values[name])
    return {"nat": "nat", "sessions": "session"}[event["what"]], {**values, "event": "carry"}


_ACCOUNTING_EVENTS = {1: "open", 2: "close", 3: "update", 7: "nas_on", 8: "nas_off"}
_CAUSES = dict(enumerate((
    "User-Request", "Lost-Carrier", "Lost-Service", "Idle-Timeout", "Session-Timeout", "Admin-Reset", "Admin-Reboot",
    "Port-Error", "NAS-Error", "NAS-Request", "NAS-Reboot", "Port-Unneeded", "Port-Preempted", "Port-Suspended",
    "Service-Unavailable", "Callback", "User-Error", "Host-Request", "Supplicant-Restart", "Reauthentication-Failure",
    "Port-Reinitialized", "Port-Disabled",
), 1))  # fmt: skip
_STATION = re.compile(
    r"(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}(?:\\.[0-9a-f]{4}){2}|[0-9a-f]{4}(?:-[0-9a-f]{4}){2}|[0-9a-f]{6}-?[0-9a-f]{6})"
)


def _thai(value, encoding):
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError:
        return ""
    return "" if any("\x7f" < character < "\xa0" for character in text) else text


def _attribute_text(value):
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _thai(value, "tis_620") or _thai(value, "cp874") or value.decode("utf-8", "backslashreplace")


def _station(text):
    lowered = text.strip().lower()
    if not _STATION.fullmatch(lowered):
        return text.strip()
    digits = re.sub("[^0-9a-f]", "", lowered)
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def _accounting_rows(packet, received):
    """One row for each address; `nas_address` is left out where the packet names none."""
    attributes, offset = {}, 20
    while offset + 2 <= len(packet) and packet[offset + 1] >= 2:
        attributes.setdefault(packet[offset], []).append(packet[offset + 2 : offset + packet[offset + 1]])
        offset += packet[offset + 1]

    def sized(kind, size):
        values = attributes.get(kind)
        return values[0] if values and len(values[0]) == size else None

    def number(kind):
        value = sized(kind, 4)
        return None if value is None else int.from_bytes(value, "big")

    def text(kind):
        return _attribute_text(attributes[kind][0]) if kind in attributes else ""

    event, stated = _ACCOUNTING_EVENTS.get(number(40)), number(55)
    time, quality = received, "arrival"
    if stated is not None and -300 <= received // NS - stated <= 7 * 86_400:
        time, quality = stated * NS, "exact"
    elif (number(41) or 0) <= 7 * 86_400:
        time -= (number(41) or 0) * NS
    nas4, nas6 = sized(4, 4), sized(95, 16)
    login = next((one[13:] for one in attributes.get(25, ()) if one.startswith(b"phayan-login:")), b"")
    octets = [
        None if number(low) is None else (number(high) or 0) << 32 | number(low) for low, high in ((42, 52), (43, 53))
    ]
    row = {
        "time_unix_ns": str(time), "event": event, "kind": "radius", "session_id": text(44),
        "account": _key_of(text(1)),
        "station": _station(text(31)), "nas_identifier": text(32), "login_id": _attribute_text(login),
        "nas_address": _address_text(nas4 if nas4 and nas4 != bytes(4) else nas6),
        "ended_why": (_CAUSES.get(number(49), f"cause-{number(49)}") if number(49) is not None else "")
        if event == "close" else "",
        "quality": quality, "input_octets": _wide(octets[0]), "output_octets": _wide(octets[1]),
        "session_seconds": number(46),
    }  # fmt: skip
    found = []
    framed = sized(8, 4)
    if framed and framed not in (bytes(4), b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"):
        found.append(framed)
    found += [one for one in attributes.get(168, ()) if len(one) == 16]
    found += [one[2:].ljust(16, b"\0") for one in attributes.get(97, ()) if 2 < len(one) <= 18 and one[1] <= 128]
    texts = list(dict.fromkeys(filter(None, map(_address_text, found)))) or [""]
    return [("session", {**row, "address": one}) for one in texts]


def _loss_rows(payload):
    event = _event(payload)
    if event["event"] == "writer_started":
        event = {
            **event, "from_unix_ns": event.get("previous_alive_unix_ns"), "listener": event.get("stream", ""),
            "how": "writer_restart", "count": None,
        }  # fmt: skip
    moments = [int(event.get(name) or event["time_unix_ns"]) for name in ("from_unix_ns", "to_unix_ns")]
    texts = {name: event.get(name, "") for name in ("listener", "how")}
    return [("loss", {
        "start_unix_ns": str(min(moments)), "end_unix_ns": str(max(moments)),
        "count": _wide(_number(event.get("count"))),
        "sender_address": _parsed(event.get("source")), **texts,
    })]  # fmt: skip


def recompute(row, payload, zone):
    """(kind, fields) of every row that these bytes give."""
    if row.kind == "loss":
        return _loss_rows(payload)
    is_packet = payload[:1] == b"\x04" and len(payload) >= 20 and int.from_bytes(payload[2:4], "big") == len(payload)
    if row.kind == "session" and is_packet:
        return _accounting_rows(payload, row.received)
    if row.kind == "session" or (row.kind == "nat" and payload[:1] == b"{"):
        return _session_rows(payload)
    if row.kind == "identity":
        event = _event(payload)
        return _session_rows(payload) if "session_id" in event else _identity_rows(payload)
    return _line_rows(payload, row.received, zone)


def _check_rows(files, rows, units):
    """Counts of rows that were computed again, compared with flow records, and only stated."""
    counts = {"again": 0, "flow": 0, "stated": 0}
    decoding = _json(10, files, DECODING, dict)
    templates = _read_templates(rows, units)
    for row in rows:
        if not row.raw_file:
            counts["stated"] += 1
        elif row.kind in ("template", "carried_template"):
            continue
        elif _CAPTURE_FILE.match(row.raw_file):
            if row.kind == "loss":
                counts["stated"] += 1
                continue
            _check_flow_row(row, units, templates)
            counts["flow"] += 1
        else:
            zone = load_zone(str(decoding.get("zones", {}).get(f"{row.log}-{row.leaf}")))
            _check_row(row, files[row.raw_file], zone)
            counts["again"] += 1
    return counts


def _check_row(row, payload, zone):
    try:
        made = [_filled(values) for kind, values in recompute(row, payload, zone) if kind == row.kind]
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, AttributeError):
        raise PackageError(10, row.text(), "its bytes are not a record of this kind") from None
    given = {name: value for name, value in row.fields.items() if name not in STATED}
    for values in made:
        compared = {name: value for name, value in values.items() if name not in STATED}
        if (
            row.kind == "loss"
            and "sender_address" in values
            and values["sender_address"] != row.fields.get("sender_address")
        ):
            continue
        if "nas_address" not in compared:
            given = {name: value for name, value in given.items() if name != "nas_address"}
        if zone is None:
            compared.pop("device_time_unix_ns", None)
            given = {name: value for name, value in given.items() if name != "device_time_unix_ns"}
        if compared == given:
            return
    raise PackageError(10, row.text(), "does not say what its raw bytes say")


# Flow records: NetFlow v5, v7, v9 (RFC 3954), IPFIX (RFC 7011); sFlow by the bytes alone.


def _read_templates(rows, units):
    """{(raw file, template id): [(element, length)]} of the template rows."""
    found = {}
    for row in rows:
        if row.kind not in ("template", "carried_template"):
            continue
        number, target = row.fields.get("template_id"), row.fields.get("for")
        try:
            if row.kind == "carried_template":
                item = json.loads(b"".join(unit.data for unit in units[row.place]))
                fields = [(one[1] if not one[0] else -1, one[2]) for one in item["fields"]]
                if item["template_id"] != number:
                    raise ValueError("another template")
            else:
                (unit,) = [one for one in units[row.place] if one.offset == row.offset]
                version = struct.unpack_from(">H", units[row.place][0].data)[0]
                fields = _template_fields(unit.data, number, version, row.fields.get("options") is True)
        except (ValueError, KeyError, TypeError, IndexError, struct.error):
            raise PackageError(10, row.text(), "is not the template it is said to be") from None
        found[target, number] = fields
    return found


def _template_fields(data, number, version, is_options):
    identifier, count = struct.unpack_from(">HH", data)
    if identifier != number or version not in (9, 10):
        raise ValueError("another template")
    position = 4
    if is_options:
        (second,) = struct.unpack_from(">H", data, 4)
        count, position = (count if version == 10 else (count + second) // 4), 6
    fields = []
    for _ in range(count):
        element, length = struct.unpack_from(">HH", data, position)
        position += 4
        if version == 10 and element & 0x8000:
            position, element = position + 4, -1
        fields.append((element, length))
    return fields


def _flow_values(data, fields):
    """Values of a record as bytes, with their elements."""
    found, position = [], 0
    for element, length in fields:
        if length == 65_535:
            length, position = data[position], position + 1
            if length == 255:
                length, position = int.from_bytes(data[position : position + 2], "big"), position + 2
        if position + length > len(data):
            raise ValueError("record")
        found.append((element, data[position : position + length]))
        position += length
    return found


_V5_FIELDS = (
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2), (210, 1), (6, 1),
    (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (210, 2),
)  # fmt: skip
_PORT_BLOCKS = {361, 362, 363}


def _check_flow_row(row, units, templates):
    parts = units.get(row.place, [])
    found = [one for one in parts if one.offset == row.offset]
    if len(found) != 1 or not parts or parts[0].offset:
        raise PackageError(10, row.text(), "its unit or its datagram's header is not in the package")
    data, header = found[0].data, parts[0].data
    version = int.from_bytes(header[:2], "big")
    try:
        if version in (5, 7):
            values = _flow_values(data, _V5_FIELDS)
        elif version in (9, 10):
            (covering,) = [head for head, records in split_sets(parts) if found[0] in records]
            number = int.from_bytes(covering.data[:2], "big")
            values = _flow_values(data, templates[row.raw_file, number])
        else:
            values = None
    except (ValueError, IndexError, KeyError):
        raise PackageError(10, row.text(), "its bytes cannot be read with the template in the package") from None
    blocks = values is not None and bool(_PORT_BLOCKS.intersection(element for element, _ in values))
    for name, value in row.fields.items():
        if name in STATED or (not name.endswith("_address") and "_port" not in name):
            continue
        if "_port" in name and (value in (0, 65_535) or blocks):
            continue
        packed = ipaddress.ip_address(value).packed if name.endswith("_address") else struct.pack(">H", value)
        if (packed not in data) if values is None else packed not in [one for _, one in values]:
            raise PackageError(10, row.text(), f"{name} {value} does not stand in its raw bytes")


# 11. The answer: its table is that of the JSON, and each step cites a row that contains what it says.


def _endpoint(address, port):
    if port in (None, ""):
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _step_values(step, kind, fields):
    """What a row of this kind says for a step."""
    if step == "public_address" and kind == "nat":
        low, high = fields.get("outside_port_low", 0), fields.get("outside_port_high", 0)
        ports = None if (low, high) in ((0, 65_535), (0, 0)) else "-".join(dict.fromkeys((str(low), str(high))))
        return [_endpoint(fields.get("outside_address", ""), ports)]
    if step == "inside_address":
        return [_endpoint(fields.get("inside_address", ""), fields.get("inside_port")), fields.get("address")]
    names = {"session": "session_id", "device": "station", "account": "account", "person": "person"}
    if step in names:
        found = [fields.get(names[step], "")]
        if step == "person" and kind == "session":
            try:
                found.append(json.loads(fields.get("details", "{}")).get("person"))
            except (ValueError, AttributeError):
                pass
        return found if kind in ("session", "identity") else []
    return [value for value in fields.values() if isinstance(value, str)]


def _check_answer(files, logs, rows):
    """How many steps cite a record."""
    answer = _json(11, files, ANSWER_JSON, dict)
    by_place, by_session = {}, {}
    for row in rows:
        by_place.setdefault(row.place, []).append(row)
        if row.kind == "session" and row.fields.get("session_id"):
            by_session.setdefault(row.fields["session_id"], []).append(row)
    numbers = {log.origin: number for number, log in logs.items()}
    try:
        steps = [
            (str(number), step)
            for number, candidate in enumerate(answer["candidates"], 1)
            for step in candidate["steps"]
        ]
        table = list(csv.DictReader(io.StringIO(_csv_text(11, files, ANSWER_CSV)), strict=True))
        if len(table) != len(steps):
            raise ValueError("another number of steps")
        cited = 0
        for (number, step), line in zip(steps, table):
            names = ("step", "value", "certainty", "why", "from", "to", "log", "leaf_index", "row")
            wanted = {name: "" if step[name] is None else str(step[name]) for name in names}
            # A value that a spreadsheet would compute or convert stands in the table with an apostrophe before it.
            shown = {**line, "value": line["value"].removeprefix("'")}
            if line["candidate"] != number or any(shown[name] != wanted[name] for name in names):
                raise PackageError(11, ANSWER_CSV, f"step {wanted['step']!r} is not that of {ANSWER_JSON}")
            if step["leaf_index"] is None:
                if line["raw_file"]:
                    raise PackageError(11, ANSWER_CSV, f"step {wanted['step']!r} cites nothing, yet names a file")
                continue
            found = by_place.get((numbers.get(step["log"]), step["leaf_index"], step["row"]), [])
            _check_step(wanted, line, found, by_session)
            cited += 1
        for loss in answer["losses"]:
            if (numbers.get(loss["log"]), loss["leaf_index"], loss["row"]) not in by_place:
                raise PackageError(11, ANSWER_JSON, "cites a loss whose record is not in the package")
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise PackageError(11, ANSWER_CSV, f"is not the table of {ANSWER_JSON} ({error})") from None
    return cited


def _check_step(step, line, found, by_session):
    shown = f"step {step['step']!r} with {step['value']!r}"
    if not found or line["raw_file"] not in [row.raw_file for row in found]:
        raise PackageError(11, ANSWER_CSV, f"{shown} cites a record that is not in {RECORDS_CSV}")
    supporting = list(found)
    for row in found:
        if row.kind == "session":
            supporting += by_session.get(row.fields.get("session_id"), [])
    if not any(step["value"] in _step_values(step["step"], row.kind, row.fields) for row in supporting):
        raise PackageError(11, ANSWER_CSV, f"{shown} cites a record that does not say so")


# 12. Nothing else: no unit, leaf or raw file that no line of records.csv cites.


def _check_nothing_else(files, logs, rows, units, by_file):
    cited = {}
    for row in rows:
        cited.setdefault(row.place, []).append(row)
    for place, parts in sorted(units.items()):
        if place not in cited:
            raise PackageError(12, parts[0].name, "holds a unit of a record that is not cited")
        own = cited[place]
        if any(_RECORD_FILE.match(row.raw_file) for row in own):
            continue
        needed = {0} | {row.offset for row in own}
        needed |= _set_headers_of(parts, needed)
        for unit in parts:
            if unit.offset not in needed:
                raise PackageError(12, unit.name, "holds a unit that is not cited")
    for name in files:
        if (_RECORD_FILE.match(name) or _CAPTURE_FILE.match(name)) and name not in by_file:
            raise PackageError(12, name, "is a raw file that is not cited")
    for number, log in sorted(logs.items()):
        used = {0} | {place[1] for place in cited if place[0] == number}
        used |= {unit.records_leaf for place, parts in units.items() if place[0] == number for unit in parts}
        for index, leaf in log.leaves.items():
            if index not in used and leaf.get("kind") not in ("anchor", "purge", "clock"):
                raise PackageError(12, f"{log.folder}leaves/{index}.json", "is a leaf that is not cited")
        for name in log.names:
            if _LOG_FILE.match(name)[5] is not None and not files[name]:
                raise PackageError(12, name, "is empty")


def _set_headers_of(parts, needed):
    """Offsets of the headers of the sets that hold one of the units `needed`."""
    if int.from_bytes(parts[0].data[:2], "big") not in (9, 10):
        return set()
    return {head.offset for head, records in split_sets(parts) if any(one.offset in needed for one in records)}


class Options:
    """What the caller knows and demands."""

    def __init__(self, ca=None, at=None, policy=None, log_key=None):
        self.ca = ca
        self.at = at
        self.policy = policy
        self.log_key = log_key


def verify_package(path, options=None):
    """What was proven, as (English, Thai) sentences. Raises PackageError for the first thing that does not hold."""
    options = options or Options()
    files = read_package(path)
    _check_manifests(files)
    certificate, signed_at = _check_signature(files)
    stamped_at = _check_token(files)
    as_of = _check_certificate(certificate, signed_at, stamped_at, options)
    logs = _read_logs(files, options)
    witness_lines = _check_policies(files, logs, options)
    for _, log in sorted(logs.items()):
        _check_leaves(log)
    _check_keys(logs, certificate)
    anchors = {number: _check_anchors(files, log) for number, log in logs.items()}
    units = {(number, *place): parts for number, log in logs.items() for place, parts in _read_units(log).items()}
    rows = _read_records_csv(files, logs)
    held = _check_held(files, logs, rows)
    by_file = _check_raw_files(files, rows, units)
    counts = _check_rows(files, rows, units)
    cited = _check_answer(files, logs, rows)
    _check_nothing_else(files, logs, rows, units, by_file)
    proven = [(
        f"{len(files)} files, each as listed and signed by certificate SHA-256 "
        f"{certificate.fingerprint(hashes.SHA256()).hex()}, valid at {as_of.isoformat()}",
        f"{len(files)} ไฟล์ ตรงตามบัญชีและลงนามด้วยใบรับรองที่มีลายนิ้วมือ "
        f"{certificate.fingerprint(hashes.SHA256()).hex()} ซึ่งมีผล ณ เวลานั้น",
    )]  # fmt: skip
    if options.ca is None:
        proven.append((
            "NOT PROVEN: whose certificate it is; compare its fingerprint with what the office publishes, or use --ca",
            "ยังไม่พิสูจน์: ใบรับรองเป็นของใคร ให้เทียบลายนิ้วมือกับที่หน่วยงานประกาศ หรือใช้ --ca",
        ))  # fmt: skip
    if stamped_at is None:
        proven.append((
            f"NOT PROVEN: when it was signed; the signer states {signed_at.isoformat()}",
            f"ยังไม่พิสูจน์: เวลาที่ลงนาม ผู้ลงนามระบุว่า {signed_at.isoformat()}",
        ))  # fmt: skip
    else:
        proven.append((
            f"the signature existed at {stamped_at.isoformat()}, by a time stamp of an outside authority",
            f"ลายมือชื่อมีอยู่แล้ว ณ {stamped_at.isoformat()} ตามตราประทับเวลาของผู้ให้บริการภายนอก",
        ))  # fmt: skip
    proven += witness_lines
    proven += _time_lines(logs, rows, anchors)
    total = sum(len(parts) for parts in units.values())
    proven.append((
        f"{sum(len(log.leaves) for log in logs.values())} leaves are in their logs, {total} units of records under "
        f"their roots; {len(by_file)} raw files are made of them and of nothing else",
        f"ใบ {sum(len(log.leaves) for log in logs.values())} ใบอยู่ในบันทึก หน่วยของระเบียน {total} หน่วยอยู่ใต้รากของมัน "
        f"และไฟล์ดิบ {len(by_file)} ไฟล์ประกอบจากหน่วยเหล่านั้นเท่านั้น",
    ))  # fmt: skip
    proven.append((
        f"{counts['again']} rows were computed again from the bytes and agree; of {counts['flow']} rows every address "
        f"and port stands in the flow record (other fields: see tshark); {counts['stated']} losses are stated by the "
        f"appliance; {cited} steps of the answer cite a row that says so",
        f"คำนวณซ้ำจากไบต์ดิบ {counts['again']} แถวและตรงกัน แถวโฟลว์ {counts['flow']} แถวมีที่อยู่และพอร์ตอยู่ในระเบียนจริง "
        f"ข้อมูลสูญหาย {counts['stated']} รายการเป็นคำแถลงของระบบ และ {cited} ขั้นของคำตอบอ้างถึงแถวที่ระบุเช่นนั้น",
    ))  # fmt: skip
    if held:
        leaves = ", ".join(sorted({f"{place[0]}/{number}" for place, number in held.items()}))
        proven.append((
            f"{len(held)} records are of purged days and were kept by a hold: their bytes are proven as all others "
            f"are; the file they were kept in is sealed by its SHA-256 in a purge leaf (log/leaf {leaves}) but is not "
            "in the package, so their time of receipt and sender are as stated, within the interval of their leaf",
            f"ระเบียน {len(held)} รายการเป็นของวันที่ลบตามกำหนดแล้วและเก็บไว้ตามคำสั่งให้เก็บรักษา ไบต์พิสูจน์ได้เช่นเดียวกับรายการอื่น "
            f"แฟ้มที่เก็บไว้มีค่า SHA-256 ผนึกในใบลบ (บันทึก/ใบ {leaves}) แต่แฟ้มนั้นไม่อยู่ในชุด "
            "เวลารับและผู้ส่งจึงเป็นคำแถลงของระบบ ภายในช่วงเวลาของใบ",
        ))  # fmt: skip
    proven.append((
        "NOT PROVEN by bytes: sender and exact time of receipt of a record (its leaf proves them to a few seconds), "
        "realm, listener: the appliance states them; and that no other record exists",
        "ไม่พิสูจน์ด้วยไบต์: ผู้ส่งและเวลารับที่แน่ชัดของระเบียน (ใบพิสูจน์ได้ในช่วงไม่กี่วินาที) เขต และช่องรับ "
        "เป็นคำแถลงของระบบ และไม่พิสูจน์ว่าไม่มีระเบียนอื่น",
    ))  # fmt: skip
    return proven + _completeness_lines(files)


def _time_lines(logs, rows, anchors):
    """Outside times before and after the cited leaves."""
    lines = []
    for number, log in sorted(logs.items()):
        cited = [row.leaf for row in rows if row.log == number and row.kind not in ("template", "carried_template")]
        if not cited:
            continue
        before = [
            int(leaf["unix_ns"]) // NS
            for index, leaf in log.leaves.items()
            if leaf.get("kind") == "anchor" and index < min(cited)
        ]
        after = [seconds for size, seconds in anchors[number] if size > max(cited)]
        first = f"after {_iso(max(before))} (anchor sealed before them)" if before else "no outside time before them"
        last = f"before {_iso(min(after))} (first outside time over them)" if after else "no outside time after them"
        lines.append((
            f"cited leaves {min(cited)} to {max(cited)} of {log.origin}: {first}; {last}",
            f"ใบที่อ้างถึง {min(cited)} ถึง {max(cited)} ของ {log.origin}: "
            + (f"หลัง {_iso(max(before))}" if before else "ไม่มีเวลาจากภายนอกก่อนหน้า")
            + "; "
            + (f"ก่อน {_iso(min(after))}" if after else "ไม่มีเวลาจากภายนอกภายหลัง"),
        ))  # fmt: skip
    return lines


def _completeness_lines(files):
    """The gaps that the package declares."""
    stated = _json(12, files, COMPLETENESS, dict)
    gaps = stated.get("gaps", [])
    if not isinstance(gaps, list):
        raise PackageError(12, COMPLETENESS, "has no list of gaps")
    lines = [(
        f"declared gaps in the interval: {len(gaps)}" if gaps else "declared gaps in the interval: none",
        f"ช่วงที่ข้อมูลขาดตามที่แถลง: {len(gaps)}" if gaps else "ช่วงที่ข้อมูลขาดตามที่แถลง: ไม่มี",
    )]  # fmt: skip
    for gap in gaps[:100]:
        text = json.dumps(gap, ensure_ascii=False, sort_keys=True)[:300]
        lines.append(("  " + text, ""))
    return lines


def parse_time(text):
    """A moment given with --at. Raises ValueError."""
    if re.match(r"\d{1,12}\Z", text):
        return datetime.datetime.fromtimestamp(int(text), datetime.timezone.utc)
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError("it has no offset")
    return moment


def _parse_arguments(arguments):
    """(path, options). Raises ValueError; OSError when a file cannot be read."""
    paths, options, position = [], Options(), 0
    while position < len(arguments):
        name = arguments[position]
        if not name.startswith("--"):
            paths.append(name)
            position += 1
            continue
        if name not in ("--ca", "--at", "--policy", "--log-key") or position + 1 >= len(arguments):
            raise ValueError(f"{name} is no option, or its value is missing")
        value = arguments[position + 1]
        position += 2
        if name == "--at":
            options.at = parse_time(value)
            continue
        with open(value, "rb") as file:
            data = file.read(1024 * 1024)
        if name == "--ca":
            options.ca = load_certificates(data)
            if not options.ca:
                raise ValueError(f"{value} holds no certificate")
        elif name == "--policy":
            options.policy = data
        else:
            options.log_key = data.decode("utf-8").strip()
    if len(paths) != 1:
        raise ValueError("one PATH is needed")
    return paths[0], options


def main(arguments):
    try:
        path, options = _parse_arguments(arguments)
    except (ValueError, OSError) as error:
        print(f"{error}\n{__doc__}", file=sys.stderr)
        return 2
    try:
        lines = verify_package(path, options)
    except PackageError as error:
        print(f"DOES NOT VERIFY / ไม่ผ่านการตรวจสอบ: {error}")
        return 1
    except OSError as error:
        print(f"could not run / ทำงานไม่ได้: {error}", file=sys.stderr)
        return 2
    print("VERIFIED / ผ่านการตรวจสอบ")
    for english, thai in lines:
        print(f"  {english}")
        if thai:
            print(f"    {thai}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
