"""Where the key of a server comes from, and how it is kept out of every message.

Read when it is needed and held by the SDK's client alone, for as long as a call lasts.
"""

from __future__ import annotations

import os
import tomllib
from urllib.parse import urlsplit, urlunsplit

from autointerp_core.errors import ProviderSetupError
from autointerp_core.home import CODE_ROOT

DEFAULT_SERVER = "https://api.openai.com/v1"
KEY_NAME = "OPENAI_API_KEY"
NO_KEY = "none"
"""What servers on one's own machine are sent: they want a header, any header."""
HIDDEN = "***"


def find_key(base_url: str) -> str:
    """The key for a server, from the environment or ``.streamlit/secrets.toml``.

    Raises:
        ProviderSetupError: there is none and the server is OpenAI's own, or what there is cannot
            be a key.
    """
    found = _look_up()
    if any(not "!" <= letter <= "~" for letter in found):
        # Sent in a header; the error of whoever refuses it there would quote it.
        raise ProviderSetupError(
            f"{KEY_NAME} holds a space, a line break or a letter that no key has: copy it again"
        )
    if found:
        return found
    if base_url.startswith(DEFAULT_SERVER):
        raise ProviderSetupError(
            f"no API key: set {KEY_NAME} in the environment, or in .streamlit/secrets.toml"
        )
    return NO_KEY


def _look_up() -> str:
    found = os.environ.get(KEY_NAME, "").strip()
    secrets = CODE_ROOT / ".streamlit" / "secrets.toml"
    if found or not secrets.is_file():
        return found
    try:
        content = tomllib.loads(secrets.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        # Without its cause, which may quote the line that holds the key.
        raise ProviderSetupError(
            f".streamlit/secrets.toml cannot be read as TOML; write {KEY_NAME} = "
            '"…" on a line of its own'
        ) from None
    return str(content.get(KEY_NAME, "")).strip()


def has_key() -> bool:
    """Whether a key is set at all."""
    return bool(_look_up())


def hide(text: str) -> str:
    """``text`` without the key, which some servers repeat in their errors."""
    key = _look_up()
    return text.replace(key, HIDDEN) if len(key) >= 6 else text


def shown(base_url: str) -> str:
    """A server's address as messages name it: without a name and password in it."""
    parts = urlsplit(base_url)
    address = parts.netloc.rpartition("@")[2]
    return hide(urlunsplit((parts.scheme, address, parts.path, "", "")))
