"""Archives of people who mean no good: each refused with its reason, in bounded time and memory."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.errors import PackageInvalid
from pitrix.packages import archive, service
from pitrix.packages.archive import Limits
from pitrix.packages.model import Problem
from pitrix.packages.text import pattern
from tests.unit.packages import samples


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member


def zipped(entries: dict[str, bytes], *, link: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in entries.items():
            target.writestr(name, data)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            target.writestr(info, "/etc/passwd")
    return out.getvalue()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../../etc/passwd", "leads out"),
        ("a/../../b", "leads out"),
        ("/etc/passwd", "absolute"),
        ("C:/windows/x", "absolute"),
        ("a//b", "leads out"),
        ("a\\..\\b", "backslash"),
        ("a\nb", "cannot be seen"),
        ("x" * 300, "longer than"),
        ("/".join("abcdefghijklmnopqrst"), "deeper than"),
    ],
)
def test_a_path_that_is_not_one_of_the_package_is_refused(path: str, reason: str) -> None:
    for data in (
        samples.tgz([("package.json", b"{}"), (path, b"x")]),
        zipped({"package.json": b"{}", path: b"x"}),
    ):
        files, problems = archive.read(data)
        assert any(reason in each.message for each in problems), problems
        assert set(files) == {"package.json"}


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (special("a", tarfile.SYMTYPE, "/etc/passwd"), "link to '/etc/passwd'"),
        (special("a", tarfile.SYMTYPE, "b"), "link to 'b'"),
        (special("a", tarfile.LNKTYPE, "../b"), "link to '../b'"),
        (special("a", tarfile.CHRTYPE), "device"),
        (special("a", tarfile.BLKTYPE), "device"),
        (special("a", tarfile.FIFOTYPE), "pipe"),
    ],
)
def test_only_plain_files_are_taken(member: tarfile.TarInfo, reason: str) -> None:
    files, problems = archive.read(samples.tgz([("package.json", b"{}"), member]))
    assert [reason in each.message for each in problems] == [True]
    assert "a" not in files


def test_a_link_in_a_zip_is_refused() -> None:
    _, problems = archive.read(zipped({"package.json": b"{}"}, link="a"))
    assert [each.file for each in problems] == ["a"]


def test_names_that_differ_only_in_case_or_normal_form_are_refused() -> None:
    for first, second in (("README.md", "readme.MD"), ("caf\u00e9", "cafe\u0301"), ("A/x", "a/y")):
        _, problems = archive.read(samples.tgz([(first, b""), (second, b"")]))
        assert ["differs from" in each.message for each in problems] == [True], (first, second)


def test_a_name_given_twice_is_refused() -> None:
    _, problems = archive.read(samples.tgz([("a", b"1"), ("a", b"2")]))
    assert ["twice" in each.message for each in problems] == [True]


def test_a_name_that_is_not_utf8_is_refused() -> None:
    member = tarfile.TarInfo("caf\udce9.txt")
    _, problems = archive.read(samples.tgz([("package.json", b"{}"), member]))
    assert [each.message for each in problems] == ["the name is not UTF-8"]
    assert problems[0].file.encode()  # can be shown and stored


@pytest.mark.parametrize("keep", [0, 1, 5, 30, 100, 0.5, 0.9])
def test_a_truncated_archive_says_so(keep: float) -> None:
    whole = archive.write(samples.files(), "shop")
    cut = whole[: int(len(whole) * keep) if isinstance(keep, float) else keep]
    with pytest.raises(PackageInvalid) as caught:
        service.open_package(cut)
    assert any(word in caught.value.detail for word in ("too early", "empty", "neither", "damaged")), (
        caught.value.detail
    )


def test_a_truncated_zip_says_so() -> None:
    whole = zipped(samples.files())
    _, problems = archive.read(whole[: len(whole) // 2])
    assert [each.message.split(":")[0] for each in problems] == ["the archive is damaged"]


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x1f\x8b", b"PK\x03\x04junk", b"\0" * 1024, gzip.compress(b"x" * 5000, mtime=0)]
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    files, problems = archive.read(data)
    assert not files
    assert problems


def bounded(data: bytes) -> list[str]:
    """The problems of an archive, read within 5 s and 200 MiB."""
    tracemalloc.start()
    started = time.monotonic()
    _, problems = archive.read(data)
    took, peak = time.monotonic() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 5
    assert peak < 200 * 1024 * 1024
    return [each.message for each in problems]


def test_a_gzip_bomb_costs_no_more_than_the_limit() -> None:
    one = gzip.compress(b"\0" * (64 * 1024 * 1024), mtime=0)
    assert any("unpacks to more" in each for each in bounded(one * 20))


def test_a_zip_bomb_costs_no_more_than_the_limit() -> None:
    bomb = zipped({f"f{index}": b"\0" * (15 * 1024 * 1024) for index in range(6)})
    assert any("unpacks to more" in each for each in bounded(bomb))


def test_a_million_tiny_files_are_not_all_read() -> None:
    many = samples.tgz([(f"f{index}", b"") for index in range(5000)])
    assert any("more than 2000 entries" in each for each in bounded(many))
    assert any(
        "more than 2000 entries" in each for each in bounded(zipped({f"f{i}": b"" for i in range(3000)}))
    )


def test_a_declared_gigabyte_is_not_believed() -> None:
    member = tarfile.TarInfo("big")
    member.size = 1024**3
    raw = member.tobuf() + b"\0" * 1024
    assert bounded(gzip.compress(raw))


def test_a_sparse_file_is_refused() -> None:
    member = tarfile.TarInfo("big")
    member.type = tarfile.GNUTYPE_SPARSE
    member.size = 0
    raw = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    raw[386 : 386 + 24] = b"00000000000\0" + b"77777777777\0"
    raw[483:495] = b"77777777777\0"
    raw[148:156] = b"        "
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    assert bounded(gzip.compress(bytes(raw) + b"\0" * 1024))


def test_a_chain_of_long_name_headers_is_refused_not_followed_forever() -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type = tarfile.GNUTYPE_LONGNAME
    header.size = 1
    raw = (header.tobuf(tarfile.GNU_FORMAT) + b"x" + b"\0" * 511) * 3000
    assert bounded(gzip.compress(raw))


def test_headers_that_take_quadratic_time_are_refused() -> None:
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    header.size = 8 * 1024 * 1024
    assert any("far too long" in each for each in bounded(gzip.compress(header.tobuf() + b"1 " * 4194304)))
    header.size = 4096
    raw = (header.tobuf() + b"1 " * 2048 + tarfile.TarInfo("f").tobuf()) * 300
    assert any("far too long" in each for each in bounded(gzip.compress(raw)))


def test_the_folder_around_the_files_is_taken_off_and_litter_is_left_out() -> None:
    data = samples.tgz(
        [("./shop/package.json", b"{}"), ("./shop/._package.json", b"x"), ("./shop/payload/.DS_Store", b"x")]
    )
    assert archive.read(data) == ({"package.json": b"{}"}, [])


def test_two_packages_at_once_are_not_unwrapped() -> None:
    files, _ = archive.read(samples.tgz([("a/package.json", b"{}"), ("b/package.json", b"{}")]))
    assert set(files) == {"a/package.json", "b/package.json"}


def test_what_is_written_can_be_read_and_is_the_same_each_time() -> None:
    made = samples.files()
    assert archive.write(made, "shop") == archive.write(dict(reversed(made.items())), "shop")
    assert archive.read(archive.write(made, "shop")) == (made, [])
    assert archive.read(zipped(made)) == (made, [])


def test_scripts_stay_executable() -> None:
    data = archive.write({"payload/run": b"#!/bin/sh\n", "README.md": b"x"}, "shop")
    with tarfile.open(fileobj=io.BytesIO(data)) as made:
        assert {each.name: each.mode for each in made} == {"shop/README.md": 0o644, "shop/payload/run": 0o755}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 3))
def test_no_bytes_make_the_reader_fail(noise: bytes, kind: int) -> None:
    whole = archive.write(samples.files(), "shop")
    data = [noise, gzip.compress(noise), whole[: len(noise)] + noise, b"PK\x03\x04" + noise][kind]
    files, problems = archive.read(data, Limits(unpacked=1_000_000))
    assert files or problems


def test_a_directory_is_read_under_the_same_rules(tmp_path: Path) -> None:
    for path in ("package.json", "payload/run", ".git/objects/ab", "payload/.DS_Store", "payload/a~"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    assert archive.read_directory(tmp_path) == (
        {"package.json": b"package.json", "payload/run": b"payload/run"},
        [],
    )
    (tmp_path / "payload" / "here").symlink_to(tmp_path)
    files, problems = archive.read_directory(tmp_path)
    assert set(files) == {"package.json", "payload/run"}
    assert [(each.file, "is a link" in each.message) for each in problems] == [("payload/here", True)]
    _, problems = archive.read_directory(tmp_path, Limits(unpacked=5))
    assert "more than 5 bytes" in problems[-1].message
    _, problems = archive.read_directory(tmp_path / "nothing")
    assert "cannot be read" in problems[0].message


def test_what_litter_looks_like_is_no_way_around_the_rules() -> None:
    files, problems = archive.read(samples.tgz([("a~\n", b"x"), (".git/../../x", b"x"), ("b", b"")]))
    assert set(files) == {"b"}
    assert [each.file for each in problems] == ["a~\\x0a"]


def test_names_of_windows_are_warned_of_and_kept() -> None:
    files, problems = archive.read(samples.tgz([("nul.txt", b"1"), ("console", b"2"), ("as:b", b"3")]))
    assert set(files) == {"nul.txt", "console", "as:b"}
    assert {each.file: each.severity for each in problems} == {"nul.txt": "warning", "as:b": "warning"}


def test_an_archive_in_several_gzip_members_is_read() -> None:
    whole = gzip.decompress(archive.write(samples.files(), "shop"))
    parts = [gzip.compress(whole[at : at + 999], mtime=0) for at in range(0, len(whole), 999)]
    assert archive.read(b"".join(parts) + b"\0" * 512) == (samples.files(), [])


def test_a_home_page_that_would_run_is_left_out() -> None:
    for home, kept in (("javascript:alert(1)", ""), ("https://example.com/x", "https://example.com/x")):
        files = samples.files(package={**samples.METADATA, "home": home})
        package = service.open_package(archive.write(files, "shop"))
        assert package.home == kept
        assert ["no address of the web" in each.message for each in package.warnings] == [True] * (not kept)


def test_a_problem_can_always_be_shown() -> None:
    problem = Problem(file="a\x1b\n", key="/\u202e" + "x" * 5000, message="one\n  two\t\u200b", hint="\udcff")
    assert (problem.file, problem.message, problem.hint) == ("a\\x1b\\x0a", "one two \\x200b", "\\udcff")
    assert problem.key.startswith("/\\x202exxx")
    assert len(problem.key) == 301


@pytest.mark.parametrize(
    "odd", ["(?R)", "(a)(?1)", "(?P<x>a)(?&x)", "(?:ab){e<=2}", "(?:ab){i,d}", "(a){s<=1:[x]}"]
)
def test_patterns_that_no_specification_knows_are_refused(odd: str) -> None:
    with pytest.raises(pattern.PatternRefused, match="not supported"):
        pattern.compile(odd)


@pytest.mark.parametrize(
    "plain", [r"\(?Ra", r"^\{ids\}$", r"\p{Han}+", r"a{2,5}", r"^[a-z]{3}$", "(?i)x", "(?:x)", "{a}"]
)
def test_patterns_that_look_like_them_are_not(plain: str) -> None:
    assert pattern.compile(plain)
