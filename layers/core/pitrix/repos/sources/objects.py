"""What the objects of a bucket are as packages: shared by the platform's bucket and any other.

Owns which keys are archives, which provenance file lies beside which, and the validator of a whole listing.
Never talks to a bucket: `platform.py` and `s3.py` do.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from pitrix.errors import InvalidInput
from pitrix.repos.model import Listing, SourceEntry
from pitrix.repos.ports import StoredObject

MAX_ENTRIES: Final = 200_000
MAX_PROVENANCE_BYTES: Final = 1024 * 1024
_ARCHIVES: Final = (".tgz", ".tar.gz")
_SIGNED: Final = tuple(f"{suffix}.prov" for suffix in _ARCHIVES)


def listing(
    objects: Iterable[StoredObject], *, strip: str, scope: str, validator: str, with_provenance: bool
) -> Listing | None:
    """The packages among objects, or ``None`` when they are those that gave ``validator``.

    Args:
        objects: In the order of their keys; what is neither an archive nor a provenance file is passed over.
        strip: The part of each key that an entry's key goes without.
        scope: What the validator is good for, for example the bucket's address.
        validator: Of the last listing, or empty.
        with_provenance: Whether entries name the provenance files beside them.

    Raises:
        InvalidInput: there are too many to hold.
    """
    archives: list[StoredObject] = []
    provenance: dict[str, str] = {}
    seen = sha256(f"{scope} {with_provenance}".encode())
    size = 0
    for found in objects:
        if found.key.endswith(_SIGNED):
            if not with_provenance:
                continue
            provenance[found.key.removesuffix(".prov")] = _tag(found)
        elif found.key.endswith(_ARCHIVES) and found.size_bytes > 0:
            archives.append(found)
        else:
            continue
        if len(archives) > MAX_ENTRIES or len(provenance) > MAX_ENTRIES:
            raise InvalidInput(
                f"There are more than {MAX_ENTRIES:,} packages; name a folder below the bucket."
            )
        seen.update(f"\n{found.key}\t{_tag(found)}".encode())
        size += len(found.key)
    if validator == seen.hexdigest():
        return None
    entries = [
        SourceEntry(
            key=found.key.removeprefix(strip),
            # A signature that comes later makes the package worth another look.
            tag="+".join(filter(None, [_tag(found), provenance.get(found.key, "")])),
            location=found.key,
            provenance=f"{found.key}.prov" if found.key in provenance else "",
            size_bytes=found.size_bytes,
        )
        for found in archives
    ]
    return Listing(entries=entries, validator=seen.hexdigest(), size_bytes=size)


def _tag(found: StoredObject) -> str:
    return f"{found.etag}-{found.size_bytes}"
