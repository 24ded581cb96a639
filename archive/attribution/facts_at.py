"""Names of exporters, interfaces and uplinks, and whose addresses are whose, at one moment. Pure."""

import ipaddress
from dataclasses import dataclass, field

from archive.attribution.folding import Evidence

CARRIER_NAT = "carrier_nat"
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
"""RFC 1918, 6598, 3927, 4193, 4291: addresses that nobody has on the internet."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_private(address: bytes) -> bool:
    """Whether a 16-byte address is one that nobody has on the internet."""
    return any(_holds(network, address) for network in _PRIVATE)


@dataclass(frozen=True)
class Exporter:
    """`interfaces`: number to (name, uplink name or empty)."""

    network: Network
    name: str
    interfaces: dict[int, tuple[str, str]]
    evidence: Evidence


@dataclass(frozen=True)
class OwnNetwork:
    """A network of an uplink at one moment. `is_ours` is False for what belongs to a carrier that translates."""

    network: Network
    uplink: str
    kind: str
    is_ours: bool
    evidence: Evidence


@dataclass(frozen=True)
class Carrier:
    """An address that a carrier gives to many customers at once; `own` are ours towards it then."""

    uplink: str
    own: tuple[str, ...]
    evidence: Evidence


@dataclass(frozen=True)
class FactsAt:
    """What holds at one moment. `lists_all`: each uplink stated then lists the addresses it is seen under."""

    exporters: tuple[Exporter, ...] = ()
    networks: tuple[OwnNetwork, ...] = ()
    lists_all: bool = False
    _found: dict[bytes, Exporter | None] = field(default_factory=dict, compare=False, repr=False)

    def exporter_of(self, address: bytes) -> Exporter | None:
        """The exporter with the longest network that holds the address."""
        if address not in self._found:
            fitting = [one for one in self.exporters if _holds(one.network, address)]
            self._found[address] = max(fitting, key=lambda one: one.network.prefixlen, default=None)
        return self._found[address]

    def network_of(self, address: bytes) -> OwnNetwork | None:
        """The uplink's network that holds the address, the longest one."""
        return max(
            (one for one in self.networks if _holds(one.network, address)),
            key=lambda one: one.network.prefixlen,
            default=None,
        )

    def __contains__(self, address: object) -> bool:
        """Whether some uplink lists a 16-byte address."""
        return isinstance(address, bytes) and self.network_of(address) is not None

    def carrier_of(self, address: bytes) -> Carrier | None:
        """The carrier whose address this is."""
        found = self.network_of(address)
        if found is None or found.is_ours:
            return None
        own = [_plain(one.network) for one in self.networks if one.uplink == found.uplink and one.is_ours]
        return Carrier(found.uplink, tuple(own), found.evidence)


def _holds(network: Network, address: bytes) -> bool:
    host = ipaddress.IPv6Address(address)
    plain = host.ipv4_mapped or host
    return plain.version == network.version and plain in network


def _plain(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)
