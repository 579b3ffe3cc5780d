"""The quickest way to a chart's description, entries that Helm can read, and the index of a directory."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pitrix.errors import NotFound
from pitrix.packages import chart_entry, chart_index
from pitrix.packages.chart_entry import ChartUnreadable
from pitrix.packages.formats.helm import binary as helm_binary

CHART = b"apiVersion: v2\nname: shop\nversion: 1.0.0\n"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def tgz(*files: tuple[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=format) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def made(**metadata: Any) -> dict[str, Any]:
    described = {"apiVersion": "v2", "name": "shop", "version": "1.0.0", **metadata}
    return chart_entry.entry(described, digest="sha256:ab", created=NOW, urls=["shop-1.0.0.tgz"])


# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_chart_of_the_top_is_found_wherever_it_stands(format: int) -> None:
    noise = random.Random(1).randbytes(100_000)
    archive = tgz(
        ("shop/values.bin", noise),
        ("shop/charts/other/Chart.yaml", b"name: other\n"),
        ("Chart.yaml", b"name: nobody\n"),
        ("shop/Chart.yaml", CHART),
        ("shop/templates/x.yaml", noise),
        format=format,
    )
    assert chart_entry.read_chart(archive) == {"apiVersion": "v2", "name": "shop", "version": "1.0.0"}


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_belong_to_the_file_after_them(format: int) -> None:
    folder = "d" * 120 + "é"
    archive = tgz(("x" * 150 + "/y", b"1"), (f"{folder}/Chart.yaml", CHART), format=format)
    assert chart_entry.chart_yaml(archive) == CHART


def test_an_archive_of_several_gzip_members_is_one() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("shop/a", bytes(20_000)), ("shop/Chart.yaml", CHART)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    tar = out.getvalue()
    assert chart_entry.chart_yaml(gzip.compress(tar[:700]) + gzip.compress(tar[700:])) == CHART


def test_no_more_is_unpacked_than_it_takes() -> None:
    damaged = bytearray(tgz(("shop/Chart.yaml", CHART), ("shop/big", random.Random(2).randbytes(200_000))))
    damaged[-100_000:] = bytes(100_000)
    assert chart_entry.chart_yaml(bytes(damaged)) == CHART


def huge(size: int) -> bytes:
    """An archive whose first file claims so many bytes, all of them zero."""
    header = tarfile.TarInfo("shop/big")
    header.size = size
    packer = gzip.compress(header.tobuf() + bytes(1 << 20))
    return packer + gzip.compress(bytes(1 << 20)) * 80


HOSTILE = {
    "empty": b"",
    "no gzip": b"PK\x03\x04",
    "cut off": tgz(("shop/Chart.yaml", random.Random(3).randbytes(50_000)))[:20_000],
    "damaged": tgz(("shop/a", random.Random(4).randbytes(50_000)))[:9_000] + bytes(20_000),
    "no chart": tgz(("shop/values.yaml", b"")),
    "only others": tgz(("shop/charts/a/Chart.yaml", CHART), ("../../Chart.yaml", CHART)),
    "no tar": gzip.compress(random.Random(5).randbytes(5_000)),
    "zeros": gzip.compress(bytes(100_000)),
    "a bomb": huge(1 << 33),
    "a long chart": tgz(("shop/Chart.yaml", bytes(chart_entry.MAX_CHART_YAML + 1))),
    "a list": tgz(("shop/Chart.yaml", b"- 1\n")),
    "no yaml": tgz(("shop/Chart.yaml", b"\xff\xfe{")),
    "aliases": tgz(("shop/Chart.yaml", b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (97 + n, 97 + n, b",".join([b"*%c" % (96 + n)] * 9)) for n in range(1, 12)))),
    "many files": tgz(*((f"shop/{n}", b"") for n in range(chart_entry.MAX_ENTRIES + 1))),
}  # fmt: skip


@pytest.mark.parametrize("archive", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_cannot_be_read_is_said_in_bounded_memory(archive: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ChartUnreadable) as caught:
            chart_entry.read_chart(archive)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert str(caught.value)


# --- entries -----------------------------------------------------------------------------------------------


def test_an_entry_has_what_helm_knows() -> None:
    entry = made(
        appVersion="2",
        deprecated=True,
        unknown="x",
        maintainers=[{"name": "Jane", "fax": "1"}],
        dependencies=[{"name": "db", "version": "1.x", "repository": "https://x", "import-values": ["a"]}],
    )
    assert entry == {
        "apiVersion": "v2",
        "name": "shop",
        "version": "1.0.0",
        "appVersion": "2",
        "deprecated": True,
        "maintainers": [{"name": "Jane"}],
        "dependencies": [{"name": "db", "version": "1.x", "repository": "https://x", "import-values": ["a"]}],
        "created": "2026-11-23T12:00:00.000Z",
        "digest": "ab",
        "urls": ["shop-1.0.0.tgz"],
    }


WEIRD: dict[str, Any] = {
    "appVersion": 1.1,
    "description": ["a", {"b": 1}],
    "kubeVersion": None,
    "keywords": "one",
    "sources": [1, None, "https://x", ["y"]],
    "home": True,
    "maintainers": ["Jane", {"name": 7, "email": None}, {}],
    "dependencies": [{"name": "db", "version": 1, "enabled": "yes", "tags": "t"}, {"version": "1"}, "x"],
    "annotations": {"a": 1, 2: None, "c": {"d": 1}},
    "deprecated": "no",
    "icon": "\udcff",
    "tags": {"a": 1},
}


def test_one_chart_of_wrong_types_does_not_break_the_index_for_all(tmp_path: Path) -> None:
    """Helm refuses a whole index over one field of a type that it does not expect."""
    good = made(description="found by Helm")
    weird = {**made(**WEIRD), "name": "weird"}
    index = {
        "apiVersion": "v1",
        "entries": {"shop": [good], "weird": [json.loads(chart_entry.encode(weird))]},
    }
    for name, text in (("json", json.dumps(index)), ("yaml", yaml.safe_dump(index))):
        home = tmp_path / name
        (home / "cache" / "repository").mkdir(parents=True)
        (home / "cache" / "repository" / "r-index.yaml").write_text(text)
        repositories = {"apiVersion": "", "repositories": [{"name": "r", "url": "https://charts.example"}]}
        (home / "repositories.yaml").write_text(json.dumps(repositories))
        found = helm_binary.run(
            ["search", "repo", "--repository-config", str(home / "repositories.yaml"),
             "--repository-cache", str(home / "cache" / "repository"), "-o", "json"]
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        assert {row["name"] for row in json.loads(found.stdout)} == {"r/shop", "r/weird"}


def test_a_long_entry_loses_what_is_needed_least() -> None:
    entry = made(annotations={"a": "x" * 90_000}, description="kept")
    assert json.loads(chart_entry.encode(entry))["description"] == "kept"
    long = made(annotations={"a": "x" * 90_000}, description="y" * 90_000, keywords=["k"])
    text = chart_entry.encode(long)
    assert len(text) <= chart_entry.MAX_ENTRY_CHARS
    assert json.loads(text)["keywords"] == ["k"]


# --- an index of a directory -------------------------------------------------------------------------------


def test_an_index_is_helms_own(tmp_path: Path) -> None:
    charts = tmp_path / "charts"
    (charts / "more").mkdir(parents=True)
    for name in ("shop", "cart"):
        assert helm_binary.run(["create", str(tmp_path / name)]).returncode == 0
        for version, folder in (("0.9.0", charts), ("0.10.0", charts / "more")):
            packed = helm_binary.run(
                ["package", str(tmp_path / name), "--version", version, "-d", str(folder)]
            )
            assert packed.returncode == 0, packed.stderr
    (charts / "broken-1.0.0.tgz").write_bytes(b"nonsense")
    ours = io.BytesIO()
    report = chart_index.build(charts, "https://charts.example/", into=ours)
    assert (report.charts, report.versions) == (2, 4)
    assert [each.file for each in report.skipped] == ["broken-1.0.0.tgz"]
    assert helm_binary.run(["repo", "index", str(charts), "--url", "https://charts.example"]).returncode == 0
    theirs = yaml.safe_load((charts / "index.yaml").read_text())
    mine = json.loads(ours.getvalue())
    for index in (mine, theirs):
        for entries in index["entries"].values():
            for entry in entries:
                entry.pop("created")
    assert mine["entries"] == theirs["entries"]
    assert list(mine["entries"]) == ["cart", "shop"]


@pytest.mark.parametrize("workers", [1, 2])
def test_many_charts_are_read_by_several_processes(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart_index, "_ALONE_UP_TO", 100)
    count = 301
    for number in range(count):
        described = CHART.replace(b"1.0.0", b"1.%d.0" % number)
        (tmp_path / f"shop-1.{number}.0.tgz").write_bytes(tgz(("shop/Chart.yaml", described)))
    out = io.BytesIO()
    report = chart_index.build(tmp_path, into=out, workers=workers)
    versions = [entry["version"] for entry in json.loads(out.getvalue())["entries"]["shop"]]
    assert report.versions == count
    assert versions == [f"1.{number}.0" for number in reversed(range(count))]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        chart_index.build(tmp_path / "nowhere", into=io.BytesIO())
    out = io.BytesIO()
    assert chart_index.build(tmp_path, into=out).versions == 0
    assert json.loads(out.getvalue())["entries"] == {}
    assert os.listdir(tmp_path) == []
