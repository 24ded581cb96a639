"""Operators: one set-up link, passwords that cannot be guessed fast, tokens that end."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.ask.operators import (
    FAILURES_BEFORE_DELAY,
    LOCK_SECONDS,
    MAX_PASSWORD_BYTES,
    MIN_PASSWORD_CHARACTERS,
    TOKEN_SECONDS,
    OperatorError,
    OperatorStore,
)
from tests.clocks import ManualClock

PASSWORD = "correct horse 1"
WAIT_SECONDS = 20.0


class Store(OperatorStore):
    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.directory = directory
        super().__init__(directory, self.clock)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "operators")
    yield made
    made._database.close()


@pytest.fixture
def ready(store: Store) -> Store:
    store.set_up(store.setup_secret() or "", "malee", PASSWORD)
    return store


def refused(code: str, call, *arguments) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        call(*arguments)
    assert caught.value.code == code
    assert str(caught.value)
    assert any("\u0e00" <= c <= "\u0e7f" for c in caught.value.message_th)
    return caught.value


def at_once(calls: list) -> list:
    """Run calls together; their results or errors."""
    barrier = threading.Barrier(len(calls))
    results: list = [None] * len(calls)

    def run(number: int) -> None:
        barrier.wait(WAIT_SECONDS)
        try:
            results[number] = calls[number]()
        except OperatorError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    return results


def test_there_is_no_default_password(store: Store) -> None:
    for name, password in (("admin", "admin"), ("", ""), ("root", "phayan"), ("malee", PASSWORD)):
        refused("wrong_password", store.log_in, name, password)


def test_the_link_makes_one_administrator_and_is_spent(store: Store) -> None:
    secret = store.setup_secret()
    assert secret is not None
    assert secret == store.setup_secret()
    assert (store.directory / "setup-secret").stat().st_mode & 0o777 == 0o600
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert store.set_up(secret, "Malee", PASSWORD).role == "administrator"
    assert store.setup_secret() is None
    assert not (store.directory / "setup-secret").exists()
    refused("setup_link", store.set_up, secret, "somchai", PASSWORD)
    refused("setup_link", store.set_up, "", "somchai", PASSWORD)


def test_the_link_makes_one_administrator_though_two_use_it_at_once(store: Store) -> None:
    secret = store.setup_secret() or ""
    results = at_once([lambda name=f"person{n}": store.set_up(secret, name, PASSWORD) for n in range(6)])
    assert sum(not isinstance(r, OperatorError) for r in results) == 1
    assert {r.code for r in results if isinstance(r, OperatorError)} == {"setup_link"}


def test_a_wrong_link_changes_nothing(store: Store) -> None:
    secret = store.setup_secret()
    for wrong in ("", "x", (secret or "")[:-1], (secret or "") + "x", "ลับ"):
        refused("setup_link", store.set_up, wrong, "malee", PASSWORD)
    assert store.setup_secret() == secret


@pytest.mark.parametrize("name", ["", " ", "a b", "a\tb", "x" * 65, "a\x00", "a\u200b", "\u202eabc"])
def test_names_that_cannot_be(store: Store, name: str) -> None:
    refused("bad_name", store.set_up, store.setup_secret(), name, PASSWORD)


@pytest.mark.parametrize(
    "password", ["", "x" * (MIN_PASSWORD_CHARACTERS - 1), "x" * (MAX_PASSWORD_BYTES + 1), "ก" * 500]
)
def test_passwords_that_are_too_weak_or_too_long(store: Store, password: str) -> None:
    refused("weak_password", store.set_up, store.setup_secret(), "malee", password)
    assert store.setup_secret() is not None


def test_a_token_stands_for_its_operator_until_it_ends(ready: Store) -> None:
    token, operator = ready.log_in("malee", PASSWORD)
    assert ready.find(token) == operator
    ready.clock.advance(TOKEN_SECONDS - 1)
    assert ready.find(token) == operator
    ready.clock.advance(1)
    assert ready.find(token) is None


def test_a_token_ends_with_the_log_out_and_others_stay(ready: Store) -> None:
    first, second = (ready.log_in("malee", PASSWORD)[0] for _ in range(2))
    assert first != second
    ready.log_out(first)
    assert ready.find(first) is None
    assert ready.find(second) is not None


@pytest.mark.parametrize("token", ["", "x", "' OR 1=1 --", "ก"])
def test_a_made_up_token_is_nobody(ready: Store, token: str) -> None:
    assert ready.find(token) is None


def test_neither_tokens_nor_passwords_are_stored(ready: Store) -> None:
    token, _ = ready.log_in("malee", PASSWORD)
    ready._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in ready.directory.iterdir())
    assert token.encode() not in stored
    assert PASSWORD.encode() not in stored
    assert b"$argon2id$" in stored


@pytest.mark.parametrize("name", ["malee", "MALEE", " malee "])
def test_names_are_compared_without_case(ready: Store, name: str) -> None:
    assert ready.log_in(name, PASSWORD)[1].name == "malee"


def test_a_thai_name_in_any_normal_form_is_one(store: Store) -> None:
    store.set_up(store.setup_secret() or "", "caf\u00e9-สมชาย", PASSWORD)
    assert store.log_in("cafe\u0301-สมชาย", PASSWORD)[1].role == "administrator"


def test_guessing_waits_a_minute_after_five(ready: Store) -> None:
    for _ in range(FAILURES_BEFORE_DELAY):
        refused("wrong_password", ready.log_in, "malee", "wrong password")
    refused("too_many_failures", ready.log_in, "malee", PASSWORD)
    ready.clock.advance(LOCK_SECONDS - 1)
    refused("too_many_failures", ready.log_in, "malee", PASSWORD)
    ready.clock.advance(2)
    ready.log_in("malee", PASSWORD)


def test_a_right_password_forgets_the_wrong_ones(ready: Store) -> None:
    for _ in range(3):
        for _ in range(FAILURES_BEFORE_DELAY - 1):
            refused("wrong_password", ready.log_in, "malee", "wrong password")
        ready.log_in("malee", PASSWORD)


def test_a_name_that_waits_holds_no_other_up(ready: Store) -> None:
    ready.add("somchai", PASSWORD, "auditor")
    for _ in range(FAILURES_BEFORE_DELAY):
        refused("wrong_password", ready.log_in, "malee", "wrong password")
    assert ready.log_in("somchai", PASSWORD)[1].role == "auditor"


def test_unknown_names_wait_too_and_are_not_told_apart(ready: Store) -> None:
    known, unknown = (refused("wrong_password", ready.log_in, name, "wrong password") for name in ("malee", "nobody"))
    assert str(known) == str(unknown)
    for _ in range(FAILURES_BEFORE_DELAY - 1):
        refused("wrong_password", ready.log_in, "nobody", "wrong password")
    refused("too_many_failures", ready.log_in, "nobody", "wrong password")


def test_guesses_at_once_are_counted_each(ready: Store) -> None:
    results = at_once([lambda: ready.log_in("malee", "wrong password") for _ in range(4 * FAILURES_BEFORE_DELAY)])
    codes = [error.code for error in results]
    assert codes.count("wrong_password") == FAILURES_BEFORE_DELAY
    assert codes.count("too_many_failures") == 3 * FAILURES_BEFORE_DELAY


def test_a_clock_set_back_does_not_lock_anybody_out_for_long(ready: Store) -> None:
    for _ in range(FAILURES_BEFORE_DELAY):
        refused("wrong_password", ready.log_in, "malee", "wrong password")
    ready.clock.advance(1, wall_seconds=-86_400 * 365)
    ready.log_in("malee", PASSWORD)


def test_operators_survive_a_restart(ready: Store) -> None:
    token, operator = ready.log_in("malee", PASSWORD)
    again = OperatorStore(ready.directory, ready.clock)
    assert again.find(token) == operator
    assert again.setup_secret() is None
    again._database.close()


def test_more_operators_with_known_roles_only(ready: Store) -> None:
    refused("bad_role", ready.add, "somchai", PASSWORD, "root")
    refused("weak_password", ready.add, "somchai", "short", "auditor")
    ready.add("somchai", PASSWORD, "auditor")
    refused("exists", ready.add, "SOMCHAI", PASSWORD, "administrator")


def test_the_tables_hold_what_they_should(ready: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        ready._database.execute("INSERT INTO operators VALUES ('x', 'y', 'z', 'not a number')")
