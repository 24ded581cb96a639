"""Sections of the configuration that give exporters, their interfaces and the uplinks names."""

import ipaddress
from collections.abc import Iterable
from datetime import date, datetime
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from deploy.config_types import Network, Section

LAST_YEAR = 2399
"""A later one is of the Buddhist era; a setting that is evidence has one spelling."""
ISO_DAY = "valid is an ISO date of the Christian era such as 2026-01-31"


def _read_day(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise ValueError(ISO_DAY) from None
    if value is not None and (type(value) is not date or isinstance(value, datetime) or value.year > LAST_YEAR):
        raise ValueError(ISO_DAY)
    return value


Day = Annotated[date | None, BeforeValidator(_read_day)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class InterfaceSettings(Section):
    """An interface of an exporter."""

    number: int = Field(ge=0, le=4_294_967_295, description="Its number in flow records (SNMP ifIndex)")
    name: Name = Field(description="Its name")
    uplink: str = Field(default="", description="Name of the [[uplink]] behind it; empty: none")


class ExporterSettings(Section):
    """A device that sends flows or logs of translations, by a name that people know."""

    network: Network = Field(description="Its address, or a network of such devices; the longest one counts")
    name: Name = Field(description="Name in answers")
    interface: list[InterfaceSettings] = Field(default=[], max_length=512)

    @model_validator(mode="after")
    def _check_numbers(self) -> "ExporterSettings":
        _refuse_twice((str(one.number) for one in self.interface), "interface number")
        return self


class UplinkNetworkSettings(Section):
    """A network that an uplink has or had."""

    network: Network = Field(description="Address or network that is seen from outside")
    from_day: Day = Field(default=None, alias="from", description="First day (ISO); none: since the setting was made")
    until_day: Day = Field(default=None, alias="until", description="Last day (ISO), included; none: until changed")

    @model_validator(mode="after")
    def _check_days(self) -> "UplinkNetworkSettings":
        if self.from_day and self.until_day and self.from_day > self.until_day:
            raise ValueError(f"from {self.from_day} lies after until {self.until_day}; valid is a first and a last day")
        return self


class UplinkSettings(Section):
    """A way to the internet, and the addresses it is seen under."""

    name: Name = Field(description="Name in answers")
    kind: Literal["public", "carrier_nat", "private"] = Field(
        default="public",
        description="public: its addresses are ours; carrier_nat: public ones of the list are the carrier's and "
        "private ones ours towards it; private: it leads into a network that is not the internet",
    )
    address: list[UplinkNetworkSettings] = Field(default=[], max_length=256)


def check_network_names(exporters: list[ExporterSettings], uplinks: list[UplinkSettings]) -> None:
    """Raises ValueError where a name or network is given twice or an uplink is named that is not there."""
    _refuse_twice((str(ipaddress.ip_network(one.network)) for one in exporters), "exporter network")
    _refuse_twice((one.name for one in uplinks), "uplink name")
    names = [one.name for one in uplinks]
    for exporter in exporters:
        for interface in exporter.interface:
            if interface.uplink and interface.uplink not in names:
                valid = ", ".join(repr(name) for name in names) or "none, as there is no [[uplink]]"
                raise ValueError(
                    f"interface {interface.number} of exporter {exporter.name!r} names the uplink "
                    f"{interface.uplink!r}; valid are {valid}"
                )
    listed = [(uplink.name, one) for uplink in uplinks for one in uplink.address]
    for (name, one), (other_name, other) in combinations(listed, 2):
        if ipaddress.ip_network(one.network) == ipaddress.ip_network(other.network) and _share_a_day(one, other):
            raise ValueError(
                f"{one.network} is listed for the uplinks {name!r} and {other_name!r} on the same days; "
                "give each a from and an until that do not meet"
            )


def _share_a_day(one: UplinkNetworkSettings, other: UplinkNetworkSettings) -> bool:
    def begins_by_the_end_of(a: UplinkNetworkSettings, b: UplinkNetworkSettings) -> bool:
        return a.from_day is None or b.until_day is None or a.from_day <= b.until_day

    return begins_by_the_end_of(one, other) and begins_by_the_end_of(other, one)


def _refuse_twice(values: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is given twice; give it once")
        seen.add(value)
