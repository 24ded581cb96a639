"""Settings of the disk: what is kept free, and what happens when even that is used."""

from typing import Literal

from pydantic import Field

from archive.storage.levels import DEFAULT_RESERVE_BYTES
from deploy.config_types import Section

MIB = 1024 * 1024


class StorageSettings(Section):
    """The disk of the data directory, and a second one."""

    reserve_mib: int = Field(
        default=DEFAULT_RESERVE_BYTES // MIB,
        ge=0,
        le=1_048_576,
        description="Kept free for log-ins, accounting and sealing when traffic records stop at 95 %; 0: nothing stops",
    )
    when_reserve_ends: Literal["refuse", "count"] = Field(
        default="refuse",
        description="Log-ins when even the reserve is used: refused, or admitted and only counted. Either is sealed",
    )
    second_directory: str = Field(
        default="", description="Directory on a second disk that sealed days move to from 70 % on; empty: none"
    )

    @property
    def reserve_bytes(self) -> int:
        return self.reserve_mib * MIB
