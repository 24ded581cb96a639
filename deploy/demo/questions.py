"""Example questions about the invented office, each with the certainty that its answer must have. Pure."""

import shlex
from dataclasses import dataclass
from typing import Any

from archive.time_text import format_iso
from deploy.demo.office import OUTSIDE_ADDRESS

TOLERANCE_SECONDS = 2
"""Within one connection's length: the gateway's clock is ours."""
NS = 1_000_000_000


@dataclass(frozen=True)
class Moment:
    """An outside port and when it was in use."""

    port: int
    at_unix_ns: int


@dataclass(frozen=True)
class Example:
    """One question. `certainty` is a code of the attribution's certainties."""

    title: str
    title_th: str
    certainty: str
    moment: Moment
    to: str = ""

    @classmethod
    def alone(cls, moment: Moment) -> "Example":
        return cls("one person, every step recorded", "หนึ่งคน มีระเบียนครบทุกขั้น", "exact", moment)

    @classmethod
    def shared(cls, moment: Moment) -> "Example":
        return cls("two people behind one port at once", "สองคนใช้พอร์ตเดียวกันพร้อมกัน", "several", moment)

    @classmethod
    def narrowed(cls, moment: Moment, server: str, port: int) -> "Example":
        return cls("the same port, with the destination", "พอร์ตเดียวกัน เมื่อรู้ปลายทาง", "exact", moment, f"{server}:{port}")

    @classmethod
    def without_login(cls, moment: Moment) -> "Example":
        return cls("a machine that nobody logged in to", "เครื่องที่ไม่มีการเข้าสู่ระบบ", "cannot_know", moment)

    def at(self, zone: str) -> str:
        """The moment with its offset, to the millisecond."""
        text = format_iso(self.moment.at_unix_ns // 1_000_000 * 1_000_000, zone)
        return text[:23] + text[-6:]

    def arguments(self, zone: str) -> dict[str, Any]:
        """Arguments of the `who` request."""
        return {
            "address": OUTSIDE_ADDRESS,
            "port": str(self.moment.port),
            "protocol": "tcp",
            "to": self.to or None,
            "at": self.at(zone),
            "tolerance_seconds": TOLERANCE_SECONDS,
        }

    def command(self, zone: str, directory: str) -> str:
        """What a person types."""
        words = ["phayan", "who", OUTSIDE_ADDRESS, "--port", str(self.moment.port), "--proto", "tcp"]
        if self.to:
            words += ["--to", self.to]
        words += ["--at", self.at(zone), "--tolerance", str(TOLERANCE_SECONDS), "--data", directory]
        return shlex.join(words)
