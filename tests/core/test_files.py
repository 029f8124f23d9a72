"""Files appear whole, with the permissions that any new file gets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autointerp_core.store.files import atomic_file, name_beside, write_bytes


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_permissions_are_those_of_the_moment(tmp_path: Path, umask: int) -> None:
    write_bytes(tmp_path / "a" / "file", b"x")
    assert (tmp_path / "a" / "file").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o777 & ~umask
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_importing_changes_no_umask() -> None:
    """It is the process', so for a moment another thread's files would be open to all."""
    script = (
        "import os\n"
        "def refused(mask): raise AssertionError('umask was changed')\n"
        "os.umask = refused\n"
        "import autointerp_core.pipeline, autointerp_core.store.files\n"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def half() -> None:
        with atomic_file(path) as handle:
            handle.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_name_has_a_name_beside_it(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("n" * 255), b"x")
    assert len(name_beside(tmp_path / ("n" * 255)).name) < 255
