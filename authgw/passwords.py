"""Password hashes (argon2id) and the short memory of passwords that were right."""

import hashlib
import hmac
import secrets
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from archive.clock import Clock, SystemClock
from authgw.errors import AccountError

ARGON2_MEMORY_KIB = 19456
ARGON2_TIME_COST = 2
ARGON2_PARALLELISM = 1
"""The floor of the OWASP recommendation for argon2id: 19 MiB, two passes, one lane. Never lower."""
MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_BYTES = 128
"""User-Password holds at most 128 bytes (RFC 2865 section 5.2)."""
REMEMBER_SECONDS = 300
"""How long a right password is remembered: long enough for the re-authentications of one roaming device."""
MAX_REMEMBERED = 10_000
"""About 2 MB; the people of a large office."""
MAX_COMPUTATIONS_AT_ONCE = 4
"""Each takes 19 MiB: a storm of logins may use 76 MiB of memory, not 19 MiB for each worker."""

_HASHER = PasswordHasher(
    time_cost=ARGON2_TIME_COST,
    memory_cost=ARGON2_MEMORY_KIB,
    parallelism=ARGON2_PARALLELISM,
    type=Type.ID,
)


def _normal(password: bytes) -> bytes:
    """NFC, as RFC 8265 section 4.2 asks: the same Thai text typed on two keyboards is one password."""
    try:
        return unicodedata.normalize("NFC", password.decode()).encode()
    except UnicodeDecodeError:
        return password


def check_new_password(password: str) -> None:
    """Raises AccountError `bad_password` with one sentence if `password` cannot be used."""
    size_bytes = len(_normal(password.encode("utf-8", "surrogatepass")))
    bad_character = any(unicodedata.category(c) in ("Cc", "Cs") for c in password)
    if len(password) < MIN_PASSWORD_CHARACTERS or size_bytes > MAX_PASSWORD_BYTES or bad_character:
        raise AccountError(
            f"A password has at least {MIN_PASSWORD_CHARACTERS} characters, "
            f"at most {MAX_PASSWORD_BYTES} bytes, and no control characters.",
            code="bad_password",
            message_th=f"รหัสผ่านต้องมีอย่างน้อย {MIN_PASSWORD_CHARACTERS} ตัวอักษร ไม่เกิน {MAX_PASSWORD_BYTES} ไบต์ "
            "(อักษรไทย 1 ตัวเท่ากับ 3 ไบต์) และไม่มีอักขระควบคุม",
        )


def hash_password(password: str) -> str:
    """The argon2id hash of `password`, in the PHC string format. Takes about 20 ms of CPU."""
    return _HASHER.hash(_normal(password.encode()))


class PasswordChecker:
    """Verifies passwords; safe for many threads.

    A right one is remembered as a keyed digest in this process only, bound to the stored hash, so a changed
    password or a restart forgets it. A wrong one, and an unknown user, cost one full argon2id computation per
    candidate.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()
        self._dummy_hash = hash_password(secrets.token_urlsafe(24))
        self._turns = threading.BoundedSemaphore(MAX_COMPUTATIONS_AT_ONCE)
        self.computations = 0

    def is_right(self, stored_hash: str | None, candidates: Sequence[bytes]) -> bool:
        """Whether one of `candidates` is the password of `stored_hash`; None means that there is no such
        user."""
        for candidate in candidates or (b"",):
            password = _normal(candidate)
            if stored_hash is not None and self._is_remembered(stored_hash, password):
                return True
            if self._verify(stored_hash or self._dummy_hash, password) and stored_hash is not None:
                self._remember(stored_hash, password)
                return True
        return False

    def _verify(self, stored_hash: str, password: bytes) -> bool:
        with self._lock:
            self.computations += 1
        try:
            with self._turns:
                return _HASHER.verify(stored_hash, password) and bool(password)
        except (Argon2Error, InvalidHashError, ValueError):
            return False

    def _digest(self, stored_hash: str, password: bytes) -> bytes:
        stored = stored_hash.encode()
        return hmac.digest(self._key, len(stored).to_bytes(4, "big") + stored + password, hashlib.sha256)

    def _is_remembered(self, stored_hash: str, password: bytes) -> bool:
        digest = self._digest(stored_hash, password)
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            until_ns = self._remembered.get(digest, 0)
            if until_ns and until_ns <= now_ns:
                del self._remembered[digest]
            return until_ns > now_ns

    def _remember(self, stored_hash: str, password: bytes) -> None:
        digest = self._digest(stored_hash, password)
        with self._lock:
            self._remembered[digest] = self._clock.monotonic_ns() + REMEMBER_SECONDS * 1_000_000_000
            self._remembered.move_to_end(digest)
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
