"""Starts OpenStack in a folder, and stops it: its database, its services, and the one port to them all.

Every process is started and ended here, by its own id. What was made by ``build`` is only read.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.clouds.openstack import configuration

HERE = Path(__file__).parent
Process = subprocess.Popen[str]
READY_S = 120
"""A loaded machine takes its time to import nova."""

USERS = {
    "service": {
        "project": "service",
        "password": configuration.SERVICE_PASSWORD,
        "roles": ["admin", "service"],
    },
    "demo": {"project": "demo", "password": "demo-secret", "roles": ["member"]},
    "small": {"project": "small", "password": "small-secret", "roles": ["member"]},
    "other": {"project": "other", "password": "other-secret", "roles": ["member"]},
}


@contextmanager
def start(folder: Path, built: Path) -> Iterator[str]:
    """Run a copy of what ``build`` made, in ``folder``: the address of all its services."""
    shutil.copytree(built / "template", folder, dirs_exist_ok=True)
    environment = built / "environment"
    for name in ("run", "log"):
        (folder / name).mkdir(exist_ok=True)
    with gateway(folder, environment) as url:
        configuration.write(folder, environment, url)
        with database(folder):
            moved = f"update keystone.endpoint set url = regexp_replace(url, '^http://[^/]*', '{url}')"
            here = f"'unix_socket=[^&]*', 'unix_socket={folder}/run/mysql.sock'"
            cell = f"regexp_replace(database_connection, {here})"
            sql(folder, f"{moved}; update nova_api.cell_mappings set database_connection = {cell}")
            with services(folder, environment):
                yield url


# --- the database ------------------------------------------------------------------------------------


def require_database() -> None:
    """Raise FileNotFoundError where there is no MariaDB."""
    if shutil.which("mariadbd") is None:
        raise FileNotFoundError("there is no MariaDB; on Debian: apt-get install mariadb-server")


def make_database(folder: Path) -> None:
    """Make an empty database server's files."""
    (folder / "log").mkdir(exist_ok=True)
    command = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/mysql", "--skip-test-db"]
    command += ["--auth-root-authentication-method=normal", f"--user={folder.owner()}"]
    with (folder / "log" / "mysql-install.log").open("w") as log:
        subprocess.run(command, stdout=log, stderr=log, check=True)


@contextmanager
def database(folder: Path) -> Iterator[None]:
    """Run the database server on a socket file; what it holds need not survive a crash of the machine."""
    (folder / "run").mkdir(exist_ok=True)
    place = folder / "run" / "mysql.sock"
    command = ["mariadbd", "--no-defaults", f"--user={folder.owner()}", f"--datadir={folder}/mysql"]
    command += [
        "--skip-networking",
        f"--socket={place}",
        f"--pid-file={folder}/run/mysql.pid",
        "--skip-log-bin",
    ]
    command += [
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--innodb-buffer-pool-size=64M",
    ]
    command += ["--max-connections=400", "--character-set-server=utf8mb3", "--performance-schema=OFF"]
    with _process(folder, "mysql", command) as process:
        _until_answered(place, process, folder / "log")
        yield


def sql(folder: Path, statements: str) -> None:
    """Run SQL as the database's root."""
    client = ["mariadb", "--no-defaults", f"--socket={folder}/run/mysql.sock", "--user=root"]
    subprocess.run([*client, "-e", statements], check=True, capture_output=True, text=True)


# --- the services ------------------------------------------------------------------------------------


@contextmanager
def gateway(folder: Path, environment: Path) -> Iterator[str]:
    """The one port to all services; its address."""
    (folder / "run").mkdir(exist_ok=True)
    command = [environment / "bin" / "python", HERE / "inside" / "gateway.py", folder / "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            _end(process)


@contextmanager
def services(folder: Path, environment: Path) -> Iterator[None]:
    """Run all services; nova asks keystone and placement while it starts, and so comes after them."""
    with ExitStack() as running:
        started = {}
        for name in ("identity", "placement", "image", "network"):
            started[name] = running.enter_context(service(folder, environment, name))
        for name in ("identity", "placement"):
            wait_for(folder, name, started[name])
        for name in ("compute", "volume"):
            started[name] = running.enter_context(service(folder, environment, name))
        for name, process in started.items():
            wait_for(folder, name, process)
        yield


@contextmanager
def service(folder: Path, environment: Path, name: str) -> Iterator[Process]:
    """Start one service, by the first part of its path; it may not answer yet."""
    project = configuration.SERVICES[name]
    etc = folder / "etc" / project
    place = folder / "run" / f"{name}.sock"
    place.unlink(missing_ok=True)
    where = [str(place), f"/{name}"]
    inside = HERE / "inside"
    if project in ("nova", "cinder"):
        program = [inside / f"{project}_all.py", etc / f"{project}.conf", *where]
    else:
        options = ["--config-file", etc / "neutron.conf"] if project == "neutron" else []
        program = [inside / "serve.py", f"{project}.wsgi.api", *where, *options]
    command = [environment / "bin" / "python", *program]
    with _process(folder, project, command, _environment(folder, environment)) as process:
        yield process


def wait_for(folder: Path, name: str, process: Process) -> None:
    """Wait until a service listens, or fail with where its log is."""
    _until_answered(folder / "run" / f"{name}.sock", process, folder / "log")


# --- once, at the build ------------------------------------------------------------------------------


def in_parallel(folder: Path, environment: Path, steps: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Run several series of commands at once; each series has a log of its own."""

    def run(name: str) -> None:
        with (folder / "log" / f"setup-{name}.log").open("w") as log:
            for command in steps[name]:
                subprocess.run(
                    [environment / "bin" / command[0], *command[1:]],
                    env=_environment(folder, environment),
                    stdout=log,
                    stderr=log,
                    check=True,
                )

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, steps))


def set_up(folder: Path, environment: Path, url: str, *options: str) -> None:
    """Do what an operator does once, see ``inside/setup.py``."""
    paths = [[name, kind, path] for (name, kind), path in configuration.CATALOG.items()]
    wanted = {"admin_password": configuration.ADMIN_PASSWORD, "users": USERS, "catalog": paths}
    command = [environment / "bin" / "python", HERE / "inside" / "setup.py", url, *options]
    with (folder / "log" / "setup.log").open("a") as log:
        subprocess.run(command, input=json.dumps(wanted), text=True, stdout=log, stderr=log, check=True)


# --- processes ---------------------------------------------------------------------------------------


def _environment(folder: Path, environment: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TZ") if name in os.environ}
    return kept | {
        "PATH": f"{environment}/bin:{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
        "OS_KEYSTONE_CONFIG_DIR": f"{folder}/etc/keystone",
        "OS_GLANCE_CONFIG_DIR": f"{folder}/etc/glance",
        "OS_PLACEMENT_CONFIG_DIR": f"{folder}/etc/placement",
    }


@contextmanager
def _process(
    folder: Path, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    with (
        (folder / "log" / f"{name}.out").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True) as process,
    ):
        try:
            yield process
        finally:
            _end(process)


def _end(process: Process) -> None:
    """End a process of ours; one that takes its time has nothing left to lose."""
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()


def _answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(place))
        except OSError:
            return False
        return True


def _until_answered(place: Path, process: Process, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not _answers(place):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(
                f"nobody answers at {place.name} (ended with {process.poll()}); logs are in {log}"
            )
        time.sleep(0.1)
