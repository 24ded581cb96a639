"""Client of the account process, for command line and admin pages."""

from pathlib import Path
from typing import Any

from archive.local_rpc import call_local

CALL_TIMEOUT_SECONDS = 15.0
"""A change waits for one fdatasync and one argon2id computation."""


class AccountsClient:
    """Asks the account process at `socket_path`; results are documented at AccountService.

    Every method raises archive.errors.AskError: with the service's code and messages (`message_th` beside the
    English one), or `not_running` when nobody listens.
    """

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def _call(self, op: str, **arguments: Any) -> Any:
        given = {name: value for name, value in arguments.items() if value is not None}
        return call_local(self._socket_path, op, timeout_seconds=CALL_TIMEOUT_SECONDS, **given)

    def user_add(
        self,
        name: str,
        person: str,
        *,
        identified_how: str,
        identified_by: str,
        identified_when: str = "",
        password: str | None = None,
        actor: str | None = None,
    ) -> dict[str, Any]:
        return self._call(
            "user_add",
            name=name,
            person=person,
            identified_how=identified_how,
            identified_by=identified_by,
            identified_when=identified_when,
            password=password,
            actor=actor,
        )

    def user_change(
        self,
        name: str,
        *,
        person: str | None = None,
        identified_how: str | None = None,
        identified_by: str | None = None,
        identified_when: str = "",
        actor: str | None = None,
    ) -> dict[str, Any]:
        return self._call(
            "user_change",
            name=name,
            person=person,
            identified_how=identified_how,
            identified_by=identified_by,
            identified_when=identified_when,
            actor=actor,
        )

    def user_set_password(self, name: str, password: str, *, actor: str | None = None) -> dict[str, Any]:
        return self._call("user_set_password", name=name, password=password, actor=actor)

    def user_disable(
        self, name: str, *, disabled: bool = True, reason: str = "", actor: str | None = None
    ) -> dict[str, Any]:
        return self._call("user_disable", name=name, disabled=disabled, reason=reason, actor=actor)

    def user_list(self) -> list[dict[str, Any]]:
        return self._call("user_list")

    def user_show(self, name: str) -> dict[str, Any]:
        return self._call("user_show", name=name)

    def user_events(self, name: str) -> list[dict[str, Any]]:
        return self._call("user_events", name=name)
