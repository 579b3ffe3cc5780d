"""Reading and writing package archives, however hostile, in bounded time and memory.

Owns `.tgz` and `.zip`: limits, and the reproducible writer.  Never unpacks to a disk and never looks inside
a file: the formats do.  Links, devices and anything that is not a plain file or a directory are refused, so
there is nothing in an archive that could point outside of it.  Which names a file may have: `archive_names`.
"""

from __future__ import annotations

import gzip
import io
import operator
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pitrix.packages.archive_names import Names, is_litter, without_folder
from pitrix.packages.model import Problem, printable

_DESCRIPTIONS = ("Chart.yaml", "package.json")
#: 1980-01-01, the earliest time that both formats can hold.
_EPOCH = 315532800
_CHUNK = 64 * 1024
_NOT_NULL = re.compile(rb"[^\0]")
_REBUILD = "build and upload it again"


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; sizes in bytes, after unpacking unless it says otherwise.

    ``files`` counts directories too.  ``members`` are those of a gzip file: each costs time however small it
    is, and honest ones have one (block-wise compressors one for each 64 KiB).  ``header`` and ``headers`` are
    the sizes of one and of all extended headers of a tar archive (long names, attributes): Python's
    ``tarfile`` reads them in quadratic time.
    """

    packed: int = 32 * 1024 * 1024
    unpacked: int = 64 * 1024 * 1024
    file: int = 16 * 1024 * 1024
    files: int = 2000
    path: int = 240
    depth: int = 16
    members: int = 2048
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
    files: dict[str, bytes] = {}
    names = Names(limits.path, limits.depth)
    try:
        if len(data) > limits.packed:
            raise ArchiveRefused(f"the archive has {len(data)} bytes; the limit is {limits.packed}")
        for path, content, refused in _members(data, limits):
            if is_litter(path):
                continue
            if names.take(path, directory=content is None, refused=refused) and content is not None:
                files[path] = content
    except ArchiveRefused as error:
        names.problems.append(error.problem)
    if not files and not names.problems:
        names.problems.append(Problem(file="", message="the archive holds no files"))
    return without_folder(files), names.problems


#: Path, content (none of a directory or of what is refused), and why it is refused and how to mend that.
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
    position = members = 0
    while position < len(data):
        if members and not data.startswith(b"\x1f\x8b", position):
            if _NOT_NULL.search(data, position):
                raise ArchiveRefused("the archive has data behind its end", _REBUILD)
            break  # zeros, as tapes were filled up with
        members += 1
        if members > limits.members:
            raise ArchiveRefused(f"the archive is made of more than {limits.members} gzip members", _REBUILD)
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            chunk = data[position : position + _CHUNK]
            if not chunk:
                raise ArchiveRefused(
                    "the archive ends too early", "it was cut off: build and upload it again"
                )
            try:
                out += unpacker.decompress(chunk, limits.unpacked + 1 - len(out))
            except zlib.error as error:
                raise ArchiveRefused(f"the archive is damaged: {error}", _REBUILD) from None
            if len(out) > limits.unpacked:
                raise ArchiveRefused(f"the archive unpacks to more than {limits.unpacked} bytes")
            position += len(chunk) - len(unpacker.unconsumed_tail) - len(unpacker.unused_data)
    return bytes(out)


def _header_counter(limits: Limits) -> type[tarfile.TarInfo]:
    """A class of tar headers that counts what ``tarfile`` reads, in the moment in which it reads it.

    A walk over the headers before would not do: attributes may set a size which leads ``tarfile`` elsewhere.
    """
    headers = extended = 0

    class Counted(tarfile.TarInfo):
        """One header of this archive."""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Counted:
            nonlocal headers, extended
            made = super().frombuf(buf, encoding, errors)
            headers += 1
            if made.size < 0:
                raise ArchiveRefused("the archive is damaged: a file has a negative size", _REBUILD)
            if buf[156:157] in b"xgLKX":
                extended += made.size
                if made.size > limits.header or extended > limits.headers or headers > 4 * limits.files:
                    raise ArchiveRefused("the archive has names or attributes that are far too long")
            return made

    return Counted


def _tar(data: bytes, limits: Limits) -> Iterator[_Member]:
    entries = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", tarinfo=_header_counter(limits)) as archive:
            while (member := archive.next()) is not None:
                entries += 1
                if entries > limits.files:
                    raise ArchiveRefused(f"the archive holds more than {limits.files} entries")
                if archive.offset <= member.offset:
                    raise ArchiveRefused("the archive is damaged: it leads back to its beginning", _REBUILD)
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
            if _NOT_NULL.search(data, archive.offset):
                raise ArchiveRefused("the archive is damaged, or has data behind its end", _REBUILD)
    except tarfile.TarError as error:
        raise ArchiveRefused(f"the archive is damaged: {error}", _REBUILD) from None
    except RecursionError:
        raise ArchiveRefused("the archive has too many headers that belong to no file", _REBUILD) from None
    except (EOFError, ValueError, OverflowError, OSError):
        raise ArchiveRefused("the archive is damaged: a header makes no sense", _REBUILD) from None


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"link to '{printable(member.linkname)}'"
    if member.isdev():
        return "device or pipe"
    return "sparse file" if member.issparse() else "special file"


def _zip(data: bytes, limits: Limits) -> Iterator[_Member]:
    total = 0
    if data.count(b"PK\x01\x02") > limits.files:  # before zipfile makes an object of each
        raise ArchiveRefused(f"the archive holds more than {limits.files} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_layout(data, archive, entries)
            for entry in entries:
                path = entry.filename.removeprefix("./")
                if path.endswith("/"):
                    yield path.rstrip("/"), None, None
                elif refused := _refused_entry(entry, limits):
                    yield path, None, refused
                else:
                    with archive.open(entry) as file:
                        content = file.read(limits.file + 1)
                    total += len(content)
                    if total > limits.unpacked:
                        raise ArchiveRefused(f"the archive unpacks to more than {limits.unpacked} bytes")
                    if len(content) != entry.file_size:
                        raise ArchiveRefused(
                            f"the archive is damaged: {printable(path)} is not as large as it says", _REBUILD
                        )
                    yield path, content, None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise ArchiveRefused(f"the archive is damaged: {error}", _REBUILD) from None
    except (EOFError, ValueError, OverflowError, OSError, RuntimeError, struct.error):
        raise ArchiveRefused("the archive is damaged: a header makes no sense", _REBUILD) from None


def _check_layout(data: bytes, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse files that share bytes (each would be unpacked anew), and what no reader of the archive sees."""
    end = 0
    for entry in sorted(entries, key=operator.attrgetter("header_offset")):
        if entry.header_offset < end:
            raise ArchiveRefused("files of the archive lie on top of each other", _REBUILD)
        end = entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size
    if end > archive.start_dir or archive.start_dir > len(data):
        raise ArchiveRefused("files of the archive lie on top of each other", _REBUILD)
    if min((each.header_offset for each in entries), default=0):
        raise ArchiveRefused("the archive has data before its beginning", _REBUILD)
    tail = data.rfind(b"PK\x05\x06")
    if tail + 22 + len(archive.comment) != len(data):
        raise ArchiveRefused("the archive has data behind its end", _REBUILD)


def _refused_entry(entry: zipfile.ZipInfo, limits: Limits) -> tuple[str, str] | None:
    """Why an entry of a zip archive is not read, and how to mend it."""
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or a special file; a package holds plain files only", "remove it"
    if entry.flag_bits & 1:
        return "is encrypted", "remove the password"
    if "\0" in entry.orig_filename:
        return "the name holds a backslash or a character that cannot be seen", "rename it"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # LZMA names the size of its memory itself.
        return f"is compressed by method {entry.compress_type}", "store it plain or deflated"
    if entry.file_size > limits.file:
        return f"has {entry.file_size} bytes; the limit is {limits.file}", ""
    return None


def read_directory(directory: Path, limits: Limits = LIMITS) -> tuple[dict[str, bytes], list[Problem]]:
    """The plain files of a directory by path, under the same rules as those of an archive."""
    files: dict[str, bytes] = {}
    names = Names(limits.path, limits.depth)
    total = 0
    try:
        for path, entry in _walk(directory, limits):
            if entry.is_symlink() or not entry.is_file():
                refused = ("is a link or a special file; a package holds plain files only", "remove it")
                names.take(path, refused=refused)
                continue
            size = entry.stat().st_size
            if not names.take(path, refused=_too_large(size, limits)):
                continue
            try:
                with Path(entry.path).open("rb") as file:
                    content = file.read(limits.file + 1)
            except OSError as error:
                names.problems.append(Problem(file=path, message=f"cannot be read: {error.strerror}"))
                continue
            total += len(content)
            if total > limits.unpacked or len(content) > limits.file:
                raise ArchiveRefused(f"the package has more than {limits.unpacked} bytes")
            files[path] = content
    except ArchiveRefused as error:
        names.problems.append(error.problem)
    except OSError as error:
        names.problems.append(Problem(file="", message=f"the folder cannot be read: {error.strerror}"))
    return files, names.problems


def _too_large(size: int, limits: Limits) -> tuple[str, str] | None:
    return (f"has {size} bytes; the limit is {limits.file}", "") if size > limits.file else None


def _walk(directory: Path, limits: Limits) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below a directory that is no directory, in a fixed order, with its path below it."""
    waiting: list[tuple[str, str]] = [("", str(directory))]
    seen = 0
    while waiting:
        prefix, folder = waiting.pop()
        with os.scandir(folder) as found:
            entries = []
            for entry in found:
                path = prefix + entry.name
                if is_litter(path):
                    continue
                seen += 1
                if seen > limits.files:
                    raise ArchiveRefused(f"the folder holds more than {limits.files} entries")
                entries.append((path, entry))
        entries.sort(key=lambda each: each[0], reverse=True)
        for path, entry in reversed(entries):
            if not entry.is_dir(follow_symlinks=False):
                yield path, entry
        waiting += [
            (f"{path}/", entry.path) for path, entry in entries if entry.is_dir(follow_symlinks=False)
        ]


def write(files: Mapping[str, bytes], folder: str) -> bytes:
    """A ``.tgz`` of the files below ``folder``; the same files give the same bytes (of one zlib).

    Order, times, owners and modes are fixed.  What describes the package comes first, so that a reader need
    not unpack the rest to know it.  A file that starts with ``#!`` is executable.
    """
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files, key=lambda each: (each not in _DESCRIPTIONS, each)):
            member = tarfile.TarInfo(f"{folder}/{path}")
            member.size = len(files[path])
            member.mtime = _EPOCH
            member.mode = 0o755 if files[path].startswith(b"#!") else 0o644
            archive.addfile(member, io.BytesIO(files[path]))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=_EPOCH) as stream:
        stream.write(tar.getvalue())
    return packed.getvalue()
