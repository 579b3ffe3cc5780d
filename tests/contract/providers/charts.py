"""Small charts of our own, one for each thing that charts do, for the suite of releases."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pitrix.packages import archive

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      annotations: {{ .Values.annotations | toJson }}
    spec:
      containers:
        - name: web
          image: "web:{{ .Values.tag }}"
          resources: {requests: {cpu: 250m, memory: 64Mi}}
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{name: http, port: 80}]
"""
_CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-config
data:
  greeting: {{ required "greeting is needed" .Values.greeting | quote }}
"""
_SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}-secret
stringData:
  password: {{ .Values.password | quote }}
"""
_VALUES = {
    "replicas": 1,
    "tag": "1",
    "greeting": "hello",
    "password": "of-the-chart",
    "annotations": {},
}

WEB = {
    "templates/deployment.yaml": _DEPLOYMENT,
    "templates/service.yaml": _SERVICE,
    "templates/config.yaml": _CONFIG,
    "templates/secret.yaml": _SECRET,
}
"""A deployment with a service, a plain setting and a secret one."""

HOOKS = {
    "templates/config.yaml": _CONFIG,
    "templates/before.yaml": """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  backoffLimit: 0
  {{- if .Values.hookFails }}
  activeDeadlineSeconds: 1
  {{- end }}
  template:
    metadata:
      annotations: {{ if .Values.hookFails }}{test/fail: ImagePullBackOff}{{ else }}{}{{ end }}
    spec: {restartPolicy: Never, containers: [{name: c, image: "tool:1"}]}
""",
    "templates/tests/ask.yaml": """\
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-test
  annotations: {helm.sh/hook: test}
spec: {restartPolicy: Never, containers: [{name: c, image: "tool:1"}]}
""",
}
"""A job that runs before everything else, and a test that only runs when it is asked for."""

FAREWELL = {
    "templates/config.yaml": _CONFIG,
    "templates/after.yaml": """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-after
  annotations: {helm.sh/hook: pre-delete}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 1
  template:
    metadata: {annotations: {test/fail: ImagePullBackOff}}
    spec: {restartPolicy: Never, containers: [{name: c, image: "tool:1"}]}
""",
}
"""A job that runs before the release is removed, and fails."""

STATEFUL = {
    "templates/set.yaml": """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ .Release.Name }}}
spec:
  serviceName: {{ .Release.Name }}
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: db, image: "db:1", volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}
"""
}
"""A stateful set whose copies have a volume each."""

WORKERS = {
    "templates/job.yaml": """\
apiVersion: batch/v1
kind: Job
metadata: {name: {{ .Release.Name }}-job}
spec:
  completions: 2
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: "tool:1"}]}
""",
    "templates/daemons.yaml": """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: {{ .Release.Name }}-everywhere}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}-everywhere}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}-everywhere}}
    spec: {containers: [{name: c, image: "tool:1"}]}
""",
    "templates/ingress.yaml": """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: {{ .Release.Name }}}
spec:
  tls: [{hosts: [shop.example.com], secretName: certificate}]
  rules:
    - host: shop.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
""",
}
"""A job, a daemon on every node, and a host name."""

_GADGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}
GADGET = {
    "crds/gadgets.yaml": json.dumps(_GADGETS),
    "templates/gadget.yaml": "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: one}\n",
}
"""A definition of a resource, and one of these."""

GADGETS = {
    **GADGET,
    "templates/role.yaml": """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .Release.Name }}-gadgets
  labels: {rbac.authorization.k8s.io/aggregate-to-admin: "true"}
rules: [{apiGroups: [example.com], resources: [gadgets], verbs: ["*"]}]
""",
}
"""The same, with a role by which every administrator of a namespace may have some."""

TRESPASSING = {
    "another namespace": {
        "templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n"
    },
    "a role for the whole cluster": {
        "templates/a.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        "metadata: {name: everything}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n"
    },
    "its own quota": {
        "templates/a.yaml": "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: a}\nspec: {}"
    },
}
"""Charts that reach beyond what is theirs."""


def chart(
    templates: Mapping[str, str] = WEB, *, version: str = "1.0.0", parts: Mapping[str, Mapping[str, str]] = {}
) -> bytes:
    """The archive of a chart; ``parts`` are charts inside of it, by their names."""
    files = _files("demo", templates, version, parts)
    for name, inside in parts.items():
        files |= {f"charts/{name}/{path}": data for path, data in _files(name, inside, "1.0.0", {}).items()}
    return archive.write(files, "demo")


def _files(
    name: str, templates: Mapping[str, str], version: str, parts: Mapping[str, object]
) -> dict[str, bytes]:
    metadata = {"apiVersion": "v2", "name": name, "version": version, "description": "A chart to test with."}
    dependencies = [{"name": each, "version": "1.0.0", "repository": ""} for each in parts]
    written = {
        "Chart.yaml": json.dumps(metadata | ({"dependencies": dependencies} if dependencies else {})),
        "values.yaml": json.dumps(_VALUES | {"hookFails": False}),
        **templates,
    }
    return {path: text.encode() for path, text in written.items()}
