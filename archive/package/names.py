"""Names of the files of a package. Pure."""

from archive.package.content import CitedRecord, Place


def record_name(place: Place) -> str:
    """A record's payload, whole."""
    return f"data/records/{place.name()}.bin"


def capture_name(place: Place) -> str:
    """A datagram of flows, reduced to its units in the package."""
    return f"data/pcap/{place.name()}.pcap"


def raw_name(record: CitedRecord) -> str:
    """The file in which a record's bytes stand; empty where they are withheld."""
    if not record.units:
        return ""
    target = record.template_for or record.place
    return capture_name(target) if record.is_datagram else record_name(record.place)


def log_folder(number: int) -> str:
    return f"data/logs/{number}"
