"""What forms say by themselves in the languages of the store: why an answer is refused, words for labels.

Owns both catalogs and the choice between them.  Never translates what a package says of itself: a package
brings its own ``locale/*.json``.  Every key is in both catalogs with the same placeholders (held by a test).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DEFAULT: Final = "en"

ENGLISH: Final[Mapping[str, str]] = {
    "refused": "{count} answer(s) cannot be used: {names}",
    "unknown": "is not a field of this application",
    "object": "must be an object",
    "required": "is required",
    "required.choices": "is required: {allowed}",
    "list": "must be a list",
    "list.choices": "must be a list of: {allowed}",
    "entry": "{value}: {problem}",
    "unreadable": "cannot be read",
    "type": "must be {wanted}, not {value}",
    "type.integer": "a whole number",
    "type.number": "a number",
    "type.boolean": "true or false",
    "type.loadbalancer": "a list of listeners",
    "type.text": "a text",
    "type.array": "a list",
    "type.object": "an object",
    "choice": "{value} is not allowed; choose one of: {allowed}",
    "range": "{value} is out of range; allowed: {allowed}",
    "step": "{value} is not a step; allowed: {allowed}",
    "pattern": "{value} does not match the pattern {pattern}",
    "pattern.secret": "does not match the pattern {pattern}",
    "pattern.slow": "takes too long to check against the pattern of the package; try a shorter text",
    "too_long": "has {count} characters; the limit is {limit}",
    "too_short": "has {count} characters; at least {limit} are needed",
    "too_many": "has {count} entries; the limit is {limit}",
    "too_few": "has {count} entries; at least {limit} are needed",
    "fixed": "cannot be changed when a cluster is made; it is {value}",
    "fixed.size": "belongs to the chosen size, which makes it {value}; choose another size",
    "bounds.between": "{low} to {high}",
    "bounds.from": "{low} or more",
    "bounds.to": "{high} or less",
    "bounds.above": "more than {low}",
    "bounds.below": "less than {high}",
    "bounds.and": "{first} and {second}",
    "bounds.step": "in steps of {step}",
    "deploy.target": "Where it runs",
    "deploy.image": "The container image that was built from {code}, such as registry/name:tag",
    "deploy.image.package": "The container image that was built from the package, such as registry/name:tag",
    "label.general": "General",
    "label.cluster": "Cluster",
    "label.env": "Settings",
    "label.service_params": "Parameters",
    "label.name": "Name",
    "label.description": "Description",
    "label.subnet": "Network",
    "label.vxnet": "Network",
    "label.resource_group": "Size",
    "label.count": "Nodes",
    "label.cpu": "CPU",
    "label.cpu_model": "CPU model",
    "label.memory": "Memory",
    "label.gpu": "GPU",
    "label.gpu_class": "Class of GPU",
    "label.instance_class": "Class of machine",
    "label.instance_type": "Type of machine",
    "label.volume_size": "Volume size",
    "label.volume_class": "Class of volume",
    "label.replica": "Replicas",
    "label.loadbalancer": "Load balancer",
    "label.deploy": "Deployment",
    "label.target": "Target",
    "label.image": "Image",
    "label.parameters": "Parameters",
}

CHINESE: Final[Mapping[str, str]] = {
    "refused": "{count} 个填写项不可用：{names}",
    "unknown": "不是此应用的填写项",
    "object": "必须是对象",
    "required": "为必填项",
    "required.choices": "为必填项：{allowed}",
    "list": "必须是列表",
    "list.choices": "必须是列表，可选值：{allowed}",
    "entry": "{value}：{problem}",
    "unreadable": "无法读取",
    "type": "必须是{wanted}，而不是 {value}",
    "type.integer": "整数",
    "type.number": "数字",
    "type.boolean": "true 或 false",
    "type.loadbalancer": "监听器列表",
    "type.text": "文本",
    "type.array": "列表",
    "type.object": "对象",
    "choice": "不允许 {value}；可选值：{allowed}",
    "range": "{value} 超出范围；允许：{allowed}",
    "step": "{value} 不符合步长；允许：{allowed}",
    "pattern": "{value} 不符合格式 {pattern}",
    "pattern.secret": "不符合格式 {pattern}",
    "pattern.slow": "按应用包的格式检查耗时过长；请使用更短的文本",
    "too_long": "有 {count} 个字符；上限为 {limit}",
    "too_short": "有 {count} 个字符；至少需要 {limit} 个",
    "too_many": "有 {count} 项；上限为 {limit}",
    "too_few": "有 {count} 项；至少需要 {limit} 项",
    "fixed": "创建集群时不可更改；其值为 {value}",
    "fixed.size": "由所选配置决定，其值为 {value}；请选择其他配置",
    "bounds.between": "{low} 到 {high}",
    "bounds.from": "不小于 {low}",
    "bounds.to": "不大于 {high}",
    "bounds.above": "大于 {low}",
    "bounds.below": "小于 {high}",
    "bounds.and": "{first}，{second}",
    "bounds.step": "步长 {step}",
    "deploy.target": "应用运行的平台",
    "deploy.image": "由 {code} 构建的容器镜像，例如 registry/name:tag",
    "deploy.image.package": "由应用包构建的容器镜像，例如 registry/name:tag",
    "label.general": "常规",
    "label.cluster": "集群",
    "label.env": "配置参数",
    "label.service_params": "服务参数",
    "label.name": "名称",
    "label.description": "描述",
    "label.subnet": "私有网络",
    "label.vxnet": "私有网络",
    "label.resource_group": "资源配置",
    "label.count": "节点数量",
    "label.cpu": "CPU",
    "label.cpu_model": "CPU 型号",
    "label.memory": "内存",
    "label.gpu": "GPU",
    "label.gpu_class": "GPU 类型",
    "label.instance_class": "主机类型",
    "label.instance_type": "主机规格",
    "label.volume_size": "硬盘大小",
    "label.volume_class": "硬盘类型",
    "label.replica": "副本数量",
    "label.loadbalancer": "负载均衡器",
    "label.deploy": "部署",
    "label.target": "运行平台",
    "label.image": "镜像",
    "label.parameters": "参数",
}

CATALOGS: Final[Mapping[str, Mapping[str, str]]] = {"en": ENGLISH, "zh-cn": CHINESE}


def known(locale: str) -> str | None:
    """The catalog that a language tag means: ``zh_CN``, ``zh-Hans``, ``zh`` are ``zh-cn``; None for none."""
    folded = locale.strip().replace("_", "-").casefold()
    if folded in CATALOGS:
        return folded
    return {"zh": "zh-cn", "en": "en"}.get(folded.partition("-")[0])


def negotiate(accept_language: str) -> str:
    """The catalog that suits an ``Accept-Language`` header best (RFC 9110, 12.5.4); English when none does.

    What cannot be read is passed over: a header is no reason to refuse a request.
    """
    wishes: list[tuple[float, str]] = []
    for part in accept_language[:1000].split(",")[:20]:
        tag, _, weight = part.strip().partition(";")
        try:
            weighs = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except ValueError:
            continue
        found = DEFAULT if tag.strip() == "*" else known(tag)
        if found and weighs > 0:
            wishes.append((weighs, found))
    return max(wishes, key=lambda wish: wish[0])[1] if wishes else DEFAULT


def say(locale: str, key: str, **values: Any) -> str:
    """A sentence in a language; in English when there is no catalog of that language.

    Raises:
        KeyError: There is no such sentence.
    """
    return CATALOGS[known(locale) or DEFAULT][key].format(**values)


def label(locale: str, key: str) -> str:
    """The word for a key which the specification reserves and a package gives no label; else the key."""
    return CATALOGS[known(locale) or DEFAULT].get(f"label.{key}", key)
