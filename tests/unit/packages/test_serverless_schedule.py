"""Schedules are said in each cloud's own words, or refused."""

from __future__ import annotations

import pytest

from pitrix.packages.formats.serverless import schedule as serverless_schedule


@pytest.mark.parametrize(
    ("cron", "aws", "azure", "knative"),
    [
        ("* * * * *", "cron(* * * * ? *)", "0 * * * * *", "* * * * *"),
        ("*/5 * * * *", "cron(0/5 * * * ? *)", "0 */5 * * * *", "*/5 * * * *"),
        ("30 2 * * 1-3", "cron(30 2 ? * MON,TUE,WED *)", "0 30 2 * * 1,2,3", "30 2 * * 1,2,3"),
        ("0 0 * * 7", "cron(0 0 ? * SUN *)", "0 0 0 * * 0", "0 0 * * 0"),
        ("0 0 * * 5-7", "cron(0 0 ? * SUN,FRI,SAT *)", "0 0 0 * * 0,5,6", "0 0 * * 0,5,6"),
        ("0 0 * * */2", "cron(0 0 ? * SUN,TUE,THU,SAT *)", "0 0 0 * * 0,2,4,6", "0 0 * * 0,2,4,6"),
        ("0 12 1,15 jan *", "cron(0 12 1,15 1 ? *)", "0 0 12 1,15 1 *", "0 12 1,15 1 *"),
        ("0-20/10 8 */2 * *", "cron(0,10,20 8 1/2 * ? *)", "0 0,10,20 8 */2 * *", "0,10,20 8 */2 * *"),
    ],
)  # fmt: skip
def test_five_fields_mean_the_same_everywhere(cron: str, aws: str, azure: str, knative: str) -> None:
    schedule = serverless_schedule.read({"cron": cron})
    assert (schedule.aws(), schedule.azure(), schedule.knative()) == (aws, azure, knative)


@pytest.mark.parametrize(
    ("rate", "aws", "five"),
    [
        ("1 minute", "rate(1 minute)", "* * * * *"),
        ("15 minutes", "rate(15 minutes)", "*/15 * * * *"),
        ("6 hours", "rate(6 hours)", "0 */6 * * *"),
        ("1 day", "rate(1 day)", "0 0 * * *"),
        ("7 minutes", "rate(7 minutes)", None),
        ("2 days", "rate(2 days)", None),
    ],
)
def test_rates(rate: str, aws: str, five: str | None) -> None:
    schedule = serverless_schedule.read({"rate": rate})
    assert schedule.aws() == aws
    if five is None:
        with pytest.raises(ValueError, match="does not divide evenly"):
            schedule.knative()
    else:
        assert schedule.knative() == five
        assert schedule.azure() == f"0 {five}"


@pytest.mark.parametrize(
    "cron",
    [
        "0 10 * * ? *",
        "0/15 8-17 ? * MON-FRI 2026-2030",
        "0 8 L * ? *",
        "0 8 3W * ? *",
        "0 8 ? * 6L *",
        "0 8 ? * 3#2 *",
    ],
)
def test_eventbridges_own_fields_are_kept_and_are_its_own(cron: str) -> None:
    schedule = serverless_schedule.read({"cron": cron})
    assert schedule.aws() == f"cron({cron})"
    for words in (schedule.azure, schedule.knative):
        with pytest.raises(ValueError, match="EventBridge's own"):
            words()


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("60 * * * *", "minute is '60'; allowed: 0 to 59"),
        ("* 24 * * *", "hour is '24'"),
        ("* * 0 * *", "day of month is '0'; allowed: 1 to 31"),
        ("* * * FOO *", "month is 'FOO'; allowed: 1 to 12 or JAN to DEC"),
        ("* * * * 8", "day of week is '8'"),
        ("5-1 * * * *", "a range goes up"),
        ("*/0 * * * *", "step 0"),
        ("1,,2 * * * *", "write"),
        ("@daily", "it has 1 fields"),
        ("", "it has 0 fields"),
        ("0 10 * * * *", "wants [?] in one"),
        ("0 10 ? * ? *", "wants [?] in one"),
        ("0 10 32 * ? *", "day of month is '32'"),
        ("0 10 ? * 8 *", "day of week is '8'; allowed: 1 to 7"),
        ("0 10 ? * 3#6 *", "third Tuesday"),
        ("0 10 ? * MON/2 *", "no steps"),
        ("0 10 * * ? 1969", "year is '1969'"),
    ],
)
def test_wrong_fields_are_named(cron: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        serverless_schedule.read({"cron": cron})


def test_two_kinds_of_days_are_what_kubernetes_alone_can_say() -> None:
    schedule = serverless_schedule.read({"cron": "0 8 1 * 1"})
    assert schedule.knative() == "0 8 1 * 1"
    for words in (schedule.aws, schedule.azure):
        with pytest.raises(ValueError, match="two triggers"):
            words()
