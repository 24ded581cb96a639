"""What the authenticator needs of a directory. Pure."""

from dataclasses import dataclass
from typing import Literal, Protocol

DirectoryResult = Literal[
    "accepted",
    "wrong",
    "disabled",
    "expired",
    "password_expired",
    "must_change",
    "locked",
    "not_allowed_now",
    "unavailable",
]


@dataclass(frozen=True)
class DirectoryVerdict:
    """Answer to one password check. `reason` is for the log and never contains the password. `person` is the
    entry's own display name, empty unless accepted. An unknown user is `wrong`: a guesser learns no
    difference."""

    result: DirectoryResult
    reason: str = ""
    person: str = ""
    entry_dn: str = ""


class Directory(Protocol):
    """Checks passwords. Blocks on the network up to its own time-outs: never call it on a socket loop."""

    def check(self, name: str, password: bytes) -> DirectoryVerdict:
        """Whether `password` (UTF-8) is the password of `name`. Never raises."""
        ...

    def close(self) -> None: ...


_ACTIVE_DIRECTORY_RESULTS: dict[str, DirectoryResult] = {
    "525": "wrong",
    "52e": "wrong",
    "530": "not_allowed_now",
    "531": "not_allowed_now",
    "532": "password_expired",
    "533": "disabled",
    "701": "expired",
    "773": "must_change",
    "775": "locked",
}


def read_bind_failure(result_code: int, diagnostic: str) -> DirectoryVerdict:
    """Meaning of a failed bind: result 49 with Active Directory's `data XXX` text, or the code alone (RFC
    4511 appendix A). Only a statement about the credentials is a rejection; anything else is
    `unavailable`."""
    _, marker, rest = diagnostic.partition("data ")
    code = rest[:3].lower().rstrip(",")
    if result_code == 49:
        return DirectoryVerdict(
            _ACTIVE_DIRECTORY_RESULTS.get(code, "wrong") if marker else "wrong", f"49 {code}".strip()
        )
    if result_code == 53 and "disabled" in diagnostic.lower():
        return DirectoryVerdict("disabled", "53")
    return DirectoryVerdict("unavailable", f"bind answered with result code {result_code}")
