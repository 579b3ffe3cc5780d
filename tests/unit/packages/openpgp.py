"""OpenPGP keys as GnuPG makes them by default and the library at hand does not: the primary key itself signs.

Helm's ``package --sign`` signs with the primary key, whatever it is meant for. Written after RFC 9580:
packets (4.2), version 4 EdDSA keys (5.5, 9.2), self-signatures (5.2.4) and passwords (3.7, 5.5.3).
"""

from __future__ import annotations

import hashlib
import os
import struct
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_EDDSA, _AES256, _SHA256 = 22, 9, 8
_ED25519_OID = bytes.fromhex("092b06010401da470f01")
_CERTIFY_AND_SIGN = 0x03


def secret_key(user_id: str, *, password: str = "", age_s: int = 3600) -> bytes:
    """A transferable secret key, binary: one Ed25519 key that certifies and signs."""
    private = Ed25519PrivateKey.generate()
    created = int(time.time()) - age_s
    public = _public(private.public_key().public_bytes_raw(), created)
    secret = _mpi(private.private_bytes_raw())
    kept = _locked(secret, password) if password else b"\0" + secret + struct.pack(">H", sum(secret) % 65536)
    name = user_id.encode()
    certified = (
        b"\x99" + struct.pack(">H", len(public)) + public + b"\xb4" + struct.pack(">I", len(name)) + name
    )
    fingerprint = hashlib.sha1(b"\x99" + struct.pack(">H", len(public)) + public).digest()
    hashed = (
        _subpacket(2, struct.pack(">I", created))
        + _subpacket(27, bytes([_CERTIFY_AND_SIGN]))
        + _subpacket(33, b"\x04" + fingerprint)
        + _subpacket(11, bytes([_AES256]))
        + _subpacket(21, bytes([_SHA256, 10]))
    )
    start = bytes([4, 0x13, _EDDSA, _SHA256]) + struct.pack(">H", len(hashed)) + hashed
    digest = hashlib.sha256(certified + start + b"\x04\xff" + struct.pack(">I", len(start))).digest()
    signed = private.sign(digest)
    issuer = _subpacket(16, fingerprint[-8:])
    signature = (
        start + struct.pack(">H", len(issuer)) + issuer + digest[:2] + _mpi(signed[:32]) + _mpi(signed[32:])
    )
    return _packet(5, public + kept) + _packet(13, name) + _packet(2, signature)


def _public(point: bytes, created: int) -> bytes:
    return b"\x04" + struct.pack(">I", created) + bytes([_EDDSA]) + _ED25519_OID + _mpi(b"\x40" + point)


def _locked(secret: bytes, password: str) -> bytes:
    """Secret material and its SHA-1 under AES-256 in CFB mode, the key made from a password (3.7.1.3)."""
    salt, iv = os.urandom(8), os.urandom(16)
    seed = salt + password.encode()
    key = hashlib.sha256((seed * (65536 // len(seed) + 1))[:65536]).digest()
    plain = secret + hashlib.sha1(secret).digest()
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    done, last = b"", iv
    for start in range(0, len(plain), 16):
        block = plain[start : start + 16]
        last = bytes(a ^ b for a, b in zip(block, encryptor.update(last), strict=False))
        done += last
    return bytes([254, _AES256, 3, _SHA256]) + salt + b"\x60" + iv + done


def _mpi(data: bytes) -> bytes:
    number = int.from_bytes(data)
    return struct.pack(">H", number.bit_length()) + number.to_bytes((number.bit_length() + 7) // 8)


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag]) + b"\xff" + struct.pack(">I", len(body)) + body
