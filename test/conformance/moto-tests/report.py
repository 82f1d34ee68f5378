"""Plugin of pytest: writes one line of JSON for each test to the file that REPORT_FILE names.

The adapter says which operations the sandbox does not implement, of those that the test called.
"""

import json
import os
import urllib.request

import pytest

ENDPOINT = os.environ["TEST_SERVER_MODE_ENDPOINT"]


def take_not_implemented():
    with urllib.request.urlopen(f"{ENDPOINT}/adapter/not-implemented") as response:
        return json.load(response)


def reason_of(report):
    """Returns the last line of a failure, or the reason of a skipped test."""
    if report.skipped:
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash.setdefault(REPORTS, []).append(report)
    return report


REPORTS = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    take_not_implemented()
    result = yield
    reports = item.stash.get(REPORTS, [])
    decisive = next((report for report in reports if not report.passed), None)
    line = {
        "id": item.nodeid.removeprefix("tests/"),
        "outcome": decisive.outcome if decisive else "passed",
        "reason": reason_of(decisive) if decisive else "",
        "verified": item.get_closest_marker("aws_verified") is not None,
        "notImplemented": take_not_implemented(),
    }
    with open(os.environ["REPORT_FILE"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return result
