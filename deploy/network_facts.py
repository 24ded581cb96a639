"""Exporters and uplinks of the configuration as the facts that the journal states."""

import ipaddress
from datetime import date
from typing import Any

from archive.network_settings import exporter_fact, uplink_fact
from deploy.config import Config


def network_facts(config: Config) -> tuple[dict[str, Any], ...]:
    """Details of every fact, in the order of the configuration."""
    exporters = [
        exporter_fact(
            str(ipaddress.ip_network(one.network)),
            one.name,
            [{"number": i.number, "name": i.name, "uplink": i.uplink} for i in one.interface],
        )
        for one in config.exporter
    ]
    uplinks = [
        uplink_fact(
            one.name,
            one.kind,
            config.site.zone,
            [
                {
                    "network": str(ipaddress.ip_network(listed.network)),
                    "from": _iso(listed.from_day),
                    "until": _iso(listed.until_day),
                }
                for listed in one.address
            ],
        )
        for one in config.uplink
    ]
    return (*exporters, *uplinks)


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
