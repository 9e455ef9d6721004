"""`@pytest.mark.carrier`: a test about some carriers is no part of a run on another."""

from __future__ import annotations

import pytest
from testing.test_testing_lab import run_pytest, write

TEST = """
    import pytest

    pytestmark = pytest.mark.carrier("twilio", "signalwire", "plivo")

    @pytest.mark.carrier("twilio", "signalwire")
    def test_two_of_them():
        pass

    @pytest.mark.parametrize("marks", ["echo", pytest.param("never", marks=pytest.mark.carrier("plivo"))])
    def test_one_in_parts(marks):
        pass
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "2 passed, 1 deselected"),
        (("--carrier", "signalwire"), "2 passed, 1 deselected"),
        (("--carrier", "plivo"), "2 passed, 1 deselected"),
        (("--carrier", "telnyx"), "3 deselected"),
    ],
    ids=str,
)
def test_a_test_about_other_carriers_is_left_out(tmp_path, arguments, said):
    write(tmp_path, "test_mine.py", TEST)
    run = run_pytest(tmp_path, "--strict-markers", "-v", *arguments)
    assert said in run.stdout.splitlines()[-1], run.stdout + run.stderr
    assert ("test_two_of_them PASSED" in run.stdout) is (arguments in ((), ("--carrier", "signalwire")))
    assert ("test_one_in_parts[echo] PASSED" in run.stdout) is (arguments != ("--carrier", "telnyx"))
    assert ("test_one_in_parts[never] PASSED" in run.stdout) is (arguments == ("--carrier", "plivo"))


@pytest.mark.parametrize("names", ["", '"twillio"', '"twilio", "bell"'])
def test_a_mark_that_names_no_carrier_is_refused(tmp_path, names):
    write(tmp_path, "test_mine.py", f"import pytest\n\n@pytest.mark.carrier({names})\ndef test_it():\n    pass\n")
    run = run_pytest(tmp_path)
    assert run.returncode == 4
    assert "test_mine.py::test_it: mark it with carrier(...) of twilio, signalwire" in run.stdout + run.stderr
