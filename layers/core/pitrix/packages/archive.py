"""Reading and writing package archives, however hostile, in bounded time and memory.

Owns `.tgz` and `.zip`: limits, paths, and the reproducible writer.  Never unpacks to a disk and never
looks inside a file: the formats do.  Links, devices and anything that is not a plain file or a directory are
refused, so there is nothing in an archive that could point outside of it.
"""

from __future__ import annotations

import gzip
import io
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pitrix.packages.model import Problem

#: Files that operating systems and tools leave behind; left out without a word.
_LITTER = re.compile(
    r"(^|/)(\.DS_Store|\._[^/]*|__MACOSX(/.*)?|__pycache__(/.*)?|Thumbs\.db|\.git(/.*)?|[^/]*~)$"
)
#: 1980-01-01, the earliest time that both formats can hold.
_EPOCH = 315532800


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; sizes in bytes, after unpacking unless it says otherwise.

    ``header`` and ``headers`` are those of one and of all extended headers of a tar archive (long names,
    attributes): Python's ``tarfile`` reads them in quadratic time.
    """

    packed: int = 32 * 1024 * 1024
    unpacked: int = 64 * 1024 * 1024
    file: int = 16 * 1024 * 1024
    files: int = 2000
    path: int = 240
    depth: int = 16
    header: int = 4 * 1024
    headers: int = 1024 * 1024


LIMITS = Limits()


class ArchiveRefused(Exception):
    """The archive cannot be read any further; ``problem`` says why."""

    def __init__(self, message: str, hint: str = "", file: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(file=file, message=message, hint=hint)


def read(data: bytes, limits: Limits = LIMITS) -> tuple[dict[str, bytes], list[Problem]]:
    """The plain files of a ``.tgz`` or ``.zip`` by path, and everything wrong with the archive.

    A single folder around all of the files (as ``tar`` and Helm make it) is taken off.  Never raises: what
    could be read is returned with the problems.
    """
    problems: list[Problem] = []
    files: dict[str, bytes] = {}
    names = _Names(limits)
    try:
        if len(data) > limits.packed:
            raise ArchiveRefused(f"the archive has {len(data)} bytes; the limit is {limits.packed}")
        for path, content, refused in _members(data, limits):
            if _LITTER.search(path):
                continue
            refused = refused or names.refuse(path, directory=content is None)
            if refused:
                problems.append(Problem(file=printable(path), message=refused[0], hint=refused[1]))
            elif content is not None:
                files[path] = content
    except ArchiveRefused as error:
        problems.append(error.problem)
    if not files and not problems:
        problems.append(Problem(file="", message="the archive holds no files"))
    return _without_folder(files), problems


def printable(path: str) -> str:
    """A path as it can be shown and stored, whatever bytes it was made of."""
    clean = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in clean)[:300]


_Member = tuple[str, bytes | None, tuple[str, str] | None]


def _members(data: bytes, limits: Limits) -> Iterator[_Member]:
    if data[:2] == b"\x1f\x8b":
        return _tar(_gunzip(data, limits), limits)
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip(data, limits)
    if data[257:262] == b"ustar":
        return _tar(data, limits)
    raise ArchiveRefused(
        "this is neither a .tgz nor a .zip archive" if data else "the archive is empty",
        "build it with `pitrix package build`",
    )


def _gunzip(data: bytes, limits: Limits) -> bytes:
    """Unpack all gzip members, stopping one byte past the limit: a bomb costs no more than that."""
    out = bytearray()
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            out += unpacker.decompress(data, limits.unpacked + 1 - len(out))
        except zlib.error as error:
            if out and not data.startswith(b"\x1f\x8b"):
                break  # padding behind the last member
            raise ArchiveRefused(f"the archive is damaged: {error}", "build and upload it again") from None
        if len(out) > limits.unpacked:
            raise ArchiveRefused(f"the archive unpacks to more than {limits.unpacked} bytes")
        if not unpacker.eof:
            raise ArchiveRefused("the archive ends too early", "it was cut off: build and upload it again")
        data = unpacker.unused_data
    return bytes(out)


def _tar(data: bytes, limits: Limits) -> Iterator[_Member]:
    _check_headers(data, limits)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            while (member := archive.next()) is not None:
                path = member.name.removeprefix("./")
                if member.isdir():
                    if path not in ("", "."):
                        yield path.rstrip("/"), None, None
                elif not member.isreg() or member.issparse():
                    yield path, None, (f"is a {_kind(member)}; a package holds plain files only", "remove it")
                elif member.size > limits.file or member.size < 0:
                    yield path, None, (f"has {member.size} bytes; the limit is {limits.file}", "")
                else:
                    file = archive.extractfile(member)
                    content = file.read(limits.file + 1) if file else b""
                    if len(content) != member.size:
                        raise ArchiveRefused(
                            "the archive ends too early", "it was cut off: build and upload it again"
                        )
                    yield path, content, None
    except (tarfile.TarError, EOFError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise ArchiveRefused(f"the archive is damaged: {error}", "build and upload it again") from None


def _check_headers(data: bytes, limits: Limits) -> None:
    """Walk over the headers once, before ``tarfile`` gets to see them: their number and their sizes."""
    position = entries = extended = 0
    while len(header := data[position : position + 512]) == 512 and any(header):
        try:
            size = tarfile.nti(header[124:136])  # type: ignore[attr-defined]
        except tarfile.TarError as error:
            raise ArchiveRefused(f"the archive is damaged: {error}", "build and upload it again") from None
        if size < 0:
            raise ArchiveRefused("the archive is damaged: a file has a negative size")
        if header[156:157] in b"xgLKX":
            extended += size
            if size > limits.header or extended > limits.headers:
                raise ArchiveRefused("the archive has names or attributes that are far too long")
        else:
            entries += 1
            if entries > limits.files:
                raise ArchiveRefused(f"the archive holds more than {limits.files} entries")
        position += 512 + -(-size // 512) * 512


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"link to {printable(member.linkname)!r}"
    if member.isdev():
        return "device or pipe"
    return "sparse file" if member.issparse() else "special file"


def _zip(data: bytes, limits: Limits) -> Iterator[_Member]:
    total = 0
    if data.count(b"PK\x01\x02") > limits.files:  # before zipfile makes an object of each
        raise ArchiveRefused(f"the archive holds more than {limits.files} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                path = entry.filename.removeprefix("./")
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.is_dir():
                    yield path.rstrip("/"), None, None
                elif kind not in (0, stat.S_IFREG):
                    yield (
                        path,
                        None,
                        ("is a link or a special file; a package holds plain files only", "remove it"),
                    )
                elif entry.flag_bits & 1:
                    yield path, None, ("is encrypted", "remove the password")
                elif entry.file_size > limits.file:
                    yield path, None, (f"has {entry.file_size} bytes; the limit is {limits.file}", "")
                else:
                    with archive.open(entry) as file:
                        content = file.read(limits.file + 1)
                    total += len(content)
                    if len(content) > limits.file or total > limits.unpacked:
                        raise ArchiveRefused(f"the archive unpacks to more than {limits.unpacked} bytes")
                    yield path, content, None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError) as error:
        raise ArchiveRefused(f"the archive is damaged: {error}", "build and upload it again") from None


class _Names:
    """Which paths an archive has used so far, and why one may not be."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seen: dict[str, str] = {}
        self._files: set[str] = set()

    def refuse(self, path: str, *, directory: bool = False) -> tuple[str, str] | None:
        """What is wrong with a path and how to mend it; ``None`` when nothing is."""
        parts = path.split("/")
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            return "the name is not UTF-8", "rename it"
        if len(path) > self._limits.path or len(parts) > self._limits.depth:
            return f"the path is longer than {self._limits.path} or deeper than {self._limits.depth}", ""
        if path.startswith("/") or re.match(r"[A-Za-z]:", path):
            return "the path is absolute", "paths are relative to the package"
        if any(part in ("", ".", "..") for part in parts):
            return "the path leads out of the package", "remove '..' and empty parts"
        if "\\" in path or not path.isprintable():
            return "the name holds a backslash or a control character", "rename it"
        for end in range(1, len(parts) + 1):
            name = "/".join(parts[:end])
            folded = unicodedata.normalize("NFC", name).casefold()
            other = self._seen.setdefault(folded, name)
            if other != name:
                return f"the name differs from {printable(other)!r} only in case", "rename one of them"
        if not directory and path in self._files:
            return "the name is there twice", "remove one of them"
        if not directory:
            self._files.add(path)
        return None


def _without_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    """Take off the one folder around everything, unless the package itself starts at the root."""
    heads = {path.partition("/")[0] for path in files}
    if len(heads) == 1 and "/" in next(iter(files)):
        return {path.partition("/")[2]: data for path, data in files.items()}
    return files


def read_directory(directory: Path, limits: Limits = LIMITS) -> tuple[dict[str, bytes], list[Problem]]:
    """The plain files of a directory by path, under the same rules as those of an archive."""
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    names = _Names(limits)
    total = 0
    for entry in sorted(directory.rglob("*"), key=lambda each: each.relative_to(directory).as_posix()):
        path = entry.relative_to(directory).as_posix()
        if _LITTER.search(path) or (entry.is_dir() and not entry.is_symlink()):
            continue
        refused = names.refuse(path)
        if entry.is_symlink() or not entry.is_file():
            refused = ("is a link or a special file; a package holds plain files only", "remove it")
        elif entry.stat().st_size > limits.file:
            refused = (f"has {entry.stat().st_size} bytes; the limit is {limits.file}", "")
        if refused:
            problems.append(Problem(file=printable(path), message=refused[0], hint=refused[1]))
            continue
        files[path] = entry.read_bytes()
        total += len(files[path])
        if total > limits.unpacked or len(files) > limits.files:
            problems.append(
                Problem(file="", message=f"more than {limits.files} files or {limits.unpacked} bytes")
            )
            break
    return files, problems


def write(files: Mapping[str, bytes], folder: str) -> bytes:
    """A ``.tgz`` of the files below ``folder``; the same files give the same bytes (of one zlib).

    Order, times, owners and modes are fixed.  A file that starts with ``#!`` is executable.
    """
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            member = tarfile.TarInfo(f"{folder}/{path}")
            member.size = len(files[path])
            member.mtime = _EPOCH
            member.mode = 0o755 if files[path].startswith(b"#!") else 0o644
            archive.addfile(member, io.BytesIO(files[path]))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=_EPOCH) as stream:
        stream.write(tar.getvalue())
    return packed.getvalue()
