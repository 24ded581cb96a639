"""Syslog over TLS (RFC 5425): the server's context and one connection. Framing and loop are those of TCP."""

import selectors
import socket
import ssl
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archive.clock import Clock
from collector.errors import CollectorError
from collector.loss import TLS_FAILED, TLS_HANDSHAKE_FAILED
from collector.tcp_connection import NOTHING, RECEIVE_BYTES, Connection, Received

TLS_RECORD_BYTES = 16 * 1024
"""Longest plain text of a record (RFC 8446 section 5.1); a read returns no more."""


def make_tls_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or later; with `client_ca` only clients with a certificate of that authority.

    Raises CollectorError `tls_files` when a file cannot be read, is not PEM or does not belong to the other.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Renegotiation would let a client make us compute for ever; a syslog sender never resumes by ticket.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        reason = error.strerror or str(error)
        raise CollectorError(
            f"The TLS certificate {certificate} with key {key}"
            f"{f' and client authority {client_ca}' if client_ca else ''} cannot be used: {reason}.",
            code="tls_files",
        ) from error
    return context


class TlsConnection(Connection):
    """A connection whose handshake goes on inside `receive`, a step whenever the peer has sent one."""

    handshake_failure = TLS_HANDSHAKE_FAILED

    def __init__(
        self, context: ssl.SSLContext, accepted: socket.socket, source_address: NDArray[np.uint8], source_port: int
    ) -> None:
        """Raises OSError when the peer is already gone."""
        super().__init__(accepted, source_address, source_port)
        self._tls = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self.socket = self._tls

    def receive(self, clock: Clock, room: memoryview) -> Received:
        """Go on with the handshake, then read what has been decrypted, about RECEIVE_BYTES at most."""
        self.events = selectors.EVENT_READ
        if self.handshake_failure:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return NOTHING
            except ssl.SSLWantWriteError:
                self.events = selectors.EVENT_WRITE
                return NOTHING
            except (OSError, ValueError):  # ssl.SSLError is an OSError
                return Received(clock.unix_ns(), [], 0, ended=True, failure=TLS_HANDSHAKE_FAILED)
            self.handshake_failure = ""
        begun = self._put_rest(room)
        size = 0
        ended, failure = False, ""
        # A whole record is decrypted at once; what is left of it inside OpenSSL would not wake the selector.
        while size < RECEIVE_BYTES or self._tls.pending():
            try:
                count = self._tls.recv_into(room[begun + size : begun + size + TLS_RECORD_BYTES])
            except ssl.SSLWantReadError:
                break
            except ssl.SSLWantWriteError:
                self.events = selectors.EVENT_WRITE
                break
            except ssl.SSLError:
                ended, failure = True, TLS_FAILED
                break
            except OSError:
                count = 0
            if not count:
                ended = True
                break
            size += count
        if not size and not ended:
            return NOTHING
        return self._take(room, begun, size, clock.unix_ns(), ended=ended, failure=failure)
