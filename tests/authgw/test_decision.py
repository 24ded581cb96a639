"""The table of decisions."""

import pytest

from authgw.directory.base import DirectoryVerdict, read_bind_failure
from authgw.radius.decision import AccountFacts, decide_from_account, decide_from_directory, decide_from_request


@pytest.mark.parametrize(
    ("name", "method", "has_password", "action", "reason"),
    [
        ("somchai", "pap", True, "ask_local", ""),
        ("สมชาย.ใจดี", "pap", True, "ask_local", ""),
        ("OFFICE\\somchai", "pap", True, "ask_local", ""),
        ("somchai@office.go.th", "pap", True, "ask_local", ""),
        ("somchai", "pap", False, "reject", "bad_password"),
        ("", "pap", True, "reject", "bad_name"),
        ("two words", "pap", True, "reject", "bad_name"),
        ("a\0b", "pap", True, "reject", "bad_name"),
        ("*)(uid=*", "pap", True, "reject", "bad_name"),
        ("a\\b\\c", "pap", True, "reject", "bad_name"),
        ("somchai", "chap", True, "reject", "chap_not_possible"),
        ("somchai", "ms-chap", False, "reject", "ms_chap_not_possible"),
        ("somchai", "eap", False, "reject", "eap_not_supported"),
        ("somchai", "none", False, "reject", "no_credentials"),
    ],
)
def test_from_request(name, method, has_password, action, reason):
    verdict = decide_from_request(name, method, has_password)
    assert (verdict.action, verdict.reason) == (action, reason)


def test_the_account_is_the_case_folded_name():
    assert decide_from_request("Somchai", "pap", True).account == "somchai"


@pytest.mark.parametrize(
    ("facts", "has_directory", "action", "reason"),
    [
        (AccountFacts(True, False, True), False, "accept", "password"),
        (AccountFacts(True, False, True), True, "accept", "password"),
        (AccountFacts(True, False, False), True, "reject", "wrong_password"),
        (AccountFacts(True, True, True), True, "reject", "account_disabled"),
        (AccountFacts(True, True, False), False, "reject", "wrong_password"),
        (AccountFacts(True, False, None), False, "reject", "wrong_password"),
        (AccountFacts(False), False, "reject", "unknown_account"),
        (AccountFacts(False), True, "ask_directory", ""),
    ],
)
def test_from_account(facts, has_directory, action, reason):
    verdict = decide_from_account("somchai", facts, has_directory=has_directory)
    assert (verdict.action, verdict.reason) == (action, reason)


@pytest.mark.parametrize(
    ("result", "action", "reason"),
    [
        ("accepted", "accept", "password"),
        ("wrong", "reject", "wrong_password"),
        ("disabled", "reject", "account_disabled"),
        ("expired", "reject", "account_expired"),
        ("password_expired", "reject", "password_expired"),
        ("must_change", "reject", "password_must_change"),
        ("locked", "reject", "account_locked"),
        ("not_allowed_now", "reject", "not_allowed_now"),
        ("unavailable", "silent", "directory_unavailable"),
    ],
)
def test_from_directory(result, action, reason):
    verdict = decide_from_directory("somchai", DirectoryVerdict(result, person="สมชาย"))
    assert (verdict.action, verdict.reason, verdict.source) == (action, reason, "directory")
    assert verdict.person == ("สมชาย" if action == "accept" else "")


@pytest.mark.parametrize(
    ("code", "text", "result"),
    [
        (49, "", "wrong"),
        (49, "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1", "wrong"),
        (49, "80090308: LdapErr: x, data 525, v1db1", "wrong"),
        (49, "80090308: LdapErr: x, data 530, v1db1", "not_allowed_now"),
        (49, "80090308: LdapErr: x, data 532, v1db1", "password_expired"),
        (49, "80090308: LdapErr: x, data 533, v1db1", "disabled"),
        (49, "80090308: LdapErr: x, data 701, v1db1", "expired"),
        (49, "80090308: LdapErr: x, data 773, v1db1", "must_change"),
        (49, "80090308: LdapErr: x, data 775, v1db1", "locked"),
        (49, "data", "wrong"),
        (51, "busy", "unavailable"),
        (52, "", "unavailable"),
        (8, "strong auth required", "unavailable"),
        (-1, "", "unavailable"),
    ],
)
def test_bind_failures(code, text, result):
    assert read_bind_failure(code, text).result == result
