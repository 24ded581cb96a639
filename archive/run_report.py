"""What a process says of itself for `status`: a small JSON file, replaced whole, not durable."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_run_report(run_directory: Path, process: str, values: dict[str, Any]) -> None:
    """Replace `run/<process>.json`. Its modification time is the sign of life.

    A disk that refuses it (full, gone) costs the sign of life, and with it raises an alarm; it stops no process.
    """
    path = run_directory / f"{process}.json"
    temporary = path.with_suffix(".json.tmp")
    with suppress(OSError):
        temporary.write_text(json.dumps({"pid": os.getpid(), **values}), encoding="utf-8")
        os.replace(temporary, path)
