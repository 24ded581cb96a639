"""Session numbers that begin again after a reboot, and that two devices use: nobody else's record gets in."""

from pathlib import Path

from package_log import INSIDE, ZONE, PackageArchive
from test_package_contents import bytes_of

from archive.time_text import format_iso

NAS, OTHER_NAS = "192.0.2.1", "192.0.2.2"


def test_records_of_others_with_the_same_session_number_stay_out(tmp_path: Path) -> None:
    archive = PackageArchive(tmp_path)
    try:
        one = {"kind": "radius", "session_id": "00000001", "nas_address": NAS}

        def step(event: str, account: str, address: str | None = INSIDE, **more: str) -> None:
            archive.log.clock.advance(60)
            archive.login(event, account, address, **{**one, **more})  # type: ignore[arg-type]

        step("open", "kanya-elsewhere", nas_address=OTHER_NAS)
        step("close", "kanya-elsewhere", nas_address=OTHER_NAS)
        step("open", "kamon-before")
        step("nas_on", "", None, session_id="")
        # It began without its address, so that a later record of the same session has to say it.
        step("open", "somchai", None)
        step("update", "somchai")
        at = archive.now_ns
        step("update", "somchai")
        step("close", "somchai")
        step("open", "wichai-after")
        step("open", "prasit-elsewhere", nas_address=OTHER_NAS)
        answer = archive.ask("who", address=INSIDE, at=format_iso(at, ZONE), tolerance_seconds=1)
        assert [one["account"] for one in answer["candidates"]] == ["somchai"]
        everything = bytes_of(archive.package(answer))
        assert b"somchai" in everything
        for other in ("kanya", "kamon", "wichai", "prasit"):
            assert other.encode() not in everything, other
    finally:
        archive.close()
