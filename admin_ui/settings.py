"""What the admin pages are told by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class AdminSettings:
    """`address` must be loopback unless `tls_certificate` and `tls_key` (PEM files) are given.

    `metrics_allow` are the networks that read /metrics without signing in, none meaning nobody.
    `report` is called about once a second with counters, the process's sign of life.
    """

    ask_socket: Path
    accounts_socket: Path
    address: str
    port: int
    run_directory: Path
    zone: str
    site_name: str
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    report: Callable[[dict[str, Any]], None] | None = None
    metrics_allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
