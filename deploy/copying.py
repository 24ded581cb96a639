"""From settings to copiers."""

from collections.abc import Callable
from pathlib import Path

from archive.clock import SystemClock
from archive.copies.copier import Copier
from archive.copies.target import Target
from deploy.config_copies import CopySettings, open_target
from deploy.errors import DeployError
from deploy.layout import Appliance
from deploy.state_files import StateFiles


def settings_folder(appliance: Appliance) -> Path:
    """What file names in the settings are relative to."""
    return (appliance.config_path or appliance.directory / "-").parent


def make_target(appliance: Appliance, copy: CopySettings) -> Target:
    """Raises CopyError."""
    return open_target(copy, settings_folder(appliance))


def make_copier(appliance: Appliance, copy: CopySettings, is_stopped: Callable[[], bool] = lambda: False) -> Copier:
    """Raises CopyError."""
    return Copier(
        copy.name,
        appliance.paths,
        make_target(appliance, copy),
        SystemClock(),
        retention_days=appliance.config.archive.retention_days,
        state=StateFiles(appliance),
        is_stopped=is_stopped,
    )


def find_copy(appliance: Appliance, name: str) -> CopySettings:
    """Raises DeployError for a name that is not in the settings."""
    for copy in appliance.config.copies:
        if copy.name == name:
            return copy
    known = ", ".join(copy.name for copy in appliance.config.copies) or "none"
    raise DeployError(f"no copy {name!r} in the settings; known are {known}")
