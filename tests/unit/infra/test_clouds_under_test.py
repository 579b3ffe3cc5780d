"""Clouds under test are built once, into a folder of their recipe, and used only when all of it is there."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.local import check
from tests.clouds import __main__ as command
from tests.clouds import cache
from tests.contract.providers.targets import Unavailable


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A cloud that is built by writing one file; ``fails`` makes it stop halfway."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.write_text("one")

    def build(into: Path) -> None:
        assert list(into.iterdir()) == [], "what an interrupted build left is cleared away"
        (into / "half").touch()
        if made.fails:
            raise RuntimeError("the compiler is broken")
        (into / "program").touch()
        made.builds += 1

    made = SimpleNamespace(RECIPE=(source,), build=build, fails=False, builds=0, source=source)
    monkeypatch.setattr(cache, "recipe", lambda name: made)
    monkeypatch.setattr(cache, "names", lambda: ["paper"])
    return made


def test_a_cloud_is_built_once(recipe: SimpleNamespace) -> None:
    with pytest.raises(Unavailable, match="--build-clouds"):
        cache.built("paper")
    for _ in range(2):
        assert command.main(["build"]) == 0
    assert recipe.builds == 1
    assert (cache.built("paper") / "program").exists()


def test_another_recipe_is_another_cloud(recipe: SimpleNamespace) -> None:
    command.main(["build", "paper"])
    before = cache.place("paper")
    recipe.source.write_text("two")
    assert cache.place("paper") != before
    assert not cache.is_built("paper")


def test_a_build_that_fails_leaves_nothing_that_counts(
    recipe: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.fails = True
    assert command.main(["build"]) == 1
    assert "the compiler is broken" in capsys.readouterr().err
    assert not cache.is_built("paper")
    recipe.fails = False
    assert command.main(["build"]) == 0


def test_a_cloud_that_nobody_knows_is_named(
    recipe: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(["build", "nimbus"])
    assert "nimbus" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [True, False])
def test_the_command_builds_when_asked_and_then_tests(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    monkeypatch.setattr(check, "ensure_environments", lambda: None)
    monkeypatch.setattr(check, "ensure_programs", lambda: None)
    monkeypatch.setattr(check, "build_clouds", lambda: did.append("build"))
    monkeypatch.setattr(os, "chdir", lambda path: None)
    monkeypatch.setattr(os, "execve", lambda program, argv, environment: did.append(" ".join(argv[1:])))
    check.main([*(["--build-clouds"] if asked else []), "-k", "vmware"])
    assert did == [*(["build"] if asked else []), "-m pytest -k vmware"]
