"""What lint found, as SARIF 2.1.0: the format that code scanning, editors and review tools read.

Owns the mapping of `Problem` to SARIF (OASIS standard, "Static Analysis Results Interchange Format Version
2.1.0") and the rules' names.  Never lints.  Kept to the subset that GitHub's code scanning shows: rules with
help, one physical location a result, and fingerprints that survive a moved line.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pitrix.packages.model import Problem, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"


@dataclass(frozen=True)
class Rule:
    """A kind of problem: where it is decides, as that says what has to be mended.

    Attributes:
        id: For good: alerts are told apart by it.
        paths: Matches the paths inside a package that it is about.
    """

    id: str
    paths: re.Pattern[str]
    title: str
    help: str


def _rule(id: str, paths: str, title: str, help: str) -> Rule:
    return Rule(id, re.compile(paths, re.DOTALL), title, help)


#: The first one that matches a path counts.
RULES = (
    _rule("package-archive", r"", "The archive or the folder of a package",
          "A package is a folder, or a .tgz or .zip of one, with plain files and relative paths."),
    _rule("package-description", r"package\.json", "The description of a package (package.json)",
          "package.json names the package, its version and its maintainers."),
    _rule("package-form", r"config\.json", "The form of a package (config.json)",
          "config.json says what is asked of a user before the application is deployed."),
    _rule("package-template", r"cluster\.json(\.\w+)?", "The template of a cluster (cluster.json.tmpl)",
          "cluster.json.tmpl becomes the nodes, volumes, services and endpoints of a cluster."),
    _rule("package-translation", r"locale/.*", "A translation (locale/*.json)",
          "A file of locale/ gives each text of the package in one language."),
    _rule("chart-description", r"Chart\.ya?ml", "The description of a chart (Chart.yaml)",
          "Chart.yaml names the chart, its version and what it depends on."),
    _rule("chart-dependencies", r"(Chart\.lock|requirements\.(ya?ml|lock)|charts/.*)", "Charts it depends on",
          "Each chart that Chart.yaml depends on is below charts/, in the version that is asked for."),
    _rule("chart-schema", r"values\.schema\.json", "The schema of values (values.schema.json)",
          "values.schema.json says which values a chart takes; it becomes the form."),
    _rule("chart-values", r"values.*\.ya?ml", "The values of a chart (values.yaml)",
          "values.yaml holds the defaults of everything that a user may set."),
    _rule("chart-template", r"(templates|crds)/.*", "A template of a chart (templates/)",
          "A template becomes manifests of Kubernetes; `helm template` must render it with the defaults."),
    _rule("serverless-template", r"(template|serverless)\.(ya?ml|json)", "A CloudFormation or SAM template",
          "The template names the functions, their triggers and what they may do."),
    _rule("package-file", r".*", "A file of a package",
          "Every file of a package has a plain name and a size within the limits."),
)  # fmt: skip


def rule_of(file: str) -> Rule:
    """The rule that a path inside a package belongs to; an empty path is the package itself."""
    return next(rule for rule in RULES if rule.paths.fullmatch(file))


def report(found: Sequence[Problem], *, path: str, archive: bool, tool_version: str) -> dict[str, Any]:
    """A SARIF log with one run.

    Args:
        path: The package as it was given, relative to the root of the sources where that is possible;
            ``/`` separated.
        archive: ``path`` is a file that holds the package; otherwise it is its folder.
        tool_version: Of this program.
    """
    used = [rule for rule in RULES if any(rule_of(each.file) is rule for each in found)]
    seen: Counter[str] = Counter()
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "pitrix",
                        "version": tool_version,
                        "rules": [_descriptor(rule) for rule in used],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(each, used, path, archive, seen) for each in found],
            }
        ],
    }


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.help},
        "help": {"text": rule.help, "markdown": rule.help},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["packaging"], "precision": "very-high", "problem.severity": "error"},
    }


def _result(
    problem: Problem, rules: Sequence[Rule], path: str, archive: bool, seen: Counter[str]
) -> dict[str, Any]:
    rule = rule_of(problem.file)
    text = problem.message if not problem.hint else f"{problem.message}\n{problem.hint}"
    level = "error" if problem.severity is Severity.ERROR else "warning"
    return {
        "ruleId": rule.id,
        "ruleIndex": rules.index(rule),
        "level": level,
        "message": {"text": f"{problem.file}: {text}" if archive and problem.file else text},
        "locations": [_location(problem, path, archive)],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(rule, problem, seen)},
        "properties": {"key": problem.key, "hint": problem.hint},
    }


def _location(problem: Problem, path: str, archive: bool) -> dict[str, Any]:
    """Where to look.  Nothing can point into an archive: there it is the archive, from its beginning."""
    inside = "" if archive else problem.file
    file = "/".join(part for part in (path.rstrip("/"), inside) if part not in ("", ".")) or "."
    artifact = {"uri": quote(file, safe="/"), "uriBaseId": "%SRCROOT%"}
    if file.startswith("/"):
        artifact = {"uri": f"file://{quote(file, safe='/')}"}
    place: dict[str, Any] = {"artifactLocation": artifact}
    place["region"] = {"startLine": problem.line if problem.line > 0 and not archive else 1}
    location: dict[str, Any] = {"physicalLocation": place}
    if problem.file:
        name = f"{problem.file}#{problem.key}" if problem.key else problem.file
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "member"}]
    return location


def _fingerprint(rule: Rule, problem: Problem, seen: Counter[str]) -> str:
    """The same for the same problem when lines are put before it, or a number in the message changes."""
    parts = (rule.id, problem.file, problem.key, re.sub(r"\d+", "#", problem.message))
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    seen[digest] += 1
    return f"{digest}:{seen[digest]}"
