"""OpenLDAP's slapd on loopback behind the directory interface, with TLS made for the test."""

import datetime
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parents[1] / "authgw"))

from radius_packets import attribute, hide, request, sign
from radius_process import SECRET, RadiusProcess, add_account

from authgw.directory import ldap as ldap_module
from authgw.directory.ldap import DirectorySettings, LdapDirectory
from authgw.errors import AuthgwError

BASE = "dc=office,dc=test"
SLAPD = "/usr/sbin/slapd"
MODULES = "/usr/lib/ldap"
SCHEMAS = "/etc/ldap/schema"

ENTRIES = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: office
o: Office

dn: cn=reader,{BASE}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader-password

dn: uid=somchai,{BASE}
objectClass: inetOrgPerson
uid: somchai
cn: Somchai Jaidee
sn: Jaidee
displayName:: 4Liq4Lih4LiK4Liy4LiiIOC5g+C4iOC4lOC4tQ==
userPassword: password-9

dn: uid=manee,{BASE}
objectClass: inetOrgPerson
uid: manee
uid:: 4Lih4Liy4LiZ4Li1
cn: Manee Meeta
sn: Meeta
userPassword:: 4Lih4Liy4LiZ4Li14Lih4Li14LiV4Liy

dn: uid=paren(x)*,{BASE}
objectClass: inetOrgPerson
uid: paren(x)*
cn: Odd Name
sn: Name
userPassword: password-9
"""


def make_certificates(directory: Path) -> None:
    """A CA, and a server certificate for `ldap.office.test` only."""
    now = datetime.datetime.now(datetime.UTC)

    def build(name, issuer, key, issuer_key, extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = build(
        "Test CA",
        "Test CA",
        ca_key,
        ca_key,
        [(x509.BasicConstraints(True, None), True), (identifier, False), (usage, True)],
    )
    names = x509.SubjectAlternativeName([x509.DNSName("ldap.office.test")])
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    certificate = build("ldap.office.test", "Test CA", key, ca_key, [(names, False), (authority, False)])
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "server.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Slapd:
    """One slapd in the foreground, in a directory of its own, ended by its own process object."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ldaps_port, self.ldap_port = free_port(), free_port()
        make_certificates(directory)
        (directory / "db").mkdir()
        (directory / "slapd.conf").write_text(
            f"modulepath {MODULES}\nmoduleload back_mdb\n"
            + "".join(f"include {SCHEMAS}/{n}.schema\n" for n in ("core", "cosine", "inetorgperson"))
            + f"pidfile {directory}/slapd.pid\n"
            f"TLSCACertificateFile {directory}/ca.pem\nTLSCertificateFile {directory}/server.pem\n"
            f"TLSCertificateKeyFile {directory}/server.key\n"
            f"database mdb\nsuffix {BASE}\nrootdn cn=root,{BASE}\nrootpw root-password\n"
            f"directory {directory}/db\nmaxsize 10485760\n"
            f"access to attrs=userPassword by anonymous auth by * none\n"
            f'access to * by dn.exact="cn=reader,{BASE}" read by * auth\n'
        )
        (directory / "entries.ldif").write_text(ENTRIES)
        subprocess.run(
            ["slapadd", "-f", str(directory / "slapd.conf"), "-l", str(directory / "entries.ldif")],
            check=True,
            capture_output=True,
            timeout=30,
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        urls = f"ldap://127.0.0.1:{self.ldap_port}/ ldaps://127.0.0.1:{self.ldaps_port}/"
        self.process = subprocess.Popen(
            [SLAPD, "-f", str(self.directory / "slapd.conf"), "-h", urls, "-d", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ldaps_port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, "slapd ended by itself"
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def settings(self, **changes) -> DirectorySettings:
        values = {
            "host": "127.0.0.1",
            "port": self.ldaps_port,
            "server_name": "ldap.office.test",
            "ca_file": self.directory / "ca.pem",
            "base_dn": BASE,
            "bind_dn": f"cn=reader,{BASE}",
            "bind_password": "reader-password",
        }
        return DirectorySettings(**(values | changes))


@pytest.fixture(scope="module")
def slapd(tmp_path_factory):
    if not Path(SLAPD).exists() or shutil.which("slapadd", path="/usr/sbin:/usr/bin") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("slapd is not installed")
        pytest.skip("slapd is not installed")
    server = Slapd(tmp_path_factory.mktemp("slapd"))
    yield server
    server.stop()


@pytest.fixture
def directory(slapd):
    directory = LdapDirectory(slapd.settings())
    yield directory
    directory.close()


def test_good_password_gives_the_person(directory):
    verdict = directory.check("somchai", b"password-9")
    assert (verdict.result, verdict.person) == ("accepted", "สมชาย ใจดี")
    assert verdict.entry_dn == f"uid=somchai,{BASE}"


def test_thai_name_and_password(directory):
    assert directory.check("มานี", "มานีมีตา".encode()).result == "accepted"
    assert directory.check("มานี", "มานี".encode()).result == "wrong"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("somchai", b"wrong"),
        ("somchai", b""),
        ("somchai", b"password-9\0"),
        ("", b"password-9"),
        ("nobody", b"password-9"),
        ("*", b"password-9"),
        ("som*", b"password-9"),
        ("*)(uid=somchai", b"password-9"),
        ("somchai)(objectClass=*", b"password-9"),
        ("somchai\\2a", b"password-9"),
        ("somchai\0", b"password-9"),
    ],
)
def test_wrong(directory, name, password):
    assert directory.check(name, password).result == "wrong"


def test_filter_characters_are_only_characters(directory):
    assert directory.check("paren(x)*", b"password-9").result == "accepted"


def test_start_tls(slapd):
    directory = LdapDirectory(slapd.settings(port=slapd.ldap_port, tls="start_tls"))
    assert directory.check("somchai", b"password-9").result == "accepted"
    assert directory.check("somchai", b"wrong").result == "wrong"
    directory.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"server_name": "other.office.test"},
        {"server_name": None},
        {"ca_file": None},
        {"bind_password": "wrong"},
        {"base_dn": "dc=elsewhere,dc=test"},
        {"user_filter": "((broken"},
    ],
)
@pytest.mark.parametrize("tls", ["ldaps", "start_tls"])
def test_what_is_not_the_persons_fault_is_unavailable(slapd, changes, tls):
    port = slapd.ldaps_port if tls == "ldaps" else slapd.ldap_port
    directory = LdapDirectory(slapd.settings(port=port, tls=tls, **changes))
    verdict = directory.check("somchai", b"password-9")
    assert verdict.result == "unavailable"
    assert verdict.reason
    assert "password-9" not in verdict.reason
    directory.close()


def test_a_silent_server_is_unavailable_in_time_and_then_at_once(slapd):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        directory = LdapDirectory(slapd.settings(port=silent.getsockname()[1], receive_timeout_seconds=1))
        started = time.monotonic()
        assert directory.check("somchai", b"password-9").result == "unavailable"
        assert time.monotonic() - started < 4
        started = time.monotonic()
        assert directory.check("somchai", b"password-9").result == "unavailable"
        assert time.monotonic() - started < 0.1


def test_many_threads(directory):
    results: list[str] = []

    def work(password: bytes) -> None:
        for _ in range(10):
            results.append(directory.check("somchai", password).result)

    threads = [threading.Thread(target=work, args=(p,)) for p in (b"password-9", b"wrong") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(set(results)) == ["accepted", "wrong"]
    assert results.count("accepted") == results.count("wrong") == 40


def test_no_delay_is_effective(directory):
    directory.check("somchai", b"password-9")
    took = []
    for _ in range(9):
        started = time.perf_counter()
        directory.check("somchai", b"password-9")
        took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.035  # with a delayed ACK it is above 40 ms


def access(name: bytes, password: bytes, identifier: int = 1) -> bytes:
    authenticator = os.urandom(16)
    hidden = attribute(2, hide(password, authenticator, SECRET))
    packet = request(1, attribute(1, name), hidden, identifier=identifier, authenticator=authenticator)
    return sign(packet, SECRET)


def ask(port: int, packet: bytes, seconds: float) -> bytes | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.settimeout(seconds)
        nas.sendto(packet, ("127.0.0.1", port))
        try:
            return nas.recv(4096)
        except TimeoutError:
            return None


def test_radius_with_a_directory_that_stops_and_comes_back(slapd, tmp_path, monkeypatch):
    monkeypatch.setattr(ldap_module, "RETRY_AFTER_SECONDS", 0.2)
    add_account(tmp_path, "local", "password-l")
    with RadiusProcess(tmp_path, directory=slapd.settings()) as radius:
        port = radius.auth_port
        assert ask(port, access(b"somchai", b"password-9"), 5)[0] == 2
        event = radius.events()[-1]
        assert (event["details"]["source"], event["details"]["person"]) == ("directory", "สมชาย ใจดี")
        assert ask(port, access(b"somchai", b"wrong"), 5)[0] == 3
        assert ask(port, access(b"nobody", b"password-9"), 5)[0] == 3
        assert ask(port, access("มานี".encode("tis-620"), "มานีมีตา".encode("tis-620")), 5)[0] == 2
        slapd.stop()
        try:
            assert ask(port, access(b"somchai", b"password-9"), 2) is None
            assert ask(port, access(b"local", b"password-l"), 5)[0] == 2
            radius.wait_counter("auth", "no_answer_directory_unavailable", 1)
        finally:
            slapd.start()
        time.sleep(0.3)
        assert ask(port, access(b"somchai", b"password-9"), 5)[0] == 2


def test_a_missing_ca_file_is_named_at_the_start(tmp_path):
    with pytest.raises(AuthgwError) as caught:
        LdapDirectory(DirectorySettings("ldap.office.test", BASE, ca_file=tmp_path / "none.pem"))
    assert caught.value.code == "bad_directory"
