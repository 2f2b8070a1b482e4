"""A custodian lets a job pause, go on, or go slowly; that survives deaths and restarts, and nothing spins meanwhile."""
import os
import signal
import subprocess
import time

import pytest

import scene
from vault_under_test import BUILT, running_vault


MANY = 60_000  # a rotation of so many subjects takes longer than saying that it is to pause


@pytest.fixture
def vault():
    with running_vault() as vault:
        scene.add_patient(vault, "S-1")
        scene.stop(vault)
        subprocess.run([BUILT / "fill_subjects", vault.state, vault.folder / "twin", vault.folder / "root.key", str(MANY)],
                       check=True, timeout=300)
        scene.start(vault)
        scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves")
        yield vault


def jobs(vault):
    return {job["id"]: job for job in vault.ctl("key", "jobs")["jobs"]}


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def monitor_of(vault):
    return scene.processes(vault)["vaultd-monitor"][0]


def test_a_rotation_pauses_goes_slowly_and_ends_over_restarts(vault):
    number = vault.ctl("key", "rotate", "subject", "--no-wait")["id"]
    assert vault.ctl("key", "jobs", "pause", number)["state"] == "paused"
    vault.ctl("key", "rotate", "kek", expect=1)
    assert "a job is paused" in vault.stderr
    later = jobs(vault)[number + 1]
    assert later["what"] == "kek" and later["state"] == "waiting" and later["held_by"] == number

    os.kill(monitor_of(vault), signal.SIGKILL)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves again")
    before, used = jobs(vault), processor_seconds(monitor_of(vault))
    time.sleep(2)
    assert jobs(vault) == before and before[number]["done"] < MANY
    assert processor_seconds(monitor_of(vault)) - used < 1, "a paused job spins"

    vault.ctl("key", "jobs", "rate", number, 300)
    vault.ctl("key", "jobs", "resume", number)
    done, used, begun = jobs(vault)[number]["done"], processor_seconds(monitor_of(vault)), time.monotonic()
    time.sleep(3)
    rate = (jobs(vault)[number]["done"] - done) / (time.monotonic() - begun)
    assert 200 < rate < 400, f"it is to go at 300 entries in a second, and goes at {rate}"
    assert processor_seconds(monitor_of(vault)) - used < 1.5, "it spins in between"
    assert scene.Read(vault, "S-1", "none").status == 403, "the vault serves meanwhile"
    scene.stop(vault)
    scene.start(vault)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves")
    assert jobs(vault)[number]["rate"] == 300

    vault.ctl("key", "jobs", "rate", number, 0)
    scene.wait_for(lambda: jobs(vault)[later["id"]]["state"] == "done", "the end of both", 120)
    assert jobs(vault)[number]["done"] == jobs(vault)[later["id"]]["done"] == MANY + 1
    events = [r["event"] for r in scene.records(vault)]
    assert events.count("job.pause") == 1 and events.count("job.rate") == 2 and events.count("job.resume") == 1


def test_orders_to_jobs_are_refused_by_name(vault):
    assert vault.http("POST", "/v1/jobs/9/pause").status == 404
    assert vault.http("POST", "/v1/jobs/x/pause").status == 400
    job = vault.ctl("key", "rotate", "kek")
    assert vault.http("POST", f"/v1/jobs/{job['id']}/resume").status == 409
    assert vault.http("POST", f"/v1/jobs/{job['id']}/pause", cert="auditor").status == 403
