"""The shell script that a machine runs at boot to get its agent.

Owns: what lies in the agent's configuration file and how the program is fetched and started. The script is
POSIX sh for cloud-init. It runs at *every* boot, so each part of it may be repeated: a registered agent
ignores the token in the rewritten configuration, and a bundle that cannot be fetched again is taken from
the disk.

On a machine of the local cloud ``PITRIX_MACHINE_DIR`` (its root), ``PITRIX_MACHINE_ADDRESS`` (its loopback
address) and ``PITRIX_PYTHON`` (its interpreter) are set, and the agent stays in the foreground, in the
process group of the machine. Elsewhere they are not: the agent lives in ``/opt/pitrix`` and systemd keeps
it running.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Template
from typing import Any

# ``$$`` is a dollar of the script; the only values put in are JSON and never shell.
_SCRIPT = Template(
    """\
#!/bin/sh
# Pitrix node: write the agent's configuration, fetch the agent, start it.
set -eu
root="$${PITRIX_MACHINE_DIR:-/opt/pitrix}"
python="$${PITRIX_PYTHON:-}"
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if [ -z "$$python" ] && "$$candidate" -c "$$new_enough" 2> /dev/null; then
        python="$$(command -v "$$candidate")"
    fi
done
[ -n "$$python" ] || { echo "pitrix: the agent needs Python 3.11 or newer; this image has none" >&2; exit 1; }
mkdir -p "$$root/agent"
chmod 700 "$$root/agent"
(umask 077; cat > "$$root/agent/config.json") <<'PITRIX_CONFIG'
$config
PITRIX_CONFIG

"$$python" - "$$root/agent" <<'PITRIX_FETCH'
import http.client, json, os, sys, time, urllib.request

folder = sys.argv[1]
target = os.path.join(folder, "agent.pyz")
with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
    url = json.load(file)["bundle_url"]
for attempt in range(8):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, open(target + ".new", "wb") as file:
            file.write(answer.read())
        os.replace(target + ".new", target)
        break
    except (OSError, http.client.HTTPException) as error:
        print("pitrix: the agent cannot be fetched yet:", type(error).__name__, file=sys.stderr)
        if os.path.exists(target):
            break
        time.sleep(min(30, 2 ** attempt))
else:
    sys.exit("pitrix: the agent could not be fetched; this machine will not join its cluster")
PITRIX_FETCH

if [ -n "$${PITRIX_MACHINE_DIR:-}" ] || [ ! -d /run/systemd/system ]; then
    exec "$$python" "$$root/agent/agent.pyz" --root "$$root"
fi
cat > /etc/systemd/system/pitrix-agent.service <<PITRIX_UNIT
[Unit]
Description=Pitrix agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=$$python $$root/agent/agent.pyz --root $$root
Restart=always
RestartSec=5
# What the application's commands started outlives a restart of the agent.
KillMode=process

[Install]
WantedBy=multi-user.target
PITRIX_UNIT
systemctl daemon-reload
systemctl enable pitrix-agent.service
systemctl restart pitrix-agent.service
"""
)


def script(config: Mapping[str, Any]) -> str:
    """Return the user data for an agent with this configuration.

    ``config`` needs ``bundle_url``, the address of ``agent.pyz``; the rest is for the agent, which documents
    it (``infra/agent/pitrix_agent/config.py``). It carries the one-time token: never log the script.
    """
    # One line of JSON cannot end the here-document early, and a quoted one expands nothing.
    return _SCRIPT.substitute(config=json.dumps(config, sort_keys=True))
