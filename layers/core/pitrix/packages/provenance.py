"""Provenance: who vouches for an archive, in the format of Helm's ``.prov`` files.

Owns signing and verifying.  A provenance file is a clear-signed OpenPGP message (RFC 9580, section 7): the
metadata of the package as YAML, a line ``...``, and the SHA-256 of the archive by its file name.  The format
is Helm's (https://helm.sh/docs/topics/provenance/); it serves packages of every kind, and ``helm verify``
accepts ours.  Never decides whether an unsigned package is welcome: that is the repository's.  Keys are read
in `keys`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pitrix.clock import Clock, SystemClock
from pitrix.errors import FieldError, InvalidInput
from pitrix.packages.keys import (
    Certificate,
    Key,
    KeyRefused,
    certificates,
    check_keys,
    fingerprint,
    printable,
    public_key,
    reason,
)
from pitrix.packages.model import Package, Signature, SignatureStatus

__all__ = ["SUFFIX", "Key", "check_keys", "fingerprint", "metadata_yaml", "public_key", "sign", "verify"]

#: What the name of a provenance file adds to that of its archive.
SUFFIX = ".prov"
MAX_BYTES = 256 * 1024

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_SEPARATOR = "\n...\n"


class _Untrusted(Exception):
    """The provenance does not vouch for the archive; says why."""


def metadata_yaml(package: Package) -> str:
    """What a provenance says of a package besides its digest: its own description of itself, as YAML."""
    import yaml

    facts = package.metadata or {"name": package.name, "version": package.version}
    text: str = yaml.safe_dump(facts, allow_unicode=True, sort_keys=True, width=10_000)
    return text


def sign(
    archive: bytes, filename: str, metadata_yaml: str, *, key: bytes, password: str | None = None
) -> bytes:
    """Vouch for an archive: the content of ``<filename>.prov``.

    Args:
        filename: Name that the archive is published by, without a folder; the signature holds for no other.
        metadata_yaml: Description of the package (Chart.yaml); see `metadata_yaml`.
        key: One secret key, armored or binary.  A signing subkey is used where it has one.
        password: Of the key; ``None`` when it has none.

    Raises:
        InvalidInput: The key is none, is public, has expired or cannot sign, or the password is wrong (field
            ``key`` or ``password``); or the name or the metadata cannot be signed.
    """
    import pysequoia
    import yaml

    if not re.fullmatch(r"[^/\\\s\x00-\x1f]+", filename):
        raise _bad("filename", "must be the name of a file, without folders and spaces")
    metadata = metadata_yaml.replace("\r\n", "\n").rstrip("\n") + "\n"
    if _SEPARATOR in f"\n{metadata}":
        raise _bad("metadata", "must not hold a line of three dots: it ends the metadata")
    signer = _signer(key, password)
    sums = yaml.safe_dump(
        {"files": {filename: f"sha256:{hashlib.sha256(archive).hexdigest()}"}}, width=10_000
    )
    message = f"{metadata}{_SEPARATOR}{sums}".encode()
    try:
        signed = pysequoia.sign(signer, message, mode=pysequoia.SignatureMode.CLEAR)
    except RuntimeError as error:
        raise _bad("key", f"cannot sign: {reason(error)}") from None
    if len(signed) > MAX_BYTES:
        raise _bad("metadata", f"makes a provenance of {len(signed)} bytes; the limit is {MAX_BYTES}")
    return bytes(signed)


def verify(
    archive: bytes,
    filename: str,
    provenance: bytes | None,
    keys: Sequence[bytes | str],
    *,
    clock: Clock | None = None,
) -> Signature:
    """Who vouches for an archive.  Never raises over content: a broken provenance or key is a status.

    As with Helm, a key that has expired or was revoked vouches for nothing any more, whenever it signed.

    Args:
        filename: Name that the archive was published by; a signature holds for one name.
        provenance: Content of the file beside it; ``None`` when there is none.
        keys: Certificates and keyrings that are trusted, armored or binary.
    """
    if provenance is None:
        return Signature(message="The package is not signed.")
    seen: list[str] = []
    try:
        return _verified(archive, filename, provenance, keys, seen, (clock or SystemClock()).now())
    except _Untrusted as error:
        return Signature(
            status=SignatureStatus.INVALID, fingerprint=seen[0] if seen else "", message=str(error)
        )


def _verified(
    archive: bytes,
    filename: str,
    provenance: bytes,
    keys: Sequence[bytes | str],
    seen: list[str],
    now: datetime,
) -> Signature:
    import pysequoia

    if len(provenance) > MAX_BYTES:
        raise _Untrusted(f"The provenance has {len(provenance)} bytes; the limit is {MAX_BYTES}.")
    if not provenance.lstrip().startswith(_BEGIN):
        raise _Untrusted("The provenance is not a clear-signed OpenPGP message.")
    trusted = _trusted(keys)

    def lookup(ids: list[str]) -> list[Any]:
        seen.extend(each.lower() for each in ids)
        return [each.cert for each in trusted]

    try:
        result = pysequoia.verify(provenance, lookup)
        content, signatures = result.bytes or b"", result.valid_sigs
    except Exception as error:
        return _refused(archive, filename, provenance, trusted, seen, now, reason(error))
    except BaseException as error:
        # A panic in the library, which is not an `Exception`, must not end the process either.
        if type(error).__name__ != "PanicException":
            raise
        raise _Untrusted("The signature cannot be read.") from None
    void = ""
    for each in signatures:
        owner = next(one for one in trusted if one.key.fingerprint == each.certificate.lower())
        if void := owner.void(each.signing_key.lower(), now):
            continue
        _check_digest(archive, filename, content)
        return _signed_by(owner.key, len(signatures))
    raise _Untrusted(f"The package is signed by key {_short(seen)}, which {void}.")


def _refused(
    archive: bytes,
    filename: str,
    provenance: bytes,
    trusted: Sequence[Certificate],
    seen: Sequence[str],
    now: datetime,
    why: str,
) -> Signature:
    """What to say when no signature is valid."""
    if not seen:
        raise _Untrusted(f"The signature cannot be read: {why}.")
    owners = [(each, handle) for each in trusted for handle in seen if handle in each.handles]
    if owners:
        owner, handle = owners[0]
        if void := owner.void(handle, now):
            raise _Untrusted(f"The package is signed by key {_short(seen)}, which {void}.")
        who = owner.key.user_ids[0] if owner.key.user_ids else owner.key.fingerprint
        raise _Untrusted(
            f"The signature does not match what it signs, or key {_short(seen)} of {who} could not make it: "
            "the provenance was changed, the key cannot sign, or the signature is too weak."
        )
    # Nobody vouches for this text; but where even it speaks of other bytes, that is the better answer.
    _check_digest(archive, filename, _claimed(provenance))
    among = {0: "no keys were given", 1: "the one key given is another"}
    return Signature(
        status=SignatureStatus.UNKNOWN_KEY,
        fingerprint=seen[0],
        message=f"The package is signed by key {_short(seen)}, which is not known: "
        f"{among.get(len(trusted), f'it is none of the {len(trusted)} keys given')}.",
    )


def _signed_by(key: Key, count: int) -> Signature:
    signer = key.user_ids[0] if key.user_ids else ""
    more = f", the first of {count} signatures that are valid" if count > 1 else ""
    return Signature(
        status=SignatureStatus.VERIFIED,
        fingerprint=key.fingerprint,
        signer=signer,
        message=f"Signed by {signer or 'somebody without a name'} with key {key.fingerprint}{more}.",
    )


def _trusted(keys: Sequence[bytes | str]) -> list[Certificate]:
    found: list[Certificate] = []
    for each in keys:
        try:
            found += certificates(each)
        except KeyRefused:
            continue  # `check_keys` is where a key is refused; one that slipped through vouches for nothing
    return found


def _check_digest(archive: bytes, filename: str, content: bytes) -> None:
    """Raises `_Untrusted` unless the text names the file with the archive's digest."""
    sums = _sums(content)
    name = filename.rpartition("/")[2]
    expected = sums.get(name)
    if expected is None:
        named = ", ".join(printable(str(each)) for each in list(sums)[:3]) or "no file"
        raise _Untrusted(f"The provenance is not that of {printable(name)}: it vouches for {named}.")
    if expected != f"sha256:{hashlib.sha256(archive).hexdigest()}":
        raise _Untrusted(f"{printable(name)} is not the archive that was signed: its SHA-256 is another.")


def _sums(content: bytes) -> Mapping[Any, Any]:
    """File names and digests of a signed text, as Helm reads it: what follows the first line of dots."""
    from pitrix.packages.text import yamltext

    parts = content.replace(b"\r\n", b"\n").split(_SEPARATOR.encode())
    if len(parts) < 2:
        raise _Untrusted("The provenance has no line of three dots between metadata and digests.")
    try:
        found = yamltext.load(parts[1])
    except ValueError:
        raise _Untrusted("The digests of the provenance are not YAML.") from None
    files = found.get("files") if isinstance(found, Mapping) else None
    if not isinstance(files, Mapping):
        raise _Untrusted("The provenance names no files.")
    return files


def _claimed(provenance: bytes) -> bytes:
    """The text of a clear-signed message which nobody has verified (RFC 9580, section 7.1 and 7.2)."""
    text = provenance.replace(b"\r\n", b"\n").partition(b"\n" + _SIGNATURE)[0].partition(b"\n\n")[2]
    return re.sub(rb"(?m)^- ", b"", text) + b"\n"


def _signer(key: bytes, password: str | None) -> Any:
    import pysequoia

    try:
        found = pysequoia.Tsk.from_bytes(key)
        public, certificate = str(found).startswith("-----BEGIN PGP PUBLIC"), found.extract_certificate()
        revoked, end = certificate.is_revoked, certificate.expiration
    except RuntimeError as error:
        raise _bad("key", f"is not one OpenPGP secret key that can be used: {reason(error)}") from None
    if public:
        message = "is a public key; signing takes the secret key (gpg --armor --export-secret-keys <name>)"
        raise _bad("key", message)
    if revoked:
        raise _bad("key", "was revoked by its owner: nobody would accept the signature")
    if end is not None and end <= SystemClock().now():
        raise _bad("key", f"expired on {end:%Y-%m-%d}: nobody would accept the signature")
    for attempt in (password, None) if password is not None else (None,):
        try:
            return found.signer(attempt)
        except RuntimeError as error:
            if "not encrypted" not in (why := reason(error)):  # a password too many does no harm
                raise _no_signer(why, password) from None
    raise AssertionError("a key is encrypted or it is not")


def _no_signer(why: str, password: str | None) -> InvalidInput:
    if "signing" in why:
        return _bad(
            "key", "has no part that may sign: neither itself nor a subkey is meant for it, or it has expired"
        )
    if password is None:
        return _bad("password", "the key is protected by a password: give it")
    return _bad("password", "does not open the key")


def _short(seen: Sequence[str]) -> str:
    return seen[0] if seen else "of an unknown owner"


def _bad(field: str, message: str) -> InvalidInput:
    return InvalidInput("the package cannot be signed", errors=[FieldError(field, message)])
