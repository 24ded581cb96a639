"""One archive with an answer, and its package, for all tests that only look at them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nat_datagrams as made
import pytest
from package_log import INSIDE, PORT, PackageArchive

from archive.anchor.check import AnchorTrust
from tests.archive.tsa_maker import MadeAuthority


@dataclass
class Made:
    """An archive, an answer of it, and the signed package."""

    archive: PackageArchive
    answer: dict[str, Any]
    files: dict[str, bytes]


def make_lines(folder: Path, *, others: int = 0, trust: AnchorTrust | None = None) -> Made:
    """A session of portal and RADIUS kind and a translation told in a line, with `others` lines of other people in the
    same chunk."""
    archive = PackageArchive(folder)
    archive.trust = trust or AnchorTrust()
    archive.person("somchai", "สมชาย ใจดี")
    archive.login("open", station="02:00:00:00:00:01", details={"person": "สมชาย ใจดี", "source": "directory"})
    other = [f"<13>1 - gw app - - - person {n} at 10.0.1.{n}" for n in range(others)]
    archive.conntrack("NEW", INSIDE, PORT, *other)
    at = archive.now_ns
    archive.log.clock.advance(5)
    archive.conntrack("DESTROY")
    archive.log.clock.advance(5)
    archive.login("close")
    answer = archive.who(at)
    return Made(archive, answer, archive.package(answer))


def make_flows(folder: Path, *, others: int = 29) -> Made:
    """A translation told in a datagram with those of `others`, its template in an earlier one."""
    archive = PackageArchive(folder)
    archive.login("open")
    inside = [f"10.0.1.{n + 1}" for n in range(others)]
    archive.nat(made.CREATE, *inside, INSIDE, ports=(*range(1000, 1000 + others), PORT))
    at = archive.now_ns
    archive.log.clock.advance(5)
    archive.nat(made.DELETE, INSIDE)
    archive.login("close")
    answer = archive.who(at)
    return Made(archive, answer, archive.package(answer))


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    one = make_lines(tmp_path_factory.mktemp("lines"), others=3)
    yield one
    one.archive.close()


@pytest.fixture(scope="session")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    one = make_flows(tmp_path_factory.mktemp("flows"))
    yield one
    one.archive.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> MadeAuthority:
    return MadeAuthority("tsa-one", tmp_path_factory.mktemp("stamp") / "one")


@pytest.fixture(scope="session")
def stamped(tmp_path_factory: pytest.TempPathFactory, authority: MadeAuthority) -> Iterator[Made]:
    """A package with a time stamp over its signature."""
    trust = AnchorTrust(authorities=(authority.pinned(),))
    one = make_lines(tmp_path_factory.mktemp("stamped"), trust=trust)
    signature = one.files["tagmanifest-sha256.txt.p7s"]
    one.files["tagmanifest-sha256.txt.p7s.tsr"] = authority.stamp(signature)
    yield one
    one.archive.close()
