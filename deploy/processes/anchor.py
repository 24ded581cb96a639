"""The anchor process."""

import threading

from archive.anchor.service import AnchorSettings, make_anchor_service
from archive.clock import SystemClock
from archive.copies.service import CopyTask
from deploy.anchor_trust import trust_of
from deploy.config_copies import CopySettings
from deploy.copying import make_copier
from deploy.layout import Appliance


def run_anchor_process(appliance: Appliance, stop: threading.Event) -> None:
    """Bring heads to witnesses and authorities, and answer the sealer which heads are kept outside. With nothing
    configured the answer is that there are none."""
    service = make_anchor_service(appliance.paths, anchor_settings(appliance))
    service.copies = [copy_task(appliance, copy, stop) for copy in appliance.config.copies]
    service.run(stop)


def copy_task(appliance: Appliance, copy: CopySettings, stop: threading.Event) -> CopyTask:
    """A copy of the settings. Raises CopyError for a secret that cannot be read."""
    copier = make_copier(appliance, copy, stop.is_set)
    return CopyTask(copier, appliance.paths, SystemClock(), copy.interval_minutes * 60)


def anchor_settings(appliance: Appliance) -> AnchorSettings:
    """What the settings say of witnesses, authorities and copies. Raises ConfigError."""
    anchors = appliance.config.anchors
    return AnchorSettings(
        witnesses=[(one.url, one.key(), appliance.configured_file(one.ca_file)) for one in anchors.witness],
        authorities=trust_of(appliance).authorities,
        copies=[path for path in map(appliance.configured_file, anchors.copies) if path is not None],
        timestamp_interval_seconds=anchors.timestamp_interval_seconds,
    )
