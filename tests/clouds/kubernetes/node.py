"""Stands in for what a control plane has around it: a node that says its pods run, and Knative's controller.

Owns the states that a kubelet and Knative would report; runs no container. A pod whose annotation
``test/fail`` has a reason never starts and reports that. A Knative service gets a revision and an address on
the loopback that answers every request with its variable WORD and what it was asked. Run as
``python -m tests.clouds.kubernetes.node KUBECONFIG``.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

NODE = "node"
_CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}
_SERVING = ("serving.knative.dev", "v1")


def _now() -> str:
    return datetime.now(UTC).isoformat()


class Node:
    """A node of the cluster, and the pods that were bound to it."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._addresses = count(1)

    def register(self) -> None:
        labels = {
            "kubernetes.io/hostname": NODE,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        self._core.create_node({"metadata": {"name": NODE, "labels": labels}})
        self.beat()

    def beat(self) -> None:
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "lastHeartbeatTime": _now(),
            "lastTransitionTime": _now(),
        }
        status = {"capacity": _CAPACITY, "allocatable": _CAPACITY, "nodeInfo": {}, "conditions": [ready]}
        self._core.patch_node_status(NODE, {"status": status})

    def pod(self, kind: str, pod: Any) -> None:
        """Bring one pod to where a kubelet would bring it."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        if kind == "DELETED":
            return
        if pod["metadata"].get("deletionTimestamp"):
            self._core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
        elif pod["status"]["phase"] == "Pending" and not pod["status"].get("podIP"):
            self._core.patch_namespaced_pod_status(name, namespace, {"status": self._status(pod)})

    def _status(self, pod: Any) -> dict[str, Any]:
        number, at = next(self._addresses), _now()
        address = f"10.244.{number // 250}.{number % 250 + 1}"
        fails = (pod["metadata"].get("annotations") or {}).get("test/fail")
        once = pod["spec"].get("restartPolicy") != "Always"
        state: dict[str, Any] = {"running": {"startedAt": at}}
        if fails:
            state = {"waiting": {"reason": fails, "message": "as the annotation says"}}
        elif once:
            state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at}}
        ready = not fails and not once
        containers = [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": "none",
                "ready": ready,
                "restartCount": 0,
                "state": state,
            }
            for each in pod["spec"]["containers"]
        ]
        conditions = {
            "PodScheduled": True,
            "Initialized": True,
            "ContainersReady": ready,
            "Ready": ready,
        }
        return {
            "phase": "Pending" if fails else ("Succeeded" if once else "Running"),
            "hostIP": "127.0.0.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": at,
            "containerStatuses": containers,
            "conditions": [
                {"type": name, "status": str(value), "lastTransitionTime": at}
                for name, value in conditions.items()
            ],
        }


class Disks:
    """Volumes for claims of the storage class ``none``, which are nowhere."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def claim(self, kind: str, claim: Any) -> None:
        metadata, spec = claim["metadata"], claim["spec"]
        if kind == "DELETED" or spec.get("volumeName") or spec.get("storageClassName") != "none":
            return
        reference = {key: metadata[key] for key in ("name", "namespace", "uid")}
        volume = {
            "metadata": {"name": f"disk-{metadata['uid']}"},
            "spec": {
                "capacity": spec["resources"]["requests"],
                "accessModes": spec["accessModes"],
                "storageClassName": "none",
                "hostPath": {"path": "/nowhere"},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
            },
        }
        self._core.create_persistent_volume(volume)


class Knative:
    """Revisions and addresses of Knative services; a service whose annotation ``test/fail`` is set fails."""

    def __init__(self, objects: Any) -> None:
        self._objects = objects
        self._urls: dict[tuple[str, str], str] = {}
        self._words: dict[tuple[str, str], str] = {}

    def service(self, kind: str, service: Any) -> None:
        metadata = service["metadata"]
        place = (metadata["namespace"], metadata["name"])
        done = (service.get("status") or {}).get("observedGeneration") == metadata["generation"]
        if kind == "DELETED" or metadata.get("deletionTimestamp") or done:
            return
        template = service["spec"]["template"]
        revision = (template.get("metadata") or {}).get("name") or f"{place[1]}-{metadata['generation']:05}"
        fails = ((template.get("metadata") or {}).get("annotations") or {}).get("test/fail")
        self._revision(service, revision)
        variables = template["spec"]["containers"][0].get("env") or []
        self._words[place] = next((each["value"] for each in variables if each["name"] == "WORD"), "")
        if place not in self._urls:
            self._urls[place] = echo(lambda: self._words[place])
        status: dict[str, Any] = {
            "observedGeneration": metadata["generation"],
            "latestCreatedRevisionName": revision,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "False" if fails else "True",
                    "reason": fails or "",
                    "message": "as the annotation says" if fails else "",
                }
            ],
        }
        if not fails:
            status |= {"latestReadyRevisionName": revision, "url": self._urls[place]}
        self._objects.patch_namespaced_custom_object_status(
            *_SERVING, place[0], "services", place[1], {"status": status}
        )

    def _revision(self, service: Any, name: str) -> None:
        from kubernetes.client import ApiException

        metadata = service["metadata"]
        owner = {
            "apiVersion": service["apiVersion"],
            "kind": "Service",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        made = {
            "apiVersion": service["apiVersion"],
            "kind": "Revision",
            "metadata": {
                "name": name,
                "labels": {"serving.knative.dev/service": metadata["name"]},
                "ownerReferences": [owner],
            },
            "spec": service["spec"]["template"]["spec"],
        }
        try:
            self._objects.create_namespaced_custom_object(*_SERVING, metadata["namespace"], "revisions", made)
        except ApiException as error:
            if error.status != 409:
                raise


def echo(word: Callable[[], str]) -> str:
    """Listen on a port of the loopback, answering with the word and with what was asked; the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            fails = asked.get("fail", "")
            answer = json.dumps({"error": fails} if fails else {"word": word(), "asked": asked}).encode()
            self.send_response(500 if fails else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def follow(listing: Callable[..., Any], act: Callable[[str, Any], None], **options: Any) -> None:
    """Watch for ever, and act on whatever changes; a change that meanwhile went away is none."""
    from kubernetes import client, watch

    while True:
        try:
            for event in watch.Watch().stream(listing, timeout_seconds=300, **options):
                try:
                    act(event["type"], event["raw_object"])
                except client.ApiException as error:
                    if error.status not in (404, 409, 422):
                        print("refused:", error.status, error.body, flush=True)
        except Exception as error:
            print("watch:", type(error).__name__, error, flush=True)
            time.sleep(0.5)


def main(kubeconfig: str) -> None:
    from kubernetes import client, config

    config.load_kube_config(kubeconfig)
    core = client.CoreV1Api()
    node, knative, disks = Node(core), Knative(client.CustomObjectsApi()), Disks(core)
    node.register()
    services = client.CustomObjectsApi().list_cluster_custom_object
    threading.Thread(
        target=follow,
        args=(services, knative.service),
        kwargs={"group": _SERVING[0], "version": _SERVING[1], "plural": "services"},
        daemon=True,
    ).start()
    mine = {"field_selector": f"spec.nodeName={NODE}"}
    threading.Thread(
        target=follow, args=(core.list_pod_for_all_namespaces, node.pod), kwargs=mine, daemon=True
    ).start()
    claims = core.list_persistent_volume_claim_for_all_namespaces
    threading.Thread(target=follow, args=(claims, disks.claim), daemon=True).start()
    while True:
        time.sleep(10)
        node.beat()


if __name__ == "__main__":
    main(sys.argv[1])
