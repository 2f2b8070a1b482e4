"""docs/duos.md has a table of what the vault decides: every row of it, decided by a real vault."""
import json
import re

import pytest

import scene
from vault_under_test import ROOT, running_vault

DISEASES = {"cancer": "MONDO:1", "mel": "MONDO:2", "asthma": "MONDO:3", "unknown": "MONDO:4"}
TABLE = "MONDO:2\tMONDO:1\nMONDO:3\tMONDO:5\n"


def rows():
    """(consent, disease, uses, verdict, reason) of each row."""
    lines = re.findall(r"^\| ([0-9].*) \|$", (ROOT / "docs" / "duos.md").read_text(), flags=re.M)
    return [tuple(cell.strip() for n, cell in enumerate(line.split("|")) if n in (0, 1, 2, 4, 5)) for line in lines]


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    table = tmp_path_factory.mktemp("table") / "diseases.tsv"
    table.write_text(TABLE)
    with running_vault(settings={"diseases": str(table)}) as vault:
        listed = [*(("--disease", d) for d in DISEASES.values()), *(("--use", f"DUO:{n:07}") for n in range(31, 41))]
        scene.subprocess.run([str(ROOT / "scripts" / "test-pki"), str(vault.folder / "pki"), "danish"], check=True,
                             capture_output=True)
        vault.ctl("service", "add", "danish", "--san", "urn:vault:service:danish", "--role", "reader", "--purpose", "research",
                  "--organisation", "hospital", "--country", "DK", "--not-for-profit")
        vault.ctl("project", "add", "P2", "--service", "danish")
        vault.ctl("ethics", "add", "A2", "--project", "P2", *(word for pair in listed for word in pair))
        vault.ctl("subject", "add", "S-1")
        scene.deposit(vault, "S-1", "a.cram", b"content")
        yield vault


SAID = {"c": {"diseases": [DISEASES["cancer"]]}, "DK": {"countries": ["NO", "DK"]}, "SE": {"countries": ["SE"]},
        "past": {"research_until": "2020-01-01"}, "hospital": {"organisations": ["hospital"]}, "other": {"organisations": ["other"]}}


def sign(vault, consent):
    words = consent.split()
    permits = {"research": [f"DUO:{int(term):07}" for term in words if term.isdigit()]}
    for word in words:
        permits.update(SAID.get(word, {}))
    document = {"subject": "S-1", "signed": scene.today(), "form": "1", "permits": permits}
    vault.ctl("consent", "set", "S-1", "-", input=json.dumps(document).encode())


def purpose(disease, uses):
    """NP says nothing that the vault's purposes have a word for."""
    said = 'research;project="P2";approval="A2"' + (f';disease="{DISEASES[disease]}"' if disease else "")
    return said + (f';uses="DUO:{int(uses):07}"' if uses.isdigit() else "")


@pytest.mark.parametrize("row", rows(), ids=" ".join)
def test_the_row_is_what_the_vault_decides(vault, row):
    consent, disease, uses, verdict, reason = row
    sign(vault, consent)
    found = vault.ctl("policy", "explain", "--service", "danish", "--purpose", purpose(disease, uses), "--file", "S-1/a.cram")
    against = [r["rule"] for r in found["reasons"] if r["against"]]
    assert (found["verdict"], against) == (verdict, [reason] if reason else [])


def test_the_holes_are_among_the_rows():
    text = (ROOT / "docs" / "duos.md").read_text()
    assert all(f"hole {n}" in text for n in (1, 2, 3)) and len(rows()) > 20
