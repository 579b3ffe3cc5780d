"""The one port of this context: a kind of package.

Owns the interface and the lazy registry of formats.  To add a kind, write a module with a class that has
these methods and name it in `_BUILT_IN`; nothing else changes.  A kind of another distribution is found by
its entry point in the group ``pitrix.packages`` (name = the kind, value = ``module:Class``), as
``infra/demo/format-plugin`` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from pitrix import plugins
from pitrix.errors import CapabilityMissing
from pitrix.packages.model import ClusterSpec, Form, FormGroup, Manifest, Package, Problem

Files = Mapping[str, bytes]


class PackageFormat(Protocol):
    """One kind of package.  Every method is pure; `lint` never raises over what a package holds.

    Attributes:
        type: Its name.
        becomes: What it is at a cloud: machines (``vm``), a release (``helm``), functions (``serverless``).
            Packages of another distribution become machines: what a release and functions are made of is
            known to ours alone.
    """

    type: str
    becomes: str

    def matches(self, files: Files) -> bool:
        """Whether these files look like a package of this kind (they may still be broken)."""
        ...

    def lint(self, files: Files) -> list[Problem]:
        """Everything wrong with the package, at once."""
        ...

    def lint_deeply(self, files: Files) -> list[Problem]:
        """What only running tools, or the package's own code, finds: for the author's machine alone."""
        ...

    def metadata(self, files: Files) -> dict[str, Any]:
        """The fields of `Package` besides files and digest; of a package without errors."""
        ...

    def form(self, package: Package, locale: str) -> Form:
        """What the package asks, in a language; texts without a translation as they are."""
        ...

    def service_form(self, package: Package, role: str, service: str, locale: str) -> FormGroup:
        """What a custom service asks; each field's path is the name of the parameter.

        Raises:
            KeyError: There is no such service.
        """
        ...

    def render(self, package: Package, answers: Mapping[str, Any], links: Mapping[str, str]) -> ClusterSpec:
        """What to build for complete answers.

        Raises:
            PackageInvalid: The filled-in template is not valid.
            CapabilityMissing: This kind of package does not become machines.
        """
        ...

    def demand(self, package: Package, answers: Mapping[str, Any], name: str) -> ClusterSpec:
        """What complete answers ask of a cloud, whatever the kind of package: what is quoted and metered.

        Args:
            name: Of the cluster, release or function.

        Raises:
            PackageInvalid: The filled-in template is not valid.
            ServiceUnavailable: A tool that it takes is missing on this machine.
        """
        ...

    def aimed(self, package: Package, answers: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
        """Answers (not complete ones) with what a cloud settles filled in.

        Raises:
            CapabilityMissing: The package has nothing for that cloud.
            InvalidInput: An answer is for another one.
        """
        ...

    def manifests(self, package: Package, answers: Mapping[str, Any], name: str) -> list[Manifest]:
        """What complete answers become, as files to look at.

        Args:
            name: Of the cluster, release or function.

        Raises:
            PackageInvalid: The filled-in template is not valid.
            ServiceUnavailable: A tool that it takes is missing on this machine.
        """
        ...

    def scaffold(self, name: str) -> dict[str, bytes]:
        """The files of a new package that is valid and can be deployed."""
        ...


_BUILT_IN = {
    # First: charts often carry a package.json of tools for JavaScript.
    "helm": "pitrix.packages.formats.helm.format:HelmFormat",
    # Before VM packages, which have a package.json too: its "type" tells them apart.
    "serverless": "pitrix.packages.formats.serverless.format:ServerlessFormat",
    "vm": "pitrix.packages.formats.vm.format:VmFormat",
}


_GROUP = "pitrix.packages"


@cache
def _registered() -> dict[str, str]:
    found = plugins.registered(_GROUP, _BUILT_IN)
    return _BUILT_IN | {name: found[name] for name in sorted(found)}


def types() -> list[str]:
    """The kinds of packages there are, in the order in which they are tried: ours first."""
    return list(_registered())


@cache
def get(name: str) -> PackageFormat:
    """The format of that name; its module is imported when it is first asked for.

    Raises:
        CapabilityMissing: There is no such kind of package; the plug-in that had it may be gone.
    """
    if name not in _registered():
        raise CapabilityMissing(f"There is no kind of package {name!r}; there are: {', '.join(types())}.")
    made: PackageFormat = plugins.load(_registered()[name])()
    return made


def detect(files: Files) -> PackageFormat | None:
    """The format that these files are in; ``None`` when none knows them."""
    return next((found for name in _registered() if (found := get(name)).matches(files)), None)
