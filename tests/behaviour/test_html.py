"""The page of an export, in a browser: what it says is what the records say, it asks nobody for anything, and whatever is written in the
records stays text.

PAGE_RECORDS: how many records the long page has."""
import base64
import hashlib
import html
import json
import os
import re
import subprocess
import time

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

import scene
import small_disk
from browser import Browser
from scene import RESEARCH, TREATMENT, add_patient, deposit, file_path
from vault_under_test import HOSTILE, ROOT, running_vault

RECORDS = int(os.environ.get("PAGE_RECORDS", "2000"))
ROWS = 100
ATTACKS = [
    "</script><script>window.pwned=1</script>", "<img src=x onerror=window.pwned=1>", '"><svg onload=window.pwned=1>',
    "'><a href=javascript:window.pwned=1>x</a>", "javascript:window.pwned=1", "<!--<script>", "]]>\"'`{}</style><b>x",
    "&lt;script&gt;window.pwned=1&lt;/script&gt;", "\\u003cscript\\u003ewindow.pwned=1", "${window.pwned=1}", "</title></textarea></svg><p>",
    "a\u2028b\u2029c", "<meta http-equiv=refresh content='0;url=http://attacker.example/'>", "<base href=http://attacker.example/>", "__proto__",
]
TAGS = set("a abbr body br button caption circle code dd desc details div dl dt em figcaption figure footer g h1 h2 h3 head header html input label "
           "legend fieldset li link main meta nav noscript option p pre rect script section select small span strong style summary svg table "
           "tbody td th thead title tr ul wbr".split())


@pytest.fixture(scope="module")
def browser():
    b = Browser()
    yield b
    b.close()


@pytest.fixture(scope="module")
def vault():
    with running_vault() as v:
        for subject in ("S-1", "S-2"):
            add_patient(v, subject)
            deposit(v, subject, "a.cram", b"A" * 1000)
        for subject, purpose, cert in (("S-1", TREATMENT, "clinic"), ("S-2", RESEARCH, "research"), ("S-2", TREATMENT, "research"),
                                       ("S-9", TREATMENT, "clinic"), ("S-1", 'treatment;break-glass="<b>bleeding</b>"', "clinic"),
                                       ("S-2", 'treatment;break-glass="unconscious"', "clinic")):
            for n in range(3 if subject == "S-1" and purpose == TREATMENT else 1):
                v.http("GET", file_path(subject, "a.cram"), cert=cert, headers={"Purpose": purpose})
        first = min(v.ctl("review", "list")["reviews"], key=lambda r: r["record"])
        v.ctl("review", "close", first["record"], "--note", "the ward <i>confirms</i> it")
        yield v


@pytest.fixture(scope="module")
def real(vault, tmp_path_factory):
    """An export of all that the vault has."""
    folder = tmp_path_factory.mktemp("html") / "export"
    vault.ctl("audit", "export", "--format", "html", "-o", folder)
    return folder


def lines(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]


def fabricate(folder, records, *origin):
    """The page about records that no vault need have written."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "records.jsonl").open("w") as out:
        for n, record in enumerate(records):
            out.write(json.dumps({"seq": n, **record}) + "\n")
    subprocess.run([HOSTILE / "vaultctl-page", folder, *origin], check=True, timeout=120)
    return folder / "audit.html"


def read_of(service, subject, when, outcome="permitted", purpose=TREATMENT, **members):
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(when)), "event": "read", "outcome": outcome,
            "service": {"name": service}, "subject": subject, "file": hashlib.sha256(subject.encode()).hexdigest()[:32], "purpose": purpose,
            "reasons": [{"rule": "treatment", "text": "The patient's own treatment, with written consent."}], **members}


MONDAY = 1788739200 + 8 * 3600  # 2026-09-07 08:00 UTC


def many(count):
    """Weeks of an ordinary log: mostly of working hours, some denials, an emergency now and then."""
    for n in range(count):
        when = MONDAY + n * 90 * 86400 // count // 10 * 10
        if n % 500 == 7:
            yield read_of("emergency-ward", f"S-{n * 7 % 900}", when, purpose=f'treatment;break-glass="unconscious, bed {n}"')
        elif n % 23 == 5:
            yield read_of(f"clinic-{n % 4}", f"S-{n * 13 % 900}", when, outcome="denied",
                          reasons=[{"rule": "care-relation", "text": "The patient is not in the care of the service."}])
        elif n % 2:
            yield {**read_of(f"clinic-{n % 7}", f"S-{n * 31 % 900}", when), "event": "read.close", "outcome": "done", "bytes": n * 1000,
                   "detail": f"up to {n * 1000} bytes handed out"}
        else:
            yield read_of(f"clinic-{n % 7}", f"S-{n * 31 % 40}", when, purpose=RESEARCH if n % 3 else TREATMENT)


@pytest.fixture(scope="module")
def long_page(tmp_path_factory):
    return fabricate(tmp_path_factory.mktemp("long") / "x", many(RECORDS))


def rows(browser):
    return browser.run("return [...document.querySelectorAll('#records tbody tr')].map(r => [...r.cells].map(c => c.innerText))")


def shown(browser):
    """How many records the table says that match."""
    found = re.search(r" of ([\d,]+)", browser.text("#shown"))
    return int(found.group(1).replace(",", "")) if found else 0


def assert_quiet(browser):
    assert browser.problems() == [] and browser.requests() == []
    assert browser.run("return window.pwned") is None


# ---- what it says ----

def test_the_folder_verifies_and_the_page_says_so(vault, real, browser):
    assert sorted(p.name for p in real.iterdir()) == ["asked.jsonl", "audit.html", "checkpoint", "proofs.jsonl", "records.jsonl"]
    vkey = vault.ctl("audit", "checkpoint")["vkey"]
    report = vault.ctl("audit", "verify", real, "--key", vkey)
    done = subprocess.run(["/usr/bin/python3", str(ROOT / "tests" / "verify_audit.py"), str(real), vkey], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    browser.open(real / "audit.html")
    said = browser.text("#verification")
    for word in (vkey, report["origin"], f"{report['records']:,}", f"{report['tree_size']:,}", "vaultctl audit verify",
                 "on this machine when the export was written", "proves nothing"):
        assert word in said, said
    assert_quiet(browser)


def test_counts_are_those_of_the_records(real, browser):
    found = lines(real)
    browser.open(real / "audit.html")
    figures = dict(browser.run("return [...document.querySelectorAll('#figures div')].map(d => [d.querySelector('dt').innerText, "
                               "d.querySelector('dd').innerText])"))
    reads = [r for r in found if r["event"] == "read" and r["outcome"] == "permitted"]
    assert figures["Records"] == str(len(found)) and figures["Files read"] == str(len(reads))
    assert figures["Denied"] == str(sum(r["outcome"] == "denied" for r in found))
    assert figures["Emergencies"] == "2"
    assert figures["Patients"] == str(len({r["subject"] for r in found if "subject" in r}))
    clinic = next(row for row in browser.run("return [...document.querySelectorAll('#who tbody tr')].map(r => [...r.cells].map(c => c.innerText))")
                  if row[0] == "clinic")
    assert clinic[1] == str(sum(r.get("service", {}).get("name") == "clinic" for r in found)) and clinic[2] == "5"
    emergencies = browser.text("#emergencies")
    assert "<b>bleeding</b>" in emergencies and "the ward <i>confirms</i> it" in emergencies and "unconscious" in emergencies
    assert emergencies.count("not in these records") == 1, "one was reviewed, one was not"
    assert "The service may not act for this purpose." in browser.text("#denials")
    assert len(rows(browser)) == min(len(found), ROWS)
    assert_quiet(browser)


def test_of_one_patient_it_says_nothing_about_another(vault, tmp_path, browser):
    vault.ctl("audit", "export", "--format", "html", "--subject", "S-2", "-o", tmp_path / "x")
    browser.open(tmp_path / "x" / "audit.html")
    assert "S-2" in browser.text("header") and "S-1" not in (tmp_path / "x" / "audit.html").read_text()
    assert_quiet(browser)


def test_unusual_readers_are_found_by_the_rule_that_the_page_states(tmp_path, browser):
    records = [read_of("ordinary-1", f"S-{n % 9}", MONDAY + 60 * n) for n in range(40)]
    records += [read_of("ordinary-2", f"S-{n % 5}", MONDAY + 3600 + 60 * n) for n in range(40)]
    records += [read_of("collector", f"S-{n}", MONDAY + 7200 + 60 * n) for n in range(60)]
    records += [read_of("nightly", f"S-{n % 9}", MONDAY + 14 * 3600 + 60 * n) for n in range(12)]  # 22:00
    records += [read_of("refused", f"S-{n}", MONDAY + 15 * 3600 + 60 * n, outcome="denied") for n in range(60)]
    browser.open(fabricate(tmp_path / "x", records))
    said = {row[0]: " ".join(row) for row in browser.run(
        "return [...document.querySelectorAll('#unusual tbody tr')].map(r => [...r.cells].map(c => c.innerText))")}
    assert set(said) == {"collector", "nightly"}
    assert "60 patients" in said["collector"] and "outside" in said["nightly"]
    rule = browser.text("#unusual p")
    assert "median" in rule and "06:00 to 18:00 UTC" in rule and "Monday to Friday" in rule
    assert_quiet(browser)


def test_without_script_the_summary_is_there(real, browser):
    found = lines(real)
    browser.open(real / "audit.html", script=False)
    said = browser.text()
    assert str(len(found)) in said and "clinic" in said and "bleeding" in said and "vaultctl audit verify" in said
    assert "needs scripts" in browser.text("#records-section")
    assert browser.problems() == [] and browser.requests() == []


# ---- what it is made of ----

def test_its_policy_permits_its_own_script_and_style_and_nothing_else(real, browser, tmp_path):
    page = (real / "audit.html").read_text()
    policy = html.unescape(re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page).group(1))
    script = re.findall(r"<script>(.*?)</script>", page, re.S)
    style = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert len(script) == len(style) == 1
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script[0], style[0])]
    assert policy == (f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
                      "base-uri 'none'; form-action 'none'")
    assert page.index("Content-Security-Policy") < page.index("<style>")
    source = (ROOT / "vaultctl" / "audit" / "page" / "audit.js").read_text()
    assert source == script[0]
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "setAttribute(\"on", "http:", "https:"):
        assert word not in source.replace("http://www.w3.org/2000/svg", ""), word
    # What is put into it from outside does not run.
    other = tmp_path / "other.html"
    other.write_text(page.replace("<main>", "<main><script>window.pwned=1</script><img src=http://attacker.example/x onerror=window.pwned=1>"))
    browser.open(other)
    assert browser.run("return window.pwned") is None
    assert sum("violates the following Content Security Policy" in p for p in browser.problems()) >= 2


def hostile_records():
    for attack in ATTACKS:
        reasons = [{"rule": attack, "text": attack}]
        for outcome in ("permitted", "denied", attack):
            yield {**read_of(attack, attack, MONDAY, outcome=outcome, purpose=attack), "reasons": reasons, "detail": attack, "file": attack,
                   "address": attack, "obligations": [attack], "request": attack, "asked": {"project": attack, "organisation": attack}}
        yield {**read_of(attack, attack, MONDAY), "purpose": f'treatment;break-glass="{attack}"', "reasons": reasons}
        yield {**read_of(attack, attack, MONDAY), "event": attack, "time": attack}
        yield {**read_of(attack, attack, MONDAY), "event": "review.close", "outcome": "done", "detail": f"record 3: {attack}"}


@pytest.mark.parametrize("attack", [0, 1, 2])
def test_whatever_is_written_in_the_records_stays_text(tmp_path, browser, attack):
    page = fabricate(tmp_path / "x", hostile_records(), ATTACKS[attack])
    browser.open(page)
    assert_quiet(browser)
    assert browser.driver.current_url == page.resolve().as_uri()
    made = browser.run("""return [...document.querySelectorAll('*')].map(e => [e.localName, [...e.attributes].map(a => a.name + '=' + a.value)])""")
    assert {name for name, _ in made} <= TAGS, {name for name, _ in made} - TAGS
    attributes = [a for _, all_of_one in made for a in all_of_one]
    assert not any(a.startswith(("on", "style=", "src=")) or "javascript:" in a.split("=", 1)[0] for a in attributes)
    assert all(a.startswith("href=#") for a in attributes if a.startswith("href="))
    assert sum(name == "script" for name, _ in made) == 3
    text = browser.run("return document.body.textContent")
    cells = [cell for row in rows(browser) for cell in row]
    for a in ATTACKS:
        seen = a.replace("\u2028", "[U+2028]").replace("\u2029", "[U+2029]")
        assert seen in text and any(seen in cell for cell in cells), a
    # Its policy is not what keeps it so.
    bare = page.with_name("bare.html")
    bare.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(), count=1))
    browser.open(bare)
    assert_quiet(browser)
    browser.open(page)
    # The same, found by the filter.
    field = browser.element("#search")
    for a in ATTACKS[:4]:
        field.clear()
        field.send_keys(a)
        scene.wait_for(lambda: rows(browser) and len(rows(browser)) < ROWS, "the filter narrows", 10)
    assert_quiet(browser)


def test_what_cannot_be_seen_is_shown(tmp_path, browser):
    turned = "clinic\u202egnp.exe", "S\u200b-1", "bell\u0007", "c1\u0085"
    browser.open(fabricate(tmp_path / "x", [read_of(t, t, MONDAY) for t in turned]))
    text = browser.run("return document.body.textContent")
    assert not any(c in text for c in "\u202e\u200b\u0007\u0085")
    assert "clinic[U+202E]gnp.exe" in browser.text("#who") and "S[U+200B]-1" in str(rows(browser))


# ---- for people ----

def test_the_filter_narrows_and_the_columns_sort(long_page, browser):
    browser.open(long_page)
    assert len(rows(browser)) == ROWS and shown(browser) == RECORDS
    Select(browser.element("#outcome")).select_by_visible_text("denied")
    denied = sum(r["outcome"] == "denied" for r in many(RECORDS))
    scene.wait_for(lambda: shown(browser) == denied, "only denials", 10)
    assert all("denied" in row[4] for row in rows(browser))
    Select(browser.element("#service")).select_by_visible_text("clinic-1")
    both = sum(r["outcome"] == "denied" and r["service"]["name"] == "clinic-1" for r in many(RECORDS))
    scene.wait_for(lambda: shown(browser) == both, "only of one service", 10)
    browser.element("#clear").click()
    scene.wait_for(lambda: shown(browser) == RECORDS, "all again", 10)
    browser.element("#search").send_keys("BED 507")
    found = sum("bed 507" in r["purpose"] for r in many(RECORDS))
    scene.wait_for(lambda: shown(browser) == found > 0, "what was looked for", 10)
    browser.element("#clear").click()
    browser.run("const f = document.getElementById('from'); f.value = '2026-09-08'; f.dispatchEvent(new Event('change'))")
    since = sum(r["time"] >= "2026-09-08" for r in many(RECORDS))
    scene.wait_for(lambda: shown(browser) == since < RECORDS, "from that day", 10)
    browser.element("#clear").click()
    by_service = browser.element("#records th:nth-child(3) button")
    by_service.click()
    names = [row[2] for row in rows(browser)]
    assert names == sorted(names) and browser.element("#records th:nth-child(3)").get_attribute("aria-sort") == "ascending"
    by_service.click()
    assert rows(browser)[0][2] == "emergency-ward"
    browser.element("#emergencies button").click()
    scene.wait_for(lambda: shown(browser) == sum("break-glass" in r["purpose"] for r in many(RECORDS)), "emergencies", 10)
    assert_quiet(browser)


def tab_to(browser, id_of, limit=80):
    for _ in range(limit):
        browser.press(Keys.TAB)
        focused = browser.focused()
        if focused.get_attribute("id") == id_of:
            outline = focused.value_of_css_property("outline-style"), focused.value_of_css_property("outline-width")
            assert outline[0] != "none" and outline[1] != "0px", f"one does not see that {id_of} has the focus"
            return focused
    raise AssertionError(f"{id_of} is not reached by the keyboard")


def test_the_keyboard_is_enough(long_page, browser):
    browser.open(long_page)
    browser.press(Keys.TAB)
    assert browser.focused().get_attribute("class") == "skip"
    browser.press(Keys.ENTER)
    tab_to(browser, "search")
    browser.press("clinic-3")
    scene.wait_for(lambda: shown(browser) < RECORDS and all("clinic-3" in row[2] for row in rows(browser)), "the filter narrows", 10)
    tab_to(browser, "clear")
    browser.press(Keys.ENTER)
    scene.wait_for(lambda: shown(browser) == RECORDS, "all again", 10)
    first = rows(browser)[0][0]
    tab_to(browser, "next")
    browser.press(Keys.ENTER)
    second = rows(browser)[0][0]
    assert second != first and f"{ROWS + 1:,}" in browser.text("#shown")
    browser.press(Keys.SPACE)
    assert rows(browser)[0][0] not in (first, second)
    assert browser.focused().get_attribute("id") == "next", "the focus stays where it is"
    assert_quiet(browser)


def test_every_control_and_picture_has_a_name(long_page, browser):
    browser.open(long_page)
    nameless = browser.run("""return [...document.querySelectorAll('input, select')].filter(e => !e.labels.length).map(e => e.id)
        .concat([...document.querySelectorAll('table')].filter(t => !t.caption || !t.caption.textContent).map(t => 'table ' + t.id))
        .concat([...document.querySelectorAll('th')].filter(t => !t.scope).map(t => 'th ' + t.innerText))
        .concat([...document.querySelectorAll('button')].filter(b => !b.textContent.trim()).map(b => 'button ' + b.id))
        .concat([...document.querySelectorAll('svg:not([aria-hidden])')].filter(s => !s.querySelector('title') || !s.querySelector('desc') ||
            s.getAttribute('role') !== 'img').map(() => 'svg'))""")
    assert nameless == []
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return [...document.querySelectorAll('figure')].every(f => f.querySelector('svg') && f.querySelector('table'))")
    ids = browser.run("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 970, 400, 320])
def test_it_fits(long_page, tmp_path, browser, width, dark):
    wide = "".join(chr(65 + n % 26) for n in range(128))
    pages = [long_page, fabricate(tmp_path / "x", [read_of(wide, wide, MONDAY, purpose=wide, detail=wide * 8) for _ in range(3)], wide)]
    for page in pages:
        browser.open(page, width=width, dark=dark)
        scroll, client, inner = browser.run("const d = document.documentElement; return [d.scrollWidth, d.clientWidth, innerWidth]")
        assert scroll <= client <= inner == width
        light = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every(c => c > 200)")
        assert light is not dark
        assert_quiet(browser)


def test_on_paper_there_are_no_controls(long_page, browser):
    browser.open(long_page)
    browser.cdp("Emulation.setEmulatedMedia", media="print")
    assert not any(e.is_displayed() for e in browser.driver.find_elements("css selector", "input, select, nav, #next"))
    assert browser.element("#verification").is_displayed()
    printed = base64.b64decode(browser.cdp("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF-")


def test_a_long_page_opens(long_page, browser):
    """How long it took is told, and judged by people: a busy machine is slow."""
    seconds = browser.open(long_page)
    assert shown(browser) == RECORDS and len(rows(browser)) == ROWS
    print(f"\n{RECORDS} records, {long_page.stat().st_size} bytes: open in {seconds:.2f} s")
    assert_quiet(browser)


@pytest.mark.skipif(not small_disk.may_mount("tmpfs"), reason="no mounts here")
def test_a_page_that_does_not_fit_is_named_and_not_there(tmp_path):
    with small_disk.disk("tmpfs", tmp_path / "disk", 4), small_disk.Ballast(tmp_path / "disk") as ballast:
        ballast.fill(2 << 20)
        folder = tmp_path / "disk" / "x"
        fabricate(folder, many(1500))
        for leave in (0, 65536):
            (folder / "audit.html").unlink(missing_ok=True)
            ballast.fill(leave)
            done = subprocess.run([HOSTILE / "vaultctl-page", folder], capture_output=True, text=True, timeout=60)
            assert done.returncode == 1 and f"{folder}/" in done.stderr and "input or output failed" in done.stderr, done.stderr
            assert [p.name for p in folder.iterdir()] == ["records.jsonl"]


def test_of_no_records_it_is_a_page_too(tmp_path, browser):
    browser.open(fabricate(tmp_path / "x", []))
    assert rows(browser) == [] and "No service" in browser.text("#unusual")
    assert_quiet(browser)
