"""Where the public test vectors are: beside the checkout, never in it."""

import os
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "corpus"


def require(name: str) -> Path:
    """The folder `name` of the corpus; skips where it is absent, fails in CI."""
    folder = CORPUS / name
    if not folder.is_dir():
        message = f"shared/corpus/{name} is not beside the checkout"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
