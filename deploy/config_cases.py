"""Settings of cases and holds."""

from pydantic import Field

from deploy.config_types import Section


class CasesSettings(Section):
    """Cases and holds. A change of these settings is a sealed record."""

    one_person: bool = Field(
        default=False,
        description="No second person approves cases and releases holds; printed on each case, hold and package",
    )
