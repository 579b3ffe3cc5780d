"""Packages of scripts through the door of Pitrix' packages, which knows them by an entry point alone."""

from __future__ import annotations

import pytest

from pitrix.errors import InvalidInput, PackageInvalid
from pitrix.packages import archive, service


def test_a_new_package_is_valid_and_becomes_machines() -> None:
    package = service.open_package(archive.write(service.scaffold("greeter", "script"), "greeter"))
    assert (package.type, package.name, service.becomes(package.type)) == ("script", "greeter", "vm")
    assert package.payload == {"run.sh": b"echo Hello\n"}
    answers = service.complete_answers(service.form(package), {"count": 2, "settings": {"greeting": "Hi"}})
    (role,) = service.demand(package, answers).roles
    assert (role.machines, role.env, role.services["start"].cmd) == (2, {"greeting": "Hi"}, "sh run.sh")
    with pytest.raises(InvalidInput, match=r"count"):
        service.complete_answers(service.form(package), {"count": 0})


@pytest.mark.parametrize(
    ("manifest", "key"),
    [
        (b"name = ", ""),
        (b"\xff", ""),
        (b'name = "g"\nversion = "1.0.0"', "/run"),
        (b'name = "g"\nversion = "one"\nrun = "x"', "/version"),
        (b'name = "g"\nversion = "1.0.0"\nrun = "x"\nmemory_mib = true', "/memory_mib"),
        (b'name = "g"\nversion = "1.0.0"\nrun = "x"\nsettings = {a = 1}', "/settings"),
    ],
)
def test_what_is_wrong_is_named(manifest: bytes, key: str) -> None:
    with pytest.raises(PackageInvalid) as refused:
        service.open_package(archive.write({"script.toml": manifest}, "g"))
    assert [(each.file, each.key) for each in refused.value.problems] == [("script.toml", key)]
