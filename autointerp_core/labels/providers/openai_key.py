"""Where the key of a server comes from, which servers it may be sent to, and how it is kept out
of every message.

A key belongs to hosts. ``OPENAI_API_KEY`` is sent to OpenAI's own, and to the one that
``OPENAI_BASE_URL`` names; ``OPENAI_API_KEYS`` holds one key a host (``host=key, host=key``). Both
are read from the environment and from ``.streamlit/secrets.toml`` (of the checkout; of the user's
home where the package is installed), never from a form, a flag or a
job: whoever types an address must not be sent a key that somebody else set. Keys are read when they
are needed and held by the SDK's client alone, for as long as a call lasts.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import regex

from autointerp_core.errors import ParameterError, ProviderSetupError
from autointerp_core.home import CODE_ROOT, IS_CHECKOUT

DEFAULT_SERVER = "https://api.openai.com/v1"
KEY_NAME = "OPENAI_API_KEY"
KEYS_NAME = "OPENAI_API_KEYS"
SERVER_NAME = "OPENAI_BASE_URL"
NO_KEY = "none"
"""What servers without a key of their own are sent: they want a header, any header."""
HIDDEN = "***"
SECRETS = ".streamlit/secrets.toml" if IS_CHECKOUT else "~/.streamlit/secrets.toml"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def server_address(base_url: str | None) -> str:
    """The address of a server: as given, else ``OPENAI_BASE_URL``, else OpenAI's.

    Raises:
        ParameterError: it is no address of a server.
        ProviderSetupError: the secrets file cannot be read.
    """
    address = (base_url or _setting(SERVER_NAME) or DEFAULT_SERVER).strip()
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ParameterError(
            f"the base URL {shown(address)!r} is no address; it begins with http:// or "
            "https:// and usually ends with /v1"
        )
    return address


def find_key(base_url: str) -> str:
    """The key that is bound to a server's host; :data:`NO_KEY` where none is.

    Raises:
        ProviderSetupError: there is none and the server is OpenAI's own, or what there is cannot
            be a key.
    """
    found = _key_for(base_url)
    if found is not None:
        if any(not "!" <= letter <= "~" for letter in found.key):
            # Sent in a header; the error of whoever refuses it there would quote it.
            raise ProviderSetupError(
                f"{found.name} holds a space, a line break or a letter that no key has: copy it "
                "again"
            )
        return found.key
    if _is_openai(base_url):
        raise ProviderSetupError(f"no API key: {how_to_set(base_url)}")
    return NO_KEY


def has_key(base_url: str) -> bool:
    """Whether a key is bound to a server's host."""
    return _key_for(base_url) is not None


def key_name(base_url: str) -> str:
    """Where the key that a server is sent was set; ``OPENAI_API_KEY`` where there is none."""
    found = _key_for(base_url)
    return KEY_NAME if found is None else found.name


def how_to_set(base_url: str) -> str:
    """What to do so that a server is sent a key."""
    where = f"in the environment, or in {SECRETS}"
    if _is_openai(base_url):
        return f"set {KEY_NAME} {where}"
    host = _host(base_url)
    alone = "" if not _setting(KEY_NAME) else f" ({KEY_NAME} is sent to OpenAI alone)"
    return (
        f"set {KEY_NAME} and {SERVER_NAME}={shown(base_url)}, or {KEYS_NAME}={host}=…, {where}; "
        f"no key is bound to {host}{alone}"
    )


def hide(text: str) -> str:
    """``text`` without any key, which some servers repeat in their errors."""
    for key in sorted(_every_key(), key=len, reverse=True):
        if len(key) >= 6:
            text = text.replace(key, HIDDEN)
    return text


def shown(base_url: str) -> str:
    """A server's address as messages name it: without a name and password in it."""
    bare = regex.sub(r"[\x00-\x1f\x7f\\]", "", base_url)
    try:
        parts = urlsplit(bare)
    except ValueError:  # no address at all: what stands before an @ may still be a password
        return hide(bare.rpartition("@")[2])
    address = parts.netloc.rpartition("@")[2]
    return hide(urlunsplit((parts.scheme, address, parts.path, "", "")))


@dataclass(frozen=True)
class _Bound:
    """A key, and the name of the setting that bound it. Never shown, so it has no repr."""

    name: str
    key: str

    def __repr__(self) -> str:
        return f"_Bound({self.name})"


def _key_for(base_url: str) -> _Bound | None:
    own = _own_key(base_url)
    if own:
        return _Bound(KEYS_NAME, own)
    key = _setting(KEY_NAME)
    if key and (_is_openai(base_url) or _is_named(base_url)):
        return _Bound(KEY_NAME, key)
    return None


def _is_openai(base_url: str) -> bool:
    """OpenAI's own host (or one of its regions), where nobody can listen."""
    parts = _split(base_url)
    if parts is None or parts.scheme != "https":
        return False
    host = _host(base_url)
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def _is_named(base_url: str) -> bool:
    """The host that the environment or the secrets file names, reached in the same way."""
    named = _split(_setting(SERVER_NAME))
    given = _split(base_url)
    if named is None or given is None or not named.hostname:
        return False
    return named.scheme == given.scheme and _host(_setting(SERVER_NAME)) == _host(base_url)


def _host(base_url: str) -> str:
    """``host``, or ``host:port`` where the port is not the scheme's own; empty for no address."""
    parts = _split(base_url)
    if parts is None or not parts.hostname:
        return ""
    host = parts.hostname.rstrip(".").casefold()
    host = f"[{host}]" if ":" in host else host
    port = parts.port
    return host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None where two readers of it could see two hosts."""
    # A backslash is a slash to some and part of a name to others.
    if regex.search(r"[\x00-\x20\x7f\\]", address.strip()):
        return None
    try:
        parts = urlsplit(address.strip())
        _ = parts.port
    except ValueError:
        return None
    return parts


def _own_key(base_url: str) -> str | None:
    """The key that stands beside the host; over http only where that was meant."""
    keys, host = _own_keys(), _host(base_url)
    if base_url.strip().casefold().startswith("https:"):
        return keys.get(host)
    meant = ":" in host or host in ("localhost", "127.0.0.1")
    return keys.get(f"http://{host}") or (keys.get(host) if meant else None)


def _own_keys() -> Mapping[str, str]:
    """Keys by host, the environment's before the file's."""
    found: dict[str, str] = {}
    table = _secrets().get(KEYS_NAME)
    pairs = list(table.items()) if isinstance(table, Mapping) else _pairs(str(table or ""))
    for host, key in [*pairs, *_pairs(os.environ.get(KEYS_NAME, ""))]:
        found[_as_host(str(host))] = str(key).strip()
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    """``host=key`` pairs between commas, semicolons or line breaks."""
    pairs = []
    for piece in regex.split(r"[,;\n]+", text):
        host, equals, key = piece.strip().partition("=")
        if equals and host.strip() and key.strip():
            pairs.append((host.strip(), key.strip()))
    return pairs


def _as_host(given: str) -> str:
    """A host as it is compared; an address stands for its host."""
    if given.casefold().startswith("http://"):
        return f"http://{_host(given)}"
    return _host(given if "://" in given else f"https://{given}")


def _setting(name: str) -> str:
    found = os.environ.get(name, "").strip()
    return found or str(_secrets().get(name, "")).strip()


def _secrets() -> dict[str, Any]:
    # Never the current folder's: whoever made that folder could bind the key to a host.
    secrets = (CODE_ROOT if IS_CHECKOUT else Path.home()) / ".streamlit" / "secrets.toml"
    if not secrets.is_file():
        return {}
    try:
        return tomllib.loads(secrets.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        # Without its cause, which may quote the line that holds the key.
        raise ProviderSetupError(
            f'{SECRETS} cannot be read as TOML; write {KEY_NAME} = "…" on a line of its own'
        ) from None


def _every_key() -> set[str]:
    try:
        found = (_setting(KEY_NAME), *_own_keys().values())
    except ProviderSetupError:  # of the secrets file, which has been told or will be
        found = (os.environ.get(KEY_NAME, "").strip(),)
    return {key for key in found if key}
