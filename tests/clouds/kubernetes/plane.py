"""Starts and stops a control plane: etcd, kube-apiserver, controller manager, scheduler, and a stand-in node.

Owns free ports, certificates of an authority of its own, and the tokens of those who may sign in. RBAC is on.
Never builds the programs (``build``), never knows the driver.
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
READY_WITHIN_S = 60
USERS = ("admin", "system:kube-controller-manager", "runtime", "confined", "powerless")
"""Who may sign in: ``admin`` may do all; what the others may is granted by whoever starts the plane."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A running control plane. ``tokens`` by user; ``certificate`` and ``key`` are good for any port here."""

    url: str
    ca: str
    certificate: Path
    key: Path
    tokens: Mapping[str, str]

    def ask(self, method: str, path: str, body: object = None, content: str = "application/json") -> Any:
        """One call as ``admin``; raises ``HTTPError`` for answers of 400 and more."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.tokens['admin']}", "Content-Type": content}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        trusting = ssl.create_default_context(cadata=self.ca)
        with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
            return json.loads(answer.read())

    def apply(self, path: str, body: Mapping[str, Any]) -> None:
        """Bring the object at ``path`` to ``body``."""
        self.ask("PATCH", f"{path}?fieldManager=test&force=true", body, "application/apply-patch+yaml")


@contextmanager
def control_plane(folder: Path, programs: Path) -> Iterator[Plane]:
    """Run a control plane that keeps its state in ``folder``, with ``programs`` as built."""
    ports = _free_ports(5)
    certificate, key, ca = _certificates(folder)
    tokens = {user: secrets.token_hex(16) for user in USERS}
    url = f"https://127.0.0.1:{ports[2]}"
    plane = Plane(url=url, ca=ca, certificate=certificate, key=key, tokens=tokens)
    _write_files(folder, plane)
    with ExitStack() as running:

        def start(name: str, *command: str | Path) -> None:
            running.enter_context(_process(folder, name, *command))

        start(
            "etcd",
            programs / "etcd",
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{ports[0]}",
            f"--advertise-client-urls=http://127.0.0.1:{ports[0]}",
            f"--listen-peer-urls=http://127.0.0.1:{ports[1]}",
            "--unsafe-no-fsync",
        )
        start(
            "kube-apiserver",
            programs / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{ports[0]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={ports[2]}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            "--api-audiences=api",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
            "--disable-admission-plugins=StorageObjectInUseProtection",
        )
        _eventually(lambda: plane.ask("GET", "/api/v1/namespaces/default"), folder)
        common = ("--bind-address=127.0.0.1", "--port=0", "--leader-elect=false")
        start(
            "kube-controller-manager",
            programs / "kube-controller-manager",
            f"--kubeconfig={folder}/kubeconfig",
            f"--secure-port={ports[3]}",
            f"--cert-dir={folder}/manager",
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={folder}/ca.pem",
            "--controllers=*,-nodeipam,-route,-service,-cloud-node-lifecycle,-csrsigning,-attachdetach",
            "--namespace-sync-period=10s",
            *common,
        )
        start(
            "kube-scheduler",
            programs / "kube-scheduler",
            f"--kubeconfig={folder}/kubeconfig",
            f"--secure-port={ports[4]}",
            f"--cert-dir={folder}/scheduler",
            *common,
        )
        for definition in _definitions():
            name = definition["metadata"]["name"]
            plane.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", definition)
        start("node", sys.executable, "-m", "tests.clouds.kubernetes.node", f"{folder}/kubeconfig")
        _eventually(lambda: plane.ask("GET", "/api/v1/nodes/node")["status"]["conditions"], folder)
        _eventually(lambda: plane.ask("GET", "/api/v1/namespaces/default/serviceaccounts/default"), folder)
        yield plane


def _definitions() -> list[dict[str, Any]]:
    from tests.clouds.kubernetes.knative import definitions

    return definitions()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _write_files(folder: Path, plane: Plane) -> None:
    rows = [
        f'{token},{user},uid-{number},"{"system:masters" if user == "admin" else "testers"}"'
        for number, (user, token) in enumerate(plane.tokens.items())
    ]
    (folder / "tokens.csv").write_text("\n".join(rows) + "\n")
    (folder / "ca.pem").write_text(plane.ca)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": plane.url, "certificate-authority": f"{folder}/ca.pem"}}
        ],
        "users": [{"name": "u", "user": {"token": plane.tokens["admin"]}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "kubeconfig").write_text(json.dumps(config))


@contextmanager
def _process(folder: Path, name: str, *command: str | Path) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _eventually(look: Any, folder: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            if look():
                return
        except (OSError, KeyError):
            pass
        assert time.monotonic() < deadline, f"the control plane does not come up; its logs are in {folder}"
        time.sleep(0.05)


def _certificates(folder: Path) -> tuple[Path, Path, str]:
    """A certificate for 127.0.0.1 and its key, as files, and the authority that vouches for it, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    now = datetime.now(UTC)

    def certificate(name: str, index: int, *extensions: x509.ExtensionType) -> x509.Certificate:
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
        builder = builder.public_key(keys[index].public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=2))
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
        for each in (*extensions, identifier):
            builder = builder.add_extension(each, critical=isinstance(each, x509.BasicConstraints))
        return builder.sign(keys[0], hashes.SHA256())

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority = certificate("test authority", 0, x509.BasicConstraints(ca=True, path_length=0), usage)
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("kubernetes.default.svc")]
    )
    served = certificate("kubernetes", 1, names)
    pem = serialization.Encoding.PEM
    secret = keys[1].private_bytes(
        pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(served.public_bytes(pem))
    (folder / "server.key").write_bytes(secret)
    return folder / "server.pem", folder / "server.key", authority.public_bytes(pem).decode()
