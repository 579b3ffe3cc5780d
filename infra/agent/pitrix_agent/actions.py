"""Commands that are not processes: what their payloads look like and what they do.

``write_files``      ``{"files": [{"path": "conf/a.cfg", "content": "…", "mode": "0644"}]}``; paths are
                     relative to the application's folder and stay in it
``install_payload``  ``{"url": "https://…", "sha256": "…"}``: a ``.tar.gz`` that becomes the application's
                     folder; ``sha256`` (hexadecimal) is optional

Both may be repeated. ``start_health_check`` and ``stop_health_check`` are in ``health``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from pitrix_agent.runner import CommandError

#: A payload, as it comes and unpacked. The packages context refuses larger ones long before.
MAX_PAYLOAD_BYTES = 512 * 1024 * 1024
MAX_UNPACKED_BYTES = 2 * 1024 * 1024 * 1024
MAX_MEMBERS = 100_000
_FETCH_TIMEOUT_S = 60


def write_files(app_dir: Path, payload: dict[str, Any]) -> str:
    """Write files below ``app_dir``; nothing is written if one of them has a bad path.

    Raises:
        CommandError: a path leaves the folder.
    """
    wanted = [(_inside(str(file["path"])), file) for file in payload["files"]]
    for path, file in wanted:
        target = app_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent.resolve() != (app_dir.resolve() / path).parent:
            raise CommandError(f"{path} lies behind a link")
        fresh = target.with_name(target.name + ".new")
        fresh.write_text(str(file["content"]), encoding="utf-8")
        fresh.chmod(int(str(file.get("mode", "0644")), 8) & 0o777)
        os.replace(fresh, target)
    return f"{len(wanted)} files written"


def install_payload(app_dir: Path, payload: dict[str, Any]) -> str:
    """Fetch an archive and make its content the application's folder, all or nothing.

    Raises:
        CommandError: it cannot be fetched, is not what was promised, or is unsafe to unpack.
    """
    url = str(payload["url"])
    if urlsplit(url).scheme not in ("http", "https"):
        raise CommandError("a payload is fetched over http or https")
    staging = Path(tempfile.mkdtemp(prefix="payload-", dir=str(app_dir.parent)))
    try:
        with tempfile.TemporaryFile(dir=str(staging)) as file:
            _fetch(url, str(payload.get("sha256") or ""), file)
            file.seek(0)
            fresh = staging / "app"
            fresh.mkdir(mode=0o755)
            count = unpack(file, fresh)
        if app_dir.exists():
            os.replace(app_dir, staging / "old")
        os.replace(fresh, app_dir)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return f"{count} files installed"


def _fetch(url: str, sha256: str, into: IO[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=_FETCH_TIMEOUT_S) as answer:  # noqa: S310 - checked
            while True:
                data = answer.read(1 << 20)
                if not data:
                    break
                size += len(data)
                if size > MAX_PAYLOAD_BYTES:
                    raise CommandError(f"the payload is larger than {MAX_PAYLOAD_BYTES >> 20} MiB")
                digest.update(data)
                into.write(data)
    except OSError as error:
        # The address carries a signature: it is left out of what people and logs see.
        raise CommandError(f"the payload cannot be fetched: {_reason(error)}") from error
    if sha256 and digest.hexdigest() != sha256.lower():
        raise CommandError("the payload is not the one that was published: its SHA-256 differs")


def _reason(error: OSError) -> str:
    code = getattr(error, "code", None)
    return f"HTTP status {code}" if code else str(getattr(error, "reason", error))


def unpack(file: IO[bytes], folder: Path) -> int:
    """Unpack a ``.tar.gz`` of plain files and folders, and return how many files there were.

    Raises:
        CommandError: it is no such archive, holds anything else, leaves the folder, or is a bomb.
    """
    files = size = 0
    try:
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            for position, member in enumerate(archive):
                path = folder / _inside(member.name)
                size += member.size
                if position >= MAX_MEMBERS or size > MAX_UNPACKED_BYTES:
                    raise CommandError("the payload unpacks to too much")
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                elif member.isreg():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    source = archive.extractfile(member)
                    assert source is not None  # it is a regular file
                    with path.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    path.chmod(0o755 if member.mode & 0o111 else 0o644)
                    files += 1
                else:
                    raise CommandError(f"the payload holds {member.name}, which is no file or folder")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CommandError(f"the payload is no readable .tar.gz: {error}") from error
    return files


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise CommandError(f"{name!r} is no path inside the application's folder")
    return path
