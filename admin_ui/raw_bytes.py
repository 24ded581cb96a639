"""Received bytes as text and as hexadecimal lines. Pure."""

MAX_SHOWN_BYTES = 65_536
"""Largest record a datagram can be; longer stream frames are cut here and the page says so."""
_BYTES_PER_LINE = 16


def show_text(payload: bytes) -> tuple[str, str]:
    """(text, encoding): UTF-8, else cp874 (TIS-620), else bytes escaped reversibly."""
    for encoding in ("utf-8", "cp874"):
        try:
            return payload.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return payload.decode("ascii", "backslashreplace"), "escaped"


def show_hex(payload: bytes) -> str:
    """Lines of offset, sixteen bytes, printable ASCII."""
    lines = []
    for offset in range(0, min(len(payload), MAX_SHOWN_BYTES), _BYTES_PER_LINE):
        part = payload[offset : offset + _BYTES_PER_LINE]
        printable = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        lines.append(f"{offset:08x}  {part.hex(' '):<47}  {printable}")
    return "\n".join(lines)
