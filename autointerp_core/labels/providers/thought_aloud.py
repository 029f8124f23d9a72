"""Recognising a thought that no marker tells from an answer.

Models whose chat template opens the thought write no opening tag; one that is cut off by the token
limit has no closing tag either. How such thoughts begin is all there is to go by.
"""

from __future__ import annotations

import regex

_LOOK = r"look|looking|taking\ a\ look"
_BEGINS = regex.compile(
    rf"""^[\s*_#>"'“-]*(?:
      (?:okay|ok|alright|all\ right|hmm+|mm+|wait|well)\b[\s,.…—-]+
        (?:so|let|i\b|we\b|the\ user|first|now|{_LOOK}|this|what|here)
    | h+m+\b
    | (?:so|now|first(?:ly)?)[\s,]+
        (?:let|i\b|we\b|the\ (?:user|task|question|marked|texts?|words?)|{_LOOK})
    | let(?:['’]s|\ me|\ us)\ (?:think|see|look|analy[sz]e|start|break|figure|consider|go
        |examine|find|check|try|work|first|begin|identify)
    | we\ (?:need\ to|have\ to|are\ (?:given|asked)|should|must|can\ see|see|want\ to|got)\b
    | (?:the\ )?user\ (?:wants|asks|asked|is\ asking|gave|has|provided|needs)\b
    | i\ (?:need\ to|have\ to|should|must|will|am\ (?:given|asked|trying|supposed)
        |see\ that|notice)\b
    | i['’](?:m|ll|ve)\ (?:given|asked|trying|supposed|going|need|been|looking|start)\b
    | (?:the\ )?(?:task|question|prompt|instructions?)\ (?:is|are|asks?|says?|wants?)\b
    | (?:looking|taking\ a\ look)\ at\ (?:the|these|this|all)\b
    | my\ (?:task|goal|job)\ is\b
    | (?:thinking|thoughts?|thought\ process|reasoning|analysis|scratchpad)\s*[:：]
    | analysis\s+(?:we\b|the\ user|i\b|let)
    | (?:好的|嗯|首先|我们|我們|用户|用戶|让我|讓我)[，,、]
    | (?:用户|用戶|我们|我們)(?:需要|想|希望|要求|给)
    | (?:我需要|让我|讓我|我来|我來) | (?:まず|では|ユーザー)[、は]
    )""",
    regex.VERBOSE | regex.IGNORECASE,
)
_OF_THE_USER = regex.compile(
    r"\b(?:der|die) (?:be)?nutzer(?:in)? (?:möchte|will|hat|fragt|bittet)"
    r"|\butilisateur (?:veut|demande|souhaite|a)\b|\busuario (?:quiere|pide|ha|me)\b"
    r"|\busuário (?:quer|pede)|\butente (?:vuole|chiede)|пользовател\w+ (?:хочет|просит|дал)"
    r"|gebruiker (?:wil|vraagt)|사용자(?:가|는)|ユーザーは|用户(?:想|要)|المستخدم (?:يريد|يطلب)"
    r"|\bthe user (?:wants|asks|asked|is asking|gave|has given|provided)\b",
    regex.IGNORECASE,
)
"""Talk of who asked, wherever it stands in a line."""


def looks_like_thought(text: str) -> bool:
    """Whether a text without any marker begins as models begin to think."""
    first_line = text.strip().partition("\n")[0]
    return bool(_BEGINS.match(text) or _OF_THE_USER.search(first_line))
