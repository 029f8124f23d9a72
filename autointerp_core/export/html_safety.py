"""What keeps text of datasets, models and people from becoming markup in our HTML files.

Data lies in blocks of JSON that a script reads into text nodes; a content security policy allows
only the page's own scripts, by hash.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson


def json_block(name: str, data: Any) -> bytes:
    """JSON inside a page: ``<`` is escaped, so that no text can end the block."""
    raw = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY).replace(b"<", b"\\u003c")
    return b'<script type="application/json" id="' + name.encode() + b'">' + raw + b"</script>\n"


def script_policy(*scripts: str) -> str:
    """The part of a content security policy that allows these scripts and no other."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"script-src {allowed}"
