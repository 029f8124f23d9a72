"""Where result files go: a folder on this computer, or one in a storage (``s3://…``)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autointerp_core.errors import OutputError
from autointerp_core.remote import RemotePath, is_remote, remote_errors
from autointerp_core.store.files import check_writable


@dataclass(frozen=True)
class Output:
    """An output folder, as given."""

    given: str

    @classmethod
    def of(cls, given: str | Path) -> Output:
        """Checked before any work; nothing is left there.

        Raises:
            OutputError: it cannot be written.
            MissingDependency: a package for this protocol is not installed.
        """
        text = str(given)
        found = cls(text if is_remote(text) else str(Path(text).expanduser()))
        if is_remote(text):
            RemotePath.of(text, OutputError).check_writable(OutputError)
        else:
            check_writable(Path(found.given))
        return found

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder to write to; what is in it when the block ends is what is in the output.

        Raises:
            OutputError: it could not be taken there.
        """
        if not is_remote(self.given):
            yield Path(self.given)
            return
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            yield folder
            target = RemotePath.of(self.given, OutputError)
            with remote_errors(OutputError, self.given):
                for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                    (target / path.relative_to(folder).as_posix()).put(str(path))

    def place(self, name: str) -> str:
        """What a file there is called."""
        if is_remote(self.given):
            return f"{self.given.rstrip('/')}/{name}"
        return str(Path(self.given) / name)
