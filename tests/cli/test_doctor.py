"""``chainrule doctor``: what is there is said, and what is broken is found."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.cli import doctor, self_test

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_FOR_USERS = {"test", "peers", "bench", "docs", "dev"}


def test_all_is_well(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = run("doctor")
    assert done.status == 0, done.out
    assert done.out.endswith("all is well\n") and done.err == ""
    assert max(map(len, done.out.splitlines())) <= 80
    assert f"chainrule   {cr.__version__}\n" in done.out
    assert f"numpy {version('numpy')}" in done.out
    for word in ("Python", "processor", "vectors of", "threads", "cache", "MiB", "self-test"):
        assert word in done.out


def test_as_json(run):
    result = run("doctor", "--json").result
    assert set(result) == {
        "chainrule", "python", "platform", "packages", "processor", "cache", "extras", "self_test", "problems"
    }  # fmt: skip
    assert result["problems"] == []
    assert result["processor"]["vector_bits"] in (128, 256, 512)
    assert result["self_test"]["difference"] <= self_test.TOLERANCE
    assert set(result["cache"]) == {"folder", "files", "bytes", "limit_bytes"}


def names_of(requirements):
    return {requirement.split(">")[0].split("[")[0] for requirement in requirements}


def test_every_dependency_and_extra_is_looked_at():
    assert set(doctor.PACKAGES) == names_of(PROJECT["dependencies"])
    assert set(doctor.EXTRAS) == set(PROJECT["optional-dependencies"]) - NOT_FOR_USERS


def test_an_extra_that_is_missing_comes_with_its_pip_line(run, monkeypatch):
    monkeypatch.setitem(doctor.EXTRAS, "plot", ("no_such_module",))
    done = run("doctor")
    assert done.status == 0
    assert "missing; pip install 'chainrule[plot]'" in done.out


def test_a_package_that_is_missing(run, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", (*doctor.PACKAGES, "no-such-package"))
    done = run("doctor")
    assert done.status == 1
    assert "wrong       no-such-package is not installed" in done.out
    assert "all is well" not in done.out


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no such instruction')", "status 1: no such instruction"),
        ("import os; os.kill(os.getpid(), 4)", "signal 4"),
        ('print(\'{"difference": 0.5, "seconds": 1.0}\')', "disagree: the losses differ by 0.5"),
        ('print(\'{"difference": NaN, "seconds": 1.0}\')', "disagree: the losses differ by nan"),
    ],
)
def test_a_self_test_that_fails_is_reported(run, monkeypatch, code, said):
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **more: real([sys.executable, "-c", code], **more))
    done = run("doctor")
    assert done.status == 1
    assert said in " ".join(done.out.split())


def test_the_self_test_sees_a_compiler_that_is_wrong(monkeypatch):
    """With compiled steps that are replaced by others the losses differ."""
    import chainrule
    from chainrule import optim

    assert self_test.largest_difference() <= self_test.TOLERANCE
    real = chainrule.fit

    def wrong(*arguments, **named):
        if named["executor"] == "compiled":
            named["optimizer"] = optim.Adam(1.01e-2)
        return real(*arguments, **named)

    monkeypatch.setattr(chainrule, "fit", wrong)
    assert self_test.largest_difference() > self_test.TOLERANCE


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_a_cache_that_others_may_write_to(run, monkeypatch, tmp_path):
    place = tmp_path / "cache" / "chainrule-code"
    place.mkdir(parents=True)
    place.chmod(0o777)
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    done = run("doctor", "--json")
    assert done.status == 1
    assert [str(place) in problem for problem in done.result["problems"]] == [True]


def test_a_cache_that_is_switched_off(run, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    done = run("doctor")
    assert (done.status, "cache       off" in done.out) == (0, True)


def test_the_cache_is_as_large_as_its_files(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    assert run("train", "xnor", "--epochs", 1, "--no-report").status == 0
    files = list((tmp_path / "cache" / "chainrule-code").iterdir())
    found = run("doctor", "--json").result["cache"]
    assert found["files"] == len(files) > 0
    assert found["bytes"] == sum(file.stat().st_size for file in files)
