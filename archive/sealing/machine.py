"""Which machine and which disk a log was last signed on: a restored backup or a copied virtual machine differs."""

import hashlib
import os
from pathlib import Path

from archive.durable import replace_file
from archive.origin import ArchivePaths

_IDENTITY_FILES = (Path("/etc/machine-id"), Path("/sys/class/dmi/id/product_uuid"))
_DISKS = Path("/dev/disk/by-uuid")


def machine_identity(directory: Path) -> str:
    """Hash of what identifies this machine and the disk that holds `directory`, as far as this user may know it. Stable
    over restarts."""
    digest = hashlib.sha256()
    for path in _IDENTITY_FILES:
        try:
            digest.update(path.read_bytes())
        except OSError:
            digest.update(b"?")
    digest.update(_disk_identity(directory).encode())
    return digest.hexdigest()


def _disk_identity(directory: Path) -> str:
    """UUID of the file system, where it has a device of its own."""
    device = os.stat(directory).st_dev
    try:
        for link in sorted(_DISKS.iterdir()):
            if os.stat(link).st_rdev == device:
                return link.name
    except OSError:
        pass
    return "?"


def machine_file(paths: ArchivePaths) -> Path:
    """Beside the head: it is not in a copy of the data directory either."""
    return paths.head.with_name(paths.head.name + ".machine")


def is_known_machine(paths: ArchivePaths) -> bool:
    """Whether this machine and disk signed last. Where nothing is remembered, this is the first signature here."""
    try:
        return machine_file(paths).read_text(encoding="ascii").strip() == machine_identity(paths.directory)
    except FileNotFoundError:
        return True


def remember_machine(paths: ArchivePaths) -> None:
    """From here on this machine and disk are the known ones. Durable; raises OSError."""
    replace_file(machine_file(paths), (machine_identity(paths.directory) + "\n").encode())
