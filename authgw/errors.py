"""Error family of the authenticator. Every error carries a stable `code` used as metric label and in the
manual."""


class AuthgwError(Exception):
    """Something the authenticator could not do. `message_th` is the same sentence in Thai, for people."""

    code = "authgw_error"

    def __init__(self, message: str, *, code: str | None = None, message_th: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.message_th = message_th or message


class PacketDropped(AuthgwError):
    """A RADIUS packet that gets no answer. `code` is the reason, counted by name."""

    code = "packet_dropped"

    def __init__(self, code: str) -> None:
        super().__init__(code, code=code)


class AccountError(AuthgwError):
    """A change to an account that is refused; the message is for a person."""

    code = "account_refused"
