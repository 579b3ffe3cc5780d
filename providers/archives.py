"""Zip archives of serverless applications, which every cloud with functions takes apart and packs anew.

Calls nothing and knows no cloud.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from pitrix.errors import InvalidInput

_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def files_of(code: bytes) -> dict[str, bytes]:
    """The files of an archive by path.

    Raises:
        InvalidInput: It is no zip archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            return {each.filename: archive.read(each) for each in archive.infolist() if not each.is_dir()}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InvalidInput(f"The code is no zip archive: {error}.") from error


def under(files: Mapping[str, bytes], path: str) -> dict[str, bytes]:
    """The files of a folder by their paths in it.

    Raises:
        InvalidInput: There are none.
    """
    clean = path.removeprefix("./").strip("/")
    lead = "" if clean in ("", ".") else f"{clean}/"
    inside = {name.removeprefix(lead): data for name, data in files.items() if name.startswith(lead)}
    if not inside:
        raise InvalidInput(f"The manifests name {path}, and the package has nothing there.")
    return inside


def packed(files: Mapping[str, bytes]) -> bytes:
    """An archive that depends on these files alone: the same files make the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr, entry.compress_type = 0o755 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return made.getvalue()
