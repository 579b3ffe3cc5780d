"""The supervisor: starts everything in order, watches it, and stops all that it started.

Owns the processes of one platform (emulator, hypervisor) and the order in which they come and go. Runs in
`.venv`; `up.py` starts it. The steps themselves are in `build.py`, `deploy.py` and `seed.py`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from infra.local import build, transform, venvs
from infra.local.datadir import DataDir, write_private
from infra.local.deploy import ACCOUNT, REGION, Cloud, Stack, deploy
from infra.local.emulator import SAVE_HEADER, SAVE_PATH
from infra.local.gateway import PILOT_PREFIX, Routes
from infra.local.paths import EMULATOR_VENV, REQUIREMENTS_EMULATOR, ROOT, TEMPLATE, VENV, venv_python
from infra.local.processes import Identity, free_port, identify, listener_on, port_is_free, stop
from infra.local.progress import UserError, say, step
from infra.local.seed import Seeding

AGENT_BUNDLE_KEY = "agent/agent.pyz"
STAGE = "live"
"""The one stage of both APIs in template.yaml."""

#: Machines on the laptop boot in a moment; somebody who waits for a failure should not wait long.
_AGENT_DEADLINE_S = 120
_EMULATOR_GRACE_S = 20
_HYPERVISOR_GRACE_S = 15
_HEALTHY_WITHIN_S = 30
_MAX_LOG_BYTES = 10_000_000


@dataclass
class _Child:
    """A process this supervisor started, and what must be told when it ends by itself."""

    name: str
    process: subprocess.Popen[bytes]
    identity: Identity
    log: Path
    grace_s: float


class Platform:
    """One running platform in one data directory."""

    def __init__(
        self,
        data: DataDir,
        port: int,
        template: Path = TEMPLATE,
        *,
        allowed_networks: Sequence[str] = (),
        cloud_settings: Sequence[str] = (),
        plugins: Sequence[Path] = (),
    ) -> None:
        self.data = data
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.cloud = Cloud(port)
        self._template = template
        self._allowed_networks = allowed_networks
        self._cloud_settings = as_json(cloud_settings)
        self._plugins = [transform.Layer(name=f"Plugin-{path.name}", source=str(path)) for path in plugins]
        self._children: list[_Child] = []
        self._stopping = threading.Event()

    def start(self, *, reset: bool) -> list[dict[str, str]]:
        """Bring everything up; returns the logins.

        Raises:
            UserError: The port is taken, the directory is in use or of another version, or a part did not
                start.
        """
        self.data.claim(emulator=venvs.pin(REQUIREMENTS_EMULATOR, "ministack"), reset=reset)
        self._clear_leftovers()
        if not port_is_free(self.port):
            who = listener_on(self.port)
            raise UserError(
                f"Port {self.port} is taken{f' by {who}' if who else ''}. "
                f"Choose another one: ./infra/up --port {self.port + 1}"
            )
        self.data.record(supervisor=identify(os.getpid()), port=self.port, phase="starting")
        self.data.gateway.unlink(missing_ok=True)
        with step("Building layers and starting the cloud") as notes:
            emulator = self._start_emulator()
            hypervisor_port = self._start_hypervisor()
            notes.append(self._build_layers())
            self._wait_healthy(emulator, "/_ministack/health", self.port)
        with step("Deploying template.yaml") as notes:
            stack = deploy(self.cloud, self._template, self._parameters(hypervisor_port))
            notes.append("changed" if stack.changed else "unchanged")
            self._open_gateway(stack)
        # A test's own template has no store to fill.
        logins = self._fill(stack) if self._template == TEMPLATE else []
        self._save()
        self.data.record(phase="ready")
        return logins

    def wait(self) -> bool:
        """Watch until somebody asks to stop; False when a part ended by itself."""
        while not self._stopping.wait(0.25):
            for child in self._children:
                if child.process.poll() is not None:
                    say(f"  ✗ The {child.name} ended by itself; see {child.log}")
                    return False
            self._install_wanted_layers()
        return True

    def ask_to_stop(self, *_: object) -> None:
        """Make ``wait`` return; a second time, end everything at once."""
        if self._stopping.is_set():
            for child in self._children:
                child.process.kill()
        self._stopping.set()

    def stop(self) -> None:
        """End all that was started, last come first; the emulator saves its state."""
        for child in reversed(self._children):
            if child.process.stdin is not None:
                child.process.stdin.close()
            stop(child.identity, grace_s=child.grace_s)
            child.process.wait()
        self._children.clear()
        self.data.clean_tmp()
        self.data.forget_run()
        self.data.release()

    def stop_if_started(self) -> None:
        """After a start that failed: end what did start, leave alone what another supervisor owns."""
        if self.data.is_ours:
            self.stop()

    def _clear_leftovers(self) -> None:
        leftovers = self.data.leftovers()
        if leftovers:
            with step("Stopping what an earlier run left behind"):
                for leftover in leftovers:
                    stop(leftover, grace_s=_EMULATOR_GRACE_S)
        self.data.clean_tmp()

    def _start_emulator(self) -> _Child:
        environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ
        }
        environment |= {
            "TMPDIR": str(self.data.tmp),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.data.state),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.data.objects),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # It would look for containers to remove; on this machine they are somebody else's.
            "DOCKER_HOST": f"unix://{self.data.path}/no-docker",
            "LOG_LEVEL": "WARNING",
            # What functions inherit: where AWS is, and that no profile of this machine's owner counts.
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "*",  # else macOS is asked for its proxies, which ends a forked process
            "PITRIX_LOCAL_PYTHON": str(venv_python(VENV)),
            "PITRIX_LOCAL_FORKSERVER": str(ROOT / "infra/local/forkserver.py"),
            "PITRIX_LOCAL_LAYERS": str(self.data.layers),
            "PITRIX_LOCAL_RUNTIME": str(build.lambda_runtime()),
            "PITRIX_LOCAL_LOGS": str(self.data.logs),
            "PITRIX_CONTROL_TOKEN": self.data.secret("control"),
            "PITRIX_GATEWAY_FILE": str(self.data.gateway),
            "PYTHONPATH": str(ROOT),
        }
        command = [str(venv_python(EMULATOR_VENV)), "-m", "infra.local.emulator"]
        return self._spawn("emulator", command, environment, grace_s=_EMULATOR_GRACE_S)

    def _start_hypervisor(self) -> int:
        port = int(self.data.keep("hypervisor_port", str(free_port())))
        if not port_is_free(port):
            port = int(self.data.keep("hypervisor_port", str(free_port()), anew=True))
        token_file = self.data.path / "hypervisor.token"
        if not token_file.exists():
            token_file.touch(mode=0o600)
            token_file.write_text(self.data.secret("hypervisor"))
        command = [str(venv_python(VENV)), "-m", "infra.local.hypervisor"]
        command += ["--data", str(self.data.hypervisor), "--port", str(port), "--token-file", str(token_file)]
        command.append("--tethered")
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'layers/core'}"}
        self._spawn("hypervisor", command, environment, grace_s=_HYPERVISOR_GRACE_S)
        return port

    def _spawn(
        self, name: str, command: Sequence[str], environment: dict[str, str], *, grace_s: float
    ) -> _Child:
        log = self.data.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with open(log, "ab") as output:
            # A session of its own: Ctrl-C reaches the supervisor alone, which stops its children in order.
            # They hold the other end of a pipe from us, so they notice when we are gone.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.data.path,
                start_new_session=True,
            )
        identity = identify(process.pid)
        if identity is None:
            raise UserError(f"The {name} did not start; see {log}")
        child = _Child(name, process, identity, log, grace_s)
        self._children.append(child)
        self.data.record(**{name: identity})
        return child

    def _install_wanted_layers(self) -> None:
        """Install the SDKs that functions wait for; a stop waits for pip at most."""
        for layer in transform.layers(transform.load(self._template)) if self._wanted() else ():
            if (self.data.layers / layer.name / build.WANTED).exists():
                build.build_wanted(self._template.parent, layer, self.data.layers)

    def _wanted(self) -> bool:
        return any(self.data.layers.glob(f"*/{build.WANTED}"))

    def _build_layers(self) -> str:
        layers = [*transform.layers(transform.load(self._template)), *self._plugins]
        root = self._template.parent
        with ThreadPoolExecutor() as pool:
            changed = sum(pool.map(lambda layer: build.build_layer(root, layer, self.data.layers), layers))
        return f"{changed} of {len(layers)} layers changed"

    def _wait_healthy(self, child: _Child, path: str, port: int) -> None:
        deadline = time.monotonic() + _HEALTHY_WITHIN_S
        while time.monotonic() < deadline:
            if child.process.poll() is not None:
                break
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.03)
        raise UserError(f"The {child.name} did not start; see {child.log}")

    def _parameters(self, hypervisor_port: int) -> dict[str, str]:
        return {
            "PublicUrl": self.url,
            "PilotUrl": f"ws://127.0.0.1:{self.port}{PILOT_PREFIX}",
            "PilotManagementUrl": f"{self.url}{PILOT_PREFIX}",
            "LocalCloudUrl": f"http://127.0.0.1:{hypervisor_port}",
            "AgentDeadlineSeconds": str(_AGENT_DEADLINE_S),
            "AgentBundleKey": AGENT_BUNDLE_KEY,
            "RepoAllowedNetworks": ",".join(self._allowed_networks),
            "RuntimeAllowedNetworks": ",".join(self._allowed_networks),
            "CloudSettings": self._cloud_settings,
            transform.PLUGINS: ",".join(layer.name for layer in self._plugins),
        }

    def _open_gateway(self, stack: Stack) -> None:
        routes = Routes(
            api_id=stack.outputs["ApiId"],
            stage=STAGE,
            pilot_api_id=stack.outputs.get("PilotApiId", ""),
            pilot_stage=STAGE,
        )
        write_private(self.data.gateway, asdict(routes))

    def _fill(self, stack: Stack) -> list[dict[str, str]]:
        with step("Filling the store") as notes:
            seeding = Seeding(self.cloud, self.data, stack.outputs, self.url)
            if seeding.is_done():
                notes.append("unchanged")
            else:
                bundle = build.build_agent(self.data.tmp)
                bucket = stack.outputs["CatalogBucketName"]
                self.cloud.client("s3").put_object(Bucket=bucket, Key=AGENT_BUNDLE_KEY, Body=bundle)
                seeding.run()
                self._save()
                seeding.mark_done()
            return seeding.logins()

    def _save(self) -> None:
        """Have the emulator write its state now, so that a kill -9 cannot undo what was just made."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", SAVE_PATH, headers={SAVE_HEADER: self.data.secret("control")})
        if connection.getresponse().status != 204:
            raise UserError("The emulator did not save its state; see its log.")
        connection.close()


def as_json(cloud_settings: Sequence[str]) -> str:
    """The template's ``CloudSettings`` of ``aws.endpoint=http://…`` and the like; "" where there are none."""
    found: dict[str, dict[str, str]] = {}
    for setting in cloud_settings:
        name, _, value = setting.partition("=")
        provider, _, key = name.partition(".")
        found.setdefault(provider, {})[key] = value
    return json.dumps(found, sort_keys=True) if found else ""


def announce(platform: Platform, logins: list[dict[str, str]], seconds: float) -> None:
    """Print what a person needs to go on."""
    say()
    say(f"  Pitrix is ready ({seconds:.1f} s).")
    say()
    say(f"    Console   {platform.url}/")
    say(f"    API       {platform.url}/v1")
    say(f"    Terminal  .venv/bin/pitrix --url {platform.url} login")
    for login in logins:
        say(f"    Login     {login['username']:<10} {login['password']:<20} {login['role']}")
    say()
    say(f"    Logins are kept in {platform.data.logins}, logs in {platform.data.logs}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one platform until it is asked to stop; the exit status is 0 when everything went well."""
    parser = argparse.ArgumentParser(prog="infra.local")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--reset", action="store_true")
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--begun", type=float, default=None, help="when the command was given (Unix time)")
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    parser.add_argument("--allow-network", action="append", default=[])
    parser.add_argument("--cloud-setting", action="append", default=[])
    parser.add_argument("--plugin", action="append", default=[], type=Path)
    options = parser.parse_args(argv)
    for name in ("no_proxy", "NO_PROXY"):  # a proxy of this machine is for pip, not for what runs on it
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1"]))
    begun = options.begun or time.time()
    platform = Platform(
        DataDir(options.data),
        options.port,
        options.template.resolve(),
        allowed_networks=options.allow_network,
        cloud_settings=options.cloud_setting,
        plugins=options.plugin,
    )

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Until everything runs, a signal breaks off the start; after that it ends the waiting.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        logins = platform.start(reset=options.reset)
    except KeyboardInterrupt:
        platform.stop_if_started()
        say("\n  Stopped before it was ready.")
        return 130
    except BaseException as error:
        _report(platform, error)
        platform.stop_if_started()
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, platform.ask_to_stop)
    announce(platform, logins, time.time() - begun)
    if options.detach:
        say(f"    Stop it with: ./infra/up --stop --data {platform.data.path}")
        _let_go(platform.data.logs / "platform.log")
    else:
        say("    Stop it with Ctrl-C.")
    well = platform.wait()
    say("\n  Stopping …")
    platform.stop()
    say("  Stopped; the data is kept.")
    return 0 if well else 1


def _let_go(log: Path) -> None:
    """Give the terminal back: whoever waits for this command sees the end of its output."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _report(platform: Platform, error: BaseException) -> None:
    if isinstance(error, UserError):
        say(f"\n  {error}")
        return
    log = platform.data.logs / "platform.log"
    details = "".join(traceback.format_exception(error))
    if platform.data.logs.is_dir():
        with open(log, "a") as file:
            file.write(details)
        say(f"\n  Something unexpected happened: {type(error).__name__}: {error}\n  Details are in {log}")
    else:
        say(f"\n  Something unexpected happened: {details}")
