"""VMware vSphere: the simulator of VMware's own Go library, as a vCenter with two datacenters."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from providers.resources import Connection
from tests.clouds import cache
from tests.contract.providers.targets import Target
from tests.contract.providers.targets.interposer import Asked

_USER, _PASSWORD = "pitrix@vsphere.local", "a password for nobody"
_CHANGING = (b"_Task>", b"<CreateFolder ", b"<CreateIpPool ", b"<DestroyIpPool ")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as files; it is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vcenter under test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files[1].write_bytes(key.private_bytes(*encoding))
    return files


@contextmanager
def vcenter(folder: Path, tls: tuple[Path, Path]) -> Iterator[str]:
    """Run the simulator; yields its address.

    Raises:
        Unavailable: It is not built.
    """
    program = cache.built("vmware") / "vcsim"
    command = [
        str(program),
        "-user",
        _USER,
        "-password",
        _PASSWORD,
        "-cert",
        str(tls[0]),
        "-key",
        str(tls[1]),
    ]
    with (
        (folder / "vcsim.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            assert ready.startswith("vcsim: https://127.0.0.1:"), f"it ended with {process.poll()}: {ready}"
            yield ready.split()[1]
        finally:
            process.terminate()
            process.wait(30)


def changes(asked: Asked) -> bool:
    """Whether a SOAP request changes something; all of them are POST."""
    return any(name in asked.body for name in _CHANGING)


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    tls = certificate(folder)
    with vcenter(folder, tls) as url:
        credential = {
            "endpoint": url,
            "username": _USER,
            "password": _PASSWORD,
            "ca_certificate": tls[0].read_text(),
        }
        settings = {"allowed_networks": "127.0.0.0/8"}
        account = Connection(zone="DC0/DC0_C0", credential=credential, settings=settings)

        def but(**changed: str) -> Connection:
            return replace(account, credential=credential | changed)

        yield Target(
            name="vmware",
            kind="simulator",
            account=account,
            small=None,
            refused={
                "a wrong password": but(password="another password"),
                "a user that is none": but(username="nobody@vsphere.local"),
                "a certificate of nobody known": replace(
                    account, credential={k: v for k, v in credential.items() if k != "ca_certificate"}
                ),
                "a network that is not allowed": replace(account, settings={}),
                "a metadata service": but(endpoint="https://169.254.169.254"),
            },
            upstream=url,
            through=lambda other: but(endpoint=other),
            changes=changes,
            tls=tls,
            other_zone="DC1/DC1_C0",
            lacks={
                "quota": "vCenter limits nobody's machines and disks, and the simulator never runs full",
                "throttling": "how vCenter refuses too many calls is not documented; the simulator takes all",
                "sharing": "the simulator lets every user see everything",
            },
        )
