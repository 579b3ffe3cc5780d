"""Charts to measure with: synthetic ones of the size and shape of real ones, and real ones by Helm itself.

Owns making them, the same ones for the same number; never measures.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tarfile
import zlib
from functools import lru_cache
from pathlib import Path

import yaml

from pitrix.packages.formats.helm import binary as helm_binary

#: Versions of one chart in a repository of the wild.
VERSIONS = 30
_WORDS = (
    "service", "deployment", "replica", "ingress", "storage", "volume", "cluster", "metrics", "backup",
    "restore", "primary", "secondary", "cache", "queue", "broker", "topic", "index", "search", "shard",
    "leader", "follower", "probe", "config", "secret", "annotation", "label", "selector",
)  # fmt: skip


def named(number: int) -> tuple[str, str]:
    """Name and version of the ``number``-th chart."""
    place = number % VERSIONS
    return f"chart-{number // VERSIONS:04}", f"{place // 10}.{place % 10}.{place % 7}"


def synthetic(number: int) -> tuple[str, str, bytes]:
    """Name, version and archive of the ``number``-th chart: some 20 files, 10 to 20 KB packed."""
    name, version = named(number)
    described = _chart_yaml(name, version, random.Random(number // VERSIONS))
    tar = _member(f"{name}/Chart.yaml", described) + _files(number // VERSIONS, name)
    packer = zlib.compressobj(6, wbits=31)
    return name, version, packer.compress(tar) + packer.flush()


def write_synthetic(folder: Path, numbers: range) -> None:
    """Write archives as ``<name>-<version>.tgz``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        name, version, archive = synthetic(number)
        (folder / f"{name}-{version}.tgz").write_bytes(archive)


def write_real(folder: Path, count: int) -> None:
    """Have Helm make and package so many charts."""
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.parent / f"{folder.name}-sources"
    work.mkdir()
    for number in range(count):
        name = f"real-{number:04}"
        for arguments in (("create", name), ("package", name, "--destination", str(folder))):
            subprocess.run([str(helm_binary.path()), *arguments], cwd=work, capture_output=True, check=True)
    shutil.rmtree(work)


def _chart_yaml(name: str, version: str, some: random.Random) -> bytes:
    described = {
        "annotations": {
            "category": some.choice(_WORDS),
            "licenses": "Apache-2.0",
            "images": "".join(
                f"- name: {word}\n  image: registry.example/{word}:{some.random():.5f}\n"
                for word in some.sample(_WORDS, 4)
            ),
        },
        "apiVersion": "v2",
        "appVersion": f"{some.randint(1, 20)}.{some.randint(0, 40)}.{some.randint(0, 9)}",
        "dependencies": [
            {
                "name": word,
                "repository": "https://charts.example",
                "version": f"{some.randint(1, 9)}.x.x",
                "condition": f"{word}.enabled",
            }
            for word in some.sample(_WORDS, 2)
        ],
        "description": _sentence(some, 25),
        "home": f"https://example/{name}",
        "icon": f"https://example/{name}.svg",
        "keywords": some.sample(_WORDS, 6),
        "kubeVersion": ">=1.23.0-0",
        "maintainers": [{"name": f"{name} team", "url": "https://example/", "email": "team@example.com"}],
        "name": name,
        "sources": [f"https://example/{name}/chart", f"https://example/{name}/image"],
        "type": "application",
        "version": version,
    }
    return yaml.safe_dump(described).encode()


@lru_cache(maxsize=4)
def _files(seed: int, name: str) -> bytes:
    """What all versions of a chart have in common, as the rest of a tar archive."""
    some = random.Random(seed)
    values = "".join(f"{word}:\n  enabled: true\n  note: {_sentence(some, 12)}\n" for word in _WORDS)
    template = (
        "apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {{{{ .Release.Name }}}}\nspec:\n  text: {text}\n"
    )
    made = {"values.yaml": values, "README.md": "\n\n".join(_sentence(some, 80) for _ in range(20))}
    for number in range(18):
        body = template.format(kind=some.choice(_WORDS).title(), text=_sentence(some, 120))
        made[f"templates/{some.choice(_WORDS)}-{number}.yaml"] = body
    return b"".join(_member(f"{name}/{path}", text.encode()) for path, text in made.items()) + bytes(1024)


def _member(path: str, data: bytes) -> bytes:
    """A file as it stands in a tar archive."""
    described = tarfile.TarInfo(path)
    described.size = len(data)
    return described.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def _sentence(some: random.Random, words: int) -> str:
    return " ".join(some.choices(_WORDS, k=words))
