"""What the agent has been told to run and what became of it, on disk.

Owns the promise that a command id runs at most once: its entry is on the disk before anything happens, and
whoever finds an entry does not begin again. An entry is ``<id>.json``; ``<id>.out`` is the output of its
process, ``<id>.exit`` its exit code, written by the process itself so that a restarted agent can read it.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pitrix_agent.config import write_private

Entry = dict[str, Any]

#: Finished and acknowledged entries are kept this long to recognise a repeated id, ...
KEEP_S = 7 * 24 * 3600
#: ... and no more than so many of them.
KEEP_ENTRIES = 500


class Journal:
    """The entries in one folder.

    An entry holds ``id``, ``kind``, ``state`` (``running`` or ``done``), ``acked``, ``at`` and ``deadline``
    (epoch seconds), ``pid`` and ``pid_started`` once there is a process, and when done the ``result`` frame.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._entries: dict[str, Entry] = {}
        for path in folder.glob("*.json"):
            try:
                self._entries[unquote(path.stem)] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                # Written all or nothing, so only a broken disk gets here; running it again would be worse.
                command_id = unquote(path.stem)
                self._entries[command_id] = {"id": command_id, "kind": "exec", "state": "running", "at": 0}

    def get(self, command_id: str) -> Entry | None:
        return self._entries.get(command_id)

    def open_entries(self) -> list[Entry]:
        """Return what is not done, or not acknowledged, oldest first."""
        found = [e for e in self._entries.values() if not (e["state"] == "done" and e.get("acked"))]
        return sorted(found, key=lambda entry: float(entry["at"]))

    def drop(self, command_id: str) -> None:
        """Forget an entry; the id may be run again."""
        self._entries.pop(command_id, None)
        for suffix in (".json", ".out", ".exit"):
            path = self._path(command_id, suffix)
            if path.exists():
                path.unlink()

    def save(self, entry: Entry) -> None:
        """Put an entry on the disk."""
        entry.setdefault("at", time.time())
        self._entries[entry["id"]] = entry
        write_private(self._path(entry["id"], ".json"), json.dumps(entry, ensure_ascii=False))

    def output_path(self, command_id: str) -> Path:
        return self._path(command_id, ".out")

    def exit_path(self, command_id: str) -> Path:
        return self._path(command_id, ".exit")

    def prune(self) -> None:
        """Drop what is old. The output of a process group that still lives stays: it may be writing there."""
        done = [e for e in self._entries.values() if e["state"] == "done" and e.get("acked")]
        done.sort(key=lambda entry: float(entry["at"]), reverse=True)
        oldest = time.time() - KEEP_S
        for position, entry in enumerate(done):
            if position < KEEP_ENTRIES and float(entry["at"]) > oldest:
                continue
            if not group_lives(entry.get("pid")):
                self.drop(entry["id"])

    def cut_outputs(self, limit: int) -> None:
        """Empty outputs larger than ``limit`` bytes: daemons keep the output of the command that began them.

        They append, so what they write next lands at the beginning of the emptied file.
        """
        for path in self._folder.glob("*.out"):
            if path.stat().st_size > limit:
                os.truncate(path, 0)

    def _path(self, command_id: str, suffix: str) -> Path:
        return self._folder / (quote(command_id, safe="") + suffix)


def process_started(pid: int) -> str:
    """Return what tells a process from a later one of the same id, or "" where it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ends while its file is read
        pass
    if Path("/proc/self/stat").exists():
        return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def group_lives(pid: int | None) -> bool:
    """Tell whether the process group that was led by ``pid`` has a member left."""
    if not pid:
        return False
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
