"""Every listener of the collector and the realm of what arrives there, from the configuration."""

from collections.abc import Iterator

from collector.listeners import Listener
from deploy.config import Config
from deploy.layout import Appliance


def listeners(appliance: Appliance) -> list[Listener]:
    """Every socket of the collector."""
    return [listener for listener, _ in _with_realms(appliance.config)]


def listener_realms(appliance: Appliance) -> tuple[tuple[str, str], ...]:
    """Listener names to realms, as plain values; those without a realm of their own are left out."""
    return tuple((listener.name, realm) for listener, realm in _with_realms(appliance.config) if realm)


def realm_networks(appliance: Appliance) -> tuple[tuple[str, str], ...]:
    """Sources to realms, as plain values."""
    return tuple((realm.network, realm.name) for realm in appliance.config.realm)


def _with_realms(config: Config) -> Iterator[tuple[Listener, str]]:
    syslog = config.syslog
    for transport in ("udp", "tcp", "tls", "relp"):
        for port in getattr(syslog, f"{transport}_ports"):
            listener = Listener(
                "syslog",
                transport,
                syslog.address,
                port,
                allow=tuple(syslog.allow),
                receivers=syslog.udp_receivers if transport == "udp" else 1,
                silence_seconds=syslog.silence_seconds,
            )
            yield listener, syslog.realm
    for kind, section in (("netflow", config.netflow), ("sflow", config.sflow)):
        for port in section.ports:
            listener = Listener(
                kind, "udp", section.address, port, allow=tuple(section.allow), receivers=section.receivers
            )
            yield listener, section.realm
    for own in config.listener:
        listener = Listener(
            own.kind,
            own.transport,
            own.address,
            own.port,
            allow=tuple(own.allow),
            receivers=own.receivers,
            silence_seconds=own.silence_seconds,
        )
        yield listener, own.realm
