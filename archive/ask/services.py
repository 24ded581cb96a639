"""Type of service of a flow, from its protocol and ports (IANA service names). Pure data.

A port names a service by agreement, not by proof: anything can use it. Where the destination's port names none, the
flow may be the answer, and the source's port counts.
"""

PROTOCOL_NAMES = {
    1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6",
    89: "ospf", 103: "pim", 112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite",
}  # fmt: skip
_WITH_PORTS = (6, 17, 132, 136)
PORT_NAMES = {
    20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "dns", 67: "dhcp", 68: "dhcp", 69: "tftp",
    80: "http", 88: "kerberos", 110: "pop3", 111: "sunrpc", 119: "nntp", 123: "ntp", 135: "epmap", 137: "netbios-ns",
    138: "netbios-dgm", 139: "netbios-ssn", 143: "imap", 161: "snmp", 162: "snmptrap", 179: "bgp", 194: "irc",
    389: "ldap", 443: "https", 445: "microsoft-ds", 465: "submissions", 500: "isakmp", 514: "syslog", 546: "dhcpv6",
    547: "dhcpv6", 554: "rtsp", 587: "submission", 631: "ipp", 636: "ldaps", 853: "dns-tls", 873: "rsync", 989: "ftps",
    990: "ftps", 993: "imaps", 995: "pop3s", 1194: "openvpn", 1433: "ms-sql", 1521: "oracle", 1701: "l2tp",
    1723: "pptp", 1812: "radius", 1813: "radius-acct", 1883: "mqtt", 1900: "ssdp", 1935: "rtmp", 2049: "nfs",
    2055: "netflow", 3128: "squid", 3306: "mysql", 3389: "rdp", 3478: "stun", 4500: "ipsec-nat-t", 4739: "ipfix",
    5060: "sip", 5061: "sips", 5222: "xmpp", 5228: "google-play", 5353: "mdns", 5355: "llmnr", 5432: "postgresql",
    5900: "vnc", 6343: "sflow", 6514: "syslog-tls", 8080: "http-alt", 8291: "winbox", 8443: "https-alt",
    51820: "wireguard",
}  # fmt: skip


def service_name(protocol: int | None, source_port: int | None, destination_port: int | None) -> str | None:
    """`https/tcp`; the protocol alone where it has no ports or they name no service; None where it is not carried."""
    if protocol is None:
        return None
    transport = PROTOCOL_NAMES.get(protocol, f"protocol-{protocol}")
    if protocol not in _WITH_PORTS:
        return transport
    for port in (destination_port, source_port):
        if port is not None and port in PORT_NAMES:
            return f"{PORT_NAMES[port]}/{transport}"
    return transport
