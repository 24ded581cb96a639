"""What the pages share: asking with the operator's token, and the settings."""

from typing import Any

from flask import current_app, g

from admin_ui.settings import AdminSettings


def ask(op: str, **arguments: Any) -> Any:
    """Result of a request made as the signed-in operator. Raises AskError."""
    return current_app.extensions["ask"].call(op, g.token, **arguments)


def settings() -> AdminSettings:
    return current_app.config["SETTINGS"]


def zone() -> str:
    return settings().zone
