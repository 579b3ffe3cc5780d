"""One data directory: everything a platform on this machine keeps between runs.

Owns its layout, its version, its lock and the record of what runs. Never starts or stops a process.

    version.json  what made the directory             lock          held (flock) by the running supervisor
    run.json      processes of the running platform   gateway.json  which API answers on the port
    logins.json   seeded users; for its owner alone   kept.json     tokens, ports; for its owner alone
    state/ s3/    the emulator's                      hypervisor/   the local provider's machines
    layers/       built Lambda layers                 tmp/ logs/    scratch space; a log of each function
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import IO, Any

from infra.local.processes import Identity, is_running
from infra.local.progress import UserError

FORMAT = 1
"""Raised whenever an older directory could not be used as it is."""


class DataDir:
    """A data directory on disk; ``claim`` before changing anything in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.state = self.path / "state"
        self.objects = self.path / "s3"
        self.hypervisor = self.path / "hypervisor"
        self.layers = self.path / "layers"
        self.tmp = self.path / "tmp"
        self.logs = self.path / "logs"
        self.gateway = self.path / "gateway.json"
        self.logins = self.path / "logins.json"
        self._version = self.path / "version.json"
        self._run = self.path / "run.json"
        self._kept = self.path / "kept.json"
        self._lock: IO[str] | None = None

    def claim(self, *, emulator: str, reset: bool = False) -> None:
        """Become the one process that may use the directory; make it when it is missing.

        Args:
            emulator: Name and version of the emulator, as pinned; its files are not readable by older ones.
            reset: Empty the directory first, whatever version made it.

        Raises:
            UserError: Another platform runs in it, another version made it, or it is somebody else's
                directory.
        """
        self._refuse_foreign()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The directory {self.path} cannot be made ({error.strerror}). Name another by --data."
            ) from None
        lock = open(self.path / "lock", "a+")  # noqa: SIM115 - held open for as long as this process lives
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise UserError(self._busy()) from None
        try:
            if reset:
                self._empty()
            self._check_version(emulator)
        except BaseException:
            lock.close()
            raise
        self._lock = lock
        self._version.write_text(json.dumps({"format": FORMAT, "emulator": emulator}))
        for directory in (self.state, self.objects, self.hypervisor, self.layers, self.tmp, self.logs):
            directory.mkdir(exist_ok=True)
        os.chmod(self.path, 0o700)

    def check(self, *, emulator: str, reset: bool = False) -> None:
        """Refuse early what ``claim`` would refuse, without changing anything.

        Raises:
            UserError: As ``claim``.
        """
        self._refuse_foreign()
        if self.is_claimed():
            raise UserError(self._busy())
        if not reset:
            self._check_version(emulator)

    def release(self) -> None:
        """Let others claim the directory; the end of the process does so too."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def is_ours(self) -> bool:
        """Whether this process claimed the directory."""
        return self._lock is not None

    def is_claimed(self) -> bool:
        """Whether a supervisor holds the directory at this moment."""
        try:
            with open(self.path / "lock", "r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def record(self, **values: Any) -> None:
        """Add to what is known about the running platform (identities, port, phase)."""
        known = self.running() | {
            name: dataclasses.asdict(value) if isinstance(value, Identity) else value
            for name, value in values.items()
        }
        write_private(self._run, known)

    def running(self) -> dict[str, Any]:
        """What the last supervisor recorded; may be about processes that are gone."""
        recorded: dict[str, Any] = read_json(self._run, {})
        return recorded

    def leftovers(self) -> list[Identity]:
        """Processes that an earlier supervisor started and that outlived it."""
        recorded = [Identity(**value) for value in self.running().values() if isinstance(value, dict)]
        return [identity for identity in recorded if is_running(identity) and identity.pid != os.getpid()]

    def forget_run(self) -> None:
        """Nothing runs any more."""
        self._run.unlink(missing_ok=True)

    def secret(self, name: str) -> str:
        """A random token made once in this directory."""
        return self.keep(name, secrets.token_urlsafe(24))

    def keep(self, name: str, value: str, *, anew: bool = False) -> str:
        """The value kept under a name from an earlier run; the given one when there is none, or ``anew``."""
        known: dict[str, str] = read_json(self._kept, {})
        if name not in known or anew:
            known[name] = value
            write_private(self._kept, known)
        return known[name]

    def clean_tmp(self) -> None:
        """Remove the scratch space of a platform that ended."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir(parents=True, exist_ok=True)

    def _refuse_foreign(self) -> None:
        if self.path.is_dir():
            names = {entry.name for entry in self.path.iterdir()}
            if names - {"lock"} and self._version.name not in names:
                raise UserError(
                    f"{self.path} is not empty and was not made by Pitrix: choose another --data directory."
                )
        elif self.path.exists():
            raise UserError(f"{self.path} is not a directory: choose another --data directory.")

    def _busy(self) -> str:
        run = self.running()
        where = f" on port {run['port']}" if "port" in run else ""
        who = f" (process {run['supervisor']['pid']})" if "supervisor" in run else ""
        how = f"Stop it with: ./infra/up --stop --data {self.path}"
        return f"A platform already runs in {self.path}{where}{who}. {how}"

    def _check_version(self, emulator: str) -> None:
        made_by: dict[str, Any] = read_json(self._version, {"format": FORMAT, "emulator": emulator})
        if made_by != {"format": FORMAT, "emulator": emulator}:
            raise UserError(
                f"{self.path} belongs to another version of Pitrix (format {made_by.get('format')}, "
                f"{made_by.get('emulator')}; this one is format {FORMAT}, {emulator}). "
                "Start over with --reset, or choose another --data directory."
            )

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()


def read_json(path: Path, default: Any) -> Any:
    """The JSON in a file, or the default when there is no file or it was cut short by a crash."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return default


def write_private(path: Path, value: Any) -> None:
    """Replace a JSON file at once, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file, indent=2)
    os.replace(draft, path)
