"""From command-line options to the paths of one appliance."""

import os
from dataclasses import dataclass
from pathlib import Path

from archive.origin import ArchivePaths
from deploy.config import Config, load_config

DEFAULT_DATA = "phayan-data"
DEMO_DATA = "phayan-demo"


@dataclass(frozen=True)
class Appliance:
    """One data directory and its settings."""

    directory: Path
    config_path: Path | None
    config: Config
    demo: bool

    @property
    def paths(self) -> ArchivePaths:
        head = self.configured_file(self.config.archive.head_file)
        return ArchivePaths(self.directory, head or self.directory.with_name(self.directory.name + ".head"))

    def configured_file(self, setting: str) -> Path | None:
        """A file named in the settings, relative to the folder of the settings; None when it is not set."""
        return (self.config_path or self.directory).parent / setting if setting else None

    @property
    def accounts_path(self) -> Path:
        return self.directory / "accounts" / "accounts.sqlite"

    @property
    def accounts_socket(self) -> Path:
        return self.paths.run / "accounts.sock"

    @property
    def ask_socket(self) -> Path:
        return self.paths.run / "ask.sock"

    @property
    def timers_socket(self) -> Path:
        return self.paths.run / "timers.sock"

    @property
    def sealer_socket(self) -> Path:
        return self.paths.run / "sealer.sock"

    @property
    def index_dsn(self) -> str:
        return self.config.archive.index_dsn or f"chdb://{self.paths.index}"


def find_data_directory(data: str | None, *, demo: bool = False) -> Path:
    """`--data`, else PHAYAN_DATA, else `phayan-data` here; a demo has a directory of its own."""
    chosen = data or os.environ.get("PHAYAN_DATA") or DEFAULT_DATA
    if demo and not data:
        chosen = os.environ.get("PHAYAN_DEMO_DATA") or DEMO_DATA
    return Path(chosen).resolve()


def open_appliance(data: str | None, config: str | None, *, demo: bool = False) -> Appliance:
    """The appliance of a directory. The configuration is `--config`, else `phayan.toml` in the data directory if there.

    Raises ConfigError.
    """
    directory = find_data_directory(data, demo=demo)
    path = Path(config).resolve() if config else directory / "phayan.toml"
    found = path if config or path.exists() else None
    demo = demo or (directory / "demo").exists()
    return Appliance(directory, found, load_config(found), demo)
