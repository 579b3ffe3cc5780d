"""Runs of the Helm program on a live cluster: a chart in, an exit code and words out.

Owns the files of one run (kubeconfig, chart, values), readable by this user alone and gone in the end, and
the way out (``gate``). Decides nothing about releases; ``releases`` does. How the program is bounded is in
``pitrix.packages.formats.helm.binary``.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pitrix.errors import InvalidInput, ProviderUnavailable, ServiceUnavailable
from providers.kubernetes.client import Client
from providers.kubernetes.gate import gate

MEMORY_MIB = 640
"""Memory that Helm may write to; with the definitions of a large cluster it takes some 200 MiB."""

_MARGIN_S = 45
"""Seconds beyond the hooks' time in which Helm reads definitions and writes objects."""

HISTORY = 10
"""Revisions that are kept, and can be rolled back to."""


class Ran:
    """What a run left: whether it succeeded, its output, and what it said of errors."""

    def __init__(self, returncode: int, stdout: str, stderr: str) -> None:
        self.good, self.stdout, self.stderr = returncode == 0, stdout, stderr


def run(
    cloud: Client, args: Sequence[str], *, namespace: str, account: str, timeout_s: int,
    chart: bytes | None = None, values: Mapping[str, Any] | None = None,
) -> Ran:  # fmt: skip
    """Run ``helm`` with ``args`` on the cluster; ``{chart}`` in them stands for the chart's folder.

    Args:
        account: ``namespace/name`` of the service account it acts for, or "" for the credential itself.
        timeout_s: Seconds that hooks may take, each.

    Raises:
        InvalidInput: The chart is none.
        ProviderUnavailable: The program was stopped, or is not there.
    """
    from pitrix.packages.formats.helm import binary

    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        home = Path(folder)
        name = _unpack(chart, home / "chart") if chart is not None else ""
        command = [name if each == "{chart}" else each for each in args]
        command += ["--namespace", namespace, "--kubeconfig", str(home / "kubeconfig")]
        if values is not None:
            (home / "values.json").write_text(json.dumps(values), "utf-8")
            command += ["--values", str(home / "values.json")]
        if account:
            command += ["--kube-as-user", f"system:serviceaccount:{account.replace('/', ':')}"]
        target = cloud.target
        with gate(target.host, target.port, cloud.pinned) as proxy:
            (home / "kubeconfig").write_text(json.dumps(_kubeconfig(cloud, proxy)), "utf-8")
            try:
                done = binary.run(
                    command, cwd=home, home=home, memory_mib=MEMORY_MIB, timeout_s=timeout_s + _MARGIN_S
                )
            except ServiceUnavailable as error:
                raise ProviderUnavailable(error.detail) from None
        return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr)


def files(chart: bytes) -> Mapping[str, bytes]:
    """The files of a chart's archive, by path.

    Raises:
        InvalidInput: It is no chart.
    """
    from pitrix.errors import PackageInvalid
    from pitrix.packages.service import open_package

    try:
        return open_package(chart).files
    except PackageInvalid as error:
        raise InvalidInput(f"That is no chart: {error.detail}.", errors=error.errors) from None


def _unpack(chart: bytes, into: Path) -> str:
    """Write the chart where Helm reads it, without what Helm would follow to elsewhere; its folder.

    Raises:
        InvalidInput: It is no chart, or Helm could not install it.
    """
    from pitrix.errors import PackageInvalid
    from pitrix.packages.formats.helm import render

    try:
        return str(render.unpack(dict(files(chart)), into))
    except PackageInvalid as error:
        raise InvalidInput(f"The chart cannot be installed: {error.detail}.", errors=error.errors) from None


def _kubeconfig(cloud: Client, proxy: str) -> dict[str, Any]:
    access = cloud.access
    cluster: dict[str, Any] = {"server": access.server, "proxy-url": proxy}
    if cloud.authority:
        cluster["certificate-authority-data"] = _encoded(cloud.authority)
    if access.server_name:
        cluster["tls-server-name"] = access.server_name
    user: dict[str, Any] = {"token": access.token} if access.token else {}
    if access.certificate:
        user |= {
            "client-certificate-data": _encoded(access.certificate),
            "client-key-data": _encoded(access.key),
        }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "context",
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
