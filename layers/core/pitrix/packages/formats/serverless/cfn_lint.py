"""What a stranger's template may make in somebody's account, and what not: refused or warned of, with
reasons.

Owns the rules for resources, policies, code and transforms.  An error is what takes an account over or runs
code that is not in the package; a warning is what an owner should see first (a public bucket, something
that is paid for by the hour).  The same rules hold for statements of IAM in a manifest.

Sources: *AWS Identity and Access Management User Guide*, "Security best practices" (least privilege, no
users with long-lived keys); *CloudFormation User Guide*, macros and ``AWS::Include`` (they run or fetch
what is not in the template); SAM's specification (``CodeUri`` and its relatives).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pitrix.packages import schema
from pitrix.packages.formats.serverless import cfn
from pitrix.packages.model import Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext
from pitrix.packages.text.jsontext import Document

#: Types that a package must not make, by their beginning, and why.
REFUSED_TYPES = {
    "AWS::IAM::User": "it makes a user with keys of its own",
    "AWS::IAM::AccessKey": "it makes keys that never end",
    "AWS::IAM::Group": "it makes groups of users",
    "AWS::IAM::LoginProfile": "it lets somebody sign in",
    "AWS::IAM::SAMLProvider": "it lets others sign in",
    "AWS::IAM::OIDCProvider": "it lets others sign in",
    "AWS::Organizations::": "it changes the organization",
    "AWS::SSO::": "it lets others sign in",
    "AWS::IdentityStore::": "it makes users",
    "AWS::ControlTower::": "it changes the organization",
    "AWS::CloudFormation::Macro": "it changes other templates of the account",
    "AWS::CloudFormation::StackSet": "it reaches into other accounts",
    "AWS::CloudFormation::HookVersion": "it changes how the account deploys",
    "AWS::CloudFormation::ResourceVersion": "it changes how the account deploys",
    "AWS::RAM::": "it shares resources with other accounts",
}
#: Types that are paid for while nobody uses them, by their beginning.
IDLE_COSTS = (
    "AWS::EC2::Instance", "AWS::EC2::NatGateway", "AWS::RDS::", "AWS::Redshift::", "AWS::ElastiCache::",
    "AWS::EKS::", "AWS::ECS::Service", "AWS::MSK::", "AWS::OpenSearchService::", "AWS::SageMaker::Endpoint",
    "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::Neptune::", "AWS::DocDB::",
)  # fmt: skip
#: Managed policies that hand over the account.
_FULL_POWERS = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")
#: Properties that name code, by type: a path, an S3 address, or a mapping with Bucket or S3Bucket.
_CODE = {
    "AWS::Serverless::Function": ("CodeUri",),
    "AWS::Serverless::LayerVersion": ("ContentUri",),
    "AWS::Serverless::Api": ("DefinitionUri",),
    "AWS::Serverless::HttpApi": ("DefinitionUri",),
    "AWS::Serverless::StateMachine": ("DefinitionUri",),
    "AWS::Serverless::Application": ("Location",),
    "AWS::Lambda::Function": ("Code",),
    "AWS::Lambda::LayerVersion": ("Content",),
    "AWS::CloudFormation::Stack": ("TemplateURL",),
    "AWS::StepFunctions::StateMachine": ("DefinitionS3Location",),
}
#: Values of one property that are looked through for a name.
_MAX_WORDS = 500
_BUILT_IN = ("AWS::Serverless-2016-10-31", "AWS::LanguageExtensions")
_ACCOUNT = re.compile(r"\barn:[^:]*:[^:]*:[^:]*:([0-9]{12}):|^([0-9]{12})$")


def lint(document: Document, files: Files) -> list[Problem]:
    """What the template would make that it must not, or that an owner should see first."""
    template = document.value
    problems = list(_transforms(document))
    for name, resource in cfn.section(template, "Resources").items():
        problems.extend(_resource(document, name, resource, files))
    shared = cfn.section(template, "Globals").get("Function", {})
    problems.extend(_code_problems(document, ("Globals", "Function"), ("CodeUri",), shared, files))
    for path, value in cfn.walk(template.get("Resources"), ("Resources",)):
        if isinstance(value, Mapping):
            problems.extend(_anywhere(document, path, value))
    return problems[: schema.MAX_PROBLEMS]


def _transforms(document: Document) -> Iterator[Problem]:
    template = document.value
    for each in cfn.transforms(template):
        name = each.get("Name") if isinstance(each, Mapping) else each
        if name not in _BUILT_IN:
            yield document.problem(
                "/Transform",
                f"the transform {str(name)[:80]!r} runs or fetches code that is not in the package",
                f"only {' and '.join(_BUILT_IN)} are allowed",
            )
    if not cfn.uses_sam(template):
        for name, resource in cfn.section(template, "Resources").items():
            if str(resource.get("Type")).startswith("AWS::Serverless::"):
                at = jsontext.pointer_of(["Resources", name, "Type"])
                hint = "add Transform: AWS::Serverless-2016-10-31"
                yield document.problem(at, f"{resource['Type']} needs the transform of SAM", hint)


def _resource(document: Document, name: str, resource: dict[str, Any], files: Files) -> Iterator[Problem]:
    kind = str(resource.get("Type", ""))
    at = ("Resources", name)
    pointer = jsontext.pointer_of([*at, "Type"])
    reason = next((why for lead, why in REFUSED_TYPES.items() if kind.startswith(lead)), "")
    if reason:
        yield document.problem(pointer, f"a package may not make {kind}: {reason}", "remove the resource")
    if kind.startswith(IDLE_COSTS):
        yield document.problem(
            pointer, f"{kind} is paid for while nobody uses it", "say so in the description", Severity.WARNING
        )
    properties = resource.get("Properties")
    if not isinstance(properties, Mapping):
        return
    where = (*at, "Properties")
    yield from _code_problems(document, where, _CODE.get(kind, ()), properties, files)
    if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
        yield from _service_token(document, where, properties)
    if kind == "AWS::IAM::Role":
        yield from _trust(document, where, properties)
    if kind == "AWS::Lambda::Permission" and properties.get("Principal") == "*":
        yield document.problem(
            jsontext.pointer_of([*where, "Principal"]), "everybody may call the function",
            "name the service, such as events.amazonaws.com",
        )  # fmt: skip
    if kind == "AWS::S3::Bucket" and str(properties.get("AccessControl", "")).startswith("PublicRead"):
        yield document.problem(
            jsontext.pointer_of([*where, "AccessControl"]), "everybody may read the bucket", "",
            Severity.WARNING,
        )  # fmt: skip


def _code_problems(
    document: Document,
    at: tuple[str, ...],
    keys: tuple[str, ...],
    properties: Mapping[str, Any],
    files: Files,
) -> Iterator[Problem]:
    for key in keys:
        value = properties.get(key)
        pointer = jsontext.pointer_of([*at, key])
        if isinstance(value, Mapping):
            bucket = value.get("S3Bucket", value.get("Bucket"))
            if isinstance(bucket, str):
                yield _foreign(document, pointer, f"the bucket {bucket[:80]!r}")
            elif key == "Location" and "ApplicationId" in value:
                yield _foreign(document, pointer, "the application repository")
        elif isinstance(value, str) and ("://" in value or value.startswith("arn:")):
            yield _foreign(document, pointer, value[:120])
        elif isinstance(value, str):
            yield from _path(document, pointer, value, files)


def _foreign(document: Document, pointer: str, where: str) -> Problem:
    return document.problem(
        pointer,
        f"the code comes from {where}, not from the package",
        "put it into the package and give its path: what is reviewed is what runs",
    )


def _path(document: Document, pointer: str, value: str, files: Files) -> Iterator[Problem]:
    path = local_path(document.file, value)
    if path is None:
        yield document.problem(pointer, f"{value[:120]!r} leads out of the package", "give a path inside it")
    elif path and path not in files and not any(each.startswith(f"{path}/") for each in files):
        yield document.problem(
            pointer, f"there is no {path[:120]!r} in the package", "paths start at the template"
        )


def local_path(template: str, value: str) -> str | None:
    """A path of a template as a path of the package (empty for its root); ``None`` when it leads outside."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(template), value))
    if joined.startswith(("/", "../")) or joined == "..":
        return None
    return "" if joined == "." else joined


def _service_token(
    document: Document, at: tuple[str, ...], properties: Mapping[str, Any]
) -> Iterator[Problem]:
    if isinstance(properties.get("ServiceToken"), str):
        yield document.problem(
            jsontext.pointer_of([*at, "ServiceToken"]),
            "a function that is not of this package is run while deploying",
            "use the Arn of a function of this template",
        )


def _trust(document: Document, at: tuple[str, ...], properties: Mapping[str, Any]) -> Iterator[Problem]:
    """Who may take on a role of the template."""
    document_at = (*at, "AssumeRolePolicyDocument")
    for path, value in cfn.walk(properties.get("AssumeRolePolicyDocument"), document_at):
        named = "Principal" in path and "Service" not in path and isinstance(value, str)
        if named and (value == "*" or _ACCOUNT.search(value)):
            yield document.problem(
                    jsontext.pointer_of(path), f"{value[:120]!r} is let into the account",
                    "a role of a package is for services, such as lambda.amazonaws.com",
                )  # fmt: skip


def _anywhere(document: Document, path: tuple[str, ...], value: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules for mappings wherever they stand in a resource."""
    if "Fn::Transform" in value:
        pointer = jsontext.pointer_of([*path, "Fn::Transform"])
        yield document.problem(pointer, "Fn::Transform runs or fetches what is not in the package")
    if (
        "Effect" in value
        and ("Action" in value or "NotAction" in value)
        and "AssumeRolePolicyDocument" not in path
    ):
        for key, message, hint, severity in statement_problems(value):
            yield document.problem(jsontext.pointer_of([*path, key]), message, hint, severity)
    for key in ("ManagedPolicyArns", "Policies", "PermissionsBoundary"):
        listed = value.get(key)
        for index, each in enumerate(listed if isinstance(listed, list) else [listed]):
            found = next((power for power in _FULL_POWERS if power in _words(each)), "")
            if found and key != "PermissionsBoundary":
                at = [*path, key, *([str(index)] if isinstance(listed, list) else [])]
                hint = "grant the few actions that the code needs, on the resources of this template"
                yield document.problem(jsontext.pointer_of(at), f"{found} hands over the account", hint)
    layers = value.get("Layers")
    for index, each in enumerate(layers if isinstance(layers, list) else []):
        if _ACCOUNT.search(_words(each)):
            yield document.problem(
                jsontext.pointer_of([*path, "Layers", str(index)]),
                "a layer of another account runs inside of the function",
                "put the library into the package, or say whose layer it is in the README",
                Severity.WARNING,
            )


def _words(value: Any) -> str:
    """A text, also inside of ``Fn::Sub`` or ``Fn::Join``, to look for a name in."""
    if isinstance(value, str):
        return value
    few = islice(cfn.walk(value), _MAX_WORDS) if value else ()
    return " ".join(each for _, each in few if isinstance(each, str))


def statement_problems(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Severity]]:
    """(key, message, hint, severity) of what one statement of a policy grants too much of."""
    if statement.get("Effect") != "Allow":
        return
    if "NotAction" in statement:
        hint = "list the actions that are needed"
        yield "NotAction", "everything but a few actions is allowed", hint, Severity.ERROR
    actions, everywhere = _texts(statement.get("Action")), "*" in _texts(statement.get("Resource"))
    powers = [each for each in actions if each in ("*", "*:*") or _grants_power(each)]
    if any(each in ("*", "*:*") for each in actions):
        yield "Action", "every action is allowed", "list the actions that are needed", Severity.ERROR
    elif powers and everywhere:
        message = f"{powers[0]} on everything lets the application give itself every right"
        yield "Action", message, "name the roles that it is for", Severity.ERROR
    elif everywhere and any(each.endswith(":*") for each in actions):
        wide = next(each for each in actions if each.endswith(":*"))
        hint = "list the actions that are needed, on the resources of this package"
        yield "Resource", f"{wide} is allowed on everything in the account", hint, Severity.WARNING
    if statement.get("Principal") in ("*", {"AWS": "*"}) and not statement.get("Condition"):
        hint = "name who may, or add a Condition"
        yield "Principal", "everybody is allowed, in every account", hint, Severity.WARNING


def _grants_power(action: str) -> bool:
    """Whether an action can be used to get more rights than were given."""
    lowered = action.lower()
    return lowered in (
        "iam:*",
        "sts:*",
        "organizations:*",
        "iam:passrole",
        "sts:assumerole",
    ) or lowered.startswith(("iam:create", "iam:put", "iam:attach", "iam:update", "iam:add"))


def _texts(value: Any) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
