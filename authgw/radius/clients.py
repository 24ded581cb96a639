"""The NASes that may ask, by subnet, and which of them have shown that they sign. Pure."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

from authgw.errors import AuthgwError
from authgw.radius.packet_gate import RequireMessageAuthenticator

MIN_SECRET_CHARACTERS = 8
"""Below it a recorded packet gives the secret away in minutes. 24 random bytes are recommended; FreeRADIUS
warns below 12, but old routers in service have less, and refusing them would stop their logins."""
MAX_REMEMBERED_LOOKUPS = 4096
MAX_LEARNED = 65_536
"""One entry per NAS address; only holders of a secret get in."""


@dataclass(frozen=True)
class RadiusClient:
    """NASes of one subnet. `require_message_authenticator` `learned` means: required from each address as
    soon as it has signed once. `limit_proxy_state` refuses Proxy-State without signature; not for real
    proxies."""

    network: str
    secret: bytes = field(repr=False)
    name: str = ""
    require_message_authenticator: RequireMessageAuthenticator = "learned"
    limit_proxy_state: bool = True


class ClientTable:
    """Finds the client of a source address; the longest matching network wins."""

    def __init__(self, clients: tuple[RadiusClient, ...]) -> None:
        self._networks: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, RadiusClient]] = []
        for client in clients:
            try:
                network = ipaddress.ip_network(client.network)
            except ValueError as error:
                raise AuthgwError(f"client {client.name}: {error}", code="bad_client") from error
            if len(client.secret) < MIN_SECRET_CHARACTERS:
                who = client.name or client.network
                raise AuthgwError(
                    f"client {who}: its secret has less than {MIN_SECRET_CHARACTERS} bytes",
                    code="weak_secret",
                    message_th=f"รหัสลับของอุปกรณ์ {who} สั้นกว่า {MIN_SECRET_CHARACTERS} ไบต์",
                )
            self._networks.append((network, client))
        self._networks.sort(key=lambda entry: entry[0].prefixlen, reverse=True)
        self._found: OrderedDict[str, RadiusClient] = OrderedDict()

    def find(self, address: str) -> RadiusClient | None:
        """The client of a numeric address, or None."""
        client = self._found.get(address)
        if client is not None:
            return client
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        for network, candidate in self._networks:
            if parsed.version == network.version and parsed in network:
                self._found[address] = candidate
                if len(self._found) > MAX_REMEMBERED_LOOKUPS:
                    self._found.popitem(last=False)
                return candidate
        return None


class LearnedSigners:
    """Addresses of NASes that have signed a request without need. Only grows: it is never downgraded by a
    packet, since whoever could strip one signature could strip the next."""

    def __init__(self, first_seen_unix_ns: dict[str, int] | None = None) -> None:
        self._first_seen_unix_ns = dict(first_seen_unix_ns or {})
        self.changed = False

    def __contains__(self, address: str) -> bool:
        return address in self._first_seen_unix_ns

    def learn(self, address: str, now_unix_ns: int) -> None:
        """Note a verified signature of `address`."""
        if address not in self._first_seen_unix_ns and len(self._first_seen_unix_ns) < MAX_LEARNED:
            self._first_seen_unix_ns[address] = now_unix_ns
            self.changed = True

    def first_seen_unix_ns(self) -> dict[str, int]:
        """Address to the time of its first verified signature."""
        return dict(self._first_seen_unix_ns)
