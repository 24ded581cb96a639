"""Accept, reject or stay silent: facts in, verdict out. Pure; the table of cases is
tests/authgw/test_decision.py.

Local accounts come first and are final: a name that exists here is never tried in the directory, so a
disabled local account cannot be revived by a directory entry of the same name.
"""

from dataclasses import dataclass
from typing import Literal

from authgw.directory.base import DirectoryVerdict
from authgw.errors import AccountError
from authgw.names import account_key, check_account_name

Action = Literal["accept", "reject", "silent", "ask_local", "ask_directory"]

_REJECTED_METHODS = {
    "chap": "chap_not_possible",  # needs the clear password, which is never kept
    "ms-chap": "ms_chap_not_possible",
    "eap": "eap_not_supported",
    "none": "no_credentials",
}


@dataclass(frozen=True)
class AccountFacts:
    """What the account store knows of the asked name. `password_right` is None when it was not computed."""

    known: bool
    disabled: bool = False
    password_right: bool | None = None


@dataclass(frozen=True)
class Verdict:
    """What to do, why, and for which account. `person` is set only by a directory, which knows names we do
    not."""

    action: Action
    reason: str
    account: str = ""
    person: str = ""
    source: Literal["", "local", "directory"] = ""


def decide_from_request(name: str, method: str, has_password: bool) -> Verdict:
    """What the request alone decides: reject, or `ask_local`."""
    if method != "pap":
        return Verdict("reject", _REJECTED_METHODS[method])
    try:
        account = account_key(check_directory_or_account_name(name))
    except AccountError:
        return Verdict("reject", "bad_name")
    if not has_password:
        return Verdict("reject", "bad_password", account)
    return Verdict("ask_local", "", account)


def check_directory_or_account_name(name: str) -> str:
    """An account name, or the `DOMAIN\\name` form of Active Directory. Raises AccountError `bad_name`."""
    domain, backslash, rest = name.partition("\\")
    if backslash:
        return check_account_name(domain) + backslash + check_account_name(rest)
    return check_account_name(name)


def decide_from_account(account: str, facts: AccountFacts, *, has_directory: bool) -> Verdict:
    """What the local account decides: accept, reject, or `ask_directory` for a name that is not local.

    A disabled account is told apart only after the right password, so that a guesser learns nothing.
    """
    if not facts.known:
        return Verdict("ask_directory", "", account) if has_directory else Verdict("reject", "unknown_account", account)
    if not facts.password_right:
        return Verdict("reject", "wrong_password", account, source="local")
    if facts.disabled:
        return Verdict("reject", "account_disabled", account, source="local")
    return Verdict("accept", "password", account, source="local")


_DIRECTORY_REJECTS = {
    "wrong": "wrong_password",
    "disabled": "account_disabled",
    "expired": "account_expired",
    "password_expired": "password_expired",
    "must_change": "password_must_change",
    "locked": "account_locked",
    "not_allowed_now": "not_allowed_now",
}


def decide_from_directory(account: str, verdict: DirectoryVerdict) -> Verdict:
    """What the directory decides. An unavailable directory gives no answer at all: a reject would tell the
    person "wrong password", which is false, and silence lets the NAS try its next server."""
    if verdict.result == "accepted":
        return Verdict("accept", "password", account, verdict.person, "directory")
    if verdict.result == "unavailable":
        return Verdict("silent", "directory_unavailable", account, source="directory")
    return Verdict("reject", _DIRECTORY_REJECTS[verdict.result], account, source="directory")
