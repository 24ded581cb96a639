"""Which of account store and directory decides, and what each is asked."""

import pytest
from radius_process import add_account

from authgw.accounts.reader import AccountReader
from authgw.directory.base import DirectoryVerdict
from authgw.login import LoginCheck
from authgw.passwords import PasswordChecker


class RecordingDirectory:
    def __init__(self, **results: str) -> None:
        self.results = results
        self.asked: list[tuple[str, bytes]] = []

    def check(self, name: str, password: bytes) -> DirectoryVerdict:
        self.asked.append((name, password))
        return DirectoryVerdict(self.results.get(password.decode(), "wrong"), person="Person")  # type: ignore[arg-type]

    def close(self) -> None:
        pass


@pytest.fixture
def accounts(tmp_path):
    add_account(tmp_path, "local", "password-l")
    add_account(tmp_path, "left", "password-l", disabled=True)
    reader = AccountReader(tmp_path / "accounts" / "accounts.sqlite")
    yield reader
    reader.close()


def outcome(verdict) -> tuple[str, str]:
    return verdict.action, verdict.reason


def test_a_local_name_never_reaches_the_directory(accounts):
    directory = RecordingDirectory(wrong="accepted")
    login = LoginCheck(accounts, PasswordChecker(), directory)
    assert outcome(login.decide("LOCAL", "pap", (b"password-l",))) == ("accept", "password")
    assert outcome(login.decide("local", "pap", (b"wrong",))) == ("reject", "wrong_password")
    assert outcome(login.decide("left", "pap", (b"password-l",))) == ("reject", "account_disabled")
    assert directory.asked == []


def test_the_directory_is_asked_each_reading_until_one_is_not_wrong(accounts):
    directory = RecordingDirectory(two="accepted", locked="locked")
    login = LoginCheck(accounts, PasswordChecker(), directory)
    verdict = login.decide("Somebody", "pap", (b"one", b"two"))
    assert outcome(verdict) == ("accept", "password")
    assert (verdict.account, verdict.person, verdict.source) == ("somebody", "Person", "directory")
    assert directory.asked == [("Somebody", b"one"), ("Somebody", b"two")]
    assert outcome(login.decide("x", "pap", (b"locked", b"two"))) == ("reject", "account_locked")
    assert len(directory.asked) == 3


def test_an_unavailable_directory_is_silence_and_reported(accounts):
    calls: list[int] = []
    directory = RecordingDirectory(one="unavailable")
    login = LoginCheck(accounts, PasswordChecker(), directory, lambda: calls.append(1))
    assert outcome(login.decide("x", "pap", (b"one", b"two"))) == ("silent", "directory_unavailable")
    assert len(directory.asked) == 1
    assert calls == [1]


def test_without_directory_an_unknown_name_costs_a_computation_and_is_rejected(accounts):
    passwords = PasswordChecker()
    login = LoginCheck(accounts, passwords, None)
    assert outcome(login.decide("nobody", "pap", (b"password-l",))) == ("reject", "unknown_account")
    assert passwords.computations == 1


def test_nothing_is_asked_for_a_request_that_decides_itself(accounts):
    directory = RecordingDirectory()
    passwords = PasswordChecker()
    login = LoginCheck(accounts, passwords, directory)
    for name, method, given in (("a b", "pap", (b"x",)), ("x", "chap", ()), ("x", "pap", ())):
        assert login.decide(name, method, given).action == "reject"
    assert directory.asked == []
    assert passwords.computations == 0
