"""``python -m tests.fuzz``: fuzz for longer, try an input again, or write HOSTILE.md; see `tests.fuzz`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "layers" / "core")]


def main() -> int:
    """Run what the command line asks for; 1 when an invariant did not hold."""
    from tests.fuzz import targets

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target (default: 1)")
    parser.add_argument("--target", action="append", choices=list(targets.TARGETS), help="default: all")
    parser.add_argument("--corpus", type=Path, help="folder of inputs to start from, and to keep new ones in")
    parser.add_argument("--again", type=Path, help="run the target on this one input")
    parser.add_argument("--report", action="store_true", help="write HOSTILE.md")
    asked = parser.parse_args()
    if asked.report:
        return _report()
    names = asked.target or list(targets.TARGETS)
    if asked.again:
        for name in names:
            targets.run(name, asked.again.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("Atheris is missing: pip install --no-deps atheris==3.0.0 (CPython 3.11 to 3.13 on Linux)")
        return 2
    return max(_fuzz(name, asked.minutes, asked.corpus) for name in names)


def _report() -> int:
    from tests.fuzz import bounded, hostile

    server = bounded.Server()
    told = {name: server.push(name)["told"] for name in hostile.CASES}
    server.close()
    hostile.REPORT.write_text(hostile.report(told))
    print(f"{len(told)} inputs, in {hostile.REPORT}")
    return 0


def _fuzz(name: str, minutes: float, corpus: Path | None) -> int:
    """One target in a process of its own: libFuzzer ends the process that it runs in."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = (corpus or Path(temporary)) / name
        folder.mkdir(parents=True, exist_ok=True)
        flags = [f"-max_total_time={minutes * 60:.0f}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=8192"]
        program = [sys.executable, "-m", "tests.fuzz.guided", name, str(folder), *flags]
        print(f"== {name} ==", flush=True)
        return 1 if subprocess.run(program, cwd=Path.cwd(), env=_environment(), check=False).returncode else 0


def _environment() -> dict[str, str]:
    paths = [str(ROOT), str(ROOT / "layers" / "core"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


if __name__ == "__main__":
    sys.exit(main())
