"""Zips and layers: the same files give the same bytes, and only what belongs there gets in."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from infra.local import build
from infra.local.progress import UserError
from infra.local.transform import Layer


def names(artifact: build.Artifact) -> dict[str, int]:
    with zipfile.ZipFile(BytesIO(artifact.content)) as archive:
        return {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "fn"
    (source / "templates").mkdir(parents=True)
    (source / "__pycache__").mkdir()
    (source / "app.py").write_text("x = 1\n")
    (source / "Makefile").write_text("build:\n")
    (source / "templates" / "page.html").write_text("<p>")
    (source / "__pycache__" / "app.pyc").write_text("junk")
    return source


def test_a_zip_holds_the_code_and_an_executable_bootstrap(folder: Path) -> None:
    found = names(build.function_zip(folder))
    assert found == {"bootstrap": 0o755, "app.py": 0o644, "templates/page.html": 0o644}


def test_the_key_follows_the_content_and_nothing_else(folder: Path) -> None:
    first = build.function_zip(folder)
    os.utime(folder / "app.py", (1, 1))
    assert build.function_zip(folder) == first
    assert first.key.startswith("fn-")
    (folder / "app.py").write_text("x = 2\n")
    assert build.function_zip(folder).key != first.key


def test_a_layer_is_copied_compiled_and_rebuilt_only_when_it_changed(tmp_path: Path) -> None:
    package = tmp_path / "layers" / "core" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("VALUE = 1\n")
    layer = Layer(name="Core", source="layers/core")
    into = tmp_path / "built"
    assert build.build_layer(tmp_path, layer, into)
    assert not build.build_layer(tmp_path, layer, into)
    copied = into / "Core" / "python" / "mine" / "__init__.py"
    assert list(copied.parent.glob("__pycache__/*.pyc"))
    (package / "__init__.py").write_text("VALUE = 2\n")
    assert copied.read_text() == "VALUE = 1\n"
    assert build.build_layer(tmp_path, layer, into)
    assert copied.read_text() == "VALUE = 2\n"


def test_a_folder_that_is_a_package_is_the_layer(tmp_path: Path) -> None:
    (tmp_path / "providers" / "local").mkdir(parents=True)
    (tmp_path / "providers" / "__init__.py").touch()
    (tmp_path / "providers" / "local" / "__init__.py").touch()
    build.build_layer(tmp_path, Layer(name="P", source="providers"), tmp_path / "built")
    assert (tmp_path / "built/P/python/providers/local/__init__.py").exists()


def on_demand(root: Path) -> Layer:
    (root / "layers" / "sdk-mist").mkdir(parents=True)
    (root / "layers" / "sdk-mist" / "requirements.txt").write_text("mist==1\n")
    return Layer(name="SdkMistLayer", source="layers/sdk-mist")


def test_an_sdk_waits_until_a_function_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, into = on_demand(tmp_path), tmp_path / "built"
    folder = into / layer.name
    installed = tmp_path / "installed"
    installed.mkdir()
    monkeypatch.setattr(build, "_cached", lambda _: tmp_path / "nothing")
    monkeypatch.setattr(build, "_installed", lambda _: installed)
    assert build.build_layer(tmp_path, layer, into)
    assert (folder / build.PENDING).exists()
    assert not build.build_layer(tmp_path, layer, into), "it is still pending, and unchanged"
    (folder / build.WANTED).touch()
    build.build_wanted(tmp_path, layer, into)
    assert (folder / "requirements").resolve() == installed
    assert {path.name for path in folder.iterdir()} == {"digest", "requirements"}


def test_an_sdk_that_was_installed_for_another_platform_is_there_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, into = on_demand(tmp_path), tmp_path / "built"
    monkeypatch.setattr(build, "_cached", lambda _: tmp_path)
    monkeypatch.setattr(build, "_installed", lambda _: tmp_path)
    build.build_layer(tmp_path, layer, into)
    assert not (into / layer.name / build.PENDING).exists()
    assert (into / layer.name / "requirements").exists()


def test_an_sdk_that_cannot_be_installed_says_why_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, into = on_demand(tmp_path), tmp_path / "built"
    folder = into / layer.name

    def fail(_: Path) -> Path:
        raise UserError("pip could not install mist: no network")

    monkeypatch.setattr(build, "_cached", lambda _: tmp_path / "nothing")
    monkeypatch.setattr(build, "_installed", fail)
    build.build_layer(tmp_path, layer, into)
    (folder / build.WANTED).touch()
    build.build_wanted(tmp_path, layer, into)
    assert "no network" in (folder / build.FAILED).read_text()
    assert (folder / build.PENDING).exists()
    assert not (folder / build.WANTED).exists()
