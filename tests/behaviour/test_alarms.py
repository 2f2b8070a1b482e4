"""Alarms over the stream of decisions: denials in a row, reading out of hours, one reader of many patients, emergencies. In the log, in
`status` and in the metrics; without a patient's name; and none where nothing is out of the ordinary."""
import datetime
import re

import pytest

from scene import RESEARCH, TREATMENT, add_patient, deposit, file_path
from vault_under_test import running_vault

PATIENTS = [f"S-{n}" for n in range(6)]
EMERGENCY = 'treatment;break-glass="the patient is unconscious"'


def around_now(inside):
    """Hours (UTC) that have this one in them, or not."""
    hour = datetime.datetime.now(datetime.timezone.utc).hour
    first = hour if inside else (hour + 2) % 24
    return f'"{first}-{(first + (3 if inside else 1)) % 24}"'


def start(**alarms):
    inner = ", ".join(f"{name}: {value}" for name, value in alarms.items())
    return running_vault(settings={"alarms": "{" + inner + "}"})


def read(vault, subject, purpose=TREATMENT, cert="clinic"):
    return vault.http("GET", file_path(subject, "a.cram"), cert=cert, headers={"Purpose": purpose}).status


def fill(vault):
    for subject in PATIENTS:
        add_patient(vault, subject)
        deposit(vault, subject, "a.cram", b"A" * 100)


def alarms(vault):
    return vault.http("GET", "/v1/status").json()["alarms"]


def metrics(vault):
    text = vault.http("GET", "/v1/metrics").body.decode()
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = re.fullmatch(r'([a-z_]+(?:\{[a-z]+="[a-z-]+"\})?) (\d+)', line).groups()
            assert name not in found
            found[name] = int(value)
    return found


def log_lines(vault):
    return [line for line in (vault.folder / "vaultd.log").read_text().splitlines() if "alarm:" in line]


def test_denials_in_a_row_alarm_once_until_something_is_permitted():
    with start(denials=5) as vault:
        fill(vault)
        for _ in range(3):
            for _ in range(4):
                assert read(vault, "S-9") != 200
            assert read(vault, "S-1") == 200
        assert alarms(vault)["denials"] == 0, "never five in a row"
        for _ in range(12):
            read(vault, "S-9")
        assert alarms(vault)["denials"] == 1
        read(vault, "S-1")
        for _ in range(5):
            read(vault, "S-9")
        assert alarms(vault)["denials"] == 2 and metrics(vault)['vault_alarms_total{kind="denials"}'] == 2
        for _ in range(4):
            read(vault, "S-9", RESEARCH, "research")
        assert alarms(vault)["denials"] == 2, "each service has its own row"
        assert len(log_lines(vault)) == 2 and all("clinic" in line and "S-" not in line for line in log_lines(vault))


def test_one_reader_of_many_patients_alarms_once_an_hour():
    with start(subjects=4) as vault:
        fill(vault)
        for _ in range(3):
            for subject in PATIENTS[:4]:
                assert read(vault, subject) == 200
        assert alarms(vault)["subjects"] == 0, "the same four again and again"
        for subject in PATIENTS:
            read(vault, subject)
        found = alarms(vault)
        assert found["subjects"] == 1 and found["last"][-1]["kind"] == "subjects" and found["last"][-1]["service"] == "clinic"


def test_reading_out_of_hours_alarms_once_a_day_for_each_service():
    with start(hours=around_now(False)) as vault:
        fill(vault)
        for _ in range(3):
            assert read(vault, "S-1") == 200
        assert read(vault, "S-1", RESEARCH, "research") == 200
        assert alarms(vault)["hours"] == 2
        assert {a["service"] for a in alarms(vault)["last"]} == {"clinic", "research"}


def test_an_emergency_always_alarms():
    with running_vault() as vault:
        fill(vault)
        vault.ctl("consent", "withdraw", "S-1")
        before = alarms(vault)["break-glass"]
        permitted = sum(read(vault, "S-1", EMERGENCY) == 200 for _ in range(2))
        assert permitted == 2, "the policy of a throw-away vault permits it"
        assert alarms(vault)["break-glass"] == before + 2


def test_nothing_alarms_where_nothing_is_out_of_the_ordinary():
    with start(denials=50, subjects=100, hours=around_now(True)) as vault:
        fill(vault)
        for subject in PATIENTS:
            read(vault, subject)
            read(vault, "S-9")
        found = alarms(vault)
        assert [found[kind] for kind in ("denials", "subjects", "hours", "break-glass")] == [0, 0, 0, 0] and found["last"] == []
        assert log_lines(vault) == []


def test_metrics_count_what_happens_and_are_for_administrators():
    with running_vault() as vault:
        before = metrics(vault)
        fill(vault)
        read(vault, "S-1")
        read(vault, "S-9")
        after = metrics(vault)
        assert after["vault_subjects"] == before["vault_subjects"] + len(PATIENTS) and after["vault_files"] == before["vault_files"] + len(PATIENTS)
        assert after["vault_records"] > before["vault_records"]
        assert after['vault_decisions_total{outcome="permitted"}'] >= before['vault_decisions_total{outcome="permitted"}'] + len(PATIENTS) + 1
        assert after['vault_decisions_total{outcome="denied"}'] >= before['vault_decisions_total{outcome="denied"}'] + 1
        assert after["vault_index_bytes"] > 0
        assert vault.ctl("metrics", json=False).decode().startswith("# ")
        assert vault.http("GET", "/v1/metrics", cert="clinic").status == 403
        assert vault.http("GET", "/v1/metrics", cert="auditor").status == 200
        answer = vault.http("GET", "/v1/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("section, words", [("{denials: -1}", "denials"), ("{hours: \"25-3\"}", "hours"), ("{hours: \"3\"}", "hours"),
                                            ("{subjects: 70000}", "subjects"), ("{sometimes: 1}", "sometimes"), ("{weekdays: perhaps}", "weekdays")])
def test_malformed_alarms_are_refused_with_their_place(section, words):
    with pytest.raises(AssertionError, match="dev-vault gave") as failure:
        with running_vault(settings={"alarms": section}):
            pass
    assert words in str(failure.value)
