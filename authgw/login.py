"""One check of a name and a password against local accounts and directory, for RADIUS and portal alike. Blocks on
argon2id and on the network: call it in a pool, never on a socket loop."""

from collections.abc import Callable

from authgw.accounts.reader import AccountReader
from authgw.directory.base import Directory, DirectoryVerdict
from authgw.passwords import PasswordChecker
from authgw.radius.decision import (
    AccountFacts,
    Verdict,
    decide_from_account,
    decide_from_directory,
    decide_from_request,
)


class LoginCheck:
    """Safe for many threads. `on_unavailable` is called for each check that the directory could not answer."""

    def __init__(
        self,
        accounts: AccountReader,
        passwords: PasswordChecker,
        directory: Directory | None,
        on_unavailable: Callable[[], None] = lambda: None,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._directory = directory
        self._on_unavailable = on_unavailable

    def decide(self, name: str, method: str, passwords: tuple[bytes, ...]) -> Verdict:
        """`accept`, `reject`, or `silent` when the directory cannot be asked (the portal says so in words).

        `method` is `pap` for a password typed by a person; `passwords` are its UTF-8 readings
        (authgw.names.password_candidates). Raises AuthgwError `accounts_unavailable`.
        """
        verdict = decide_from_request(name, method, bool(passwords))
        if verdict.action != "ask_local":
            return verdict
        stored = self._accounts.find(verdict.account)
        if stored is None and self._directory is not None:
            return decide_from_directory(verdict.account, self._ask(self._directory, name, passwords))
        right = self._passwords.is_right(stored.password_hash if stored else None, passwords)
        facts = AccountFacts(stored is not None, stored.disabled if stored else False, right)
        return decide_from_account(verdict.account, facts, has_directory=False)

    def _ask(self, directory: Directory, name: str, passwords: tuple[bytes, ...]) -> DirectoryVerdict:
        answer = DirectoryVerdict("wrong", "empty password")
        for password in passwords:
            answer = directory.check(name, password)
            if answer.result != "wrong":
                break
        if answer.result == "unavailable":
            self._on_unavailable()
        return answer
