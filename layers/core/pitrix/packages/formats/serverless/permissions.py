"""What a function may be allowed to do, said once and granted by each cloud in its own words.

Owns the table of actions: the IAM actions of AWS and the built-in roles of Azure that stand for each.
Knative grants nothing: what runs there gets credentials as answers.

Sources: *AWS Service Authorization Reference* (actions and the resources they take); *Azure built-in roles*.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """Attributes:
    kind: Of the resource that it works on.
    iam: Actions of IAM.
    items: The actions work on what is inside of the resource (a bucket's objects), not on itself.
    azure_role: The least of Azure's built-in roles that allows it.
    """

    kind: str
    iam: tuple[str, ...]
    azure_role: str
    items: bool = False


ACTIONS = {
    "object:read": Action("bucket", ("s3:GetObject",), "Storage Blob Data Reader", items=True),
    "object:write": Action(
        "bucket", ("s3:AbortMultipartUpload", "s3:PutObject"), "Storage Blob Data Contributor", items=True
    ),
    "object:delete": Action("bucket", ("s3:DeleteObject",), "Storage Blob Data Contributor", items=True),
    "object:list": Action("bucket", ("s3:ListBucket",), "Storage Blob Data Reader"),
    "queue:send": Action(
        "queue", ("sqs:GetQueueUrl", "sqs:SendMessage"), "Storage Queue Data Message Sender"
    ),
    "queue:receive": Action(
        "queue",
        ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"),
        "Storage Queue Data Message Processor",
    ),
    "record:read": Action(
        "table",
        ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"),
        "Storage Table Data Reader",
    ),
    "record:write": Action(
        "table",
        ("dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        "Storage Table Data Contributor",
    ),
    "record:delete": Action("table", ("dynamodb:DeleteItem",), "Storage Table Data Contributor"),
    "event:publish": Action("bus", ("events:PutEvents",), "EventGrid Data Sender"),
    "secret:read": Action("secret", ("secretsmanager:GetSecretValue",), "Key Vault Secrets User"),
}

#: ARN of a resource that exists already, by kind; ``{name}`` becomes its name.
ARNS = {
    "bucket": "arn:${AWS::Partition}:s3:::{name}",
    "queue": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:{name}",
    "table": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/{name}",
    "bus": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/{name}",
    # Secrets Manager puts six random characters behind the name.
    "secret": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:{name}-??????",
}
