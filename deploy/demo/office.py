"""The invented office: people, networks, servers. Pure data; every name says that it is an example."""

from dataclasses import dataclass

OUTSIDE_ADDRESS = "203.0.113.1"
"""The gateway's one public address, of a range reserved for documentation (RFC 5737)."""
SEED = 2569
"""Every run chooses the same people, servers and sizes in the same order."""


@dataclass(frozen=True)
class Network:
    """One inside network and the device that reports its sessions."""

    name: str
    prefix: str
    nas_identifier: str
    nas_address: str


STAFF = Network("staff", "10.10.0", "demo-wifi-staff", "10.10.0.2")
PUPILS = Network("pupils", "10.20.0", "demo-wifi-pupils", "10.20.0.2")
LAB = Network("lab", "10.30.0", "demo-switch-lab", "10.30.0.2")
NETWORKS = (STAFF, PUPILS, LAB)


@dataclass(frozen=True)
class Person:
    """One account and the device its owner uses. `logs_in` False: a shared machine without log-in."""

    account: str
    name: str
    network: Network
    address: str
    station: str
    logs_in: bool = True


@dataclass(frozen=True)
class Service:
    """Something outside that people connect to; addresses of the documentation ranges."""

    address: str
    port: int
    protocol: int
    typical_bytes: int


SERVICES = (
    Service("198.51.100.10", 443, 6, 48_000),
    Service("198.51.100.11", 443, 6, 220_000),
    Service("198.51.100.20", 443, 6, 9_000),
    Service("198.51.100.21", 80, 6, 15_000),
    Service("198.51.100.30", 443, 17, 640_000),
    Service("198.51.100.53", 53, 17, 180),
    Service("192.0.2.25", 993, 6, 30_000),
    Service("192.0.2.80", 8443, 6, 5_000),
)
SCANNERS = ("192.0.2.200", "192.0.2.201", "198.51.100.250")

_GIVEN_NAMES = (
    ("สมชาย", "somchai"), ("มาลี", "malee"), ("ประเสริฐ", "prasert"), ("สมศรี", "somsri"), ("วิชัย", "wichai"),
    ("สุดา", "suda"), ("อนันต์", "anan"), ("ปราณี", "pranee"), ("ธนา", "thana"), ("กมล", "kamon"),
    ("จินดา", "jinda"), ("ชัยวัฒน์", "chaiwat"), ("นภา", "napa"), ("บุญมี", "boonmee"), ("ปิยะ", "piya"),
    ("พรทิพย์", "porntip"), ("ไพโรจน์", "pairoj"), ("มานพ", "manop"), ("มานี", "manee"), ("มานะ", "mana"),
    ("ปิติ", "piti"), ("ชูใจ", "choojai"), ("วีระ", "weera"), ("สมคิด", "somkid"), ("เพชร", "petch"),
    ("ดวงแก้ว", "duangkaew"), ("จันทร", "jantorn"), ("ศักดา", "sakda"), ("สุรีย์", "suree"), ("อารีย์", "aree"),
    ("กิตติ", "kitti"), ("ขวัญใจ", "kwanjai"), ("ณรงค์", "narong"), ("ทองดี", "tongdee"), ("นิภา", "nipa"),
    ("บังอร", "bangorn"), ("ผกา", "paka"), ("ยุพิน", "yupin"), ("รัตนา", "rattana"), ("วารี", "waree"),
)  # fmt: skip
_FAMILY_NAMES = ("ตัวอย่างดี", "ตัวอย่างงาม", "ตัวอย่างเก่ง", "ตัวอย่างสุข", "ตัวอย่างทอง")
_STAFF_COUNT = 12
_PUPIL_COUNT = 24


def make_people() -> tuple[Person, ...]:
    """Forty people: 12 of the staff, 24 pupils, and 4 who sit at machines of the lab without logging in."""
    people = []
    for i, (thai, latin) in enumerate(_GIVEN_NAMES):
        network = STAFF if i < _STAFF_COUNT else PUPILS if i < _STAFF_COUNT + _PUPIL_COUNT else LAB
        people.append(
            Person(
                account=f"demo.{latin}",
                name=f"{thai} {_FAMILY_NAMES[i % len(_FAMILY_NAMES)]}",
                network=network,
                address=f"{network.prefix}.{101 + i}",
                # 00-00-5E-00-53 is the documentation range (RFC 7042).
                station=f"00-00-5E-00-53-{i + 1:02X}",
                logs_in=network is not LAB,
            )
        )
    return tuple(people)
