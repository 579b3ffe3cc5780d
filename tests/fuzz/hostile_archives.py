"""Hostile archives and folders: bombs, names, links, headers, and what is cut off or lies about itself."""

from __future__ import annotations

import gzip
import io
import os
import random
import socket
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from pitrix.packages import archive
from tests.fuzz.case import Case
from tests.unit.packages import samples

BOMBS, NAMES, KINDS = "Bombs", "Names", "Links, devices and other kinds"
HEADERS, DAMAGE, FOLDERS = "Headers of tar archives", "Damaged archives", "Folders"
_MIB = 1024 * 1024
Entry = tuple[str, bytes] | tarfile.TarInfo


def tgz(*extra: Entry) -> bytes:
    """A valid package with something more in it."""
    return samples.tgz([*samples.files().items(), *extra])


def special(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """A member of a kind, without content."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size
    return member


def zipped(*extra: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A valid package with something more in it, as a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in [*samples.files().items(), *extra]:
            made.writestr(name, data)
    return out.getvalue()


def packed(*blocks: bytes) -> bytes:
    """A gzip file of the blocks of a tar archive, with its end."""
    return gzip.compress(b"".join(blocks) + b"\0" * 1024, 6, mtime=0)


def block(data: bytes) -> bytes:
    """Filled up to whole blocks of a tar archive."""
    return data + b"\0" * (-len(data) % 512)


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> bytes:
    """One header of a tar archive, whatever it says."""
    return special(name, kind, target, size).tobuf(tarfile.GNU_FORMAT)


def pax(records: dict[str, str], name: str = "pax", kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header with these attributes."""
    text = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
        length = len(rest) + len(str(len(rest)))
        length = len(rest) + len(str(length))
        text += str(length).encode() + rest
    return header(name, kind, len(text)) + block(text)


def raw_zip(
    name: bytes = b"f",
    data: bytes = b"x",
    *,
    count: int = 1,
    size: int | None = None,
    crc: int | None = None,
    method: int = 0,
    flags: int = 0,
    offset: int | None = None,
    extra: bytes = b"",
    shared: bool = False,
) -> bytes:
    """A zip archive put together by hand, so that it may say anything."""
    if method == 8:
        made = zlib.compressobj(9, zlib.DEFLATED, -15)
        stored = made.compress(data) + made.flush()
    else:
        stored = data
    crc = zlib.crc32(data) if crc is None else crc
    size = len(data) if size is None else size
    body, directory = bytearray(), bytearray()
    for index in range(count):
        label = name if count == 1 else name + str(index).encode()
        place = 0 if shared else len(body)
        sizes = struct.pack("<LLL", crc, len(stored), size)
        if not (shared and index):
            body += b"PK\3\4" + struct.pack("<HHHHH", 20, flags, method, 0, 33) + sizes
            body += struct.pack("<HH", len(label), 0) + label + stored
        directory += b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, flags, method, 0, 33) + sizes
        directory += struct.pack(
            "<HHHHHLL", len(label), len(extra), 0, 0, 0, 0, place if offset is None else offset
        )
        directory += label + extra
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory) + end


def _many_members() -> bytes:
    one = gzip.compress(b"", mtime=0)
    return archive.write(samples.files(), "shop") + one * 1_000_000


def _nested() -> bytes:
    inner = gzip.compress(b"\0" * (15 * _MIB), mtime=0)
    for _ in range(3):
        inner = zipped(("inner.zip", inner))
    return tgz(("payload/inner.zip", inner))


def _cut(share: float, whole: bytes) -> bytes:
    return whole[: int(len(whole) * share)]


def _sparse() -> bytes:
    made = bytearray(header("big", tarfile.GNUTYPE_SPARSE))
    made[386:410] = b"00000000000\0" + b"77777777777\0"
    made[483:495] = b"77777777777\0"
    made[148:156] = b"        "
    made[148:156] = b"%06o\0 " % sum(made)
    return packed(bytes(made))


def _hidden_behind_a_folder() -> bytes:
    # tarfile gives a folder no content, other readers do: what one skips the other reads.
    inner = header("payload/hidden") * 3000
    return packed(header("a", tarfile.DIRTYPE, len(inner)) + inner)


def _link(name: str) -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped((info, b"/etc/passwd"))


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket may have 107 bytes
    try:
        socket.socket(socket.AF_UNIX).bind("s")
    finally:
        os.chdir(here)


def _links(folder: Path) -> None:
    (folder / "loop").symlink_to(folder)
    (folder / "out").symlink_to("/etc")
    (folder / "passwd").symlink_to("/etc/passwd")


def _crowded(folder: Path) -> None:
    for index in range(20_000):
        (folder / f"f{index}").touch()


def _deep(folder: Path) -> None:
    here = folder / Path(*["d"] * 200)
    here.mkdir(parents=True)
    (here / "f").touch()


def _unreadable_name(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))).touch()


def _huge(folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(100 * _MIB)


def _case(group: str, told: str, make: Callable[[], bytes]) -> Case:
    return Case(group, told, make)


def _folder(told: str, make: Callable[[Path], None]) -> Case:
    return Case(FOLDERS, told, folder=make)


_NAMED = {
    "parent": ("../../etc/passwd", "leads out"),
    "parent in the middle": ("a/../../b", "leads out"),
    "parent at the end": ("payload/..", "leads out"),
    "dot in the middle": ("payload/./x", "leads out"),
    "absolute": ("/etc/passwd", "absolute"),
    "two slashes": ("//server/share", "absolute"),
    "drive": ("C:/windows/x", "absolute"),
    "drive without slash": ("c:x", "absolute"),
    "empty part": ("a//b", "leads out"),
    "backslashes": ("..\\..\\x", "backslash"),
    "UNC path": ("\\\\server\\share", "backslash"),
    "line break": ("a\nb", "cannot be seen"),
    "escape": ("a\x1b[2Jb", "cannot be seen"),
    "right to left": ("gpj.\u202eexe", "cannot be seen"),
    "zero width": ("pack\u200bage.json", "cannot be seen"),
    "line separator": ("a\u2028b", "cannot be seen"),
    "byte order mark": ("\ufeffpackage.json", "cannot be seen"),
    "full-width blank": ("a\u3000b", "cannot be seen"),
    "unassigned": ("a\U000e0100\U0010ffffb", "cannot be seen"),
    "long": ("x" * 300, "longer than"),
    "deep": ("/".join("abcdefghijklmnopqrst"), "deeper than"),
    "very deep": ("a/" * 1500 + "a", "deeper than"),
}
_WARNED = {
    "trailing dot": "payload/a.",
    "trailing blank": "payload/a ",
    "reserved by Windows": "payload/con",
    "reserved by Windows, with suffix": "payload/LPT1.txt",
    "alternate stream": "payload/a:b",
    "wildcard": "payload/*?",
}
_CLASHES = {
    "case": (["README.md", "readme.MD"], "differs from"),
    "case of a folder": (["payload/A/x", "payload/a/y"], "differs from"),
    "normal form": (["caf\u00e9", "cafe\u0301"], "differs from"),
    "case beyond ASCII": (["stra\u00dfe", "STRASSE"], "differs from"),
    "a file twice": (["a", "a"], "there twice"),
    "file and folder": (["a", "a/b"], "file and of a folder"),
    "folder and file": (["a/b", "a"], "file and of a folder"),
    "case of file and folder": (["a", "A/b"], "differs from"),
}

CASES: dict[str, Case] = {
    # Bombs
    "gzip bomb, 1 GiB in 1 MB": _case(
        BOMBS, "unpacks to more", lambda: gzip.compress(b"\0" * (64 * _MIB), mtime=0) * 16
    ),
    "gzip bomb, 30 GiB in 32 MB": _case(
        BOMBS, "unpacks to more", lambda: (gzip.compress(b"\0" * (64 * _MIB), 9, mtime=0) * 600)[: 32 * _MIB]
    ),
    "gzip file of a million empty members": _case(BOMBS, "2048 gzip members", _many_members),
    "zip bomb of six files": _case(
        BOMBS, "unpacks to more", lambda: zipped(*((f"f{i}", b"\0" * (15 * _MIB)) for i in range(6)))
    ),
    "zip bomb of files that share their bytes": _case(
        BOMBS,
        "on top of each other",
        lambda: raw_zip(data=b"\0" * (15 * _MIB), count=1500, method=8, shared=True, name=b""),
    ),
    "zip bomb in a zip archive in a zip archive": _case(BOMBS, "", _nested),
    "one file of 17 MiB": _case(BOMBS, "the limit is 16777216", lambda: tgz(("big", b"\0" * (17 * _MIB)))),
    "one file of 17 MiB in a zip archive": _case(
        BOMBS, "the limit is 16777216", lambda: zipped(("big", b"\0" * (17 * _MIB)))
    ),
    "33 MiB of noise": _case(BOMBS, "the limit is 33554432", lambda: random.Random(1).randbytes(33 * _MIB)),
    "33 MiB of noise that starts as gzip does": _case(
        BOMBS, "the limit is 33554432", lambda: b"\x1f\x8b\x08" + random.Random(1).randbytes(33 * _MIB)
    ),
    "a hundred thousand empty files": _case(
        BOMBS, "more than 2000 entries", lambda: packed(*(header(f"f{i}") for i in range(100_000)))
    ),
    "a hundred thousand empty files in a zip archive": _case(
        BOMBS, "more than 2000 entries", lambda: raw_zip(count=60_000, data=b"")
    ),
    "a million headers of folders": _case(
        BOMBS, "more than 2000 entries", lambda: packed(header("d/", tarfile.DIRTYPE) * 130_000)
    ),
    "1 GiB declared, nothing there": _case(BOMBS, "limit is", lambda: packed(header("big", size=1024**3))),
    "8 EiB declared, nothing there": _case(
        BOMBS, "limit is", lambda: packed(pax({"size": str(2**63)}) + header("big"))
    ),
    "1 GiB declared in a zip archive": _case(BOMBS, "limit is", lambda: raw_zip(size=1024**3)),
    "compressed by LZMA, which names its memory itself": _case(
        BOMBS, "compressed by method 14", lambda: zipped(("x", b"x" * 999), method=zipfile.ZIP_LZMA)
    ),
    "compressed by bzip2": _case(
        BOMBS, "compressed by method 12", lambda: zipped(("x", b"x" * 999), method=zipfile.ZIP_BZIP2)
    ),
    # Names
    **{
        f"name: {name}{kind}": _case(NAMES, told, lambda path=path, make=make: make((path, b"x")))
        for name, (path, told) in _NAMED.items()
        for kind, make in (("", tgz), (", zip", zipped))
    },
    **{
        f"name: {name}": _case(NAMES, "Windows cannot hold", lambda path=path: tgz((path, b"x")))
        for name, path in _WARNED.items()
    },
    **{
        f"names: {name}": _case(NAMES, told, lambda paths=paths: tgz(*((path, b"x") for path in paths)))
        for name, (paths, told) in _CLASHES.items()
    },
    "name that is not UTF-8": _case(NAMES, "not UTF-8", lambda: tgz(("caf\udce9.txt", b""))),
    "name with NUL by an attribute": _case(
        NAMES, "cannot be seen", lambda: packed(pax({"path": "package.json\0.txt"}) + header("x"))
    ),
    "name with NUL in a zip archive": _case(NAMES, "cannot be seen", lambda: raw_zip(b"package.json\0.txt")),
    "name that is not UTF-8 but says so, in a zip archive": _case(
        NAMES, "damaged", lambda: raw_zip(b"caf\xe9", flags=0x800)
    ),
    "empty name": _case(NAMES, "leads out", lambda: packed(header(""))),
    "empty name in a zip archive": _case(NAMES, "leads out", lambda: raw_zip(b"")),
    # Kinds
    "symbolic link to /etc/passwd": _case(
        KINDS, "link to '/etc/passwd'", lambda: tgz(special("a", tarfile.SYMTYPE, "/etc/passwd"))
    ),
    "symbolic link, and a file through it": _case(
        KINDS,
        "link to '/tmp'",
        lambda: tgz(special("payload/l", tarfile.SYMTYPE, "/tmp"), ("payload/l/x", b"")),
    ),
    "symbolic link with control characters": _case(
        KINDS, "link to", lambda: tgz(special("a", tarfile.SYMTYPE, "x\x1b[31m\n"))
    ),
    "hard link": _case(KINDS, "link to '../b'", lambda: tgz(special("a", tarfile.LNKTYPE, "../b"))),
    "hard link with content": _case(
        KINDS, "link to", lambda: packed(header("a", b"1", 512, "b") + b"x" * 512)
    ),
    "character device": _case(KINDS, "device", lambda: tgz(special("a", tarfile.CHRTYPE))),
    "block device": _case(KINDS, "device", lambda: tgz(special("a", tarfile.BLKTYPE))),
    "pipe": _case(KINDS, "pipe", lambda: tgz(special("a", tarfile.FIFOTYPE))),
    "sparse file": _case(KINDS, "", _sparse),
    "sparse file by attributes": _case(
        KINDS,
        "",
        lambda: packed(
            pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**12)})
            + header("a", size=512)
            + block(b"1\n0\n999999999999\n")
        ),
    ),
    "sparse map without an end": _case(
        KINDS,
        "",
        lambda: packed(
            pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
            + header("a", size=512)
            + block(b"9" * 512)
        ),
    ),
    "sparse map of odd attributes": _case(
        KINDS, "", lambda: packed(pax({"GNU.sparse.map": "1,2,x", "GNU.sparse.size": "y"}) + header("a"))
    ),
    "unknown kind": _case(KINDS, "", lambda: packed(header("a", b"Z"))),
    "multi-volume continuation": _case(KINDS, "", lambda: packed(header("a", b"M", 10) + block(b"x" * 10))),
    "symbolic link in a zip archive": _case(KINDS, "is a link", lambda: _link("a")),
    # Headers
    "long-name headers without an end": _case(
        HEADERS, "", lambda: packed((header("././@LongLink", b"L", 1) + block(b"x")) * 3000)
    ),
    "attributes of 8 MiB": _case(
        HEADERS, "far too long", lambda: packed(header("p", b"x", 8 * _MIB) + b"1 " * (4 * _MIB))
    ),
    "300 times 4 KiB of attributes": _case(
        HEADERS, "far too long", lambda: packed((header("p", b"x", 4096) + b"1 " * 2048 + header("f")) * 300)
    ),
    "global attributes without an end": _case(
        HEADERS, "", lambda: packed(pax({"comment": "x"}, kind=b"g") * 20_000)
    ),
    "attribute sets a size that leads elsewhere": _case(
        HEADERS, "", lambda: packed(pax({"size": "0"}) + header("a", size=512 * 2500) + header("h") * 2500)
    ),
    "attribute sets a negative size": _case(
        HEADERS, "damaged", lambda: packed(pax({"size": "-1024"}) + header("a") + header("b"))
    ),
    "negative size that leads back": _case(
        HEADERS, "damaged", lambda: packed(pax({"size": "-4096"}) + header("a"))
    ),
    "negative size in base 256": _case(
        HEADERS, "", lambda: packed(header("a")[:124] + b"\xff" * 12 + header("a")[136:])
    ),
    "attribute sets an odd size": _case(HEADERS, "", lambda: packed(pax({"size": "lots"}) + header("a"))),
    "attribute sets a path out": _case(
        HEADERS, "leads out", lambda: packed(pax({"path": "../../x"}) + header("a"))
    ),
    "global attribute sets a path": _case(
        HEADERS, "", lambda: packed(pax({"path": "../x"}, kind=b"g") + header("a") + header("b"))
    ),
    "attributes of length 0": _case(HEADERS, "", lambda: packed(header("p", b"x", 512) + block(b"0 a=b\n"))),
    "attributes of a wrong length": _case(
        HEADERS, "", lambda: packed(header("p", b"x", 512) + block(b"999999999 a=b\n") + header("f"))
    ),
    "attributes that are not UTF-8": _case(
        HEADERS, "", lambda: packed(header("p", b"x", 12) + block(b"12 path=\xff\xfe\n") + header("f"))
    ),
    "unknown charset of attributes": _case(
        HEADERS, "", lambda: packed(pax({"hdrcharset": "EBCDIC", "path": "x"}) + header("f"))
    ),
    "content behind a folder": _case(HEADERS, "more than 2000 entries", _hidden_behind_a_folder),
    "a header that is not one in the middle": _case(
        HEADERS, "data behind its end", lambda: packed(header("a") + b"\xff" * 512 + header("../b"))
    ),
    "files behind the end": _case(
        HEADERS, "data behind its end", lambda: packed(header("a") + b"\0" * 1024 + header("hidden"))
    ),
    "a long name, then nothing": _case(HEADERS, "", lambda: packed(header("x", b"L", 10) + block(b"name"))),
    # Damage
    **{
        f"cut off after {share:.0%}": _case(
            DAMAGE, "", lambda share=share: _cut(share, archive.write(samples.files(), "shop"))
        )
        for share in (0, 0.01, 0.1, 0.5, 0.9, 0.999)
    },
    "zip archive cut off in the middle": _case(DAMAGE, "damaged", lambda: _cut(0.5, zipped())),
    "zip archive without its directory": _case(DAMAGE, "damaged", lambda: zipped().split(b"PK\1\2")[0]),
    "zip archive with a wrong checksum": _case(DAMAGE, "Bad CRC", lambda: raw_zip(crc=1)),
    "gzip file with a wrong checksum": _case(
        DAMAGE, "damaged", lambda: archive.write(samples.files(), "shop")[:-8] + b"\0" * 8
    ),
    "zip archive that says a file is smaller than it is": _case(
        DAMAGE, "damaged", lambda: raw_zip(data=b"x" * 5000, size=10, method=8)
    ),
    "zip archive that says a file is larger than it is": _case(
        DAMAGE, "not as large as it says", lambda: raw_zip(data=b"x" * 10, size=5000, method=8)
    ),
    "encrypted zip archive": _case(DAMAGE, "encrypted", lambda: raw_zip(flags=1)),
    "strongly encrypted zip archive": _case(DAMAGE, "", lambda: raw_zip(flags=0x40)),
    "zip archive with a header outside of it": _case(DAMAGE, "", lambda: raw_zip(offset=2**31)),
    "zip archive whose directory does not match": _case(
        DAMAGE, "damaged", lambda: raw_zip(b"aaa").replace(b"aaa", b"bbb", 1)
    ),
    "zip64 sizes of nonsense": _case(
        DAMAGE, "", lambda: raw_zip(size=2**32 - 1, extra=struct.pack("<HHQ", 1, 8, 2**63))
    ),
    "zip64 field that is too short": _case(
        DAMAGE, "damaged", lambda: raw_zip(size=2**32 - 1, extra=struct.pack("<HH", 1, 8))
    ),
    "unknown compression": _case(DAMAGE, "compressed by method 99", lambda: raw_zip(method=99)),
    "broken deflate stream": _case(
        DAMAGE, "damaged", lambda: raw_zip(data=b"\xff" * 50).replace(b"\0\0\0\0!\0", b"\x08\0\0\0!\0")
    ),
    "zip archive with data behind its end": _case(DAMAGE, "behind its end", lambda: zipped() + b"hidden"),
    "two zip archives, one behind the other": _case(DAMAGE, "", lambda: zipped() + zipped()),
    "zip archive that is also a gzip file": _case(
        DAMAGE, "", lambda: archive.write(samples.files(), "shop") + zipped()
    ),
    "gzip file with data behind its end": _case(
        DAMAGE, "behind its end", lambda: archive.write(samples.files(), "shop") + b"hidden"
    ),
    "nothing": _case(DAMAGE, "empty", bytes),
    "zip archive of nothing": _case(DAMAGE, "no files", lambda: b"PK\5\6" + b"\0" * 18),
    "tar archive of nothing": _case(DAMAGE, "", lambda: gzip.compress(b"\0" * 10240, mtime=0)),
    "noise in gzip": _case(DAMAGE, "", lambda: gzip.compress(random.Random(2).randbytes(5000), mtime=0)),
    "a text": _case(DAMAGE, "neither", lambda: b"#!/bin/sh\nrm -rf /\n"),
    "an xz file": _case(DAMAGE, "neither", lambda: b"\xfd7zXZ\0" + b"\0" * 100),
    # Folders
    "folder: links in a circle and out": _folder("is a link", _links),
    "folder: a pipe": _folder("special file", _fifo),
    "folder: a socket": _folder("special file", _socket),
    "folder: 20,000 files": _folder("more than 2000 entries", _crowded),
    "folder: 200 folders deep": _folder("deeper than", _deep),
    "folder: a name that is not UTF-8": _folder("not UTF-8", _unreadable_name),
    "folder: a file of 100 MiB": _folder("the limit is", _huge),
}
