"""Builds ``agent.pyz``: the agent and the pure Python part of ``websockets`` in one executable archive.

Used by the local cloud and by a deployment to AWS, which put the file where machines fetch it. The same input
gives the same bytes. Run as ``python -m infra.agent.build OUT``.
"""

from __future__ import annotations

import importlib.util
import py_compile
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

AGENT = Path(__file__).parent / "pitrix_agent"
#: What of ``websockets`` no agent uses: other programming models, its command line, sources of C.
_LEFT_OUT = {"legacy", "sync", "trio", "cli.py", "__main__.py", "auth.py", "__pycache__"}
#: The earliest time that a zip archive can name; the real ones would make every build another file.
_TIME = (1980, 1, 1, 0, 0, 0)
_MAIN = b"import sys\nfrom pitrix_agent.__main__ import main\nsys.exit(main())\n"


def build(out: Path) -> Path:
    """Write the bundle to ``out`` and return it.

    Raises:
        ModuleNotFoundError: ``websockets`` is not installed here.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(out.name + ".new")
    with fresh.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "__main__.py", _MAIN)
            for name, path in sorted(_files()):
                _add(archive, name, path.read_bytes())
                # Compiled for this interpreter: a machine that runs the same one starts in half the time,
                # any other ignores it.
                _add(archive, name + "c", _compiled(name, path))
    fresh.chmod(0o755)
    fresh.replace(out)
    return out


def _files() -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec("websockets")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("websockets must be installed to build the agent")
    for package in (AGENT, Path(spec.origin).parent):
        for path in package.rglob("*.py"):
            parts = path.relative_to(package).parts
            if not _LEFT_OUT.intersection(parts) or (package is AGENT and "__pycache__" not in parts):
                yield "/".join((package.name, *parts)), path


def _compiled(name: str, path: Path) -> bytes:
    # By hash and not checked: the times in the archive are not the times of the sources.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "compiled"
        py_compile.compile(str(path), str(target), dfile=name, doraise=True, invalidation_mode=mode)
        return target.read_bytes()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
