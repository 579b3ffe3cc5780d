"""A program of its own: imports an Azure Functions app and writes down what it registers.

Owns one thing: ``function_app.py`` is imported, its ``FunctionApp`` asked for its functions, and the outcome
written as JSON.  Run by `serverless.tools` in a process with limits, never imported by anything: it uses
nothing of Pitrix.  While the app is imported, what reaches beyond its folder (files written elsewhere,
connections, other programs) is refused and told: an app is imported at every cold start.  That is a check of
honest mistakes, not a wall: what must not be run at all must not be linted deeply.

Usage: python -I serverless_azure_probe.py FOLDER RESULT_FILE SECONDS
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

_MODULE = "function_app"
_REFUSED = {
    "socket.connect": "opens a connection",
    "socket.getaddrinfo": "looks up a host",
    "subprocess.Popen": "starts a program",
    "os.system": "starts a program",
    "os.exec": "starts a program",
    "os.posix_spawn": "starts a program",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.kill": "ends a process",
}
_CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
            "os.chmod", "os.chown", "shutil.rmtree", "shutil.move", "shutil.copyfile"}  # fmt: skip


class SideEffect(Exception):
    """Something that importing an app must not do."""


def main(folder: str, result: str, seconds: str) -> None:
    """Import the app below ``folder`` and write the outcome to ``result``."""
    root = Path(folder).resolve()
    # The dump goes into the result, so that whoever stops this process knows where it hung.
    stuck = Path(result + ".stuck").open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    faulthandler.dump_traceback_later(float(seconds), exit=True, file=stuck)
    outcome = _probe(root)
    faulthandler.cancel_dump_traceback_later()
    _write(result, outcome)
    os._exit(0)  # threads that the app has started must not keep us


def _write(result: str, outcome: dict[str, Any]) -> None:
    _allowed.append(str(Path(result).parent))
    Path(result).write_text(json.dumps(outcome), encoding="utf-8")


_allowed: list[str] = []
_seen: list[dict[str, Any]] = []
_watching = [False]


def _probe(root: Path) -> dict[str, Any]:
    try:
        import azure.functions as library
    except ImportError as error:
        return {"missing": str(error)}
    _allowed.append(str(root))
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    _root[0] = str(root)
    sys.addaudithook(_audit)
    _watching[0] = True
    try:
        with contextlib.redirect_stdout(sys.stderr):
            names = vars(importlib.import_module(_MODULE))
            apps = [each for each in names.values() if isinstance(each, library.FunctionApp)]
            functions = [_described(each) for app in apps[:1] for each in app.get_functions()]
    except BaseException as error:  # whatever the app raises, SystemExit too
        return {"error": _explained(error, root), "effects": _seen}
    finally:
        _watching[0] = False
    return {"apps": len(apps), "functions": functions, "effects": _seen}


def _described(function: Any) -> dict[str, Any]:
    bindings = [each.get_dict_repr() for each in function.get_bindings()]
    return {"name": function.get_function_name(), "bindings": json.loads(json.dumps(bindings, default=str))}


def _explained(error: BaseException, root: Path) -> dict[str, Any]:
    """What was raised, and the last line of the app's own code on the way there."""
    file, line = "", 0
    if isinstance(error, SyntaxError) and error.filename:
        file, line = str(error.filename), error.lineno or 0
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if Path(frame.filename).is_absolute() and Path(frame.filename).is_relative_to(root):
                file, line = frame.filename, frame.lineno or 0
    with contextlib.suppress(ValueError):
        file = str(Path(file).relative_to(root))
    text = f"{type(error).__name__}: {error}"[:500]
    return {"message": text, "file": file, "line": line, "module": getattr(error, "name", None) or "",
            "kind": type(error).__name__}  # fmt: skip


_root = [""]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching[0]:
        return
    does = _REFUSED.get(event, "")
    if event == "open":
        does = _opens(arguments)
    elif event in _CHANGES:
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
        does = "" if not path or _inside(path) else f"changes {path[:200]}"
    if does:
        _watching[0] = False  # finding the place opens files
        place = _place()
        _watching[0] = True
        _seen.append({"does": does, **place})
        raise SideEffect(f"importing the app {does}")


def _opens(arguments: tuple[Any, ...]) -> str:
    path, mode, flags = (*arguments, None, None, None)[:3]
    writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
    if not writes and isinstance(flags, int):
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))
    if not writes or not isinstance(path, str | bytes):
        return ""
    name = os.fsdecode(path)
    return "" if _inside(name) or name == os.devnull else f"writes {name[:200]}"


def _inside(path: str) -> bool:
    whole = os.path.realpath(path)
    return any(whole == each or whole.startswith(each + os.sep) for each in _allowed)


def _place() -> dict[str, Any]:
    """The nearest line of the app's own code."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_root[0] + os.sep):
            return {"file": os.path.relpath(name, _root[0]), "line": frame.f_lineno}
        frame = frame.f_back  # type: ignore[assignment]
    return {"file": "", "line": 0}


if __name__ == "__main__":
    main(*sys.argv[1:])
