"""What a demo keeps secret in its own directory: its access points' shared secret and its people's password."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "demo-secrets.json"
SECRET_BYTES = 24
"""What FreeRADIUS advises for a shared secret."""


@dataclass(frozen=True)
class DemoSecrets:
    """Random for each directory; nothing of a demo opens anything elsewhere."""

    radius_secret: str
    password: str


def load_demo_secrets(directory: Path) -> DemoSecrets:
    """The secrets of `directory`, made by whichever process asks first. For its owner alone to read."""
    path = directory / FILE
    if not path.exists():
        made = DemoSecrets(secrets.token_hex(SECRET_BYTES), f"demo-{secrets.token_hex(4)}")
        temporary = directory / f".{FILE}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps(asdict(made)).encode())
        finally:
            os.close(descriptor)
        try:
            os.link(temporary, path)  # fails when another process was first
        except FileExistsError:
            pass
        temporary.unlink()
    return DemoSecrets(**json.loads(path.read_text(encoding="utf-8")))
