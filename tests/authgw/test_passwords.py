import threading
import time
import unicodedata

import pytest
from argon2 import extract_parameters

from authgw import passwords
from authgw.errors import AccountError
from authgw.passwords import (
    MAX_REMEMBERED,
    REMEMBER_SECONDS,
    PasswordChecker,
    check_new_password,
    hash_password,
)


class FalseClock:
    def __init__(self) -> None:
        self.now_ns = 1

    def unix_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def boot_id(self) -> str:
        return "test"


STORED = hash_password("ถูกต้อง-password")
RIGHT = "ถูกต้อง-password".encode()


def test_hash_is_argon2id_at_the_floor():
    parameters = extract_parameters(STORED)
    assert STORED.startswith("$argon2id$")
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)


def test_right_wrong_and_unknown():
    checker = PasswordChecker(FalseClock())
    assert checker.is_right(STORED, (RIGHT,))
    assert checker.is_right(STORED, (b"other reading", RIGHT))
    assert not checker.is_right(STORED, (b"wrong",))
    assert not checker.is_right(STORED, ())
    assert not checker.is_right(None, (RIGHT,))
    assert not checker.is_right("not a hash", (RIGHT,))


def test_an_unknown_user_costs_as_much_as_a_wrong_password():
    checker = PasswordChecker(FalseClock())
    checker.is_right(STORED, (b"wrong", b"wrong too"))
    wrong = checker.computations
    checker.is_right(None, (b"wrong", b"wrong too"))
    assert checker.computations == 2 * wrong == 4
    checker.is_right(None, ())
    assert checker.computations == 5


def test_a_right_password_is_remembered_for_minutes_and_bound_to_its_hash():
    clock = FalseClock()
    checker = PasswordChecker(clock)
    checker.is_right(STORED, (RIGHT,))
    assert checker.is_right(STORED, (RIGHT,))
    assert checker.computations == 1
    assert not checker.is_right(hash_password("another one"), (RIGHT,))
    assert checker.computations == 2
    clock.now_ns += REMEMBER_SECONDS * 1_000_000_000
    assert checker.is_right(STORED, (RIGHT,))
    assert checker.computations == 3


def test_two_checkers_do_not_share_a_key_and_hold_no_password():
    one, two = PasswordChecker(FalseClock()), PasswordChecker(FalseClock())
    one.is_right(STORED, (RIGHT,))
    two.is_right(STORED, (RIGHT,))
    assert not set(one._remembered) & set(two._remembered)
    assert RIGHT not in b"".join(one._remembered)


def test_the_memory_is_bounded(monkeypatch):
    checker = PasswordChecker(FalseClock())
    monkeypatch.setattr(passwords, "MAX_REMEMBERED", 3)
    assert MAX_REMEMBERED > 3
    for i in range(10):
        checker._remember(STORED, str(i).encode())
    assert len(checker._remembered) == 3
    assert checker._is_remembered(STORED, b"9")
    assert not checker._is_remembered(STORED, b"0")


def test_two_spellings_of_one_text_are_one_password():
    stored = hash_password(unicodedata.normalize("NFC", "né-password"))
    assert PasswordChecker(FalseClock()).is_right(stored, (unicodedata.normalize("NFD", "né-password").encode(),))


@pytest.mark.parametrize("bad", ["", "short12", "x" * 129, "ก" * 43, "with\nnewline", "with\0nul99"])
def test_refused_passwords(bad):
    with pytest.raises(AccountError) as caught:
        check_new_password(bad)
    assert caught.value.code == "bad_password"
    assert "รหัสผ่าน" in caught.value.message_th


@pytest.mark.parametrize("good", ["12345678", "x" * 128, "ก" * 42, "สวัสดีครับ ผม"])
def test_accepted_passwords(good):
    check_new_password(good)


def test_few_computations_at_once_bound_the_memory(monkeypatch):
    checker = PasswordChecker(FalseClock())
    running, most, lock = [0], [0], threading.Lock()

    class Counting:
        def verify(self, _stored: str, _password: bytes) -> bool:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.02)
            with lock:
                running[0] -= 1
            return True

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    threads = [threading.Thread(target=checker.is_right, args=(STORED, (b"%d" % i,))) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == passwords.MAX_COMPUTATIONS_AT_ONCE
    assert checker.computations == 16
