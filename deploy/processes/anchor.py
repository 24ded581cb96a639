"""The anchor process."""

import threading

from archive.anchor.service import AnchorSettings, make_anchor_service
from deploy.anchor_trust import trust_of
from deploy.layout import Appliance


def run_anchor_process(appliance: Appliance, stop: threading.Event) -> None:
    """Bring heads to witnesses and authorities, and answer the sealer which heads are kept outside. With nothing
    configured the answer is that there are none."""
    make_anchor_service(appliance.paths, anchor_settings(appliance)).run(stop)


def anchor_settings(appliance: Appliance) -> AnchorSettings:
    """What the settings say of witnesses, authorities and copies. Raises ConfigError."""
    anchors = appliance.config.anchors
    return AnchorSettings(
        witnesses=[(one.url, one.key(), appliance.configured_file(one.ca_file)) for one in anchors.witness],
        authorities=trust_of(appliance).authorities,
        copies=[path for path in map(appliance.configured_file, anchors.copies) if path is not None],
        timestamp_interval_seconds=anchors.timestamp_interval_seconds,
    )
