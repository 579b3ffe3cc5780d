"""What an application package is, what it asks of a user, and what it becomes once answered.

Owns the shapes that every other context speaks about packages with: `Package` (the files of an
archive), `Problem` (what lint found), `Form` (what to ask), `ClusterSpec` (the rendered and
validated ``cluster.json``).  Never reads an archive, renders a template or validates: that is
`service`, and the modules it is made of.  Sizes carry their unit in their name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_BLANKS = re.compile(r"\s+")


def printable(text: str, limit: int = 200) -> str:
    """A text of a stranger as it can be shown and stored: nothing invisible, and not too long."""
    if len(text) <= limit and text.isprintable():
        return text
    shown = text[: limit + 1].encode("utf-8", "backslashreplace").decode("utf-8")
    shown = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in shown)
    return f"{shown[:limit]}…" if len(text) > limit or len(shown) > limit else shown


class Severity(StrEnum):
    """How much a problem weighs: an error stops a package, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a package, said so that its author can mend it.

    Texts are made printable and cut when it is made: a package's names and values are in them.

    Attributes:
        file: Path inside the package; empty for the archive itself.
        line: 1-based line in ``file``; 0 when there is none to name.
        key: JSON pointer of the value; empty for the whole file.
        message: What is wrong.
        hint: How to mend it; may be empty.
    """

    file: str
    line: int = 0
    key: str = ""
    severity: Severity = Severity.ERROR
    message: str
    hint: str = ""

    def __post_init__(self) -> None:
        for name, limit in (("file", 300), ("key", 300), ("message", 1000), ("hint", 1000)):
            text = getattr(self, name)
            if limit == 1000:  # sentences: a line break of a tool's own words is a blank
                text = _BLANKS.sub(" ", text)
            object.__setattr__(self, name, printable(text, limit))

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file or "package", self.line or "") if part)
        at = f" {self.key}" if self.key else ""
        return f"{where}:{at} {self.severity}: {self.message}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True, kw_only=True)
class Package:
    """An opened package: its metadata and every file, already checked against the limits.

    Attributes:
        version: Semantic version (2.0.0 of the specification).
        app_version: Version of the application inside, as its vendor writes it; may be empty.
        metadata: The package's own description of itself (``package.json``, ``Chart.yaml``), decoded.
        icon: Path of a file of the package, a URL, or empty.
        files: Path (``/`` separated, relative to the package's root) to bytes.
        digest: ``sha256:<hex>`` of the archive as it was uploaded.
        warnings: Lint's findings which did not stop it from being opened.
    """

    name: str
    version: str
    type: str = "vm"
    app_version: str = ""
    title: str = ""
    description: str = ""
    keywords: list[str] = field(default_factory=list)
    home: str = ""
    icon: str = ""
    maintainers: list[dict[str, str]] = field(default_factory=list)
    category: str = ""
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    digest: str = ""
    warnings: list[Problem] = field(default_factory=list)

    @property
    def payload(self) -> dict[str, bytes]:
        """The files below ``payload/``, without that prefix: what the agent unpacks on a machine."""
        prefix = "payload/"
        return {path[len(prefix) :]: data for path, data in self.files.items() if path.startswith(prefix)}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One file of what a package becomes once its questions are answered.

    Attributes:
        path: Where it comes from or belongs (``cluster.json``, ``templates/service.yaml``).
        text: Its content: JSON or YAML.
    """

    path: str
    text: str


class SignatureStatus(StrEnum):
    """What became of checking a package's signature.

    ``unknown_key``: signed, but by none of the keys that were given.  ``invalid``: the signature does not
    belong to these bytes, or cannot be read.
    """

    UNSIGNED = "unsigned"
    VERIFIED = "verified"
    UNKNOWN_KEY = "unknown_key"
    INVALID = "invalid"


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Who signed a package.

    Attributes:
        fingerprint: Of the key, in lower-case hex; empty where it is not known.
        signer: User id of the key (``Jane Doe <jane@example.com>``); empty where it is not known.
        message: A sentence for a person.
    """

    status: SignatureStatus = SignatureStatus.UNSIGNED
    fingerprint: str = ""
    signer: str = ""
    message: str = ""


class FieldType(StrEnum):
    """The types of a form field.

    ``json`` is any list or object that the package describes no further; ``subnet`` is a network that the
    platform provides by itself.
    """

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    PASSWORD = "password"  # noqa: S105 - the name of a type
    SERVICE = "service"
    LOADBALANCER = "loadbalancer"
    JSON = "json"
    SUBNET = "subnet"


@dataclass(frozen=True, kw_only=True)
class FieldCondition:
    """The answer of the field at ``path`` is (or, negated, is not) one of ``values``, as text."""

    path: list[str]
    values: list[str]
    negated: bool = False


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One question of a form.

    Attributes:
        key: Dotted path from the root of the answers, for a name and for messages
            (``cluster.web.count``).  A key may hold dots of its own (``env.log.roll.hours``):
            `path` is the exact one.
        path: The keys to walk from the root of the answers.
        default: The answer used when the user gives none; ``None`` when there is none.
        choices: The allowed answers in the order of the package; ``None`` when any may be given.
        choice_labels: What to show for each of ``choices``, in their order; empty where the values
            speak for themselves.
        minimum, maximum, step: Bounds of a number, both inclusive; ``None`` where open.
        exclusive_minimum, exclusive_maximum: The bound itself is not allowed.
        min_length, max_length: Characters of a text; ``None`` where open.
        min_items, max_items: Entries of a list; ``None`` where open.
        shape: For ``json``: ``array``, ``object``, or empty where any value may be given.
        pattern: Regular expression that a text must match somewhere.
        unit: Unit shown behind the input (``GiB``); empty when there is none.
        multichoice: Several of ``choices`` may be given, as a list; joined by ``separator``
            in the rendered template.
        changeable: May be changed on a running cluster.
        changeable_when_create: May be changed from its default when a cluster is made.
        customizable: For the choice of a size: other answers may depart from what belongs to the size.
        auto_scale_step: By how much automatic scaling changes it; ``None`` when the package does not say.
        multiline: The text may have several lines.
        expanded: Shown at once (true) or folded away (false); ``None`` leaves that to who draws it.
        system: Shown before the others.
        resource: For a text that names something in the user's account: ``accesskey``, ``vxnet`` (a
            network) or ``eip`` (a public address), several of them apart by blanks; otherwise empty.
        platform_provided: The platform fills it in when it is left empty (a subnet, a load
            balancer): a user need not be asked.
        tags: For ``service``: kinds of applications that may be linked to.
        limits: For ``service``: ids of the applications (and of their versions) that may be linked to.
        allowed_operations: For ``service``: what may be done with the link later (``add``, ``modify``,
            ``delete``).
        ports: For ``loadbalancer``: the ports of the nodes behind it.
        resource_group: The value that belongs to each of the form's ``resource_groups`` (sizes
            like "Basic" and "Standard"), in their order.
        conditions: The question counts only when each of them holds.
        other: Keys of the package's field that this version of Pitrix keeps but does not act on.
    """

    key: str
    path: list[str]
    label: str
    description: str = ""
    type: FieldType = FieldType.STRING
    default: Any = None
    required: bool = False
    choices: list[Any] | None = None
    choice_labels: list[str] = field(default_factory=list)
    minimum: float | int | None = None
    maximum: float | int | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    step: float | int | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    shape: str = ""
    pattern: str = ""
    unit: str = ""
    multichoice: bool = False
    separator: str = ","
    changeable: bool = True
    changeable_when_create: bool = True
    customizable: bool = True
    auto_scale_step: float | int | None = None
    multiline: bool = False
    expanded: bool | None = None
    system: bool = False
    resource: str = ""
    platform_provided: bool = False
    tags: list[str] = field(default_factory=list)
    limits: dict[str, list[str]] = field(default_factory=dict)
    allowed_operations: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    resource_group: list[Any] | None = None
    conditions: list[FieldCondition] = field(default_factory=list)
    other: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FormGroup:
    """Fields drawn together: those of the cluster, of one role, or of an env section.

    Attributes:
        key: Dotted path of the group (``cluster``, ``cluster.web``, ``env``, ``env.web``).
        path: The keys to walk from the root of the answers.
    """

    key: str
    path: list[str]
    label: str
    description: str = ""
    fields: list[FormField] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Form:
    """Everything a package asks before it can be deployed, in the order of the package.

    Attributes:
        locale: Language of the labels, descriptions and messages (``en``, ``zh-cn``).
        resource_groups: Names of the sizes a user may choose between; empty when there are none.
        service_params: Questions of custom services, asked when one is called (`service_form`).
        sparse: What has neither an answer nor a default is left out of the complete answers, as the
            values of a Helm chart want it; otherwise it gets the least value of its type.
    """

    locale: str = "en"
    groups: list[FormGroup] = field(default_factory=list)
    resource_groups: list[str] = field(default_factory=list)
    service_params: list[FormGroup] = field(default_factory=list)
    sparse: bool = False

    def fields(self) -> list[FormField]:
        """Every field of every group, in order."""
        return [each for group in self.groups for each in group.fields]


@dataclass(frozen=True, kw_only=True)
class VolumeSpec:
    """One data volume of a node.

    Attributes:
        size_gib: Size in GiB.
        mount_points: Absolute directories.  A package that names several gets as many volumes, each
            with its part of the size and one mount point.
        class_: Class of the volume as the package names it; ``None`` for the cloud's default.
    """

    size_gib: int
    mount_points: list[str] = field(default_factory=lambda: ["/data"])
    mount_options: str = "defaults,noatime"
    filesystem: str = "ext4"
    class_: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """A command of a role: one of the built-in ones (init, start, stop, ...) or a custom one.

    Attributes:
        cmd: Shell command; empty when the package declares the service but gives no command.
        order: Roles with a smaller order go first, roles of the same order go together.
        timeout_s: Seconds after which the command counts as failed.
        nodes_to_execute_on: Run on so many nodes of the role only; ``None`` for all.
        post_start_service: (init, upgrade) run after ``start`` instead of before it.
        post_stop_service: (destroy, upgrade) run after ``stop`` instead of before it.
        pre_check: Command which must succeed before the service may run.
        selector: Command which prints the ids of the nodes that the service is to run on.
        type: ``custom`` for services that a user calls by name; otherwise empty.
        service_params: Parameters of a custom service with their defaults; ``None`` as a value
            means that it has no default and the caller must give it.
        allow_force: A cluster may be deleted though ``destroy`` failed.
        with_replica: (backup, restore) run on the replicas too.
        events: (get_nodes_order) the operations whose order of nodes the command decides.
        other: Keys of the service that this version of Pitrix keeps but does not act on.
    """

    name: str
    cmd: str = ""
    order: int = 0
    timeout_s: int = 600
    nodes_to_execute_on: int | None = None
    post_start_service: bool = False
    post_stop_service: bool = False
    pre_check: str = ""
    selector: str = ""
    type: str = ""
    service_params: dict[str, Any] = field(default_factory=dict)
    allow_force: bool = True
    with_replica: bool = False
    events: list[str] = field(default_factory=list)
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def custom(self) -> bool:
        return self.type == "custom"


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """How to tell whether a node is well, and what to do when it is not."""

    enable: bool = True
    interval_s: int = 60
    timeout_s: int = 10
    action_timeout_s: int = 30
    healthy_threshold: int = 3
    unhealthy_threshold: int = 3
    check_cmd: str = ""
    action_cmd: str = ""


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """How to measure a node; ``cmd`` prints one JSON object of the keys of ``items``."""

    enable: bool = True
    cmd: str = ""
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    display: list[str] = field(default_factory=list)
    alarm: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A door of the application.

    Attributes:
        port: The number; the text of the package's reference (``env.web.port``) only where the
            answers hold no number for it.
        protocol: ``tcp``, ``http``, ...; free text in packages of the wild.
        roles: The roles whose nodes serve it.
    """

    port: int | str
    protocol: str = "tcp"
    roles: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RoleSpec:
    """Nodes that are alike.

    Attributes:
        role: Name of the role; ``""`` when the package has a single role without a name.
        count: How many nodes; without the replicas.
        replicas: Replicas of each node; their role is ``<role>-replica``.
        cpu: Cores of a node.
        memory_mib: Memory of a node in MiB.
        instance_class: Class of machine as the package names it.
        instance_type: Type of a bare-metal machine, which then settles cores, memory and disks (``cpu``
            and ``memory_mib`` are 0); otherwise empty.
        image: Image of the machines as the package names it.
        images: Image by zone, where the package names one for each; ``image`` and ``zone`` are the first.
        container_type: ``kvm``, ``lxc``, ``docker``; empty when the package leaves it open.
        zone: Zone which the image lives in, as the package names it.
        passphraseless: ``ssh-rsa`` or ``ssh-dsa`` when nodes of the role log into each other.
        env: Parameters of this role, as they are served to its nodes.
        health_check, monitor: Of this role, or the cluster's where the role has none.
        advanced_actions: What else a user may do (``scale_horizontal``, ...).
        vertical_scaling_policy: ``parallel`` (the default) or ``sequential``.
        user_access: A user may log in to the nodes.
        agent_installed: The image carries an agent; without one no command can be run.
        reserved_ips: Addresses to keep for the nodes of this role, by name.
        server_id_upper_bound: Largest number a node may be given; ``None`` for no bound.
        loadbalancers: Answers of the role's load balancer fields.
        metadata: Custom metadata of the package for this role.
        other: Keys of the rendered role that this version of Pitrix keeps but does not act on.
    """

    role: str
    count: int
    cpu: int
    memory_mib: int
    gpu: int = 0
    gpu_class: int | str | None = None
    instance_class: int | str = 0
    instance_type: str = ""
    volumes: list[VolumeSpec] = field(default_factory=list)
    image: str = ""
    images: dict[str, str] = field(default_factory=dict)
    container_type: str = ""
    zone: str = ""
    passphraseless: str = ""
    services: dict[str, ServiceSpec] = field(default_factory=dict)
    env: dict[str, Any] = field(default_factory=dict)
    health_check: HealthCheck | None = None
    monitor: Monitor | None = None
    replicas: int = 0
    advanced_actions: list[str] = field(default_factory=list)
    vertical_scaling_policy: str = "parallel"
    user_access: bool = False
    agent_installed: bool = True
    reserved_ips: dict[str, Any] = field(default_factory=dict)
    server_id_upper_bound: int | None = None
    loadbalancers: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def machines(self) -> int:
        """How many machines the role needs: every node and its replicas."""
        return self.count * (1 + self.replicas)


@dataclass(frozen=True, kw_only=True)
class WorkloadSpec:
    """What a chart runs, as its manifests ask for it; sizes are those of one copy.

    Attributes:
        kind: ``Deployment``, ``StatefulSet``, ``DaemonSet``, …, or ``PersistentVolumeClaim`` for storage
            that belongs to none of them.
        copies: How many run at the same time; of a ``DaemonSet`` one, as the nodes are not known.
        cpu_millis: What its containers request, in thousandths of a core.
        memory_mib: What its containers request, in MiB.
        volume_gib: What it claims, in GiB.
    """

    kind: str
    name: str
    copies: int = 1
    cpu_millis: int = 0
    memory_mib: int = 0
    volume_gib: int = 0


@dataclass(frozen=True, kw_only=True)
class ClusterSpec:
    """What to build: the template rendered with complete answers, and validated.

    A package that becomes no machines has no roles but ``workloads``, or neither.

    Attributes:
        name: Name of the cluster; may be empty.
        subnet: Network to put the nodes in; empty when the platform is to provide one.
        endpoints: By name.
        links: Name of the link to the id of the cluster linked to; empty when not linked.
        env: Parameters of the whole cluster.
        advanced_actions: Of the whole cluster; a role may allow more.
        health_check, monitor: The cluster's own, already handed to the roles that have none.
        metadata: Custom metadata of the package.
        unmetered: What of it is not metered, and so not in its price, in sentences for a user.
        other: Keys of the rendered file that this version of Pitrix keeps but does not act on.
    """

    name: str = ""
    description: str = ""
    subnet: str = ""
    roles: list[RoleSpec] = field(default_factory=list)
    workloads: list[WorkloadSpec] = field(default_factory=list)
    unmetered: list[str] = field(default_factory=list)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    env: dict[str, Any] = field(default_factory=dict)
    advanced_actions: list[str] = field(default_factory=list)
    health_check: HealthCheck | None = None
    monitor: Monitor | None = None
    multi_zone_policy: str = ""
    backup_policy: str = ""
    incremental_backup_supported: bool = False
    upgrade_policy: list[str] = field(default_factory=list)
    upgrading_policy: str = "parallel"
    reserved_ips: dict[str, Any] = field(default_factory=dict)
    display_tabs: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def copies(self) -> int:
        """How many machines, or pods that keep running, this is."""
        pods = sum(each.copies for each in self.workloads if each.kind != "PersistentVolumeClaim")
        return pods + sum(role.machines for role in self.roles)

    def role(self, name: str) -> RoleSpec:
        """The role of that name.

        Raises:
            KeyError: The cluster has no such role.
        """
        for each in self.roles:
            if each.role == name:
                return each
        raise KeyError(name)
