"""A time stamp authority of the test's own: certificates made here, tokens by `openssl ts -reply`."""

import datetime
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from archive.timestamp.token import Authority

UTC = datetime.UTC
DAY = datetime.timedelta(days=1)
TSA_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
default_policy = {policy}
digests = sha256, sha512
signer_digest = sha256
ess_cert_id_alg = sha256
ess_cert_id_chain = no
accuracy = secs:1
"""
"""`certs` is left out: the reply then embeds the signer alone, in the order DER asks for."""
GRANTED = bytes([0x30, 0x03, 0x02, 0x01, 0x00])
TST_INFO_TYPE = "1.2.840.113549.1.9.16.1.4"


def run(*command: str | Path, data: bytes = b"") -> bytes:
    done = subprocess.run([str(part) for part in command], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def der_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    encoded = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(encoded)]) + encoded


@dataclass
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def issue(
    name: str,
    issuer: Issued | None,
    *,
    ca: bool = False,
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
    critical: bool = True,
    first: datetime.datetime | None = None,
    last: datetime.datetime | None = None,
) -> Issued:
    """A root (no issuer), an intermediate (`ca`) or a signer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first or now - 3000 * DAY)
        .not_valid_after(last or now + 3000 * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False),
            critical=True,
        )
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    return Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


@dataclass
class MadeAuthority:
    """Root, signer and the files `openssl ts` wants."""

    name: str
    folder: Path
    policy: str = "1.3.6.1.4.1.99999.1"
    root: Issued = field(init=False)
    signer: Issued = field(init=False)
    url: str = "http://127.0.0.1:9/"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.root = issue(f"{self.name} root", None, ca=True)
        self.signer = issue(f"{self.name} signer", self.root)
        self.use(self.signer)

    def use(self, signer: Issued) -> None:
        """Let `signer` sign from here on."""
        (self.folder / "tsa.cnf").write_text(TSA_CONFIG.format(folder=self.folder, policy=self.policy))
        (self.folder / "serial").write_text("01\n")
        (self.folder / "signer.pem").write_bytes(signer.pem)
        (self.folder / "signer.key").write_bytes(signer.key_pem)
        self.signer = signer

    def pinned(self, *, by_issuer: bool = False) -> Authority:
        """What settings would hold of it."""
        pins = {"signer": None, "issuer": self.root.pem} if by_issuer else {"signer": self.signer.pem, "issuer": None}
        return Authority(name=self.name, url=self.url, roots=(self.root.pem,), **pins)

    def query(self, data: bytes, *options: str) -> bytes:
        return run("openssl", "ts", "-query", "-data", "/dev/stdin", *(options or ("-sha256", "-cert")), data=data)

    def reply(self, query: bytes, *options: str | Path) -> bytes:
        """The response to a query, as `openssl ts` makes it. A refusal is a response too."""
        (self.folder / "query.tsq").write_bytes(query)
        subprocess.run(
            ["openssl", "ts", "-reply", "-config", self.folder / "tsa.cnf", "-section", "one",
             "-queryfile", self.folder / "query.tsq", "-signer", self.folder / "signer.pem",
             "-inkey", self.folder / "signer.key", "-out", self.folder / "reply.tsr", *options],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return (self.folder / "reply.tsr").read_bytes()

    def stamp(self, data: bytes, *options: str) -> bytes:
        return self.reply(self.query(data, *options))

    def stated(self, response: bytes) -> bytes:
        """The DER TSTInfo inside a response."""
        token = run("openssl", "ts", "-reply", "-in", self._file("in.tsr", response), "-token_out")
        return run("openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", self._file("in.tst", token))

    def forge(self, tst_info: bytes, signer: Issued, *more: Issued) -> bytes:
        """A response over any TSTInfo, signed by any certificate, with further ones embedded."""
        signing = ["-signer", self._file("forged.pem", signer.pem), "-inkey", self._file("forged.key", signer.key_pem)]
        embedded = [part for one in more for part in ("-certfile", self._file(f"{id(one)}.pem", one.pem))]
        token = run(
            "openssl", "cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-md", "sha256", "-cades",
            "-outform", "DER", "-econtent_type", TST_INFO_TYPE, "-in", self._file("forged.tst", tst_info),
            *signing, *embedded,
        )  # fmt: skip
        body = GRANTED + token
        return b"\x30" + der_length(len(body)) + body

    def _file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path
