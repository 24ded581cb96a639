"""The state that is no record: accounts, settings, certificates. A tar file (POSIX ustar) encrypted to the recovery key
(age-encryption.org/v1, X25519); `age -d` opens it."""

import hashlib
import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pyrage

from archive.copies.target import CopyError, check_name
from archive.durable import make_directory, replace_file

_age: Any = pyrage
"""Its types are in no stub."""
SQLITE_SUFFIX = ".sqlite"
MAX_ENTRIES = 10_000
MAX_BUNDLE_BYTES = 4 * 1024 * 1024 * 1024
"""Accounts of a ministry are a few hundred MiB."""


class StateSource(Protocol):
    """`entries` are names in the bundle and the files they are made of; `recipient` is an age recipient, or None where
    nobody made a recovery key."""

    def recipient(self) -> str | None: ...

    def entries(self) -> Iterable[tuple[str, Path]]: ...


def write_bundle(entries: Iterable[tuple[str, Path]], target: Path) -> bytes:
    """A tar of these files, in order of name, without times and owners: the same state gives the same bytes. Databases
    are copied with SQLite's backup. Files that are not there are left out. Returns the SHA-256. Raises OSError."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in sorted(entries):
            if path.suffix == SQLITE_SUFFIX and path.exists():
                with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
                    copy = Path(temporary) / "copy.sqlite"
                    _back_up(path, copy)
                    _add(tar, name, copy)
            elif path.is_file():
                _add(tar, name, path)
    digest = hashlib.sha256()
    with target.open("rb") as file:
        while block := file.read(1024 * 1024):
            digest.update(block)
    return digest.digest()


def _back_up(source: Path, copy: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as database,
            closing(sqlite3.connect(copy)) as target,
        ):
            database.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise CopyError(f"{source} cannot be copied: {error}") from error


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    with path.open("rb") as file:
        info = tarfile.TarInfo(check_name(name))
        info.size, info.mode = os.fstat(file.fileno()).st_size, 0o600
        tar.addfile(info, file)


def encrypt_bundle(plain: Path, encrypted: Path, recipient: str) -> None:
    """Raises CopyError for a recipient that is none."""
    with plain.open("rb") as reader, encrypted.open("wb") as writer:
        _age.encrypt_io(reader, writer, [parse_recipient(recipient)])


def decrypt_bundle(encrypted: Path, plain: Path, identity: str) -> None:
    """Raises CopyError where this key does not open it."""
    try:
        with encrypted.open("rb") as reader, plain.open("wb") as writer:
            os.fchmod(writer.fileno(), 0o600)
            _age.decrypt_io(reader, writer, [parse_identity(identity)])
    except (_age.DecryptError, OSError) as error:
        raise CopyError(f"the recovery key does not open {encrypted.name}: {error}", code="recovery_key") from error


def unpack_bundle(plain: Path, folder: Path) -> list[str]:
    """Lay out a bundle below `folder`, files readable to their owner alone. Returns the names. Raises CopyError for
    names that lead elsewhere, for what is no plain file, and for bundles that are too large."""
    names: list[str] = []
    try:
        with tarfile.open(plain, "r:") as tar:
            for member in tar:
                if not member.isreg() or len(names) >= MAX_ENTRIES or member.size > MAX_BUNDLE_BYTES:
                    raise CopyError(f"{member.name!r} in the state bundle is no plain file, or there are too many")
                path = folder / check_name(member.name)
                make_directory(path.parent, mode=0o700)
                source = tar.extractfile(member)
                replace_file(path, source.read() if source else b"", mode=0o600)
                names.append(member.name)
    except tarfile.TarError as error:
        raise CopyError(f"the state bundle is no tar file: {error}") from error
    return names


def encrypt_bytes(data: bytes, recipient: str) -> bytes:
    """For a secret that goes into the bundle encrypted already."""
    written = io.BytesIO()
    _age.encrypt_io(io.BytesIO(data), written, [parse_recipient(recipient)])
    return written.getvalue()


def decrypt_bytes(data: bytes, identity: str) -> bytes:
    """Raises CopyError."""
    try:
        return _age.decrypt(data, [parse_identity(identity)])
    except _age.DecryptError as error:
        raise CopyError(f"the recovery key does not open this: {error}", code="recovery_key") from error


def parse_recipient(text: str) -> Any:
    """`age1...`. Raises CopyError."""
    try:
        return _age.x25519.Recipient.from_str(text.strip())
    except _age.RecipientError as error:
        raise CopyError("valid is the public part of a recovery key, age1...", code="recovery_key") from error


def parse_identity(text: str) -> Any:
    """`AGE-SECRET-KEY-1...`, as printed: white space and lower case do no harm. Raises CopyError."""
    try:
        return _age.x25519.Identity.from_str("".join(text.split()).upper())
    except _age.IdentityError as error:
        raise CopyError(
            "this is no recovery key; it begins with AGE-SECRET-KEY-1, and one wrong letter is enough",
            code="recovery_key",
        ) from error


def make_identity() -> tuple[str, str]:
    """A recovery key: secret and recipient."""
    identity = _age.x25519.Identity.generate()
    return str(identity), str(identity.to_public())
