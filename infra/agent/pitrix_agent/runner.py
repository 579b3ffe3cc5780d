"""Runs the commands that Pilot sends: each id once, with a time-out, its output streamed and capped.

Owns processes and their results. A command is ``sh -c`` in a session of its own, so that a time-out ends
all of it; what it leaves in the background (a daemon) lives on when it exits by itself. Output goes to a
file, not a pipe: a daemon that inherited it must not die with the agent. Kinds that are no process are in
``actions``.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pitrix_agent.config import Config
from pitrix_agent.frames import Frame
from pitrix_agent.journal import Entry, Journal, group_lives, process_started
from pitrix_agent.metadata import MetadataStore

_log = logging.getLogger("pitrix.runner")

#: Of the output, what is kept and reported; the same limit as in ``pitrix/pilot/model.py``.
TAIL_CHARS = 4_000
#: An output file larger than this is emptied; only the tail counts anyway.
OUTPUT_FILE_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024
#: How often a running command's output is sent.
STREAM_INTERVAL_S = 1.0
#: Between TERM and KILL.
KILL_GRACE_S = 5.0
#: A result that is not acknowledged is sent again after so long.
RESEND_S = 30.0
#: How long a command waits for the metadata that it was planned with.
METADATA_TIMEOUT_S = 60.0

# The command's exit code ends up in a file, so that an agent which was restarted meanwhile still learns it.
_WRAPPER = 'sh -c "$1"; code=$?; echo "$code" > "$2.new" && mv "$2.new" "$2"; exit "$code"'

Action = Callable[[dict[str, Any]], Awaitable[str]]


class CommandError(Exception):
    """A command cannot be carried out; the message goes to the owner of the cluster."""


class Output:
    """The output of one process, followed while it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.tail = ""
        self.truncated = False

    def read(self) -> str:
        """Take in what came since the last time and return it, its last part if it was much."""
        size = self._path.stat().st_size
        if size < self._offset:  # it was emptied
            self._offset = 0
        if size - self._offset > _READ_BYTES:
            self._offset = size - _READ_BYTES
            self.truncated = True
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(_READ_BYTES)
        self._offset += len(data)
        if self._offset > OUTPUT_FILE_BYTES:
            os.truncate(self._path, 0)
            self._offset = 0
            self.truncated = True
        new = self._decoder.decode(data)
        text = self.tail + new
        self.truncated = self.truncated or len(text) > TAIL_CHARS
        self.tail = text[-TAIL_CHARS:]
        return new[-TAIL_CHARS:]


class Runner:
    """See the module. ``emit`` sends a frame if it can; ``actions`` are the kinds other than ``exec``."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        metadata: MetadataStore,
        *,
        emit: Callable[[Frame], object],
        environment: Callable[[], Mapping[str, str]],
        actions: Mapping[str, Action],
    ) -> None:
        self._config = config
        self._journal = journal
        self._metadata = metadata
        self._emit = emit
        self._environment = environment
        self._actions = actions
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: Tasks are cancelled as well when the agent stops; only these are to be killed.
        self._cancelled: set[str] = set()

    # --- what comes in -------------------------------------------------------------------------------------

    def submit(self, command: dict[str, Any]) -> None:
        """Run a command unless its id was run before; then its result, if there is one, is sent again."""
        command_id = str(command["id"])
        entry = self._journal.get(command_id)
        if entry is not None and entry["state"] == "done":
            self._emit(entry["result"])
        elif entry is None and command_id not in self._tasks:
            self._begin(command_id, self._run(command))

    def cancel(self, command_id: str) -> None:
        """Kill a command that is running; nothing happens to one that is not."""
        if command_id in self._tasks:
            self._cancelled.add(command_id)
            self._tasks[command_id].cancel()

    def acknowledged(self, command_id: str) -> None:
        """Pilot has the result: it need not be sent again."""
        entry = self._journal.get(command_id)
        if entry is not None and entry["state"] == "done" and not entry.get("acked"):
            entry["acked"] = True
            self._journal.save(entry)

    def known(self) -> list[str]:
        """Return the ids that Pilot need not send again: running, or with a result on its way."""
        ids = [entry["id"] for entry in self._journal.open_entries()] + list(self._tasks)
        return list(dict.fromkeys(ids))[-100:]

    def resend(self) -> None:
        """Send every result that Pilot has not acknowledged."""
        for entry in self._journal.open_entries():
            if entry["state"] == "done":
                self._emit(entry["result"])

    # --- the life of the agent -----------------------------------------------------------------------------

    def recover(self) -> None:
        """Take up what an earlier run of the agent has left."""
        for entry in self._journal.open_entries():
            if entry["state"] == "done":
                continue
            if entry["kind"] != "exec":
                self._journal.drop(entry["id"])  # may be repeated, and Pilot sends it again
            else:
                self._begin(entry["id"], self._adopt(entry))

    async def keep_house(self) -> None:
        """Re-send results and keep the journal small, until cancelled."""
        while True:
            await asyncio.sleep(RESEND_S)
            self.resend()
            try:
                self._journal.cut_outputs(OUTPUT_FILE_BYTES)
                self._journal.prune()
            except OSError:
                _log.exception("the journal could not be cleaned")

    def _begin(self, command_id: str, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[command_id] = task
        task.add_done_callback(lambda _: self._ended(command_id))

    def _ended(self, command_id: str) -> None:
        self._tasks.pop(command_id, None)
        self._cancelled.discard(command_id)

    # --- running -------------------------------------------------------------------------------------------

    async def _run(self, command: dict[str, Any]) -> None:
        entry: Entry = {
            "id": command["id"],
            "kind": command["kind"],
            "state": "running",
            "deadline": time.time() + float(command["timeout_s"]),
        }
        try:
            await self._await_metadata(int(command.get("metadata_version", 0)))
            self._journal.save(entry)
            if command["kind"] == "exec":
                await self._execute(entry, command)
            else:
                await self._act(entry, command)
        except asyncio.CancelledError:
            if entry["id"] in self._cancelled:
                self._finish(entry, error="it was cancelled")
            raise
        except (CommandError, OSError) as error:
            self._finish(entry, error=str(error))
        except Exception as error:
            _log.exception("command %s", command["id"])
            self._finish(entry, error=f"{type(error).__name__}: {error}")

    async def _await_metadata(self, version: int) -> None:
        if self._metadata.version >= version:
            return
        self._emit({"type": "sync", "agent": self._config.agent_id})
        deadline = time.monotonic() + METADATA_TIMEOUT_S
        while self._metadata.version < version:
            if time.monotonic() > deadline:
                raise CommandError("the cluster's metadata did not reach the node")
            await asyncio.sleep(0.02)

    async def _act(self, entry: Entry, command: dict[str, Any]) -> None:
        action = self._actions.get(command["kind"])
        if action is None:
            raise CommandError("this agent does not know the command kind {!r}".format(command["kind"]))
        try:
            done = await asyncio.wait_for(action(command["payload"]), float(command["timeout_s"]))
        except TimeoutError:
            self._finish(entry, timed_out=True)
        else:
            self._finish(entry, exit_code=0, tail=done)

    async def _execute(self, entry: Entry, command: dict[str, Any]) -> None:
        folder = self._working_folder(str(command.get("cwd", "")))
        out_path = self._journal.output_path(entry["id"])
        environment = dict(self._environment())
        environment["PITRIX_COMMAND_ID"] = entry["id"]
        environment.update({str(k): str(v) for k, v in command.get("env", {}).items()})
        with open(os.open(str(out_path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                _WRAPPER,
                "sh",
                str(command["cmd"]),
                str(self._journal.exit_path(entry["id"])),
                cwd=str(folder),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        entry["pid"], entry["pid_started"] = process.pid, process_started(process.pid)
        self._journal.save(entry)
        output = Output(out_path)
        stream = asyncio.ensure_future(self._stream(entry["id"], output))
        try:
            code = await asyncio.wait_for(process.wait(), float(command["timeout_s"]))
            self._finish(entry, output=output, exit_code=code if code >= 0 else 128 - code)
        except TimeoutError:
            await _kill_group(process.pid)
            await process.wait()
            self._finish(entry, output=output, timed_out=True)
        except asyncio.CancelledError:
            if entry["id"] in self._cancelled:
                await _kill_group(process.pid)
            raise
        finally:
            stream.cancel()

    async def _adopt(self, entry: Entry) -> None:
        """Wait for a process that an earlier run of the agent began."""
        pid, exit_path = entry.get("pid"), self._journal.exit_path(entry["id"])
        out_path = self._journal.output_path(entry["id"])
        output = Output(out_path) if out_path.exists() else None
        try:
            while pid and process_started(pid) and process_started(pid) == entry.get("pid_started"):
                if time.time() > float(entry.get("deadline", 0)):
                    await _kill_group(pid)
                    self._finish(entry, output=output, timed_out=True)
                    return
                await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            if entry["id"] in self._cancelled:
                if pid:
                    await _kill_group(pid)
                self._finish(entry, output=output, error="it was cancelled")
            raise
        try:
            self._finish(entry, output=output, exit_code=int(exit_path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            self._finish(entry, output=output, error="it was interrupted: the node or its agent restarted")

    async def _stream(self, command_id: str, output: Output) -> None:
        seq = 0
        while True:
            await asyncio.sleep(STREAM_INTERVAL_S)
            text = output.read()
            if text:
                seq += 1
                self._emit(
                    {
                        "type": "output",
                        "agent": self._config.agent_id,
                        "command": command_id,
                        "seq": seq,
                        "data": text,
                    }
                )

    def _finish(
        self,
        entry: Entry,
        *,
        exit_code: int | None = None,
        timed_out: bool = False,
        error: str = "",
        tail: str = "",
        output: Output | None = None,
    ) -> None:
        if output is not None:
            with contextlib.suppress(OSError):
                while output.read():
                    pass
            tail = output.tail
        entry["state"] = "done"
        entry["result"] = {
            "type": "result",
            "agent": self._config.agent_id,
            "command": entry["id"],
            "exit_code": exit_code,
            "timed_out": timed_out,
            "error": error[:2000],
            "output_tail": tail[-TAIL_CHARS:],
            "output_truncated": output is not None and output.truncated,
        }
        try:
            self._journal.save(entry)
        except OSError:  # a full disk is no reason to say nothing
            _log.exception("the result of %s could not be written", entry["id"])
        self._emit(entry["result"])

    def _working_folder(self, cwd: str) -> Path:
        app_dir = self._config.app_dir
        folder = (app_dir / cwd).resolve()
        if folder != app_dir.resolve() and app_dir.resolve() not in folder.parents:
            raise CommandError(f"the working folder {cwd!r} is outside of the application's")
        if not folder.is_dir():
            raise CommandError(f"there is no folder {cwd!r} in the application's")
        return folder


async def _kill_group(pid: int) -> None:
    """End a process group: TERM, and KILL after a grace time."""
    deadline = time.monotonic() + KILL_GRACE_S
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        while group_lives(pid) and (number == signal.SIGTERM and time.monotonic() < deadline):
            await asyncio.sleep(0.05)
