"""Runs the product's RADIUS service in a thread and reads back what it journaled."""

import hashlib
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from archive.clock import SystemClock
from archive.spool import SpoolWriter
from archive.spool_read import read_spool_file
from authgw.accounts.store import AccountService
from authgw.decoder import SessionDecoder
from authgw.radius.clients import RadiusClient
from authgw.radius.service import RadiusSettings, run_radius

SECRET = b"a-secret-of-24-bytes-here"
NS = 1_000_000_000


class RadiusProcess:
    """`with RadiusProcess(directory) as radius:` serves on free ports of loopback."""

    def __init__(self, directory: Path, /, **changes: Any) -> None:
        self.directory = directory
        base = RadiusSettings(
            listen_address="127.0.0.1",
            clients=(RadiusClient("127.0.0.0/8", SECRET, "test"), RadiusClient("::1/128", SECRET, "test6")),
            spool_directory=directory / "spool",
            accounts_path=directory / "accounts" / "accounts.sqlite",
            run_directory=directory / "run",
            auth_port=0,
            acct_port=0,
        )
        self.settings = replace(base, **changes)
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            run_radius(self.settings, self.stop)
        except BaseException as error:
            self.failure = error

    def __enter__(self) -> "RadiusProcess":
        (self.settings.run_directory / "radius.json").unlink(missing_ok=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not (self.settings.run_directory / "radius.json").exists():
            assert self.failure is None, self.failure
            assert time.monotonic() < deadline
            time.sleep(0.02)
        counters = self.counters()
        self.auth_port, self.acct_port = counters["auth"]["port"], counters["acct"]["port"]
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def counters(self) -> dict[str, Any]:
        return json.loads((self.settings.run_directory / "radius.json").read_text())

    def wait_counter(self, side: str, name: str, value: int, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while self.counters()[side].get(name, 0) < value:
            assert time.monotonic() < deadline, self.counters()
            time.sleep(0.05)

    def records(self) -> list[dict[str, Any]]:
        return records_in(self.directory)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(r["payload"]) for r in self.records() if r["listener"] == "session"]

    def sessions(self) -> list[dict[str, Any]]:
        return sessions_in(self.directory)


def records_in(directory: Path) -> list[dict[str, Any]]:
    """Every journaled record of stream `radius`, in order."""
    found = []
    for path in sorted((directory / "spool" / "radius").glob("*[0-9].*")):
        if path.suffix not in (".open", ".spool"):
            continue
        for batch in read_spool_file(path).batches:
            start = 0
            for i, length in enumerate(batch.payload_lengths.tolist()):
                found.append(
                    {
                        "received_unix_ns": int(batch.received_unix_ns[i]),
                        "source_address": bytes(batch.source_address[i]),
                        "source_port": int(batch.source_port[i]),
                        "listener": batch.listener,
                        "transport": batch.transport,
                        "truncated": bool(batch.truncated[i]),
                        "payload": bytes(batch.payload[start : start + length]),
                    }
                )
                start += length
    return found


def sessions_in(directory: Path) -> list[dict[str, Any]]:
    """What the decoder makes of the journal."""
    rows = [r | {"row": i, "realm": "main"} for i, r in enumerate(records_in(directory))]
    result = SessionDecoder().decode(None, 1, pa.Table.from_pylist(rows))
    return result.tables["sessions"].drop(["time", "received"]).to_pylist()


def add_account(directory: Path, name: str, password: str, *, disabled: bool = False) -> None:
    """An account made by the product's own writer."""
    spool = SpoolWriter(directory / "spool", "identity")
    service = AccountService(directory / "accounts" / "accounts.sqlite", spool, SystemClock())
    service.user_add(name, "สมชาย ใจดี", actor="test", identified_how="card", identified_by="test", password=password)
    if disabled:
        service.user_disable(name, actor="test")
    service.close()
    spool.close()


def response_is_right(reply: bytes, request: bytes, secret: bytes = SECRET) -> bool:
    expected = hashlib.md5(reply[:4] + request[4:20] + reply[20:] + secret, usedforsecurity=False).digest()
    return reply[1] == request[1] and reply[4:20] == expected
