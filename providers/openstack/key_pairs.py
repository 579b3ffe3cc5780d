"""Key pairs: nova's, which have a name, a public key and nothing else.

The name is made of the idempotency key, and nova has each name but once: so of two imports at once one is
refused. What else there is to note (our name, the tags) stands in the comment of the public key, and with it
a number of this one import: a key pair of the same name that is made later is another one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.base import KeyPairs, check_key
from providers.openstack import mapping
from providers.openstack.client import Client
from providers.openstack.mapping import Json
from providers.resources import KeyPair, KeyPairSpec

_NUMBER = "pitrix-number"
_KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)


class OpenStackKeyPairs(KeyPairs):
    """Key pairs of the user that the credential is of."""

    _cloud: Client

    def import_key_pair(self, spec: KeyPairSpec, *, idempotency_key: str) -> KeyPair:
        key = check_key(idempotency_key)
        kind, blob = parsed(spec.public_key)
        noted = mapping.metadata(key, spec.tags, name=spec.name) | {_NUMBER: uuid4().hex[:12]}
        wanted = {"name": _name(key), "public_key": f"{kind} {blob} {urlencode(noted)}", "type": "ssh"}
        try:
            made = self._cloud.call("compute", "POST", "/os-keypairs", body={"keypair": wanted})
        except Conflict:
            made = self._cloud.get("compute", f"/os-keypairs/{_name(key)}")
        return _key_pair(made["keypair"])

    def get_key_pair(self, key_pair_id: str) -> KeyPair:
        found = _key_pair(self._cloud.get("compute", f"/os-keypairs/{name_of(key_pair_id)}")["keypair"])
        if found.key_pair_id != key_pair_id:
            raise ResourceNotFound(f"There is no key pair {key_pair_id!r} any more.")
        return found

    def list_key_pairs(self, tags: Mapping[str, str]) -> list[KeyPair]:
        pairs = self._cloud.get("compute", "/os-keypairs")["keypairs"]
        return [
            _key_pair(each["keypair"]) for each in pairs if mapping.carries(_noted(each["keypair"]), tags)
        ]

    def delete_key_pair(self, key_pair_id: str) -> None:
        try:
            self.get_key_pair(key_pair_id)
            self._cloud.call("compute", "DELETE", f"/os-keypairs/{name_of(key_pair_id)}")
        except ResourceNotFound:
            return


def name_of(key_pair_id: str) -> str:
    """Nova's name of a key pair.

    Raises:
        ResourceNotFound: It is none of ours.
    """
    prefix, _, rest = key_pair_id.partition("-")
    if prefix != "pitrix" or rest.count("-") != 1 or not rest.replace("-", "").isalnum():
        raise ResourceNotFound(f"There is no key pair {key_pair_id!r}.")
    return f"pitrix-{rest.partition('-')[0]}"


def parsed(public_key: str) -> tuple[str, str]:
    """The kind and the base64 of a public key in OpenSSH's one-line form (RFC 4253, section 6.6).

    Raises:
        InvalidInput: It is none.
    """
    words = public_key.split(" ")
    good = len(words) >= 2 and words[0] in _KINDS and "\n" not in public_key.strip()
    if good:
        try:
            blob = base64.b64decode(words[1], validate=True)
            length = struct.unpack(">I", blob[:4])[0]
            good = blob[4 : 4 + length].decode("ascii") == words[0] and len(blob) > 4 + length
        except (binascii.Error, struct.error, UnicodeDecodeError):
            good = False
    if not good:
        raise InvalidInput(
            f"That is not a public key in OpenSSH's form, one line that begins with {_KINDS[0]} or so."
        )
    return words[0], words[1].strip()


def _name(key: str) -> str:
    """Nova takes letters, digits, hyphens and few more; keys have dots and colons."""
    return f"pitrix-{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def _noted(answer: Json) -> dict[str, str]:
    comment = answer["public_key"].strip().partition(" ")[2].partition(" ")[2]
    return dict(parse_qsl(comment, keep_blank_values=True))


def _key_pair(answer: Json) -> KeyPair:
    noted = _noted(answer)
    digest = hashlib.sha256(base64.b64decode(answer["public_key"].split(" ")[1])).digest()
    given = {name: value for name, value in mapping.tags(noted).items() if name != _NUMBER}
    return KeyPair(
        key_pair_id=f"{answer['name']}-{noted.get(_NUMBER, '')}",
        name=noted.get(mapping.NAME) or str(answer["name"]),
        fingerprint="SHA256:" + base64.b64encode(digest).decode().rstrip("="),
        tags=given,
    )
