"""Text of a received line: UTF-8, else Thai cp874 (TIS-620), else bytes escaped reversibly."""

import re

# In `escaped` text every byte outside printable ASCII, and the backslash itself, is written \xNN.
_ESCAPED_BYTE = re.compile(r"\\x([0-9a-f]{2})")
_ESCAPES = [chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in range(256)]
_UTF8_LONGEST_CUT_BYTES = 3


def decode_text(payload: bytes) -> tuple[str, str]:
    """Text and the name of the encoding used: `utf-8`, `utf-8-cut`, `cp874` or `escaped`.

    `utf-8-cut`: valid UTF-8 that ends inside a character, as senders with a length limit produce; the one to
    three bytes of the cut character follow as \\xNN. Without this case such Thai text would be taken for
    cp874.
    """
    try:
        return payload.decode(), "utf-8"
    except UnicodeDecodeError as error:
        start = error.start
        if error.end == len(payload) and error.reason == "unexpected end of data":
            return payload[:start].decode() + "".join(_hex(byte) for byte in payload[start:]), "utf-8-cut"
    try:
        return payload.decode("cp874"), "cp874"
    except UnicodeDecodeError:
        return "".join([_ESCAPES[byte] for byte in payload]), "escaped"


def encode_text(text: str, encoding: str) -> bytes:
    """The bytes `decode_text` was given."""
    if encoding == "escaped":
        return _ESCAPED_BYTE.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1")
    if encoding == "utf-8-cut":
        tail = b""
        for _ in range(_UTF8_LONGEST_CUT_BYTES):
            text, byte = text[:-4], int(text[-2:], 16)
            tail = bytes([byte]) + tail
            if byte >= 0xC2:  # a lead byte: the cut character began here
                break
        return text.encode() + tail
    return text.encode(encoding)


def _hex(byte: int) -> str:
    return f"\\x{byte:02x}"
