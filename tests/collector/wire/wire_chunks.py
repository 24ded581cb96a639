"""Chunks as the archive hands them to a decoder, and the corpus of captures beside the checkout."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus" / "netflow"
ARRIVAL_UNIX_NS = 1_795_132_800 * 10**9  # 2026-11-20T00:00:00Z
SENDER = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])


def make_chunk(
    payloads, listener: str | list[str] = "netflow", *, arrival=ARRIVAL_UNIX_NS, source=SENDER, port=2055, realm="main"
):
    count = len(payloads)
    listeners = [listener] * count if isinstance(listener, str) else listener
    return pa.table(
        {
            "row": pa.array(range(count), pa.uint32()),
            "received_unix_ns": pa.array([arrival] * count, pa.int64()),
            "source_address": pa.array([source] * count, pa.binary(16)),
            "source_port": pa.array([port] * count, pa.uint16()),
            "transport": pa.array(["udp"] * count, pa.string()),
            "listener": pa.array(listeners, pa.string()),
            "truncated": pa.array([False] * count, pa.bool_()),
            "payload": pa.array(payloads, pa.binary()),
            "realm": pa.array([realm] * count, pa.string()),
        }
    )


def corpus_file(name: str) -> bytes:
    """Bytes of a capture; skips the test where the corpus is absent, fails it in CI."""
    path = CORPUS / f"{name}.dat"
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"capture {name} is missing")
        pytest.skip(f"capture {name} is not beside this checkout (../shared/corpus)")
    return path.read_bytes()


def corpus_names() -> list[str]:
    return sorted(path.stem for path in CORPUS.glob("*.dat"))
