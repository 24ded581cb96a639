"""Whom the settings trust, in the words of the verifier, which shares no code with the writer."""

from archive.verify.anchors import Trust
from deploy.anchor_trust import trust_of
from deploy.layout import Appliance


def verifier_trust(appliance: Appliance) -> Trust:
    """Raises ConfigError for certificates that cannot be read."""
    configured = trust_of(appliance)
    return Trust(tuple(key.text() for key in configured.witnesses), configured.authorities)
