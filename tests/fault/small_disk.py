"""A file system of a few MiB that is really full when it is full, in a mount namespace of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.lab import wait_until

_MOUNT = 'mount -t tmpfs -o "size=$2" tmpfs "$1" && touch "$1/mounted" && exec sleep infinity'


@dataclass(frozen=True)
class SmallDisk:
    """`inside` is the path processes started through `prefix` know it by, `path` the one everybody else does."""

    path: Path
    inside: Path
    prefix: tuple[str, ...]

    def free_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


def need_mounting() -> None:
    """Skip where mounting is not allowed; in CI that is a failure."""
    if os.geteuid():
        if os.environ.get("CI") == "true":
            pytest.fail("a file system of its own needs root")
        pytest.skip("a file system of its own needs root")


@contextmanager
def small_disk(directory: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A tmpfs of that size at `directory`, for a process that sleeps in a namespace and those that join it; gone with
    the last of them."""
    directory.mkdir(parents=True)
    holder = subprocess.Popen(["unshare", "-m", "sh", "-c", _MOUNT, "sh", str(directory), str(size_bytes)])
    try:
        path = Path(f"/proc/{holder.pid}/root{directory}")
        wait_until(lambda: (path / "mounted").exists(), 10, "the small disk is mounted")
        yield SmallDisk(path, directory, ("nsenter", "-t", str(holder.pid), "-m"))
    finally:
        holder.kill()
        holder.wait()
