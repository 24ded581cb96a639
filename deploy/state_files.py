"""What of an appliance is no record and goes into the encrypted state of its copies, and where it goes back to."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from archive.copies.state_bundle import decrypt_bytes, encrypt_bytes
from archive.durable import make_directory, replace_file
from archive.keys import LogKeys
from deploy.layout import Appliance

RECIPIENT_FILE = "recovery.recipient"
PACKAGE_KEY = "package-key.age"
FOLDERS = ("accounts", "operators", "portal", "cases")
SETTINGS_FILE = "phayan.toml"
END_OF_KEY = b"-----END PRIVATE KEY-----\n"


@dataclass(frozen=True)
class StateFiles:
    """archive.copies.state_bundle.StateSource of an appliance. Reads no key: the package key lies there encrypted."""

    appliance: Appliance

    def recipient(self) -> str | None:
        return find_recipient(self.appliance)

    def entries(self) -> Iterator[tuple[str, Path]]:
        for folder in FOLDERS:
            for path in sorted((self.appliance.directory / folder).rglob("*")):
                if path.is_file() and not path.name.startswith(".") and not path.name.endswith(("-wal", "-shm")):
                    yield path.relative_to(self.appliance.directory).as_posix(), path
        if self.appliance.config_path is not None:
            yield SETTINGS_FILE, self.appliance.config_path
        yield PACKAGE_KEY, wrapped_key_path(self.appliance)


def find_recipient(appliance: Appliance) -> str | None:
    """Of the settings, else of the file that `phayan recovery-key create` left."""
    if appliance.config.recovery.recipient:
        return appliance.config.recovery.recipient
    try:
        return (appliance.directory / RECIPIENT_FILE).read_text(encoding="ascii").strip() or None
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def wrapped_key_path(appliance: Appliance) -> Path:
    return appliance.directory / "copies" / PACKAGE_KEY


def wrap_package_key(appliance: Appliance, keys: LogKeys) -> None:
    """Leave the package key, encrypted to the recovery key, where the anchor process finds it: that one has a network
    and reads no key. Done by who holds the keys, at its start. A key in a token stays there. Raises OSError."""
    recipient = find_recipient(appliance)
    if recipient is None or not hasattr(keys.package, "private_bytes"):
        return
    private = keys.package.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = wrapped_key_path(appliance)
    make_directory(path.parent, mode=0o700)
    replace_file(path, encrypt_bytes(private + keys.certificate_pem(), recipient), mode=0o600)


def unwrap_package_key(folder: Path, identity: str) -> tuple[bytes, bytes] | None:
    """Private key and certificate (PEM) of an unpacked bundle; None where there are none. Raises CopyError."""
    path = folder / PACKAGE_KEY
    if not path.exists():
        return None
    private, end, certificate = decrypt_bytes(path.read_bytes(), identity).partition(END_OF_KEY)
    return private + end, certificate


def lay_out_state(folder: Path, directory: Path) -> list[str]:
    """Move what was unpacked in `folder` into a data directory. Settings that are there already stay: the old ones are
    put beside them. Returns the names."""
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name == PACKAGE_KEY or name.split("/")[0] not in (*FOLDERS, SETTINGS_FILE):
            continue
        place = directory / name
        if name == SETTINGS_FILE and place.exists():
            place = place.with_name(f"{SETTINGS_FILE}.restored")
        make_directory(place.parent, mode=0o700)
        os.replace(path, place)
        names.append(name)
    shutil.rmtree(folder)
    return names
