"""Indexes of Helm repositories: ours beside the official Helm's, on the same charts, in one run.

Run all of it (a few minutes) or some sizes: ``./infra/bench charts`` and ``./infra/bench charts:100,1000``.

Two references, and the quicker of both counts: the SDK of Helm 4 (``helm-python-sdk``, without what it takes
to turn the result into Python), and the program. Each measurement of a whole index is a process of its own,
so that its memory can be told: that of all its processes together, looked at twenty times a second.
"""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pitrix.catalog.dynamo import TableAppStore
from pitrix.catalog.model import ChartIndex
from pitrix.catalog.service import CatalogService
from pitrix.clock import SystemClock
from pitrix.events import NullBus
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.packages import chart_index
from pitrix.packages import service as packages
from pitrix.packages.formats.helm import binary as helm_binary
from pitrix.packages.model import Package
from pitrix.table import MemoryTable
from tests.benchmarks import chart_samples
from tests.benchmarks.figures import Figure, median_s
from tests.unit.catalog.kit import MemoryArchives

SIZES = (1_000, 7_000, 15_300)
#: Publishing is measured in small repositories too: the curve is to be flat.
SMALL = (10, 100)
REAL = 100
REPO = "repo_bench"
_PUBLISHED = 15
_CONTEXT = f"/v1/repos/{REPO}/charts"


def run(sizes: str = "") -> list[Figure]:
    wanted = sorted(int(size) for size in sizes.split(",")) if sizes else list(SIZES)
    figures: list[Figure] = []
    merges: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="pitrix-bench-") as name:
        folder = Path(name)
        chart_samples.write_real(folder / "real", REAL)
        figures += _cold(folder / "real", f"{REAL} charts by helm create")
        charts = folder / "charts"
        made = 0
        for size in sorted({*(s for s in SMALL if s < wanted[-1]), *wanted}):
            chart_samples.write_synthetic(charts, range(made, size))
            made = size
            with _scratch() as scratch:
                merges[size] = _merge_s(charts, size, scratch)
                if size in wanted:
                    figures += _cold(charts, f"{size:,} charts")
                    figures += _loading(charts, size, scratch)
    return figures + _publishing(merges)


# --- a whole index -----------------------------------------------------------------------------------------

_OURS = """
import json, sys, time
from pathlib import Path
from pitrix.packages import chart_index
if __name__ == "__main__":
    begun = time.perf_counter()
    with open(sys.argv[2], "wb") as into:
        report = chart_index.build(Path(sys.argv[1]), "https://charts.example", into=into)
    print(json.dumps([time.perf_counter() - begun, report.versions]))
"""
_SDK = """
import json, os, sys, time
from helm_python import _native
options = json.dumps({"base_url": "https://charts.example"}).encode()
begun = time.perf_counter()
text = _native.call_string("helm_repo_index_generate", sys.argv[1], options)
seconds = time.perf_counter() - begun
os.replace(os.path.join(sys.argv[1], "index.yaml"), sys.argv[2])
print(json.dumps([seconds, len(text)]))
"""
_PROGRAM = """
import json, os, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[3:], check=True, capture_output=True)
seconds = time.perf_counter() - begun
os.replace(os.path.join(sys.argv[1], "index.yaml"), sys.argv[2])
print(json.dumps([seconds, 0]))
"""


def _cold(charts: Path, what: str) -> list[Figure]:
    with _scratch() as scratch:
        ours, ours_mib, versions = _measured(_OURS, charts, scratch / "ours.json")
        assert versions == len(list(charts.glob("*.tgz"))), "every chart is in the index"
        theirs = _by_helm(charts, scratch / "theirs.yaml")
    seconds, mib = min(theirs.values())
    name = next(name for name, found in theirs.items() if found == (seconds, mib))
    return [
        Figure(name=f"cold index of {what}", value=ours, unit="s",
               reference_name=name, reference=seconds, aim="≤ 0.25"),
        Figure(name=f"cold index of {what}: memory", value=ours_mib, unit="MiB",
               reference_name=name, reference=mib, aim="≤ 0.25"),
    ]  # fmt: skip


def _by_helm(charts: Path, target: Path) -> dict[str, tuple[float, float]]:
    """Seconds and MiB by the way of asking Helm."""
    sdk = _measured(_SDK, charts, target)
    command = [str(helm_binary.path()), "repo", "index", str(charts), "--url", "https://charts.example"]
    program = _measured(_PROGRAM, charts, target, *command)
    return {"helm SDK": (sdk[0], sdk[1]), "helm repo index": (program[0], program[1])}


def _merge_s(charts: Path, size: int, scratch: Path) -> float:
    """Helm's own way to add one chart to an index: seconds."""
    helm, index, one = str(helm_binary.path()), scratch / "index.yaml", scratch / "one"
    _measured(_PROGRAM, charts, index, helm, "repo", "index", str(charts))
    chart_samples.write_synthetic(one, range(size, size + 1))
    add = (helm, "repo", "index", str(one), "--merge", str(index))
    return min(_measured(_PROGRAM, one, scratch / "merged.yaml", *add)[0] for _ in range(2))


def _loading(charts: Path, size: int, scratch: Path) -> list[Figure]:
    """How long Helm takes to read what we wrote and what it wrote, and how long that is."""
    helm = str(helm_binary.path())
    yaml, as_json, ours = scratch / "theirs.yaml", scratch / "theirs.json", scratch / "ours.json"
    _measured(_PROGRAM, charts, yaml, helm, "repo", "index", str(charts))
    _measured(_PROGRAM, charts, as_json, helm, "repo", "index", str(charts), "--json")
    with ours.open("wb") as into:
        chart_index.build(charts, into=into)
    loads = {path: _load_s(path) for path in (yaml, as_json, ours)}
    megabytes = {path: path.stat().st_size / 1e6 for path in (yaml, as_json, ours)}
    packed = len(gzip.compress(ours.read_bytes(), 6)) / 1e6
    what = f"index of {size:,}"
    return [
        Figure(name=f"Helm loads our {what}", value=loads[ours], unit="s",
               reference_name="Helm's JSON", reference=loads[as_json], aim="≤ 1.1"),
        Figure(name=f"Helm loads our {what}", value=loads[ours], unit="s",
               reference_name="Helm's YAML", reference=loads[yaml], aim="≤ 1"),
        Figure(name=f"full refresh of our {what}: bytes", value=megabytes[ours], unit="MB",
               reference_name="Helm's YAML", reference=megabytes[yaml]),
        Figure(name=f"full refresh of our {what}: bytes, gzip", value=packed, unit="MB",
               reference_name="Helm's YAML", reference=megabytes[yaml]),
    ]  # fmt: skip


def _load_s(index: Path) -> float:
    """Seconds that `helm search repo` takes with that index, less what it takes with an empty one."""
    with _scratch() as home:
        cache = home / "cache" / "repository"
        cache.mkdir(parents=True)
        config = home / "config"
        config.mkdir()
        entry = {"apiVersion": "", "repositories": [{"name": "bench", "url": "https://charts.example"}]}
        (config / "repositories.yaml").write_text(json.dumps(entry))
        empty = home / "empty.json"
        empty.write_text('{"apiVersion": "v1", "entries": {}}')
        environment = {
            "HOME": str(home),
            "HELM_CACHE_HOME": str(home / "cache"),
            "HELM_CONFIG_HOME": str(config),
        }

        def search() -> None:
            command = [str(helm_binary.path()), "search", "repo", "nothing-of-the-kind"]
            subprocess.run(command, env=environment, check=True, capture_output=True)

        seconds = []
        for source in (empty, index):
            shutil.copy(source, cache / "bench-index.yaml")
            seconds.append(median_s(search, times=3))
    return max(seconds[1] - seconds[0], 0.001)


def _measured(code: str, *arguments: object) -> tuple[float, float, int]:
    """Seconds and a count that a fresh process prints, and the MiB that it and its children held at most."""
    with _scratch() as scratch:
        script, out, err = scratch / "measured.py", scratch / "out", scratch / "err"
        script.write_text(code)  # a file, for workers may look for the main module
        command = [sys.executable, str(script), *map(str, arguments)]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
            mib = 0.0
            while process.poll() is None:
                mib = max(mib, _held_mib(process.pid))
                time.sleep(0.05)
        assert process.returncode == 0, err.read_text()
        seconds, count = json.loads(out.read_text())
    return seconds, mib, count


def _held_mib(pid: int) -> float:
    """Memory of a process and all below it; what several share counts once (proportional set size)."""
    proc = Path("/proc") / str(pid)
    try:
        rollup = (proc / "smaps_rollup").read_text()
        children = " ".join(path.read_text() for path in proc.glob("task/*/children"))
    except OSError:
        return 0.0  # it has just ended
    own = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return own / 1024 + sum(_held_mib(int(child)) for child in children.split())


# --- publishing and reading --------------------------------------------------------------------------------


class _NoArchives(MemoryArchives):
    """Keeps no archives: only what the catalog's table holds is measured."""

    def put_archive(self, digest: str, archive: bytes) -> None:
        pass


def _publishing(merges: dict[int, float]) -> list[Figure]:
    """Publish one more into a growing repository, opening and checking it included; read the index each time.

    Args:
        merges: By size, the seconds that Helm takes to do so.
    """
    store = TableAppStore(MemoryTable())
    figures: list[Figure] = []
    catalog = _catalog(store)
    filled = 0
    for size, merge_s in merges.items():
        for number in range(filled, size):
            _fill(catalog, number)
        filled = size
        seconds = []
        for each in range(_PUBLISHED):
            archive = chart_samples.synthetic(1_000_000 + size * 100 + each)[2]
            begun = time.perf_counter()
            _publish(catalog, packages.open_package(archive), archive)
            seconds.append(time.perf_counter() - begun)
        figures.append(
            Figure(name=f"publish one into {size:,}", value=statistics.median(seconds) * 1000, unit="ms",
                   reference_name="helm repo index --merge", reference=merge_s * 1000, aim="< 50 ms, flat")
        )  # fmt: skip
        figures += _reading(store, size)
    return figures


def _catalog(store: TableAppStore) -> CatalogService:
    """A catalog with nothing in its memory, as a process that has just started."""
    return CatalogService(
        apps=store, archives=_NoArchives(), reader=packages, events=NullBus(), clock=SystemClock()
    )


def _fill(catalog: CatalogService, number: int) -> None:
    name, version = chart_samples.named(number)
    described = {"apiVersion": "v2", "name": name, "version": version, "description": "d " * 60,
                 "keywords": ["a", "b", "c"], "annotations": {"images": "x" * 300}}  # fmt: skip
    package = Package(name=name, version=version, type="helm", metadata=described)
    _publish(catalog, package, f"{name} {version}".encode())


def _publish(catalog: CatalogService, package: Package, archive: bytes) -> None:
    catalog.publish_version(
        SYSTEM, repo_id=REPO, visibility="public", auto_release=True, package=package, archive=archive,
        package_key=f"{REPO}/x.tgz",
    )  # fmt: skip


def _reading(store: TableAppStore, size: int) -> list[Figure]:
    catalog = _catalog(store)

    def read(known: str = "") -> ChartIndex:
        return catalog.chart_index(ANONYMOUS, REPO, context_path=_CONTEXT, known=known)

    begun = time.perf_counter()
    etag = read().etag
    first = time.perf_counter() - begun
    unchanged = median_s(lambda: read(etag), times=20)
    _fill(catalog, 10_000_000 + size)
    begun = time.perf_counter()
    read(etag)
    changed = time.perf_counter() - begun
    what = f"refresh from {size:,}"
    return [
        Figure(name=f"{what}, nothing new: 304 and 0 bytes", value=unchanged * 1000, unit="ms",
               reference_name="first reading", reference=first * 1000),
        Figure(name=f"{what}, one new", value=changed * 1000, unit="ms",
               reference_name="first reading", reference=first * 1000),
    ]  # fmt: skip


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pitrix-bench-") as name:
        yield Path(name)
