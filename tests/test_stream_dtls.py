"""Sessions with peers whose certificates hold keys of another kind than ours."""

from __future__ import annotations

import datetime

import pytest
from aiortc import RTCCertificate, RTCPeerConnection
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from stream.dtls import widen_ciphers
from tests.live_media import take
from tests.live_peers import linked


class _RsaCertificate(RTCCertificate):
    """As GStreamer has it: an RSA key, and whatever ciphers OpenSSL takes by itself."""

    @classmethod
    def generate(cls) -> RTCCertificate:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        return cls(key=key, cert=certificate)  # type: ignore[arg-type] # it never uses the kind

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"DEFAULT")
        return context


@pytest.fixture
def sender_with_rsa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two peers that are made from now on, the first one has an RSA key."""
    certificates = [_RsaCertificate.generate()]

    def change(connection: RTCPeerConnection) -> None:
        if certificates:
            vars(connection)["_RTCPeerConnection__certificates"] = [certificates.pop()]
        else:
            widen_ciphers(connection)

    monkeypatch.setattr("stream.peer_connection.widen_ciphers", change)


@pytest.mark.usefixtures("sender_with_rsa")
@pytest.mark.parametrize("we_offer", [False, True])
async def test_a_peer_with_an_rsa_key_connects_and_sends(we_offer: bool) -> None:
    async with linked(receiver_offers=we_offer) as link:
        await link.play(range(5))
        assert len(await take(link.receiver.video, 3)) == 3
