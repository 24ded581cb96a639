"""A time stamp counts when rfc3161-client and openssl both accept it, from the pinned authority, over these bytes."""

import datetime
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from archive.errors import TimestampError
from archive.timestamp import openssl, token
from archive.timestamp.token import MAX_RESPONSE_BYTES, NS, Authority, read_token, verify_token
from tests.archive.tsa_maker import DAY, GRANTED, UTC, MadeAuthority, der_length, issue

DATA = b"phayan.test/log\n17\nAAAA\n\n\xe2\x80\x94 a signed head\n"


@pytest.fixture(scope="module")
def stamped(made_authority: MadeAuthority) -> bytes:
    return made_authority.stamp(DATA)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> MadeAuthority:
    return MadeAuthority("tsa-two", tmp_path_factory.mktemp("tsa") / "two", policy="1.3.6.1.4.1.99999.2")


def refused(response: bytes, authority: Authority, data: bytes = DATA, nonce: int | None = None) -> TimestampError:
    with pytest.raises(TimestampError) as caught:
        verify_token(response, data, authority, nonce=nonce)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("by_issuer", [False, True])
def test_a_good_token_is_accepted_and_read(made_authority: MadeAuthority, stamped: bytes, by_issuer: bool) -> None:
    facts = verify_token(stamped, DATA, made_authority.pinned(by_issuer=by_issuer))
    assert facts == read_token(stamped)
    assert facts.imprint == hashlib.sha256(DATA).digest()
    assert facts.policy == made_authority.policy
    now = datetime.datetime.now(UTC).timestamp()
    assert abs(facts.unix_ns / NS - now) < 3600
    assert verify_token(stamped, DATA, made_authority.pinned(), nonce=facts.nonce) == facts


def test_a_token_without_certificates_is_held_against_the_pinned_signer(
    made_authority: MadeAuthority, other: MadeAuthority
) -> None:
    bare = made_authority.stamp(DATA, "-sha256")
    verify_token(bare, DATA, made_authority.pinned())
    refused(bare, other.pinned())
    refused(bare, made_authority.pinned(by_issuer=True))


def test_the_issuer_pin_outlives_its_signers(tmp_path: Path) -> None:
    authority = MadeAuthority("changing", tmp_path / "tsa")
    pinned_signer, pinned_issuer = authority.pinned(), authority.pinned(by_issuer=True)
    authority.use(issue("the next signer", authority.root))
    later = authority.stamp(DATA)
    verify_token(later, DATA, pinned_issuer)
    refused(later, pinned_signer)


def test_an_issuer_below_the_root_may_be_pinned(tmp_path: Path) -> None:
    authority = MadeAuthority("deep", tmp_path / "tsa")
    between = issue("between", authority.root, ca=True)
    authority.use(issue("deep signer", between))
    response = authority.stamp(DATA)
    root = (authority.root.pem,)
    verify_token(response, DATA, Authority("deep", "", root, issuer=between.pem))
    verify_token(
        response, DATA, Authority("deep", "", (authority.root.pem + between.pem,), signer=authority.signer.pem)
    )
    assert "issue" in str(refused(response, Authority("deep", "", (*root, between.pem), issuer=authority.root.pem)))


class TestForeign:
    """Tokens of somebody else."""

    def test_of_another_authority(self, made_authority: MadeAuthority, other: MadeAuthority) -> None:
        for by_issuer in (False, True):
            refused(other.stamp(DATA), made_authority.pinned(by_issuer=by_issuer))

    def test_of_a_made_up_authority_with_its_whole_chain(self, made_authority: MadeAuthority, tmp_path: Path) -> None:
        """rfc3161-client up to 1.0.8 took this one when only roots were given."""
        liar = MadeAuthority(made_authority.name, tmp_path / "liar")
        forged = liar.forge(liar.stated(liar.stamp(DATA)), liar.signer, liar.root)
        assert len(decode_timestamp_response(forged).signed_data.certificates) == 2
        verify_token(forged, DATA, liar.pinned(by_issuer=True))
        for by_issuer in (False, True):
            refused(forged, made_authority.pinned(by_issuer=by_issuer))
        roots = VerifierBuilder(roots=[made_authority.root.certificate]).build()
        with pytest.raises(VerificationError):
            roots.verify_message(decode_timestamp_response(forged), DATA)

    def test_of_another_signer_below_the_same_root(self, made_authority: MadeAuthority) -> None:
        colleague = issue("another customer of the root", made_authority.root)
        stated = made_authority.stated(made_authority.stamp(DATA))
        forged = made_authority.forge(stated, colleague)
        refused(forged, made_authority.pinned())
        swapped = replace(made_authority.pinned(), signer=colleague.pem)
        verify_token(forged, DATA, swapped)
        refused(made_authority.stamp(DATA), swapped)

    def test_of_a_signer_below_another_issuer_of_the_same_root(self, made_authority: MadeAuthority) -> None:
        between = issue("between", made_authority.root, ca=True)
        below = issue("below", between)
        forged = made_authority.forge(made_authority.stated(made_authority.stamp(DATA)), below, between)
        refused(forged, made_authority.pinned(by_issuer=True))

    def test_with_the_pinned_signer_embedded_but_signed_by_another(self, made_authority: MadeAuthority) -> None:
        colleague = issue("another", made_authority.root)
        stated = made_authority.stated(made_authority.stamp(DATA))
        refused(made_authority.forge(stated, colleague, made_authority.signer), made_authority.pinned())


class TestUsage:
    """Certificates that may not stamp."""

    @pytest.mark.parametrize(
        ("usages", "critical"),
        [
            ((ExtendedKeyUsageOID.SERVER_AUTH,), True),
            ((ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH), True),
            ((ExtendedKeyUsageOID.TIME_STAMPING,), False),
        ],
    )
    def test_extended_key_usage(self, made_authority: MadeAuthority, usages: tuple, critical: bool) -> None:
        signer = issue("wrong usage", made_authority.root, usages=usages, critical=critical)
        forged = made_authority.forge(made_authority.stated(made_authority.stamp(DATA)), signer)
        refused(forged, replace(made_authority.pinned(), signer=signer.pem))
        refused(forged, made_authority.pinned(by_issuer=True))


class TestValidity:
    """Certificates count as of the time that the token states."""

    def dated(self, authority: MadeAuthority, when: datetime.datetime) -> bytes:
        """A TSTInfo like a real one but for its genTime."""
        real = authority.stamp(DATA)
        stated = authority.stated(real)
        old = decode_timestamp_response(real).tst_info.gen_time.strftime("%Y%m%d%H%M%SZ").encode()
        assert stated.count(old) == 1
        return stated.replace(old, when.strftime("%Y%m%d%H%M%SZ").encode())

    def test_a_signer_that_has_run_out_since(self, made_authority: MadeAuthority) -> None:
        now = datetime.datetime.now(UTC)
        signer = issue("run out", made_authority.root, first=now - 20 * DAY, last=now - 10 * DAY)
        pinned = replace(made_authority.pinned(), signer=signer.pem)
        inside = made_authority.forge(self.dated(made_authority, now - 15 * DAY), signer)
        assert verify_token(inside, DATA, pinned).unix_ns == int((now - 15 * DAY).timestamp()) * NS
        verify_token(inside, DATA, made_authority.pinned(by_issuer=True))
        for when in (now - 21 * DAY, now - 9 * DAY, now):
            outside = made_authority.forge(self.dated(made_authority, when), signer)
            refused(outside, pinned)
            refused(outside, made_authority.pinned(by_issuer=True))

    def test_a_root_that_was_not_valid_yet(self, made_authority: MadeAuthority) -> None:
        early = datetime.datetime.now(UTC) - 4000 * DAY
        signer = issue("early", made_authority.root, first=early - DAY)
        forged = made_authority.forge(self.dated(made_authority, early), signer)
        refused(forged, replace(made_authority.pinned(), signer=signer.pem))


class TestContent:
    """Tokens of the right authority that do not say what they should."""

    def test_over_other_data(self, made_authority: MadeAuthority, stamped: bytes) -> None:
        assert "other bytes" in str(refused(stamped, made_authority.pinned(), DATA + b"\n"))
        assert "other bytes" in str(refused(stamped, made_authority.pinned(), b""))

    def test_with_another_imprint(self, made_authority: MadeAuthority, stamped: bytes) -> None:
        """The imprint is changed and nothing is signed anew."""
        digest = hashlib.sha256(DATA).digest()
        assert stamped.count(digest) == 1
        wanted = b"what should have been stamped"
        refused(stamped.replace(digest, hashlib.sha256(wanted).digest()), made_authority.pinned(), wanted)

    def test_with_another_nonce(self, made_authority: MadeAuthority, stamped: bytes) -> None:
        nonce = read_token(stamped).nonce
        assert nonce is not None
        assert "another request" in str(refused(stamped, made_authority.pinned(), nonce=nonce + 1))
        without = made_authority.stamp(DATA, "-sha256", "-cert", "-no_nonce")
        verify_token(without, DATA, made_authority.pinned())
        assert "another request" in str(refused(without, made_authority.pinned(), nonce=nonce))

    def test_with_another_hash(self, made_authority: MadeAuthority) -> None:
        assert "SHA-256" in str(refused(made_authority.stamp(DATA, "-sha512", "-cert"), made_authority.pinned()))

    def test_a_refusal(self, made_authority: MadeAuthority) -> None:
        rejection = made_authority.stamp(DATA, "-sha384", "-cert")
        error = refused(rejection, made_authority.pinned())
        assert error.code == "timestamp_refused"
        assert "not supported" in str(error)

    def test_an_unknown_policy_is_refused_by_the_authority(self, made_authority: MadeAuthority) -> None:
        rejection = made_authority.stamp(DATA, "-sha256", "-cert", "-tspolicy", "1.2.3.4")
        assert refused(rejection, made_authority.pinned()).code == "timestamp_refused"

    @pytest.mark.parametrize("status", [1, 2, 3, 4, 5])
    def test_a_status_other_than_granted(self, made_authority: MadeAuthority, stamped: bytes, status: int) -> None:
        assert stamped.count(GRANTED) == 1
        changed = stamped.replace(GRANTED, GRANTED[:-1] + bytes([status]))
        assert refused(changed, made_authority.pinned()).code == "timestamp_refused"

    def test_granted_without_a_token(self, made_authority: MadeAuthority) -> None:
        assert refused(b"\x30" + der_length(len(GRANTED)) + GRANTED, made_authority.pinned()).code == "timestamp_format"

    def test_cut_off_or_longer(self, made_authority: MadeAuthority, stamped: bytes) -> None:
        for length in (0, 1, 10, len(stamped) // 2, len(stamped) - 1):
            assert refused(stamped[:length], made_authority.pinned()).code == "timestamp_format"
        refused(stamped + b"\0", made_authority.pinned())
        refused(stamped + stamped, made_authority.pinned())
        assert str(MAX_RESPONSE_BYTES) in str(refused(b"\x30" * (MAX_RESPONSE_BYTES + 1), made_authority.pinned()))

    def test_a_bare_token_without_its_response(self, made_authority: MadeAuthority, stamped: bytes) -> None:
        bare = decode_timestamp_response(stamped).time_stamp_token()
        assert refused(bare, made_authority.pinned()).code == "timestamp_format"

    def test_what_is_signed_may_not_change(self, made_authority: MadeAuthority, stamped: bytes) -> None:
        """Every byte of the signed statement; each changed one is refused before or by a verifier."""
        stated = made_authority.stated(stamped)
        start = stamped.index(stated)
        for place in range(start, start + len(stated), 7):
            changed = bytearray(stamped)
            changed[place] ^= 1
            refused(bytes(changed), made_authority.pinned())


class TestTwoVerifiers:
    """Each of the two can stop a token alone."""

    def test_rfc3161_client_alone(
        self, made_authority: MadeAuthority, stamped: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> bool:
            raise VerificationError("broken by the test")

        verify_token(stamped, DATA, made_authority.pinned())
        monkeypatch.setattr("rfc3161_client.verify._Verifier.verify", refuse)
        assert "rfc3161-client" in str(refused(stamped, made_authority.pinned()))

    def test_openssl_alone(
        self, made_authority: MadeAuthority, stamped: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "openssl").write_text("#!/bin/sh\necho Verification: FAILED\nexit 1\n")
        (tmp_path / "openssl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert "openssl does not accept" in str(refused(stamped, made_authority.pinned()))

    def test_openssl_is_missing_or_hangs(
        self, made_authority: MadeAuthority, stamped: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(tmp_path))
            error = refused(stamped, made_authority.pinned())
        assert error.code == "openssl"
        assert "install it" in str(error)
        (tmp_path / "openssl").write_text("#!/bin/sh\nexec sleep 60\n")
        (tmp_path / "openssl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setattr(openssl, "OPENSSL_TIMEOUT_SECONDS", 0.2)
        assert refused(stamped, made_authority.pinned()).code == "openssl"

    @pytest.mark.parametrize("blind", ["rfc3161-client", "openssl"])
    def test_the_pin_is_held_by_both(
        self, made_authority: MadeAuthority, monkeypatch: pytest.MonkeyPatch, blind: str
    ) -> None:
        """A signer of the same root that is not pinned is refused also when one verifier sees nothing."""
        colleague = issue("another", made_authority.root)
        forged = made_authority.forge(made_authority.stated(made_authority.stamp(DATA)), colleague)
        target = "_client_verify" if blind == "rfc3161-client" else "openssl_verify"
        monkeypatch.setattr(token, target, lambda *_: None)
        sayer = "openssl" if blind == "rfc3161-client" else "rfc3161-client"
        assert sayer in str(refused(forged, made_authority.pinned()))

    def test_what_openssl_alone_can_read_counts_as_none(self, tmp_path: Path) -> None:
        """Certificates that are not in the order of DER: rfc3161-client cannot read them."""
        authority = MadeAuthority("unsorted", tmp_path / "tsa")
        for number in range(40):
            between = issue(f"between {number}", authority.root, ca=True)
            (tmp_path / "chain.pem").write_bytes(between.pem)
            authority.use(issue("signer", between))
            response = authority.reply(authority.query(DATA), "-chain", tmp_path / "chain.pem")
            pinned = Authority("unsorted", "", (authority.root.pem,), issuer=between.pem)
            try:
                decode_timestamp_response(response)
            except ValueError:
                break
        else:
            pytest.fail("openssl sorted the certificates forty times")
        error = refused(response, pinned)
        assert error.code == "unparsable"
        assert refused(response, pinned, b"other").code == "timestamp_format"


class TestSettings:
    """An authority that could be held to nothing is no authority."""

    def test_exactly_one_pin(self, made_authority: MadeAuthority) -> None:
        root, signer = made_authority.root.pem, made_authority.signer.pem
        for pins in ({}, {"signer": signer, "issuer": root}):
            with pytest.raises(TimestampError, match="pinned"):
                Authority("x", "", (root,), **pins)
        for roots, pin in (((), signer), ((b"",), signer), ((b"no PEM",), signer), ((root,), signer + root)):
            with pytest.raises(TimestampError):
                Authority("x", "", roots, signer=pin)

    def test_verifying_leaves_the_authority_as_it_is(self, made_authority: MadeAuthority, stamped: bytes) -> None:
        """The builder's add methods share one list among builders; a root of one authority must not reach the next."""
        first = made_authority.pinned()
        verify_token(stamped, DATA, first)
        assert first.root_certificates() == [made_authority.root.certificate]
        assert made_authority.root.certificate.fingerprint(hashes.SHA256()) == first.root_certificates()[0].fingerprint(
            hashes.SHA256()
        )
