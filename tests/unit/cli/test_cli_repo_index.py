"""``pitrix repo-index`` writes what Helm reads."""

from __future__ import annotations

import json
from pathlib import Path

from pitrix.packages import archive
from tests.unit.cli.conftest import Line

CHART = b"apiVersion: v2\nname: shop\nversion: 1.2.3\n"


def test_an_index_is_written_beside_the_charts(pitrix: Line, tmp_path: Path) -> None:
    (tmp_path / "shop-1.2.3.tgz").write_bytes(archive.write({"Chart.yaml": CHART}, "shop"))
    (tmp_path / "broken.tgz").write_bytes(b"nonsense")
    done = pitrix("repo-index", str(tmp_path), "--base-url", "https://charts.example")
    assert done.exit_code == 0, done.output
    assert "left out broken.tgz: this is no .tgz archive" in done.stdout
    assert "1 version of 1 chart" in done.stdout
    index = json.loads((tmp_path / "index.yaml").read_text())
    assert index["entries"]["shop"][0]["urls"] == ["https://charts.example/shop-1.2.3.tgz"]
    report = pitrix.json("repo-index", str(tmp_path))
    assert (report["versions"], [each["file"] for each in report["skipped"]]) == (1, ["broken.tgz"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.tgz", "index.yaml", "shop-1.2.3.tgz"]


def test_a_missing_directory_is_named(pitrix: Line, tmp_path: Path) -> None:
    done = pitrix("repo-index", str(tmp_path / "nowhere"))
    assert done.exit_code != 0
    assert "nowhere" in done.output
