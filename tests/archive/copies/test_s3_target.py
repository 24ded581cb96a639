"""A copy in a bucket, before moto's server: pieces, locks that hold, and purge once they have ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from copy_targets import CopiedLog
from moto.server import ThreadedMotoServer

from archive.copies.copier import Copier
from archive.copies.fetch import fetch, plan_fetch
from archive.copies.s3_target import S3Target
from archive.copies.target import CopyError
from archive.verify.run import verify_archive
from tests.clocks import NS

BUCKET = "copies"
FUTURE_NS = 4_000_000_000 * NS


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> str:
    name = f"{BUCKET}-{abs(hash(request.node.name)) % 10**8}"
    client: Any = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def make(endpoint: str, bucket: str, *, lock: bool = False) -> S3Target:
    return S3Target(bucket=bucket, prefix="school/box", access_key="k", secret_key="s", endpoint=endpoint, lock=lock)


def read(target: S3Target, *arguments: Any) -> bytes:
    return b"".join(target.read(*arguments))


def test_files_that_grow_are_pieces(endpoint: str, bucket: str) -> None:
    target = make(endpoint, bucket)
    target.append("log/a.seg", 0, b"0123")
    target.append("log/a.seg", 4, b"45")
    target.append("log/a.seg", 4, b"4567")
    target.put("log/b", b"whole")
    assert target.list("log/") == {"log/a.seg": 8, "log/b": 5}
    assert target.list("log/a.seg") == {"log/a.seg": 8}
    assert read(target, "log/a.seg") == b"01234567"
    assert read(target, "log/a.seg", 3, 3) == b"345"
    assert read(target, "log/b", 1) == b"hole"
    target.rename("log", "former/1/log")
    assert target.list("") == {"former/1/log/a.seg": 8, "former/1/log/b": 5}
    target.remove("former/1/log/a.seg")
    assert target.list("former/") == {"former/1/log/b": 5}
    with pytest.raises(CopyError) as caught:
        read(target, "former/1/log/a.seg")
    assert caught.value.code == "missing"


def test_what_is_locked_stays_until_its_date(endpoint: str, bucket: str) -> None:
    target = make(endpoint, bucket, lock=True)
    target.append("log/segments/s/20261119/000000.seg", 0, b"kept", retain_until_unix_ns=FUTURE_NS)
    with pytest.raises(CopyError) as caught:
        target.remove("log/segments/s/20261119/000000.seg")
    assert caught.value.code == "locked"
    assert read(target, "log/segments/s/20261119/000000.seg") == b"kept"
    target.put("log/checkpoint", b"free")
    target.remove("log/checkpoint")
    assert not target.list("log/checkpoint")


def test_a_copy_in_a_bucket_is_the_log(endpoint: str, bucket: str, tmp_path: Path) -> None:
    log = CopiedLog(tmp_path)
    target = make(endpoint, bucket, lock=True)

    def run() -> None:
        Copier("bucket", log.paths, target, log.clock, retention_days=92).run()

    log.grow(b"first", b"second", roots=True)
    run()
    log.grow(b"third", roots=True)
    run()
    place = tmp_path / "fetched"
    fetch(target, place, plan_fetch(target), lambda count: None)
    report = verify_archive(place, place / "head")
    assert report.exit_code == 0, report.to_text()
    assert report.chunks == 3


def test_a_service_that_is_not_there(bucket: str) -> None:
    target = make("http://127.0.0.1:9", bucket)
    with pytest.raises(CopyError) as caught:
        target.list("")
    assert caught.value.code == "unreachable"
