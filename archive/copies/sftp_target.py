"""A copy on a machine that is reached by SSH (draft-ietf-secsh-filexfer-02, with posix-rename of OpenSSH). The
server's key is pinned: another one is refused."""

import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko

from archive.copies.target import BLOCK_BYTES, CHANGED, MISSING, UNREACHABLE, CopyError, blocks_of, check_name

CONNECT_SECONDS = 20.0
IDLE_SECONDS = 60.0
"""Without any answer for so long the line is taken as dead."""


class SftpTarget:
    """`host_key` is a line `type base64`, as `ssh-keyscan` prints it behind the host's name. Connects at the first
    call, and again after a failure."""

    needs_mark = False

    def __init__(self, *, user: str, host: str, port: int, root: str, key_file: Path, host_key: str) -> None:
        self.address = f"sftp://{user}@{host}:{port}{root}"
        self._user, self._host, self._port, self._root = user, host, port, root.rstrip("/")
        self._key_file = key_file
        self._host_key = " ".join(host_key.split()[:2])
        self._client: paramiko.Transport | None = None
        self._sftp: paramiko.SFTPClient | None = None

    def append(self, name: str, offset: int, data: bytes, *, retain_until_unix_ns: int | None = None) -> None:
        path = self._path(name)
        with self._failures(name) as sftp:
            size = _size(sftp, path)
            if size is None:
                self._make_folders(sftp, path)
            if (size or 0) < offset:
                raise CopyError(f"{name} at {self.address} is shorter than it was", code=CHANGED)
            with sftp.open(path, "r+b" if size is not None else "wb") as file:
                if size is not None and size > offset:
                    file.truncate(offset)
                file.seek(offset)
                _write(file, [data])

    def put(self, name: str, data: bytes | Path, *, retain_until_unix_ns: int | None = None) -> None:
        path = self._path(name)
        folder, _, last = path.rpartition("/")
        part = f"{folder}/.{last}.part"
        with self._failures(name) as sftp:
            self._make_folders(sftp, path)
            with sftp.open(part, "wb") as file:
                _write(file, blocks_of(data))
            sftp.posix_rename(part, path)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._path(name)
        with self._failures(name) as sftp, sftp.open(path, "rb") as file:
            size = file.stat().st_size or 0
            end = size if length is None else min(size, offset + length)
            file.seek(offset)
            if end > offset:
                file.prefetch(size)
            while offset < end:
                block = file.read(min(BLOCK_BYTES, end - offset))
                if not block:
                    return
                offset += len(block)
                yield block

    def list(self, prefix: str) -> dict[str, int]:
        with self._failures(prefix) as sftp:
            if prefix and not prefix.endswith("/"):
                size = _size(sftp, self._path(prefix))
                return {} if size is None else {prefix: size}
            found: dict[str, int] = {}
            waiting = [prefix]
            while waiting:
                folder = waiting.pop()
                with suppress(FileNotFoundError):
                    for entry in sftp.listdir_iter(f"{self._root}/{folder}"):
                        mode = entry.st_mode or 0
                        if stat.S_ISDIR(mode):
                            waiting.append(f"{folder}{entry.filename}/")
                        elif stat.S_ISREG(mode) and not entry.filename.startswith("."):
                            found[f"{folder}{entry.filename}"] = entry.st_size or 0
            return found

    def remove(self, name: str) -> None:
        path = self._path(name)
        with self._failures(name) as sftp, suppress(FileNotFoundError):
            sftp.remove(path)
            folder = path.rpartition("/")[0]
            # The server refuses to remove a folder that is not empty.
            with suppress(OSError):
                while len(folder) > len(self._root):
                    sftp.rmdir(folder)
                    folder = folder.rpartition("/")[0]

    def rename(self, old: str, new: str) -> None:
        source, place = self._path(old), self._path(new)
        with self._failures(old) as sftp, suppress(FileNotFoundError):
            sftp.stat(source)
            self._make_folders(sftp, place)
            sftp.posix_rename(source, place)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._sftp = None

    def _path(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}"

    def _make_folders(self, sftp: paramiko.SFTPClient, path: str) -> None:
        folder = path.rpartition("/")[0]
        missing: list[str] = []
        while folder and not _exists(sftp, folder):
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for one in reversed(missing):
            sftp.mkdir(one)

    @contextmanager
    def _failures(self, name: str) -> Iterator[paramiko.SFTPClient]:
        """The connection; whatever breaks it is one sentence, and the next call connects anew."""
        try:
            yield self._connect()
        except FileNotFoundError as error:
            if error.filename is not None:
                raise  # A file of ours that was to be sent.
            raise CopyError(f"{name} is not at {self.address}", code=MISSING) from error
        except CopyError as error:
            if error.code == UNREACHABLE:
                self.close()
            raise
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            what = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CopyError(f"{self.address}: {what}", code=UNREACHABLE) from error

    def _connect(self) -> paramiko.SFTPClient:
        if self._sftp is not None:
            return self._sftp
        try:
            key = paramiko.PKey.from_path(str(self._key_file))
        except (OSError, ValueError, paramiko.SSHException) as error:
            raise CopyError(f"the key {self._key_file} cannot be used: {error}", code=UNREACHABLE) from error
        line = socket.create_connection((self._host, self._port), timeout=CONNECT_SECONDS)
        client = self._client = paramiko.Transport(line)
        client.banner_timeout = client.auth_timeout = CONNECT_SECONDS
        kind = self._host_key.split()[0]
        options = client.get_security_options()
        kinds = ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
        options.key_types = [one for one in options.key_types if one in kinds]
        client.start_client(timeout=CONNECT_SECONDS)
        seen = client.get_remote_server_key()
        if f"{seen.get_name()} {seen.get_base64()}" != self._host_key:
            raise CopyError(
                f"{self.address} shows another host key than the one in host_key; nothing is sent", code=UNREACHABLE
            )
        client.auth_publickey(self._user, key)
        sftp = paramiko.SFTPClient.from_transport(client)
        if sftp is None:
            raise CopyError(f"{self.address} offers no SFTP", code=UNREACHABLE)
        channel = sftp.get_channel()
        if channel is not None:
            channel.settimeout(IDLE_SECONDS)
        self._sftp = sftp
        return sftp


def _write(file: Any, blocks: Any) -> None:
    file.set_pipelined(True)
    for block in blocks:
        file.write(block)
    file.flush()


def _size(sftp: paramiko.SFTPClient, path: str) -> int | None:
    try:
        return sftp.stat(path).st_size or 0
    except FileNotFoundError:
        return None


def _exists(sftp: paramiko.SFTPClient, path: str) -> bool:
    return _size(sftp, path) is not None
