"""Which site or network a record belongs to. Pure."""

import ipaddress
from dataclasses import dataclass

DEFAULT_REALM = "main"


@dataclass(frozen=True)
class RealmTable:
    """Records to realms: the longest of `networks` (network, realm) that holds the source; else the realm of the
    listener it was sent to, of `listeners` (listener name, realm); else `default`."""

    networks: tuple[tuple[str, str], ...] = ()
    default: str = DEFAULT_REALM
    listeners: tuple[tuple[str, str], ...] = ()

    def realm_of(self, address: bytes, listener: str = "") -> str:
        """Realm of a record from a 16-byte source address; our own records (`::`) are in the default realm."""
        return self.network_realm(address) or self.listener_realm(listener) or self.default

    def network_realm(self, address: bytes) -> str | None:
        """Realm of the longest network that holds the source, None where none does."""
        host = ipaddress.IPv6Address(address)
        plain = host.ipv4_mapped or host
        best, found = -1, None
        for text, realm in self.networks:
            network = ipaddress.ip_network(text)
            if network.version == plain.version and plain in network and network.prefixlen > best:
                best, found = network.prefixlen, realm
        return found

    def listener_realm(self, listener: str) -> str | None:
        """Realm of a listener; receivers that share a port (`syslog/udp-5514.2`) have the one of their listener."""
        return dict(self.listeners).get(listener.partition(".")[0])
