"""A machine's shell script in the form in which cloud-init runs it at every boot.

Owns the wrapping, and waiting for volumes, which EC2 attaches only to machines that run already. Sources:
*cloud-init*, "User data formats" (MIME multi-part; gzip) and "scripts-user"; *Amazon EC2 User Guide*,
"Identify the EBS device" (the NVMe serial number is the volume's id).
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from pitrix.errors import InvalidInput

MAX_BYTES = 16 * 1024
"""What EC2 takes, before it is encoded."""

VOLUMES_WAIT_S = 600
"""How long a booting machine waits for its volumes, in seconds."""

_EVERY_BOOT = "#cloud-config\ncloud_final_modules:\n- [scripts-user, always]\n"
_BOUNDARY = "==pitrix=="

_WAIT = """\
#!/bin/sh
# Pitrix: the volumes are attached while the machine boots; what comes next needs them.
left={wait}
for volume in {volumes}; do
    until [ -e "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$volume" ]; do
        [ "$left" -gt 0 ] || {{ echo "pitrix: the volume $volume did not come" >&2; exit 1; }}
        left=$((left - 1))
        sleep 1
    done
done
"""


def wrapped(script: str, volume_ids: Sequence[str]) -> bytes:
    """User data that runs ``script`` at every boot, after the volumes are there.

    Raises:
        InvalidInput: It is larger than EC2 takes, although it was compressed.
    """
    if not script:
        return b""
    parts = [(_EVERY_BOOT, "cloud-config")]
    if volume_ids:
        volumes = " ".join(volume_id.replace("-", "") for volume_id in volume_ids)
        parts.append((_WAIT.format(wait=VOLUMES_WAIT_S, volumes=volumes), "x-shellscript"))
    # cloud-init runs what begins with #! and takes the rest for something else.
    parts.append((script if script.startswith("#!") else f"#!/bin/sh\n{script}", "x-shellscript"))
    whole = MIMEMultipart(boundary=_BOUNDARY)
    for text, kind in parts:
        whole.attach(MIMEText(text, kind, "utf-8"))
    data = whole.as_bytes()
    if len(data) > MAX_BYTES:
        data = gzip.compress(data, mtime=0)
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"The user data has {len(data)} bytes even compressed; EC2 takes {MAX_BYTES}.")
    return data
