"""The second verifier of a time stamp: `openssl ts -verify`, which shares no code of ours.

Everything is handed over in memory files, so that a full or read-only disk stops no verification.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from archive.errors import TimestampError

OPENSSL_TIMEOUT_SECONDS = 20.0
"""One verification takes 5 ms; on a machine that swaps, seconds."""
SHOWN_REASON_CHARACTERS = 200


def openssl_verify(
    response: bytes, data: bytes, roots: tuple[bytes, ...], pinned: bytes, unix_seconds: int | None
) -> None:
    """Return if `response` (DER TimeStampResp) stamps `data`, its signer chains to one of `roots`, and the signer is
    `pinned` or was issued by it. All certificates are PEM. Certificates are taken as of `unix_seconds`; None: whenever.

    Raises TimestampError.
    """
    when = ("-no_check_time",) if unix_seconds is None else ("-attime", str(unix_seconds))
    with ExitStack() as files:
        paths = {
            name: files.enter_context(_memory_file(name, content))
            for name, content in (
                ("response", response),
                ("data", data),
                ("roots", b"\n".join(roots)),
                ("pinned", pinned),
            )
        }
        # A token may leave its certificate out: then openssl takes the pinned one.
        question = ("-data", paths["data"], "-in", paths["response"], "-untrusted", paths["pinned"], *when)
        _run(("-CAfile", paths["roots"], *question), tuple(paths.values()))
        # The pinned certificate as the only anchor: whoever else the roots have certified is no signer of ours.
        _run(("-CAfile", paths["pinned"], "-partial_chain", *question), tuple(paths.values()))


@contextmanager
def _memory_file(name: str, content: bytes) -> Iterator[str]:
    """A file without a directory; its path is good in a child that inherits the descriptor."""
    descriptor = os.memfd_create(name)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/dev/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _run(options: tuple[str, ...], paths: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(
            ["openssl", "ts", "-verify", *options],
            capture_output=True,
            timeout=OPENSSL_TIMEOUT_SECONDS,
            check=False,
            pass_fds=[int(path.rpartition("/")[2]) for path in paths],
            stdin=subprocess.DEVNULL,
            # Neither certificates nor an engine of the caller's environment have a say.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise TimestampError(
            f"openssl did not verify the time stamp within {OPENSSL_TIMEOUT_SECONDS:.0f} s", code="openssl"
        ) from None
    except OSError as error:
        raise TimestampError(f"openssl cannot be started: {error.strerror}; install it", code="openssl") from error
    if done.returncode != 0 or b"Verification: OK" not in done.stdout:
        raise TimestampError(f"openssl does not accept the time stamp: {_reason(done.stderr)}")


def _reason(stderr: bytes) -> str:
    """The last part of openssl's last line, which says why."""
    lines = [line for line in stderr.decode(errors="replace").splitlines() if ":error:" in line]
    text = lines[-1].split(":error:", 1)[1] if lines else "it gives no reason"
    return "".join(c if c.isprintable() else "?" for c in text)[-SHOWN_REASON_CHARACTERS:]
