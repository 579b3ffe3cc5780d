"""Both languages say everything, and templates say nothing else."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib import i18n, render
from chalicelib.i18n import Texts

CONSOLE = render.TEMPLATES.parent


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def keys_used() -> Iterator[tuple[Path, str]]:
    """Keys written out in templates and pages, and the beginnings of those that are put together."""
    for path in [*(CONSOLE / "templates").iterdir(), *(CONSOLE / "chalicelib").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        yield from ((path, key) for key in re.findall(r'\bt\("([^"]+)"', text))
        yield from ((path, f"{key}.one") for key in re.findall(r'\bt\.count\("([^"]+)"', text))
        yield from ((path, f"{key}.*") for key in re.findall(r'\bt\.of\("([^"]+)"', text))


def test_both_languages_have_the_same_keys() -> None:
    assert set(i18n.catalog("en")) == set(i18n.catalog("zh-cn"))


def test_both_languages_have_the_same_placeholders() -> None:
    english, chinese = i18n.catalog("en"), i18n.catalog("zh-cn")
    assert {key for key in english if placeholders(english[key]) != placeholders(chinese[key])} == set()


def test_chinese_texts_are_translated() -> None:
    english, chinese = i18n.catalog("en"), i18n.catalog("zh-cn")
    same = {key for key in english if english[key] == chinese[key] and re.search("[a-z]{3}", english[key])}
    assert {
        key for key in same if not key.startswith("provider.") and not placeholders(english[key])
    } == set()


def test_pages_use_known_keys_only() -> None:
    known = i18n.catalog("en")
    for path, key in keys_used():
        if key.endswith((".*", "_", ".")):
            prefix = key.removesuffix("*")
            assert any(each.startswith(prefix) for each in known), f"{path.name}: {key}"
        else:
            assert key in known, f"{path.name}: {key}"


def test_no_text_is_left_over() -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for path in [*(CONSOLE / "templates").iterdir(), *(CONSOLE / "chalicelib").rglob("*.py")]
    )
    used = {key for _, key in keys_used()}
    beginnings = tuple(key.rstrip("*") for key in used if key.endswith((".*", "_", ".")))
    left = {
        key
        for key in i18n.catalog("en")
        if key not in used
        and not key.startswith(beginnings)
        and f'"{key}"' not in sources
        and key.removesuffix(".other") + ".one" not in used
        and not key.startswith("duration.")
    }
    assert left == set()


@pytest.mark.parametrize(
    ("chosen", "header", "expected"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9", "zh-cn"),
        ("", "de, en;q=0.5, zh;q=0.8", "zh-cn"),
        ("", "de-DE, fr;q=0.5", "en"),
        ("", "zh;q=broken, en;q=0.1", "en"),
        ("en", "zh", "en"),
        ("xx", "zh", "zh-cn"),
    ],
)
def test_the_language_is_negotiated(chosen: str, header: str, expected: str) -> None:
    assert i18n.negotiate(chosen, header) == expected


def test_times_and_amounts_are_said() -> None:
    at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    english, chinese = Texts("en"), Texts("zh-cn")
    assert english.moment(at) == "4 Mar 2026, 05:06 UTC"
    assert chinese.moment(at) == "2026年3月4日 05:06 UTC"
    assert english.duration(3725.9) == "1 h 2 min 5 s"
    assert english.duration(0) == "0 s"
    assert english.duration(90_061) == "1 d 1 h"
    assert english.duration(86_400 + 5) == "1 d"
    assert english.amount(1024, "MiB") == "1 GiB"
    assert english.amount(1536, "MiB") == "1536 MiB"
    assert english.amount(3, "") == "3"
    assert [english.size(n) for n in (10, 2048, 5 << 20, 3 << 30)] == [
        "10 B",
        "2.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert english.count("cluster.count", 1) == "1 node"
    assert english.of("status", "never_heard") == "never heard"


def test_every_state_has_a_word() -> None:
    from typing import get_args

    from pitrix.catalog.model import AppSort, VersionStatus
    from pitrix.clusters.model import TRANSITIONS, ClusterStatus, JobKind, JobStatus, NodeStatus, StepKind
    from pitrix.identity.model import BUILT_IN_ROLES
    from pitrix.repos.model import Outcome
    from pitrix.runtimes.model import RuntimeStatus

    statuses = [
        *ClusterStatus,
        *NodeStatus,
        *JobStatus,
        *RuntimeStatus,
        *(word for word, _ in TRANSITIONS.values()),
    ]
    wanted = {f"status.{status}" for status in [*statuses, *get_args(VersionStatus), *get_args(Outcome)]}
    wanted |= {f"step.{kind}" for kind in StepKind} | {f"kind.{kind}" for kind in JobKind}
    wanted |= {f"role.{role}" for role in BUILT_IN_ROLES} | {
        f"store.sort_{sort}" for sort in get_args(AppSort)
    }
    wanted |= {
        f"action.{part}{kind}"
        for kind in JobKind
        if kind is not JobKind.DEPLOY
        for part in ("", "ask_", "means_")
    }
    assert wanted - set(i18n.catalog("en")) == set()


def test_every_error_that_a_page_can_meet_has_a_title() -> None:
    from pitrix import errors

    met_by_jobs_only = (errors.ProviderError, errors.StepFailed, errors.JobCancelled)
    met = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.PitrixError)
        and not issubclass(kind, (*met_by_jobs_only, errors.Unauthenticated))
    }
    titles = {key.removeprefix("problem.") for key in i18n.catalog("en") if key.startswith("problem.")}
    assert titles - {"home", "reference"} == met
