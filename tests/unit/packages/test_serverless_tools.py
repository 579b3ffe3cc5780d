"""The deep check of serverless packages: real tools, on the author's machine, within limits."""

from __future__ import annotations

import json
import sys
import time
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from pitrix.packages import archive, service
from pitrix.packages.formats.serverless import tools as serverless_tools
from pitrix.packages.model import Problem, Severity
from tests.unit.packages import serverless_samples
from tests.unit.packages.serverless_samples import AZURE_APP, changed


def deep(app: str = AZURE_APP, **more: Any) -> list[Problem]:
    return serverless_tools.lint(serverless_samples.azure(**{"src/function_app.py": app, **more}))


def line_of(app: str, text: str) -> int:
    return next(at for at, line in enumerate(app.splitlines(), 1) if text in line)


def write(files: dict[str, bytes], folder: Path) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


# --- importing an app of Azure -----------------------------------------------------------------------------


def test_a_sound_app_is_imported_with_its_answers_in_the_environment() -> None:
    # The sample reads os.environ["TITLE"] while it is imported.
    assert deep() == []


def test_the_service_runs_it_only_when_asked(tmp_path: Path) -> None:
    files = serverless_samples.azure(**{"src/function_app.py": AZURE_APP + "\nraise ValueError('no')\n"})
    folder = write(files, tmp_path)
    assert service.lint(folder) == []
    found = service.lint(folder, deeply=True)
    assert ["importing the app fails: ValueError: no" in each.message for each in found] == [True]


def test_what_is_known_to_be_broken_is_not_run() -> None:
    files = serverless_samples.azure(**{"src/function_app.py": "def f(:\n"})
    assert serverless_tools_of(files) == []


def serverless_tools_of(files: dict[str, bytes]) -> list[Problem]:
    """What the format itself makes of a deep check."""
    from pitrix.packages import ports

    return ports.get("serverless").lint_deeply(files)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("NAME = os.environ['NOT_ASKED_FOR']", "KeyError: 'NOT_ASKED_FOR'"),
        ("import helper_that_is_not_there", "No module named 'helper_that_is_not_there'"),
        ("def recurse(): return recurse()\nrecurse()", "RecursionError"),
        ("HOG = 'x' * (4 << 30)", "MemoryError"),
    ],
)
def test_what_an_import_raises_is_told_by_file_and_line(code: str, message: str) -> None:
    app = f"{AZURE_APP}\n\n{code}\n"
    found = [each for each in deep(app) if each.severity == Severity.ERROR]
    assert [message in each.message for each in found] == [True], found
    first = len(AZURE_APP.splitlines()) + 3
    assert found[0].file == "src/function_app.py"
    assert first <= found[0].line <= first + code.count("\n")


def test_errors_of_other_modules_are_told_by_theirs() -> None:
    found = deep(f"import helper\n{AZURE_APP}", **{"src/helper.py": "\n\nx = undefined\n"})
    assert [(each.file, each.line) for each in found] == [("src/helper.py", 3)]
    assert "NameError" in found[0].message


def test_libraries_that_are_not_installed_here_are_a_warning_if_the_package_names_them() -> None:
    app = f"import numpie\n{AZURE_APP}"
    (error,) = deep(app)
    assert (error.severity, "requirements.txt" in error.hint) == (Severity.ERROR, True)
    (warning,) = deep(app, **{"src/requirements.txt": "numpie\n"})
    assert (warning.severity, "install" in warning.hint) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    ("said", "instead", "message"),
    [
        ('function_name("api")', 'function_name(name="a" + "pis")', "registers no function 'api'"),
        ('route="pictures/{id}"', 'route="pic" + "s"', "api answers at /pics"),
        ('schedule="0 30 2', 'schedule="0 " + "30 4', "nightly runs at '0 30 4"),
        ('queue_trigger(arg_name="msg", queue_name="jobs"', 'blob_trigger(arg_name="msg", path="a/b"',
         "a blobTrigger"),
        ("def nightly(", "def api(", "unique function name"),
        ("def worker(msg", "def worker(message", ""),
    ],
)  # fmt: skip
def test_what_the_app_registers_is_compared_with_the_manifest(said: str, instead: str, message: str) -> None:
    assert said in AZURE_APP
    found = deep(AZURE_APP.replace(said, instead))
    assert bool(message) == bool(found)
    assert not message or any(message in each.message for each in found), found


def test_two_apps_or_none() -> None:
    found = deep(f"{AZURE_APP}\nother = func.FunctionApp()\n")
    assert any("there are 2 FunctionApps" in each.message for each in found)


# --- hostile apps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["while True:\n    pass", "import time\ntime.sleep(1000)", "x = list(iter(int, 1))"]
)
def test_an_import_that_never_ends_is_stopped_and_found(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless_tools, "IMPORT_TIMEOUT_S", 2.0)
    app = f"{AZURE_APP}\n\n{code}\n"
    began = time.monotonic()
    (found,) = deep(app)
    assert time.monotonic() - began < 15
    assert found.file == "src/function_app.py"
    assert "did not end within 2 s" in found.message or "MemoryError" in found.message
    assert found.line > len(AZURE_APP.splitlines())


def test_not_even_code_that_ignores_signals_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless_tools, "IMPORT_TIMEOUT_S", 1.0)
    app = "import faulthandler, signal\nfaulthandler.cancel_dump_traceback_later()\n"
    app += "for each in (signal.SIGTERM, signal.SIGINT):\n    signal.signal(each, signal.SIG_IGN)\n"
    app += f"{AZURE_APP}\nwhile True:\n    pass\n"
    (found,) = deep(app)
    assert "did not end within 1 s" in found.message


def test_files_outside_are_not_written(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    kept = tmp_path / "kept.txt"
    kept.write_text("kept")
    app = f"open({str(outside)!r}, 'w').write('x')\n{AZURE_APP}"
    (found,) = deep(app)
    assert f"writes {outside}" in found.message
    assert (found.file, found.line) == ("src/function_app.py", 1)
    (removed,) = deep(f"import os\nos.remove({str(kept)!r})\n{AZURE_APP}")
    assert ("changes" in removed.message, removed.line) == (True, 2)
    assert not outside.exists()
    assert kept.read_text() == "kept"


def test_what_is_written_inside_goes_away_with_the_copy(tmp_path: Path) -> None:
    folder = write(serverless_samples.azure(), tmp_path)
    before = sorted(folder.rglob("*"))
    app = "import pathlib, tempfile\npathlib.Path('cache.txt').write_text('x')\ntempfile.mkdtemp()\n"
    (folder / "src/function_app.py").write_text(app + AZURE_APP)
    assert service.lint(folder, deeply=True) == []
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("code", "does"),
    [
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "opens a connection|looks up a host"),
        ("import subprocess\nsubprocess.run(['true'])", "starts a program"),
        ("import os\nos.system('true')", "starts a program"),
        ("try:\n    import os\n    os.fork()\nexcept Exception:\n    pass", "starts a process"),
    ],
)
def test_connections_and_programs_are_refused(code: str, does: str) -> None:
    found = deep(f"{code}\n{AZURE_APP}")
    assert any(each in problem.message for each in does.split("|") for problem in found), found
    assert found[0].line in (2, 3)


def test_nothing_of_this_process_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    app = f"{AZURE_APP}\nraise ValueError(sorted(os.environ), os.environ['HOME'])\n"
    (found,) = deep(app)
    assert "AWS_SECRET_ACCESS_KEY" not in found.message
    assert str(Path.home()) not in found.message
    assert "TITLE" in found.message


def test_an_answer_cannot_steer_the_interpreter() -> None:
    config = changed(serverless_samples.CONFIG, "/properties/0/properties/0/default", "x")
    config["properties"][0]["properties"].append(
        {"key": "LD_PRELOAD", "type": "string", "default": "/evil.so"}
    )
    app = f"{AZURE_APP}\nraise ValueError('LD_PRELOAD' in os.environ)\n"
    (found,) = deep(app, **{"config.json": config})
    assert "ValueError: False" in found.message


def test_what_it_prints_is_neither_shown_nor_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless_tools, "IMPORT_TIMEOUT_S", 10.0)
    app = f"import sys\nfor _ in range(400):\n    sys.stderr.write('x' * 100_000)\n{AZURE_APP}"
    began = time.monotonic()
    (found,) = deep(app)
    assert time.monotonic() - began < 10
    assert "x" * 1000 not in found.message


# --- cfn-lint ----------------------------------------------------------------------------------------------


def test_plain_code_is_checked_as_the_template_that_it_becomes(monkeypatch: pytest.MonkeyPatch) -> None:
    real = serverless_tools.sam.template

    def too_small(answers: Any, title: str) -> str:
        return real(answers, title).replace("MemorySize: 1024", "MemorySize: 1")

    monkeypatch.setattr(serverless_tools.sam, "template", too_small)
    found = serverless_tools.lint(serverless_samples.files())
    assert [(each.file, each.severity) for each in found] == [("package.json", Severity.ERROR)]
    assert found[0].message.startswith("made into a SAM template: E3034 ")


def test_a_package_cannot_bring_rules_for_cfn_lint(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    rule = f"open({str(marker)!r}, 'w').write('x')\n"
    settings = "append_rules: [rules]\n"
    files = serverless_samples.template(**{".cfnlintrc": settings, "rules/evil.py": rule})
    assert serverless_tools.cfn_lint(files, "template.yaml") == []
    assert not marker.exists()


def test_a_missing_tool_is_a_warning_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = util.find_spec
    monkeypatch.setattr(
        serverless_tools.util, "find_spec", lambda name: None if name == "cfnlint" else real(name)
    )
    monkeypatch.setenv("PATH", "/nowhere")
    (found,) = serverless_tools.cfn_lint(serverless_samples.template(), "template.yaml")
    assert found.severity == Severity.WARNING
    assert found.hint == "pip install 'pitrix[serverless]'"
    monkeypatch.undo()
    outcome = {"missing": "No module named 'azure'"}
    manifest = serverless_tools.read(json.loads(serverless_samples.azure()["package.json"]))
    (absent,) = serverless_tools._judged(outcome, manifest, {}, "src/function_app.py")
    assert (absent.severity, absent.hint) == (Severity.WARNING, "pip install 'pitrix[serverless]'")


def test_a_tool_that_hangs_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    began = time.monotonic()
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    done = serverless_tools.run(command, folder, timeout_s=0.5, environment={})
    assert done.code is None
    assert time.monotonic() - began < 10


def test_memory_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    command = [sys.executable, "-c", "x = bytearray(3 << 30)"]
    done = serverless_tools.run(command, folder, timeout_s=20, environment={})
    assert done.code == 1
    assert "MemoryError" in done.errors


def test_archives_work_too() -> None:
    data = archive.write(serverless_samples.azure(), "thumbs")
    assert service.lint(data, deeply=True) == []
