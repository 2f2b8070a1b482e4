"""Our HTTP parser against llhttp (Node) and h11 (Python): what one of them takes differently is refused by ours, or
explained in tests/differential/classes.py. The long run is tests/torture/parsers."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "differential"))

import classes  # noqa: E402
import compare  # noqa: E402

SEED = "short"
WHOLE = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" \
    b"GET /b?c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_every_difference_is_explained():
    done = compare.compare(SEED, 3000)
    assert not done.unexplained, "\n".join(compare.table(done))
    assert done.count["requests"] > 1000 and done.count["refused"] > 500 and done.count["llhttp and h11 differ"] > 50


@pytest.mark.parametrize("plant", ["bare-lf", "last-length", "length-first"])
def test_a_fault_planted_in_our_parser_is_found(plant):
    assert compare.compare(SEED, 2000, plant).unexplained


@pytest.mark.parametrize("explained", classes.CLASSES, ids=lambda c: c.name)
def test_the_difference_that_is_explained_exists(explained):
    done = compare.Comparison()
    compare.compare_batch(done, [explained.example])
    assert done.classes == {(explained.other, explained.name): 1} and not done.unexplained


def test_all_three_see_the_same_two_requests():
    done = compare.Comparison()
    compare.compare_batch(done, [WHOLE])
    assert done.count == {"inputs": 1, "requests": 2, "refused": 0, "alike llhttp": 1, "alike h11": 1,
                          "llhttp and h11 differ": 0}
