"""OpenPGP keys that packages are signed with: reading them, and saying what is wrong with one.

Owns reading certificates (public keys) and their state.  Never holds on to a secret key: where a certificate
is wanted, a secret key is refused by name.  `provenance` signs, and verifies with what is read here.

Accepted is what people have in their hands: an armored block, several of them in one text, a binary
export, a keyring of many certificates (``gpg --export``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pitrix.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from pysequoia import Cert
    from pysequoia.packet import Packet

#: A certificate has some KB, one with many signatures of others on it some 100 KB.
MAX_KEY_BYTES = 1024 * 1024
MAX_KEYS = 256

_ARMOR = re.compile(
    rb"-----BEGIN PGP (?:PUBLIC|PRIVATE) KEY BLOCK-----.*?-----END PGP (?:PUBLIC|PRIVATE) KEY BLOCK-----",
    re.DOTALL,
)
_NOT_TO_SHOW = (
    "is a SECRET key: it must not leave its owner; give the public key (gpg --armor --export <name>)"
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class KeyRefused(Exception):
    """What was given is no certificate; says so in words for a person."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One certificate.

    Attributes:
        fingerprint: Of its primary key, in lower-case hex.
        user_ids: Who it belongs to, as it says itself.
        expires_at: Aware, UTC; ``None`` when it does not expire.
        revoked: Its owner has declared it void.
    """

    fingerprint: str
    user_ids: list[str]
    expires_at: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True)
class Certificate:
    """A certificate ready to verify with.

    Attributes:
        handles: Fingerprints and key ids of the primary key and of each subkey, in lower-case hex.
        subkeys: Fingerprint of each subkey to its end (``None``: none of its own) and whether it is revoked.
    """

    key: Key
    cert: Cert = field(repr=False)
    handles: frozenset[str]
    subkeys: dict[str, tuple[datetime | None, bool]]

    def void(self, signing_key: str, now: datetime) -> str:
        """Why signatures of one of its keys count no more; empty when they do."""
        end, revoked = self.subkeys.get(signing_key, (None, False))
        if self.key.revoked or revoked:
            return "was revoked by its owner"
        ends = [each for each in (self.key.expires_at, end) if each is not None and each <= now]
        return f"expired on {min(ends):%Y-%m-%d}" if ends else ""


def check_keys(keys: Sequence[str | bytes], *, field: str = "keys") -> list[Key]:
    """The certificates of public keys and keyrings, in their order.

    Args:
        field: Name for messages: errors are of ``<field>/<index>``.

    Raises:
        InvalidInput: One `FieldError` for each that is no certificate, or that holds a SECRET key.
    """
    found: list[Key] = []
    errors = []
    for index, each in enumerate(keys):
        try:
            found += [certificate.key for certificate in certificates(each)]
        except KeyRefused as error:
            errors.append(FieldError(f"{field}/{index}", str(error)))
    if len(found) > MAX_KEYS:
        errors.append(FieldError(field, f"there are {len(found)} keys; the limit is {MAX_KEYS}"))
    if errors:
        raise InvalidInput(
            f"{len(errors)} of the keys cannot be used" if len(keys) > 1 else "the key cannot be used",
            errors=errors,
        )
    return found


def fingerprint(key: str | bytes) -> str:
    """The fingerprint of one certificate, in lower-case hex.

    Raises:
        InvalidInput: It is no certificate, a SECRET key, or there are several.
    """
    found = check_keys([key], field="key")
    if len(found) != 1:
        message = f"holds {len(found)} keys; one is wanted"
        raise InvalidInput(f"the key {message}", errors=[FieldError("key/0", message)])
    return found[0].fingerprint


def certificates(key: str | bytes) -> tuple[Certificate, ...]:
    """Every certificate of a public key or keyring.

    Raises:
        KeyRefused: There is none, or one is a SECRET key.
    """
    data = key.encode() if isinstance(key, str) else bytes(key)
    if len(data) > MAX_KEY_BYTES:
        raise KeyRefused(f"has {len(data)} bytes; the limit is {MAX_KEY_BYTES}")
    return _certificates(data)


@lru_cache(maxsize=32)
def _certificates(data: bytes) -> tuple[Certificate, ...]:
    from pysequoia import Cert
    from pysequoia.packet import Tag

    if data[8:12] == b"KBXf":
        raise KeyRefused("is GnuPG's keybox; export the key with: gpg --armor --export <name>")
    if b"-----BEGIN PGP" not in data:
        blocks = [data]
    elif not (blocks := _ARMOR.findall(data)):
        raise KeyRefused("has no whole block from BEGIN to END PGP PUBLIC KEY BLOCK")
    found: list[Certificate] = []
    for block in blocks:
        try:
            packets, certs = packets_of(block), Cert.split_bytes(block)
        except RuntimeError as error:
            raise KeyRefused(f"is not an OpenPGP public key: {reason(error)}") from None
        if any(_tag(packet) in (Tag.SecretKey, Tag.SecretSubkey) for packet in packets):
            raise KeyRefused(_NOT_TO_SHOW)
        found += [_certificate(cert) for cert in certs]
    if not found:
        raise KeyRefused("is not an OpenPGP public key")
    if len(found) > MAX_KEYS:
        raise KeyRefused(f"holds {len(found)} keys; the limit is {MAX_KEYS}")
    return tuple(found)


def public_key(secret: bytes) -> str:
    """The certificate of a secret key, armored: what others verify with.

    Raises:
        KeyRefused: It is no OpenPGP key.
    """
    from pysequoia import Tsk

    try:
        return str(Tsk.from_bytes(secret).extract_certificate())
    except RuntimeError as error:
        raise KeyRefused(f"is not one OpenPGP key: {reason(error)}") from None


def packets_of(data: bytes) -> list[Packet]:
    """The OpenPGP packets of binary data, or of its first armored block.

    Raises:
        RuntimeError: It is no OpenPGP data.
    """
    from pysequoia.packet import PacketPile

    return list(PacketPile.from_bytes(data)) if data.strip() else []


def _tag(packet: Packet) -> Any:
    """The kind of a packet; ``None`` for kinds that the library has no name for."""
    try:
        return packet.tag
    except RuntimeError:
        return None


def reason(error: BaseException) -> str:
    """The first sentence of what the library says; the rest is a stack trace."""
    return str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__


def _certificate(cert: Cert) -> Certificate:
    try:
        return _read(cert)
    except RuntimeError as error:
        raise KeyRefused(f"holds key {cert.fingerprint}, which cannot be used: {reason(error)}") from None


def _read(cert: Cert) -> Certificate:
    packets = packets_of(bytes(cert))
    keys = [packet for packet in packets if packet.fingerprint]
    handles = {handle for packet in keys for handle in (packet.fingerprint, packet.key_id) if handle}
    return Certificate(
        Key(
            fingerprint=cert.fingerprint.lower(),
            user_ids=[printable(str(each)) for each in cert.user_ids],
            expires_at=cert.expiration,
            revoked=cert.is_revoked,
        ),
        cert,
        frozenset(handle.lower() for handle in handles),
        _subkeys(packets),
    )


def _subkeys(packets: list[Packet]) -> dict[str, tuple[datetime | None, bool]]:
    """State of each subkey by its latest binding signature (RFC 9580, section 5.2.3.13)."""
    from pysequoia.packet import SignatureType, Tag

    found: dict[str, tuple[datetime | None, bool]] = {}
    subkey: Packet | None = None
    latest: Any = None
    for packet in packets:
        if _tag(packet) == Tag.PublicSubkey:
            subkey, latest = packet, None
            found[str(packet.fingerprint).lower()] = (None, False)
        elif subkey is not None and _tag(packet) == Tag.Signature:
            name = str(subkey.fingerprint).lower()
            if packet.signature_type == SignatureType.SubkeyRevocation:
                found[name] = (found[name][0], True)
            elif packet.signature_type == SignatureType.SubkeyBinding and (
                latest is None or (packet.signature_created and packet.signature_created >= latest)
            ):
                latest = packet.signature_created
                found[name] = (_end(subkey, packet.key_validity_period), found[name][1])
    return found


def _end(subkey: Packet, validity: timedelta | None) -> datetime | None:
    created = subkey.key_created
    return created + validity if created is not None and validity else None


def printable(text: str) -> str:
    """A text of a stranger's without anything that could play tricks on a terminal; cut to 200 characters."""
    return _UNPRINTABLE.sub(" ", text).strip()[:200]
