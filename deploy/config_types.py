"""What the sections of the configuration are made of."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65_535)]


class Section(BaseModel):
    """Unknown keys are refused; values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_address(value: str) -> str:
    """Raises ValueError."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("valid is an IPv4 or IPv6 address") from None
    return value


def check_network(value: str) -> str:
    """Raises ValueError."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("valid is a network such as 10.0.0.0/8") from None
    return value


Address = Annotated[str, Field(description="IPv4 or IPv6 address")]
Network = Annotated[str, AfterValidator(check_network)]

REALM_NAME = "[a-z0-9_-]{1,32}"
