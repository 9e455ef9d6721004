"""The command line itself."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from served import run


def test_version_and_help(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).output.strip() == f"callengine {version('callengine')}"
    helped = run("--help", cwd=tmp_path)
    assert helped.status == 0
    assert all(command in helped.output for command in ("serve", "demo", "doctor"))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("serve",),
        ("serve", "a:b", "--port", "70000"),
        ("serve", "a:b", "--port", "x"),
        ("serve", "a:b", "--drain-timeout", "-1"),
        ("serve", "a:b", "--drain-timeout", "inf"),
        ("serve", "nothing_like_that:engine"),
        ("serve", "broken:engine"),
    ],
)
def test_what_makes_no_sense_is_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    ran = run(*arguments, cwd=tmp_path)
    assert ran.status == 2
    assert ran.errors or "usage" in ran.output


def test_an_error_in_the_users_module_is_shown_from_there_on(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def inner():\n    1 / 0\ninner()")
    ran = run("serve", "broken:engine", cwd=tmp_path)
    assert "broken.py" in ran.errors
    assert "ZeroDivisionError" in ran.errors
    assert "importlib" not in ran.errors
    assert "target.py" not in ran.errors


def test_an_engine_runs_with_one_blas_thread(tmp_path: Path) -> None:
    # given a module that says with how many threads NumPy was loaded
    (tmp_path / "app.py").write_text("import os; raise SystemExit(os.environ['OPENBLAS_NUM_THREADS'])")
    assert run("serve", "app:engine", cwd=tmp_path, OPENBLAS_NUM_THREADS=None).errors.strip() == "1"
    assert run("serve", "app:engine", cwd=tmp_path, OPENBLAS_NUM_THREADS="2").errors.strip() == "2"
