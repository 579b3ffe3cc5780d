"""What only running tools tells of a serverless package: cfn-lint's rules, and importing an app of Azure.

Owns running both in processes with limits (time, memory, what they may write), on a copy of the package in a
folder that goes away, with nothing of this process's environment.  For the machine of the package's author
alone: the platform never calls it, and no tool is in a Lambda layer.  A tool that is not there is a warning
that says how to get it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path
from typing import Any

from pitrix.packages.formats.serverless import sam, schedule
from pitrix.packages.formats.serverless.answers import Answers, asked
from pitrix.packages.formats.serverless.azure import APP
from pitrix.packages.formats.serverless.manifest import AWS, AZURE, METADATA, Manifest, read, resolve
from pitrix.packages.forms import answers as forms
from pitrix.packages.model import Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext

INSTALL = "pip install 'pitrix[serverless]'"
CFN_LINT_TIMEOUT_S = 120.0
IMPORT_TIMEOUT_S = 20.0
MEMORY_MIB = 1024
#: The most that one file of a run may have, what it prints included, in blocks of ``ulimit -f`` (512 bytes;
#: 1,024 in some shells).
_FILE_BLOCKS = 16 * 1024
#: Sets the limits in a process of its own: `preexec_fn` is not safe in programs with threads.
_LIMITED = 'ulimit -c 0; ulimit -f "$2"; ulimit -v "$1" 2>/dev/null; shift 2; exec "$@"'
#: Settings of cfn-lint that a package must not bring: they can name Python files to run as rules.
_NOT_COPIED = (".cfnlintrc",)
_TRIGGERS = {
    "httpTrigger": "http",
    "timerTrigger": "schedule",
    "queueTrigger": "queue",
    "serviceBusTrigger": "queue",
    "blobTrigger": "object_created",
    "eventGridTrigger": "event",
    "eventHubTrigger": "event",
    "kafkaTrigger": "event",
    "cosmosDBTrigger": "event",
}
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def lint(files: Files) -> list[Problem]:
    """What the tools say of a package that `serverless.lint` finds no error in.

    Args:
        files: Of the whole package.
    """
    manifest = read(jsontext.read(METADATA, files[METADATA]).value)
    problems: list[Problem] = []
    if AWS in manifest.targets:
        problems += _cfn_lint_package(manifest, files)
    if AZURE in manifest.targets and manifest.functions[0].language == "python":
        problems += _import_azure(manifest, files)
    return problems


# --- running -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a run left; ``code`` is ``None`` when it was stopped because it took too long."""

    code: int | None
    output: str
    errors: str


def run(
    command: Sequence[str], folder: Path, *, timeout_s: float, environment: Mapping[str, str]
) -> Finished:
    """Run a program to its end, or stop it and everything it has started.

    Args:
        folder: Where it runs and finds its home; what it prints is kept beside it.
    """
    out, err = folder.parent / "stdout", folder.parent / "stderr"
    limits = ["sh", "-c", _LIMITED, "sh", str(MEMORY_MIB * 1024), str(_FILE_BLOCKS)]
    clean = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        **environment,
    }
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*limits, *command],
            cwd=folder,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.returncode is None:
                _end(process)
    return Finished(code=code, output=_tail(out), errors=_tail(err))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a running program and the whole group that it leads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(path: Path, most: int = 4 * 1024 * 1024) -> str:
    with path.open("rb") as file:
        return file.read(most).decode("utf-8", "replace")


def _copy(files: Files, target: Path, below: str = "") -> None:
    for path, data in files.items():
        if path.startswith(below) and not Path(path).name.startswith(_NOT_COPIED):
            place = target / path[len(below) :]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


# --- cfn-lint ----------------------------------------------------------------------------------------------


def _cfn_lint_package(manifest: Manifest, files: Files) -> list[Problem]:
    if manifest.template:
        return cfn_lint(files, manifest.template)
    form = asked(manifest, files, {}, "en")
    answers = Answers(manifest, form, forms.default_answers(form))
    made = {**files, "template.yaml": sam.template(answers, "lint").encode()}
    found = cfn_lint(made, "template.yaml")
    # Lines are those of a file that nobody wrote.
    return [
        Problem(
            file=METADATA,
            message=f"made into a SAM template: {each.message}",
            severity=each.severity,
            hint=each.hint,
        )
        if each.file == "template.yaml"
        else each
        for each in found
    ]


def cfn_lint_command() -> list[str] | None:
    """How to call cfn-lint: of this interpreter, or found on PATH; ``None`` when there is none."""
    if util.find_spec("cfnlint") is not None:
        return [sys.executable, "-I", "-c", "from cfnlint.runner import main; main()"]
    found = shutil.which("cfn-lint")
    return [found] if found else None


def cfn_lint(files: Files, template: str) -> list[Problem]:
    """What cfn-lint says of a template of the package; its rule's id stands in front of each message."""
    command = cfn_lint_command()
    if command is None:
        return [_absent(template, "cfn-lint", "its rules for templates were not checked")]
    with tempfile.TemporaryDirectory(prefix="pitrix-lint-") as made:
        folder = Path(made) / "package"
        folder.mkdir()
        _copy(files, folder)
        done = run(
            [*command, "--format", "json", "--regions", "us-east-1", "--", template],
            folder,
            timeout_s=CFN_LINT_TIMEOUT_S,
            environment={},
        )
    if done.code is None:
        return [Problem(file=template, message=f"cfn-lint took longer than {CFN_LINT_TIMEOUT_S:.0f} s")]
    try:
        matches = json.loads(done.output or "[]")
    except ValueError:
        last = (done.errors.strip().splitlines() or ["no output"])[-1][:300]
        message = f"cfn-lint failed: {last}"
        return [Problem(file=template, message=message, severity=Severity.WARNING)]
    return [_match(template, each) for each in matches if each.get("Level") != "Informational"]


def _match(template: str, match: Mapping[str, Any]) -> Problem:
    location, rule = match.get("Location", {}), match.get("Rule", {})
    return Problem(
        file=template,
        line=int(location.get("Start", {}).get("LineNumber", 0)),
        key=jsontext.pointer_of(location.get("Path") or []),
        severity=Severity.ERROR if match.get("Level") == "Error" else Severity.WARNING,
        message=f"{rule.get('Id', '')} {match.get('Message', '')}".strip(),
        hint=str(rule.get("ShortDescription", "")),
    )


def _absent(file: str, tool: str, consequence: str) -> Problem:
    return Problem(
        file=file,
        message=f"{tool} is not installed; {consequence}",
        hint=INSTALL,
        severity=Severity.WARNING,
    )


# --- Azure -------------------------------------------------------------------------------------------------


def _import_azure(manifest: Manifest, files: Files) -> list[Problem]:
    first = manifest.functions[0]
    path = f"{first.code}{APP}"
    with tempfile.TemporaryDirectory(prefix="pitrix-lint-") as made:
        folder, result = Path(made) / "app", Path(made) / "result.json"
        folder.mkdir()
        _copy(files, folder, first.code)
        with resources.as_file(
            resources.files("pitrix.packages.formats.serverless").joinpath("azure_probe.py")
        ) as probe:
            command = [sys.executable, "-I", str(probe), str(folder), str(result), str(IMPORT_TIMEOUT_S)]
            environment = _azure_environment(manifest, files)
            done = run(command, folder, timeout_s=IMPORT_TIMEOUT_S + 2, environment=environment)
        stuck = Path(f"{result}.stuck")
        if result.is_file():
            outcome = json.loads(_tail(result))
            return list(_judged(outcome, manifest, files, path))
        dump = _tail(stuck) if stuck.is_file() else ""
        return [_never_ended(dump, done, folder.resolve(), path, first.code)]


def _azure_environment(manifest: Manifest, files: Files) -> dict[str, str]:
    """What the app finds in its environment: default answers, and names in place of resources."""
    form = asked(manifest, files, {}, "en")
    answers = Answers(manifest, form, forms.default_answers(form))
    variables: dict[str, str] = {}
    for function in manifest.functions:
        variables |= answers.environment(function)
    told = {
        name: resolve(text, lambda kind, key: answers.text(key) if kind == "env" else key)
        for name, text in variables.items()
    }
    fixed = {"FUNCTIONS_WORKER_RUNTIME": "python", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    # What steers the interpreter or the loader is not the package's to set.
    return fixed | {
        name: text for name, text in told.items() if not name.startswith(("PYTHON", "LD_", "DYLD_"))
    }


def _never_ended(dump: str, done: Finished, folder: Path, path: str, code: str) -> Problem:
    for file, line in _FRAME.findall(dump):
        if Path(file).is_relative_to(folder):
            where = f"{code}{Path(file).relative_to(folder)}"
            message = f"importing {path} did not end within {IMPORT_TIMEOUT_S:.0f} s; it was here"
            return Problem(
                file=where, line=int(line), message=message, hint="do the work inside of a function"
            )
    if done.code is None or dump:
        return Problem(file=path, message=f"importing it did not end within {IMPORT_TIMEOUT_S:.0f} s")
    last = (done.errors.strip().splitlines() or [f"exit code {done.code}"])[-1][:300]
    hint = f"an import has {MEMORY_MIB} MiB of memory"
    return Problem(file=path, message=f"importing it ended the interpreter: {last}", hint=hint)


def _judged(outcome: dict[str, Any], manifest: Manifest, files: Files, path: str) -> Iterator[Problem]:
    code = manifest.functions[0].code
    if "missing" in outcome:
        yield _absent(path, "azure-functions", "the import of the app was not checked")
        return
    effects = outcome.get("effects", [])
    for each in effects:
        file = f"{code}{each['file']}" if each["file"] else path
        message = f"importing the app {each['does']}"
        hint = "an app is imported at every cold start: do it inside of a function"
        yield Problem(file=file, line=each["line"], message=message, hint=hint)
    if "error" in outcome:
        if outcome["error"]["kind"] != "SideEffect":
            yield _import_error(outcome["error"], files, code, path)
        return
    if outcome["apps"] != 1:
        message = f"there are {outcome['apps']} FunctionApps at the top level; Azure takes one"
        yield Problem(file=path, message=message)
    found = {each["name"]: each for each in outcome["functions"]}
    for function in manifest.functions:
        if function.name not in found:
            message = f"importing it registers no function {function.name!r}"
            yield Problem(file=path, message=message, hint=f"it registers {', '.join(found) or 'none'}")
    for name, each in found.items():
        yield from _compared(name, each["bindings"], manifest, path)


def _import_error(error: Mapping[str, Any], files: Files, code: str, path: str) -> Problem:
    file = f"{code}{error['file']}" if error["file"] else path
    message, line = f"importing the app fails: {error['message']}", int(error["line"])
    if error["kind"] != "ModuleNotFoundError":
        return Problem(file=file, line=line, message=message)
    if f"{code}requirements.txt" in files:
        hint = f"install the package's {code}requirements.txt here, so that the import can be checked"
        return Problem(file=file, line=line, message=message, hint=hint, severity=Severity.WARNING)
    hint = f"put the module into the package, or name it in {code}requirements.txt"
    return Problem(file=file, line=line, message=message, hint=hint)


def _compared(name: str, bindings: list[Any], manifest: Manifest, path: str) -> Iterator[Problem]:
    """What the app registers against what the manifest says."""
    if name not in {each.name for each in manifest.functions}:
        message = f"{name!r} is registered, but package.json does not name it"
        yield Problem(file=path, message=message, hint="add it to functions")
        return
    wanted = next(iter(manifest.triggers_of(name)), None)
    for binding in bindings:
        kind = _TRIGGERS.get(str(binding.get("type")))
        if wanted is None or not str(binding.get("type", "")).endswith("Trigger") or kind is None:
            continue
        if kind != wanted.type:
            message = f"{name} has a {binding['type']}; package.json says {wanted.type}"
            yield Problem(file=path, message=message, hint="say the same in both")
        elif kind == "http" and str(binding.get("route") or "").strip("/") != wanted.text("path").strip("/"):
            message = (
                f"{name} answers at /{binding.get('route') or ''}; package.json says {wanted.text('path')}"
            )
            yield Problem(file=path, message=message, hint="say the same in both", severity=Severity.WARNING)
        elif kind == "schedule" and "%" not in str(binding.get("schedule")):
            told = schedule.read(wanted.raw).azure()
            if " ".join(str(binding.get("schedule")).split()) != told:
                message = f"{name} runs at {binding.get('schedule')!r}; package.json says {told!r}"
                yield Problem(
                    file=path, message=message, hint="say the same in both", severity=Severity.WARNING
                )
