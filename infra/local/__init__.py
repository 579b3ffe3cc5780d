"""The cloud on a laptop: what `infra/up`, `infra/test` and `infra/bench` are made of.

Owns starting, filling and stopping a local AWS emulator with the very `template.yaml` that AWS would get.
Never holds domain logic: it talks to the platform through its API and to the emulator through boto3.

Where to look next: `up.py` (the command), `supervisor.py` (the order in which things start), `gateway.py`
(one origin), `transform.py` (the only difference between this deployment and one on AWS).
"""
