"""Packages for tests: a small valid one to be broken in one place, and where the real ones are."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
DEMOS = ROOT / "infra" / "demo"
#: Packages as their vendors published them; not part of the project.
VENDORS = ROOT.parent / "shared" / "data" / "appcenter"

METADATA: dict[str, Any] = {"name": "shop", "version": "1.2.3", "description": "A shop"}

CONFIG: dict[str, Any] = {
    "type": "array",
    "properties": [
        {
            "key": "cluster",
            "type": "array",
            "properties": [
                {"key": "name", "type": "string", "default": "shop", "required": "no"},
                {"key": "subnet", "label": "Subnet", "type": "string", "default": "", "required": "yes"},
                {
                    "key": "web",
                    "label": "Web",
                    "type": "array",
                    "properties": [
                        {
                            "key": "count",
                            "type": "integer",
                            "default": 2,
                            "min": 1,
                            "max": 5,
                            "required": True,
                        },
                        {"key": "cpu", "type": "integer", "default": 1, "range": [1, 2, 4]},
                        {"key": "memory", "type": "integer", "default": 512, "range": [512, 1024]},
                        {
                            "key": "volume_size",
                            "type": "integer",
                            "default": 10,
                            "min": 10,
                            "max": 50,
                            "step": 10,
                        },
                    ],
                },
            ],
        },
        {
            "key": "env",
            "type": "array",
            "properties": [
                {
                    "key": "title",
                    "type": "string",
                    "default": "Shop",
                    "pattern": "^[A-Z].*$",
                    "required": True,
                },
                {"key": "log.level", "type": "string", "default": "info", "range": ["info", "debug"]},
                {"key": "ratio", "type": "number", "default": 0.5, "min": 0, "max": 1},
                {"key": "tls", "type": "boolean", "default": False},
                {"key": "port", "type": "integer", "default": 8080},
                {
                    "key": "modules",
                    "type": "string",
                    "multichoice": True,
                    "separator": "|",
                    "range": ["a", "b", "c"],
                    "default": "a|c",
                },
            ],
        },
    ],
}

TEMPLATE = """{
  "name": "{{.cluster.name}}",
  "subnet": "{{.cluster.subnet}}",
  "nodes": [{
    "role": "web",
    "container": {"type": "kvm", "image": "img-1"},
    "count": "{{.cluster.web.count}}",
    "cpu": "{{.cluster.web.cpu}}",
    "memory": "{{.cluster.web.memory}}",
    "volume": {"size": "{{.cluster.web.volume_size}}", "mount_point": "/data"},
    "services": {
      "start": {"order": 1, "cmd": "serve --title '{{.env.title}}' --port {{.env.port}}"},
      "stop": {"cmd": "halt"}
    },
    "env": {"port": "{{.env.port}}", "title": "{{.env.title}}", "modules": "{{.env.modules}}",
            "log.level": "{{.env.log.level}}", "tls": "{{.env.tls}}", "ratio": "{{.env.ratio}}"}
  }],
  "endpoints": {"http": {"port": "web.env.port", "protocol": "http"}}
}
"""


def files(**changes: Any) -> dict[str, bytes]:
    """The files of the small package; ``package``, ``config``, ``template`` replace one; None drops it."""
    wanted = {"package": METADATA, "config": CONFIG, "template": TEMPLATE, **changes}
    names = {"package": "package.json", "config": "config.json", "template": "cluster.json.tmpl"}
    result = {}
    for key, value in wanted.items():
        if value is None:
            continue
        data = (
            value
            if isinstance(value, bytes)
            else (value if isinstance(value, str) else json.dumps(value)).encode()
        )
        result[names.get(key, key)] = data
    return result


def tgz(members: list[tarfile.TarInfo | tuple[str, bytes]] | dict[str, bytes]) -> bytes:
    """An archive of exactly these members, however odd."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members.items() if isinstance(members, dict) else members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return gzip.compress(out.getvalue(), mtime=0)
