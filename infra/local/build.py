"""What is deployed, built from the repository: function zips and layer directories.

Owns building them reproducibly and only when something changed. Never talks to the emulator. On AWS `sam
build` does this job with the Makefiles in the layers' folders; both take the same files and the same pins.
"""

from __future__ import annotations

import compileall
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import CACHE, ROOT, VENV, venv_python
from infra.local.progress import UserError
from infra.local.transform import Layer
from infra.local.venvs import building, install

_EPOCH = (1980, 1, 1, 0, 0, 0)
_NEVER = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"}
_BUILD_ONLY = {"Makefile", "requirements.txt", "build-requirements.txt", "build_assets.py"}
_PREINSTALLED = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
"""What AWS's Python runtime brings along."""

PENDING, WANTED, FAILED = "pending", "wanted", "failed"
"""Files in a layer's folder: not installed yet; a function waits for that; it could not be done, and why."""

_BOOTSTRAP = """#!/bin/sh
exec "$PITRIX_LOCAL_PYTHON" -I -S "$PITRIX_LOCAL_FORKSERVER" call "$TMPDIR"
"""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A zip ready for upload; ``key`` holds its digest."""

    key: str
    content: bytes


def function_zip(folder: Path) -> Artifact:
    """Zip a function's folder with the local bootstrap; the same files give the same bytes.

    A ``requirements.txt`` in the folder is installed into the zip, as `sam build` does; a ``build_assets.py``
    is run with its ``build-requirements.txt`` installed, as the Makefile beside it does.
    """
    sources = [folder]
    if (folder / "requirements.txt").exists():
        sources.append(_installed(folder / "requirements.txt"))
    if (folder / "build_assets.py").exists():
        sources.append(_assets(folder))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _write(archive, "bootstrap", _BOOTSTRAP.encode(), mode=0o755)
        for source in sources:
            for path in source_files(source):
                name = path.relative_to(source).as_posix()
                if name not in _BUILD_ONLY:
                    _write(archive, name, path.read_bytes(), mode=0o644)
    content = buffer.getvalue()
    return Artifact(key=f"{folder.name}-{hashlib.sha256(content).hexdigest()[:32]}.zip", content=content)


def build_layer(root: Path, layer: Layer, into: Path) -> bool:
    """Make ``into/NAME`` hold what a function finds under /opt: our packages in ``python``, theirs in
    ``requirements``.

    Our packages are copied, so that a platform that runs is not changed by an edit; theirs are a link into a
    cache that all data directories share.

    Returns:
        Whether anything changed.
    """
    source = (root / layer.source).resolve()
    target = into / layer.name
    stamp = target / "digest"
    if Path(layer.source).is_absolute():  # somebody else's, from another place
        return _build_plugin(source, target)
    # A folder that is a package itself is the layer's package; otherwise the packages in it are.
    packages = [source] if (source / "__init__.py").exists() else _packages(source)
    digest = hashlib.sha256(sys.version.encode())
    for package in packages:
        for path in source_files(package):
            digest.update(f"{package.name}/{path.relative_to(package)}".encode())
            digest.update(path.read_bytes())
    requirements = source / "requirements.txt"
    if requirements.exists():
        digest.update(requirements.read_bytes())
    if stamp.exists() and stamp.read_text() == digest.hexdigest() and _link_is_alive(target / "requirements"):
        return False
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for package in packages:
        shutil.copytree(package, target / "python" / package.name, ignore=shutil.ignore_patterns(*_NEVER))
    compileall.compile_dir(target / "python", quiet=2)
    if requirements.exists():
        if layer.on_demand and not _cached(requirements).exists():
            (target / PENDING).touch()
        else:
            (target / "requirements").symlink_to(_installed(requirements))
    stamp.write_text(digest.hexdigest())
    return True


def build_wanted(root: Path, layer: Layer, into: Path) -> None:
    """Install what a layer left for later, because a function waits for it (`bootstrap.py`).

    Where that fails, the reason is left for the function.
    """
    target = into / layer.name
    (target / FAILED).unlink(missing_ok=True)
    try:
        made = _installed(root / layer.source / "requirements.txt")
        (target / "requirements").unlink(missing_ok=True)
        (target / "requirements").symlink_to(made)
        (target / PENDING).unlink(missing_ok=True)
    except UserError as error:
        (target / FAILED).write_text(str(error))
    (target / WANTED).unlink(missing_ok=True)


def _build_plugin(source: Path, target: Path) -> bool:
    """Make a layer of somebody else's Python project, with what it needs; the platform itself is there."""
    digest = hashlib.sha256(sys.version.encode())
    for path in source_files(source):
        digest.update(str(path.relative_to(source)).encode() + path.read_bytes())
    stamp = target / "digest"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return False
    shutil.rmtree(target, ignore_errors=True)
    # pip builds within the project's folder, which is not ours to leave things in.
    with building(), tempfile.TemporaryDirectory() as copy:
        project = Path(
            shutil.copytree(source, Path(copy) / source.name, ignore=shutil.ignore_patterns(*_NEVER))
        )
        what = f"the plug-in {source}"
        install(venv_python(VENV), "--target", str(target / "python"), str(project), what=what)
    stamp.write_text(digest.hexdigest())
    return True


def lambda_runtime() -> Path:
    """The folder with what AWS preinstalls for Python functions: links to boto3 and its dependencies in
    ``.venv``.
    """
    folder = VENV / "lambda-runtime"
    site = next((VENV / "lib").glob("python*/site-packages"))
    folder.mkdir(exist_ok=True)
    for name in _PREINSTALLED:
        link = folder / name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(site / name)
    return folder


def _cached(requirements: Path) -> Path:
    digest = hashlib.sha256(sys.version.encode() + requirements.read_bytes()).hexdigest()[:32]
    return CACHE / "requirements" / digest


def _installed(requirements: Path) -> Path:
    folder = _cached(requirements)
    with building():
        if not folder.exists():
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            what = f"the pins of {requirements.relative_to(ROOT)}"
            install(
                venv_python(VENV), "--no-deps", "--target", str(draft), "-r", str(requirements), what=what
            )
            shutil.rmtree(draft / "bin", ignore_errors=True)
            draft.rename(folder)
    return folder


def _assets(folder: Path) -> Path:
    script, requirements = folder / "build_assets.py", folder / "build-requirements.txt"
    digest = hashlib.sha256(script.read_bytes() + requirements.read_bytes()).hexdigest()[:32]
    made = CACHE / "assets" / digest
    if not made.exists():
        draft = made.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        environment = {**os.environ, "PYTHONPATH": str(_installed(requirements))}
        call = [str(venv_python(VENV)), str(script), str(draft)]
        done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"{script.relative_to(ROOT)} failed:\n    {done.stderr.strip()[-600:]}")
        draft.rename(made)
    return made


def _packages(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if (entry / "__init__.py").exists())


def source_files(folder: Path) -> Iterator[Path]:
    """The files below a folder in a stable order, without what interpreters and tools leave there."""
    for directory, subdirectories, names in os.walk(folder):
        subdirectories[:] = sorted(name for name in subdirectories if name not in _NEVER)
        for name in sorted(names):
            if name not in _NEVER and not name.endswith(".pyc"):
                yield Path(directory, name)


def _write(archive: zipfile.ZipFile, name: str, content: bytes, *, mode: int) -> None:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _link_is_alive(link: Path) -> bool:
    return not link.is_symlink() or link.exists()


def build_agent(into: Path) -> bytes:
    """The agents' program, as ``infra/agent/build.py`` builds it."""
    target = into / "agent.pyz"
    call = "import pathlib, sys; from infra.agent.build import build; build(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [venv_python(VENV), "-c", call, target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"The agents could not be built:\n    {done.stderr.strip()[-600:]}")
    return target.read_bytes()
