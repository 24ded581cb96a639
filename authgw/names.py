"""Names of accounts and text from old devices. Pure."""

import unicodedata

from authgw.errors import AccountError

MAX_ACCOUNT_NAME_BYTES = 253
"""Largest value of one RADIUS attribute (RFC 2865 section 5): a longer name could never log in."""
_MARKS_IN_NAMES = "._-@+"


def account_key(name: str) -> str:
    """The form in which names are compared and stored in events: NFC of the case-folded NFC name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_account_name(name: str) -> str:
    """Return `name` in NFC. Raises AccountError `bad_name` unless it is letters, digits and `. _ - @ +`,
    begins with a letter or digit, and fits one RADIUS attribute. Thai vowels and tone marks count as
    letters."""
    normal = unicodedata.normalize("NFC", name)
    size_bytes = max(len(normal.encode("utf-8", "replace")), len(account_key(normal).encode("utf-8", "replace")))
    if not normal or size_bytes > MAX_ACCOUNT_NAME_BYTES or unicodedata.category(normal[0])[0] not in "LN":
        _refuse_name()
    if not all(unicodedata.category(c)[0] in "LMN" or c in _MARKS_IN_NAMES for c in normal):
        _refuse_name()
    return normal


def _refuse_name() -> None:
    raise AccountError(
        "An account name has letters, digits and . _ - @ + only, begins with a letter or a digit, "
        f"and has at most {MAX_ACCOUNT_NAME_BYTES} bytes.",
        code="bad_name",
        message_th="ชื่อบัญชีใช้ได้เฉพาะตัวอักษร ตัวเลข และ . _ - @ + ต้องขึ้นต้นด้วยตัวอักษรหรือตัวเลข "
        f"และยาวไม่เกิน {MAX_ACCOUNT_NAME_BYTES} ไบต์",
    )


def decode_text(value: bytes) -> str:
    """Text of a RADIUS attribute: UTF-8 (RFC 2865 section 5), else Thai bytes of old devices, else UTF-8 with each
    byte that is none written as `\\xHH`."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        pass
    # TIS-620 first: cp874 also gives a meaning to bytes that TIS-620 leaves free.
    return _decode_thai(value, "tis_620") or _decode_thai(value, "cp874") or value.decode("utf-8", "backslashreplace")


def password_candidates(value: bytes) -> tuple[bytes, ...]:
    """The UTF-8 passwords that `value` may mean, at most two, likeliest first.

    Bytes that are UTF-8 are taken as they are; non-ASCII bytes that are also TIS-620 are tried as that too, because
    old routers' pages send Thai so. Empty when neither reading is possible, or with a NUL inside.
    """
    if not value or b"\0" in value:
        return ()
    if value.isascii():
        return (value,)
    candidates: list[bytes] = []
    try:
        value.decode("utf-8")
        candidates.append(value)
    except UnicodeDecodeError:
        pass
    if thai := _decode_thai(value, "tis_620"):
        candidates.append(thai.encode())
    return tuple(candidates)


def _decode_thai(value: bytes, encoding: str) -> str:
    """Thai text, or empty. Python's codecs read 0x80-0x9F as control characters, which no one-byte Thai text has but
    most UTF-8 Thai does."""
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError:
        return ""
    return "" if any("\x7f" < character < "\xa0" for character in text) else text
