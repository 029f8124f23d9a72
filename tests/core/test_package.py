"""The package: what `pip install .` gives works from another folder, and agrees with the pins."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pinned(name: str) -> dict[str, Requirement]:
    """The requirements of a file, by package."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    found = [Requirement(line.split("#")[0]) for line in lines if re.match(r"\w", line)]
    return {requirement.name.lower(): requirement for requirement in found}


def version_of(requirement: Requirement) -> str:
    only = list(requirement.specifier)
    assert [one.operator for one in only] == ["=="], f"{requirement} is not pinned"
    return only[0].version


@pytest.mark.parametrize(
    ("extra", "files"),
    [
        (None, ("requirements.txt",)),
        ("demo", ("requirements.txt",)),
        ("zst", ("requirements.txt",)),
        ("sae-dashboard", ("requirements.txt",)),
        ("s3", ("requirements-dev.txt",)),
        ("https", ("requirements-dev.txt",)),
        ("api", ("requirements.txt",)),
        ("mcp", ("requirements.txt",)),
        ("ray", ("requirements-dev.txt",)),
        ("map", ("requirements-dev.txt",)),
        ("postgres", ("requirements-dev.txt",)),
        ("dev", ("requirements-dev.txt",)),
    ],
)
def test_pins_lie_within_the_ranges(extra: str | None, files: tuple[str, ...]) -> None:
    listed = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    pins: dict[str, Requirement] = {}
    for name in files:
        pins |= pinned(name)
    for asked in map(Requirement, listed):
        assert asked.name.lower() in pins, f"{asked.name} is not in {files}"
        assert asked.specifier.contains(version_of(pins[asked.name.lower()])), asked


def test_every_pin_is_a_dependency() -> None:
    """What the README installs and the package does not ask for would be missed by nobody."""
    everything = [*PROJECT["dependencies"]]
    for extra, listed in PROJECT["optional-dependencies"].items():
        everything += [] if extra == "dev" else listed
    asked = {Requirement(line).name.lower() for line in everything}
    # Engines and databases of a few are tested here, and installed by those who want them.
    assert set(pinned("requirements.txt")) == asked - set(pinned("requirements-dev.txt"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip installs it, without its dependencies."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--no-index", "--target", str(target), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return target


def run(installed: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process in another folder that finds the installed package, not the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "AUTOINTERP_HOME": str(home)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=installed.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_installed_command_labels_the_demo(
    installed: Path, demo_model: Path, tmp_path: Path
) -> None:
    entry = (installed / "bin" / "autointerp").read_text()
    assert "autointerp_core.cli" in entry
    done = run(
        installed,
        demo_model.parents[1],
        *["-m", "autointerp_core", "label", "--feature-indices", "3,7", "--model-path", "demo"],
        *["--sae-path", "demo", "--dataset-path", "demo", "--n-samples", "4"],
        *["--label-provider", "none", "--output-dir", str(tmp_path / "out")],
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "feature_labels.json").exists()


@pytest.mark.slow
def test_the_installed_package_brings_app_and_licences(installed: Path, tmp_path: Path) -> None:
    code = (
        "import autointerp_core.cli.installation as i, autointerp_core.home as h;"
        "from autointerp_core.sources.demo import demo_corpus_path, demo_sae_path;"
        "assert not h.IS_CHECKOUT and demo_corpus_path().exists() and demo_sae_path().exists();"
        "print(i.app_script())"
    )
    done = run(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    script = Path(done.stdout.strip())
    assert script.is_relative_to(installed)
    assert (script.parent / "ui" / "shell.py").exists()
    assert (script.parent / "ui" / "elements" / "tokens.js").exists()
    assert (script.parent / ".streamlit" / "config.toml").exists()
    assert (installed / "autointerp_core" / "py.typed").exists()
    names = {path.name for path in installed.rglob("*.dist-info/licenses/**/*")}
    assert {"LICENSE", "LICENSE-WordNet.txt"} <= names


def test_the_command_that_an_error_gives_installs_what_was_tested() -> None:
    from autointerp_core.extraction.feature_map import PIP

    (asked,) = map(Requirement, PROJECT["optional-dependencies"]["map"])
    assert f"pip install {asked}" == PIP
    assert version_of(pinned("requirements-dev.txt")["umap-learn"]) == version_of(asked)
