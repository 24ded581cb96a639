"""A BagIt bag (RFC 8493) from named bytes: manifests and tag files. Pure."""

import hashlib

BAGIT_TXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
SIGNATURE_NAME = "tagmanifest-sha256.txt.p7s"


def _manifest(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()


def make_bag(payload: dict[str, bytes], tags: dict[str, bytes], info: dict[str, str]) -> dict[str, bytes]:
    """All files of the bag but the signature. `payload` names begin with `data/`; `info` becomes bag-info.txt."""
    total = sum(len(value) for value in payload.values())
    lines = {**info, "Payload-Oxum": f"{total}.{len(payload)}"}
    bag_info = "".join(f"{name}: {value}\n" for name, value in lines.items()).encode()
    signed = {
        "bagit.txt": BAGIT_TXT,
        "bag-info.txt": bag_info,
        "manifest-sha256.txt": _manifest(payload),
        **tags,
    }
    return {**payload, **signed, "tagmanifest-sha256.txt": _manifest(signed)}
