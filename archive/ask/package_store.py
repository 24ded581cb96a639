"""Packages on disk: `<id>.zip` beside `<id>.json`, what is known of its making."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from archive.durable import make_directory, replace_file
from archive.errors import AskError

SLICE_BYTES = 4 * 1024 * 1024
"""Bytes of one piece of a download."""
_IDENTIFIER = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{6}\Z", re.ASCII)


class PackageStore:
    """Files of one folder, for their owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_directory(folder, mode=0o700)

    def keep_job(self, job: dict[str, Any]) -> None:
        """Durable on return, so that a restart shows what became of it."""
        text = json.dumps(job, ensure_ascii=False, sort_keys=True)
        replace_file(self._folder / f"{job['id']}.json", text.encode(), mode=0o600)

    def jobs(self) -> dict[str, dict[str, Any]]:
        """What was kept of every package, by its id."""
        return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in self._folder.glob("*.json")}

    def keep_package(self, identifier: str, stored: bytes) -> Path:
        """Durable on return."""
        path = self._folder / f"{identifier}.zip"
        replace_file(path, stored, mode=0o600)
        return path

    def discard_package(self, identifier: str) -> None:
        """Remove a package that did not verify."""
        (self._folder / f"{identifier}.zip").unlink(missing_ok=True)

    def slice(self, identifier: str, offset: int) -> dict[str, Any]:
        """A piece of a ready package. Raises AskError `no_such_package`."""
        path = self._folder / f"{identifier}.zip"
        if not _IDENTIFIER.match(identifier) or not path.exists() or not path.with_suffix(".json").exists():
            raise AskError(f"there is no package {identifier[:64]!r}", code="no_such_package")
        meta = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if meta["state"] != "ready":
            raise AskError(f"package {identifier} is not ready", code="no_such_package")
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(min(offset, size))
            data = file.read(SLICE_BYTES)
        return {
            "data_base64": base64.b64encode(data).decode(),
            "total_bytes": size,
            "sha256": meta["sha256"],
            "name": f"phayan-{identifier}.zip",
        }
