"""Which version of the decoders makes rows: a fingerprint of the source that decodes."""

import ast
import hashlib
from collections.abc import Iterator
from importlib.util import find_spec

FINGERPRINT_DIGITS = 16
"""Hexadecimal digits kept of the SHA-256: enough to tell versions apart, nobody has to trust it."""
OUR_PACKAGES = ("archive", "authgw", "collector")
"""Libraries are left out: what a record decodes to may not depend on their version."""


def source_fingerprint(root: str) -> str:
    """SHA-256 over the names and source of module `root` and of all modules of OUR_PACKAGES that it imports, itself or
    by others. Equal wherever the same release is installed."""
    sources: dict[str, bytes] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in sources or (source := _source(name)) is None:
            continue
        sources[name] = source
        waiting += _imported(source)
    digest = hashlib.sha256()
    for name in sorted(sources):
        for part in (name.encode(), sources[name]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def _imported(source: bytes) -> Iterator[str]:
    """Names in import statements; of `from a import b` also `a.b`, which may be a module."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        yield from (name for name in names if name.split(".")[0] in OUR_PACKAGES)


def _source(name: str) -> bytes | None:
    """None for what is no module. The loader reads it, so that an archive serves as well as a folder."""
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    read = getattr(spec.loader, "get_data", None)
    return read(spec.origin) if read is not None else None
