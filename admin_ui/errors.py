"""Error family of the admin pages. Every error carries a stable `code` used as metric label and in the manual."""


class AdminError(Exception):
    """Something the admin pages could not do; the message is one sentence for a person.

    Codes: port_in_use, port_denied, address_unavailable, tls_required, bad_certificate.
    """

    code = "admin_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
