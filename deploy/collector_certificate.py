"""The certificate syslog senders see over TLS: the owner's, or one of our own made when it is missing."""

import os
from pathlib import Path

from archive.durable import make_directory, sync_directory
from collector.listeners import TlsFiles
from deploy.config import SyslogSettings
from deploy.first_start import create_portal_certificate


def syslog_tls_files(
    settings: SyslogSettings, directory: Path, host_name: str, *, needed: bool = False
) -> TlsFiles | None:
    """Files for the TLS listeners, None when there are none. `directory` keeps a self-signed certificate.

    `needed`: a listener outside the section `syslog` speaks TLS.
    """
    if not settings.tls_ports and not needed:
        return None
    client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    if settings.tls_certificate:
        return TlsFiles(Path(settings.tls_certificate), Path(settings.tls_key), client_ca)
    files = TlsFiles(directory / "syslog.crt", directory / "syslog.key", client_ca)
    if not files.certificate.exists() or not files.key.exists():
        make_directory(directory, mode=0o700)
        create_portal_certificate(directory, host_name)
        # The certificate last: while it is missing both are made again.
        os.replace(directory / "portal.key", files.key)
        os.replace(directory / "portal.crt", files.certificate)
        sync_directory(directory)
    return files
