"""Error family of the composition root."""

EX_CONFIG = 78
"""sysexits.h: cannot start as configured; starting again does not help."""


class DeployError(Exception):
    """Something that stops a command; its text is one sentence for the person who typed it."""

    code = "deploy"
    exit_code = 2


class ConfigError(DeployError):
    """A wrong or unknown setting."""

    code = "config"
    exit_code = EX_CONFIG


class StartError(DeployError):
    """The appliance cannot start as configured: a port in use, keys missing, a head that moved."""

    code = "start"
    exit_code = EX_CONFIG
