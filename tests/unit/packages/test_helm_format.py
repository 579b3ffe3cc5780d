"""Helm charts as packages: what they say of themselves, what they ask, what a new one looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from pitrix.errors import CapabilityMissing, NotFound, PackageInvalid
from pitrix.packages import archive, ports
from pitrix.packages import service as packages
from pitrix.packages.formats.helm import ignore as helm_ignore
from pitrix.packages.formats.helm import version as helm_version
from pitrix.packages.model import Problem
from tests.unit.packages.helm_charts import CHART, chart, helm, lint, opened, put, rendered, said, write


def test_a_chart_that_helm_makes_and_packs_is_a_package(tmp_path: Path) -> None:
    helm("create", "demo", cwd=tmp_path)
    helm("package", "demo", cwd=tmp_path)
    data = (tmp_path / "demo-0.1.0.tgz").read_bytes()
    package = packages.open_package(data)
    assert (package.type, package.name, package.version) == ("helm", "demo", "0.1.0")
    assert (package.app_version, package.description) == ("1.16.0", "A Helm chart for Kubernetes")
    assert package.warnings == []
    fields = {each.key: each.default for each in packages.form(package).fields()}
    assert fields["replicaCount"] == 1
    assert fields["image.repository"] == "nginx"
    answers = {"replicaCount": 3, "ingress": {"enabled": True}}
    made = {each.path: each.text for each in packages.preview(package, answers, name="site")}
    assert "replicas: 3" in made["templates/deployment.yaml"]
    assert "name: site-demo" in made["templates/service.yaml"]
    assert "templates/ingress.yaml" in made
    assert packages.lint(tmp_path / "demo", deeply=True) == []


def test_metadata_comes_from_chart_yaml() -> None:
    described = """
apiVersion: v2
name: shop
version: 1.2.3
appVersion: 2024.1
description: null
keywords: [web, 42]
home: https://example.com
icon: icon.svg
maintainers: [{name: Jo, email: jo@example.com, url: null}, null]
annotations: {artifacthub.io/category: database, displayName: The Shop}
"""
    package = opened(put(CHART, {"Chart.yaml": described, "icon.svg": b"<svg/>"}))
    assert package.title == "The Shop"
    assert package.category == "database"
    assert package.app_version == "2024.1"
    assert package.keywords == ["web", "42"]
    assert package.maintainers == [{"name": "Jo", "email": "jo@example.com"}]
    assert (package.description, package.home, package.icon) == ("", "https://example.com", "icon.svg")
    assert package.metadata["annotations"]["displayName"] == "The Shop"


def test_a_chart_with_tools_for_javascript_is_still_a_chart() -> None:
    assert ports.detect(put(CHART, {"package.json": "{}"})) is ports.get("helm")


def test_a_chart_becomes_no_machines_and_has_no_services() -> None:
    package = opened(CHART)
    with pytest.raises(CapabilityMissing, match="Kubernetes"):
        packages.render(package, {})
    with pytest.raises(NotFound):
        packages.service_form(package, "web", "backup")


def test_a_new_chart_is_good_in_every_way(tmp_path: Path) -> None:
    files = packages.scaffold("my-shop", "helm")
    assert ".helmignore" in files
    assert all(b"my-app" not in data for data in files.values())
    folder = write(tmp_path / "my-shop", files)
    assert said(packages.lint(folder, deeply=True)) == []
    made = rendered(files, {"ingress": {"enabled": True, "host": "shop.example.com"}})
    assert sorted(made) == [
        "templates/deployment.yaml",
        "templates/ingress.yaml",
        "templates/service.yaml",
        "templates/tests/test-connection.yaml",
    ]
    assert 'host: "shop.example.com"' in made["templates/ingress.yaml"]
    labels = {each.key: each.label for each in packages.form(opened(files)).fields()}
    assert labels["ingress.enabled"] == "Reachable from outside"


def test_the_same_folder_packed_by_helm_and_by_us_renders_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path / "my-shop", packages.scaffold("my-shop", "helm"))
    helm("package", "my-shop", cwd=tmp_path)
    theirs = packages.open_package((tmp_path / "my-shop-0.1.0.tgz").read_bytes())
    ours = packages.open_package(packages.build(folder))
    assert packages.preview(ours, {}) == packages.preview(theirs, {})
    assert packages.build(folder) == packages.build(folder)


# --- .helmignore -------------------------------------------------------------------------------------------


def test_what_helm_leaves_out_of_an_archive_so_do_we(tmp_path: Path) -> None:
    extra = {
        "notes/draft.txt": "x",
        "notes/keep.md": "x",
        "ci/values.yaml": "x",
        "a.bak": "x",
        "docs/b.bak": "x",
        "docs/deep/c.txt": "x",
        ".helmignore": "# comment\n*.bak\nci/\n/notes/*.txt\ndocs/deep\n",
    }
    folder = write(tmp_path / "shop", put(CHART, extra))
    helm("package", "shop", cwd=tmp_path)
    theirs, _ = archive.read((tmp_path / "shop-1.2.3.tgz").read_bytes())
    ours, _ = archive.read(packages.build(folder))
    assert sorted(ours) == sorted(theirs)
    assert "notes/keep.md" in ours
    assert not {"a.bak", "docs/b.bak", "docs/deep/c.txt", "ci/values.yaml", "notes/draft.txt"} & set(ours)


def test_what_is_ignored_has_no_problems_either() -> None:
    files = {".helmignore": b"bin/\n", "Chart.yaml": b""}
    problems = [Problem(file="bin/link", message="is a link"), Problem(file="", message="too many files")]
    kept, told = helm_ignore.applied(files, problems)
    assert kept == files
    assert [each.message for each in told] == ["too many files"]


def test_folders_without_the_file_are_left_alone() -> None:
    assert helm_ignore.applied(CHART, []) == (CHART, [])


# --- locale ------------------------------------------------------------------------------------------------


def test_a_chart_may_bring_translations_along() -> None:
    files = chart(
        values__schema__json=None,
        **{"locale__zh-cn.json": '{"Replicas": "副本数"}'},
    )
    files["values.schema.json"] = b'{"properties": {"replicas": {"type": "integer", "title": "Replicas"}}}'
    package = opened(files)
    assert packages.form(package, "zh-cn").fields()[0].label == "副本数"
    assert packages.form(package, "en").fields()[0].label == "Replicas"


# --- versions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("range", "inside", "outside"),
    [
        ("^1.2", "1.9.0", "2.0.0"),
        ("^0.2.3", "0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("~1.2.3", "1.2.9", "1.3.0"),
        ("~1", "1.9.9", "2.0.0"),
        ("1.x", "1.5.0", "2.0.0"),
        ("1.2", "1.2.7", "1.3.0"),
        (">1.2", "1.3.0", "1.2.9"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("!=1.2.3", "1.2.4", "1.2.3"),
        (">= 1.2, < 2.0 || 3.x", "3.1.0", "2.5.0"),
        (">=1.2 <2", "1.5.0", "2.0.0"),
        ("1.2 - 1.4.5", "1.4.5", "1.4.6"),
        ("*", "3.0.0", "3.0.0-rc.1"),
        (">=1.16.0-0", "1.35.0", "1.15.0"),
        ("v1.2.3", "1.2.3", "1.2.4"),
        ("=1.2.3-beta.2", "1.2.3-beta.2", "1.2.3"),
        (">=1.2.3-beta.2", "1.2.3-beta.10", "1.2.3-beta.1"),
    ],
)
def test_ranges_of_versions(range: str, inside: str, outside: str) -> None:
    found = helm_version.Range(range)
    assert helm_version.parse(inside) in found  # type: ignore[operator]
    assert helm_version.parse(outside) not in found  # type: ignore[operator]


def test_real_helm_agrees_on_ranges(tmp_path: Path) -> None:
    """The range of ``kubeVersion`` decides whether a chart is rendered for a version of Kubernetes."""
    for wanted in ("^1.30", "~1.30.2", ">=1.29 <1.31", "1.31 - 1.33", "1.30.x || >1.33", "!=1.30", "<=1.30"):
        described = f"apiVersion: v2\nname: shop\nversion: 1.2.3\nkubeVersion: {wanted!r}\n"
        folder = write(tmp_path / "shop", put(CHART, {"Chart.yaml": described}))
        for version in ("1.30.0", "1.30.5", "1.33.9"):
            args = ["template", str(folder), "--kube-version", version]
            accepted = helm_binary_run(args, tmp_path) == 0
            ours = helm_version.parse(version) in helm_version.Range(wanted)  # type: ignore[operator]
            assert ours == accepted, (wanted, version)


def helm_binary_run(args: list[str], cwd: Path) -> int:
    from pitrix.packages.formats.helm import binary as helm_binary

    return helm_binary.run(args, cwd=cwd).returncode


@pytest.mark.parametrize("text", ["abc", "1.2.3.4", ">", "1.2 ~", "^^1", "1" * 600, "1.2.3-", ">=1.2 foo"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        helm_version.Range(text)


def test_a_package_of_another_kind_is_told_what_a_chart_has() -> None:
    problems = lint({"README.md": b"hello"})
    assert [each.message for each in problems] == ["this is no kind of package that is known"]
    with pytest.raises(PackageInvalid):
        opened({"README.md": b"hello"})
