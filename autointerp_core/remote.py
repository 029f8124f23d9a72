"""Files that are not on this computer: ``s3://``, ``gs://``, ``hf://``, ``https://``, by fsspec.

A :class:`RemotePath` has the few members of :class:`pathlib.Path` that readers use, so that a file
is read the same way wherever it lies; nothing is downloaded but what is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import IO, Any

from autointerp_core.errors import AutointerpError, BadInput, MissingDependency

_PACKAGES = {
    "s3": "s3fs==2026.9.0",
    "s3a": "s3fs==2026.9.0",
    "gs": "gcsfs==2026.9.0",
    "gcs": "gcsfs==2026.9.0",
    "http": "aiohttp",
    "https": "aiohttp",
    "hf": "huggingface_hub",
}
"""What has to be installed for a protocol."""
_BLOCK = 8 << 20
"""Bytes fetched at once of what is read from end to end."""
_LOGIN = "check the login (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, gcloud auth, or HF_TOKEN)"
_REFUSED = ("credential", "forbidden", "access denied", "accessdenied", "401", "403", "signature")


def is_remote(given: object) -> bool:
    """Whether a text names a place by a protocol other than ``file``."""
    scheme, colon, _ = str(given).partition("://")
    return bool(colon) and scheme.isalnum() and scheme != "file"


@contextmanager
def remote_errors(kind: type[AutointerpError], given: str) -> Iterator[None]:
    """Turn whatever a storage library raises inside into one exception of ours.

    Raises:
        AutointerpError: of the kind asked for: not there, refused, out of reach.
        MissingDependency: a package for this protocol is not installed.
    """
    try:
        yield
    except AutointerpError:
        raise
    except ImportError as error:
        scheme = given.partition("://")[0]
        raise MissingDependency(
            f"{given} needs a package that is not installed; "
            f'pip install "{_PACKAGES.get(scheme, scheme)}"'
        ) from error
    except FileNotFoundError as error:
        # fsspec says so of every page that it does not get; the cause holds the answer.
        status = getattr(error.__cause__, "status", None)
        if status in (401, 403):
            raise kind(f"access to {given} was refused (HTTP {status}); {_LOGIN}") from error
        raise kind(f"{given} was not found: no such file, folder or bucket") from error
    # Each storage has a library of its own, with exceptions of its own.
    except Exception as error:
        said = " ".join(str(error).split())[:160] or type(error).__name__
        if isinstance(error, PermissionError) or any(word in said.lower() for word in _REFUSED):
            raise kind(f"access to {given} was refused ({said}); {_LOGIN}") from error
        raise kind(
            f"{given} cannot be reached or read ({type(error).__name__}: {said}); check the "
            "address and the connection"
        ) from error


@dataclass(frozen=True, order=True)
class RemotePath:
    """A place in a storage; ``url`` is what it is called."""

    url: str
    _files: Any = field(repr=False, compare=False)
    """fsspec's file system."""

    @classmethod
    def of(cls, url: str, kind: type[AutointerpError] = BadInput) -> RemotePath:
        """What a URL names; whether anything is there is not asked.

        Raises:
            BadInput: no such protocol.
            MissingDependency: its package is not installed.
        """
        import fsspec

        with remote_errors(kind, url):
            scheme = url.partition("://")[0]
            if scheme not in fsspec.available_protocols():
                known = "s3://, gs://, hf:// or https://"
                raise kind(f"{url}: {scheme}:// is no protocol that can be read; give {known}")
            files, _ = fsspec.url_to_fs(url)
            return cls(url, files)

    @cached_property
    def _plain(self) -> PurePosixPath:
        return PurePosixPath(self.url.partition("://")[2].partition("?")[0])

    @property
    def name(self) -> str:
        return self._plain.name

    @property
    def suffix(self) -> str:
        return self._plain.suffix

    @property
    def suffixes(self) -> list[str]:
        return self._plain.suffixes

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0]

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url.rstrip('/')}/{name}", self._files)

    def open(self, mode: str = "rb", block: int = _BLOCK) -> IO[bytes]:
        """The content, ``block`` bytes at a time as it is needed."""
        opened: IO[bytes] = self._files.open(self.url, mode, block_size=block)
        return opened

    def look(self) -> None:
        """Raise what the storage says of it; web servers are only asked when it is read."""
        if not self._scheme.startswith("http"):
            self._files.info(self.url)

    def is_dir(self) -> bool:
        return bool(self._files.isdir(self.url))

    def is_file(self) -> bool:
        return bool(self._files.isfile(self.url))

    def iterdir(self) -> Iterator[RemotePath]:
        """What a folder holds, by name."""
        names = {entry.rstrip("/") for entry in self._files.ls(self.url, detail=False)}
        yield from (self._named(name) for name in sorted(names))

    def matching(self) -> list[RemotePath]:
        """The files that a pattern (``docs-*.parquet``) means."""
        return [self._named(name) for name in sorted(self._files.glob(self.url))]

    def _named(self, path: str) -> RemotePath:
        return RemotePath(f"{self._scheme}://{path.partition('://')[2] or path}", self._files)

    def put(self, local: str) -> None:
        """Write a local file's content here."""
        self._files.put_file(local, self.url)

    def check_writable(self, kind: type[AutointerpError]) -> None:
        """Refuse a place that cannot be written, before hours of work, leaving nothing there.

        Raises:
            AutointerpError: of the kind asked for.
        """
        probe = self / ".autointerp-can-write"
        with remote_errors(kind, self.url):
            self._files.pipe_file(probe.url, b"")
            self._files.rm_file(probe.url)
