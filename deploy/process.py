"""`python -m deploy.process NAME --data DIR`: one process of the appliance. What systemd starts in production.

Exit codes: 0 stopped, 78 (EX_CONFIG) cannot start as configured with one sentence on stderr, else a crash to
restart from.
"""

import argparse
import ctypes
import errno
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

from admin_ui.errors import AdminError
from archive.errors import ArchiveError
from authgw.errors import AuthgwError
from collector.errors import CollectorError
from deploy.errors import EX_CONFIG, DeployError
from deploy.layout import Appliance, open_appliance
from deploy.signals import stop_on_signals
from deploy.supervisor import SUPERVISOR_VARIABLE

FATAL_CODES = frozenset(
    {
        "port_in_use", "port_denied", "address_unavailable", "bad_client", "weak_secret", "keys", "head_missing",
        "head_locked", "head_root", "moved", "tls_required", "bad_certificate", "bad_terms", "archive_state", "no_log",
        "spool_sequence", "socket_in_use", "socket_path_too_long", "tls_files", "listener_setting", "listener_unknown",
    }
)  # fmt: skip
"""Codes that a restart cannot cure."""
FATAL_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG})
_PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)

Run = Callable[[Appliance, threading.Event], None]

PROCESSES = {
    "accounts": "accounts",
    "sealer": "sealer",
    "anchor": "anchor",
    "ask": "ask",
    "timers": "timers",
    "collector": "collector",
    "radius": "radius",
    "portal": "portal",
    "portal-redirect": "portal",
    "demo": "demo",
    "admin": "admin",
}
"""Names and their modules in `deploy.processes`, in the order they are started; they are stopped in `STOP_ORDER` of the
supervisor."""


def _run_of(name: str) -> Run:
    """Imported only now: a process that held every room in memory would cost 60 to 80 MB more."""
    module = importlib.import_module(f"deploy.processes.{PROCESSES[name]}")
    return getattr(module, f"run_{name.replace('-', '_')}_process")


def main() -> int:
    """Run one process until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m deploy.process")
    parser.add_argument("name", choices=sorted(PROCESSES))
    parser.add_argument("--data", required=True)
    parser.add_argument("--config")
    options = parser.parse_args()
    # Children of a supervisor that is killed end in order instead of holding ports and locks.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ.get(SUPERVISOR_VARIABLE, str(os.getppid())) != str(os.getppid()):
        return 0
    logging.basicConfig(level=logging.INFO, format=f"{options.name}: %(levelname)s %(message)s", stream=sys.stderr)
    stop = threading.Event()
    stop_on_signals(stop, (signal.SIGTERM, signal.SIGINT))
    try:
        _run_of(options.name)(open_appliance(options.data, options.config), stop)
    except (DeployError, ArchiveError, CollectorError, AuthgwError, AdminError) as error:
        print(f"{options.name}: {error}", file=sys.stderr, flush=True)
        return EX_CONFIG if error.code in FATAL_CODES or isinstance(error, DeployError) else 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"{options.name}: {error.strerror or error}{where}", file=sys.stderr, flush=True)
        log.debug("ended by", exc_info=error)
        return EX_CONFIG if error.errno in FATAL_ERRNOS else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
