"""A copy in a bucket of S3, or of what speaks it, with Object Lock in compliance mode if asked for. Objects cannot
grow: what is appended is kept as pieces `<name>.<offset, 12 digits>`."""

import datetime
import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from archive.copies.target import BLOCK_BYTES, LOCKED, MISSING, UNREACHABLE, CopyError, blocks_of, check_name

NS = 1_000_000_000
CONNECT_SECONDS, IDLE_SECONDS = 20, 60
ATTEMPTS = 2
"""Of the client by itself; the pass comes again anyway."""
_PIECE = re.compile(r"(.+)\.([0-9]{12})\Z")
_REFUSED = ("AccessDenied", "AccessForbidden", "ObjectLocked", "InvalidRequest")


class S3Target:
    """`lock`: what is put with a date cannot be removed before it by anybody. The bucket needs Object Lock then."""

    needs_mark = False

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str,
        access_key: str,
        secret_key: str,
        endpoint: str = "",
        region: str = "",
        lock: bool = False,
    ) -> None:
        self.address = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket, self._lock = bucket, lock
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        settings = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=IDLE_SECONDS,
            retries={"max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path"} if endpoint else {},
        )
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=region or "us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=settings,
        )

    def append(self, name: str, offset: int, data: bytes, *, retain_until_unix_ns: int | None = None) -> None:
        self._put(f"{check_name(name)}.{offset:012d}", data, retain_until_unix_ns)

    def put(self, name: str, data: bytes | Path, *, retain_until_unix_ns: int | None = None) -> None:
        self._put(check_name(name), data, retain_until_unix_ns)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._failures(name):
            keys = self._keys(check_name(name))
            pieces = sorted(
                (int(match[2]), size, key)
                for key, size in keys.items()
                if (match := _PIECE.match(key)) and match[1] == name
            )
            if name in keys:
                pieces = [(0, keys[name], name)]
            if not pieces:
                raise CopyError(f"{name} is not at {self.address}", code=MISSING)
            at, end = offset, None if length is None else offset + length
            for start, size, key in pieces:
                stop = start + size if end is None else min(start + size, end)
                if start > at or stop <= at:
                    continue  # A piece behind a gap, or one that another covers.
                yield from self._range(key, at - start, stop - start)
                at = stop

    def _range(self, key: str, start: int, end: int) -> Iterator[bytes]:
        answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes={start}-{end - 1}")
        yield from answer["Body"].iter_chunks(BLOCK_BYTES)

    def list(self, prefix: str) -> dict[str, int]:
        with self._failures(prefix):
            found: dict[str, int] = {}
            for key, size in self._keys(prefix).items():
                match = _PIECE.match(key)
                name, end = (match[1], int(match[2]) + size) if match else (key, size)
                if prefix and not prefix.endswith("/") and name != prefix:
                    continue
                found[name] = max(found.get(name, 0), end)
            return found

    def remove(self, name: str) -> None:
        """All versions of a file and of its pieces. Raises CopyError `locked` while a lock stands."""
        check_name(name)
        with self._failures(name):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=self._prefix + name
            )
            for page in pages:
                for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    key = version["Key"].removeprefix(self._prefix)
                    match = _PIECE.match(key)
                    if name not in (key, match and match[1]):
                        continue
                    chosen = {} if version["VersionId"] in ("null", None) else {"VersionId": version["VersionId"]}
                    self._s3.delete_object(Bucket=self._bucket, Key=version["Key"], **chosen)

    def rename(self, old: str, new: str) -> None:
        """By copies inside the service. What is locked under the old name stays there until its lock ends, hidden by a
        delete mark."""
        with self._failures(old):
            folder = {key: key for key in self._keys(f"{old}/")} | {key: key for key in self._keys(old) if key == old}
            for key in folder:
                source = {"Bucket": self._bucket, "Key": self._prefix + key}
                self._s3.copy_object(
                    Bucket=self._bucket, Key=self._prefix + new + key.removeprefix(old), CopySource=source
                )
                self._s3.delete_object(**source)

    def close(self) -> None:
        self._s3.close()

    def _put(self, key: str, data: bytes | Path, retain_until_unix_ns: int | None) -> None:
        options: dict[str, Any] = {}
        if self._lock and retain_until_unix_ns is not None:
            until = datetime.datetime.fromtimestamp(-(-retain_until_unix_ns // NS), datetime.UTC)
            options = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        digest = hashlib.sha256()
        for block in blocks_of(data):
            digest.update(block)
        # The service refuses what arrives with another hash.
        options |= {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": b64encode(digest.digest()).decode()}
        with self._failures(key):
            if isinstance(data, bytes):
                self._s3.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data, **options)
                return
            with data.open("rb") as file:
                self._s3.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=file, **options)

    def _keys(self, prefix: str) -> dict[str, int]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
        found = (one for page in pages for one in page.get("Contents", ()))
        return {one["Key"].removeprefix(self._prefix): int(one["Size"]) for one in found}

    @contextmanager
    def _failures(self, name: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("NoSuchKey", "404"):
                raise CopyError(f"{name} is not at {self.address}", code=MISSING) from error
            if error.operation_name == "DeleteObject" and code in _REFUSED:
                raise CopyError(f"{name} at {self.address} is locked still", code=LOCKED) from error
            raise CopyError(f"{name} at {self.address}: {code}", code=UNREACHABLE) from error
        except BotoCoreError as error:
            raise CopyError(f"{self.address}: {error}", code=UNREACHABLE) from error
