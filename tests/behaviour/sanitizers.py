"""What sanitizers say in a log or on standard error. No test lets a report pass, whatever else it looks at; programs
that are built without sanitizers never say any of this."""
import re

REPORT = re.compile(r"^.*((ERROR|WARNING|SUMMARY): \w*Sanitizer|runtime error: )", re.MULTILINE)
LINES_SHOWN = 60


def report_in(text):
    """The first report and what follows it; None where there is none."""
    found = REPORT.search(text)
    return "\n".join(text[found.start():].splitlines()[:LINES_SHOWN]) if found else None


def assert_no_report(text, where):
    report = report_in(text)
    assert report is None, f"a sanitizer's report in {where}:\n{report}"
