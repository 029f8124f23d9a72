"""What models say around a label: polite openings, thoughts aloud, talk of the task, refusals."""

from __future__ import annotations

import regex

from autointerp_core.labels.providers.thought_aloud import looks_like_thought
from autointerp_core.store.text_cleaning import MAX_LABEL_WORDS

_CHATTER = (
    r"sure(?: thing)?|of course|certainly|absolutely|definitely|okay|ok|alright|all right"
    r"|gerne?|natürlich|bien sûr|por supuesto|claro|certo|конечно|好的|当然"
)
_OPENING = regex.compile(
    rf"^(?:(?:{_CHATTER}|great(?: question)?|no problem|got it|understood|with pleasure|gladly"
    r"|good question|you['’]re welcome|(?:thanks?(?: you)?|i['’](?:d|ll) be (?:happy|glad) to"
    r"|i['’]m happy to|i (?:can|will|would be happy to) help|(?:happy|glad) to help)[^.!:\n]{0,40}"
    r"|klar|selbstverständlich|d['’]accord|claro que sí|certamente|naturalmente|хорошо"
    r"|当然可以|もちろん(?:です)?|물론입니다)\s*[!.:！。：~]+\s*)+",
    regex.I,
)
_OPENING_COMMA = regex.compile(
    rf"^(?:{_CHATTER}|はい|네|是的|sì|sí|oui|ja|да)\s*[,，、–—-]+\s*(?=\S)", regex.I
)
_ALONE = """
sure certainly of course okay ok alright absolutely definitely fine yes no right great good well
thanks yeah yep claro certo natürlich
"""
_INTERJECTIONS = frozenset(_ALONE.split())
_ASIDES = (
    r"note|explanation|reasoning|rationale|reasons?|analysis|thoughts?|thought process|thinking"
    r"|observations?|evidence|justification|confidence|step \d+|examples?"
)
_FURNITURE = regex.compile(
    r"^(?:here(?:['’]s|\s+is|\s+are)\b|(?:below|following|this) is (?:a|the|my)\b.*\blabel\b"
    rf"|(?:{_ASIDES})\s*[:：])",
    regex.I,
)
_HEADING = regex.compile(
    rf"^\s*(?:#+|\*\*|__)\s*(?:{_ASIDES})\s*[:：]?\s*(?:\*\*|__)?\s*$", regex.I
)
_MATERIAL = (
    r"words?|texts?|tokens?|examples?|features?|detectors?|neurons?|latents?|patterns?|labels?"
    r"|snippets?|sentences?|passages?|excerpts?|terms?|phrases?|documents?|answers?"
)
_DOES = (
    r"is|are|was|were|all|shares?|seems?|appears?|fires?|reacts?|responds?|activates?|refers?"
    r"|relates?|suggests?|indicates?|represents?|describes?|detects?|would|could|means?"
)
_TALK = regex.compile(
    rf"""^[\s"'“*_]*(?:
      (?:all\ (?:of\ )?|most\ of\ |many\ of\ )?(?:the|these|those|this|that|each)\s
        (?:\w+\ ){{0,2}}?(?:{_MATERIAL})\s+(?:that\s+\w+\s+)?(?:\w+ly\s+)?
        (?:{_DOES}|have|has|in\ common|name|names|denote|can|may|might|do|does|contains?|includes?
          |mostly|often|come)\b
    | (?:it|they|this|that|these|those)\s+(?:{_DOES}|looks?)\b
    | i\s+(?:think|believe|need|see|would|will|should|notice|am|was|have|want|guess|suggest
        |propose|can|could|must|identified|chose|found|tried)\b
    | i['’](?:m|ll|d|ve)\b | we\s+(?:can|could|see|have|are|might|may)\b
    | (?:based|depending)\ on\b
    | (?:given|considering|analy[sz]ing|examining|judging\ (?:by|from)|reading
        |after\ (?:looking|reading|analy[sz]ing|reviewing))\s(?:the|that|these|this|all|your)\b
    | (?:from|in)\ (?:the|these|all|this|your)\s(?:\w+\ )?
        (?:examples?|texts?|case|task|snippets?|sentences?|words?|context)\b
    | to\ (?:find|determine|name|identify|label|summari[sz]e|answer|figure)\s
        (?:the|out|what|this|these)\b
    | (?:let|please)\ (?:me|us|note|let|provide|give|share)\b | hop(?:e|ing)\ (?:this|that|it)\b
    | (?:die|les|las|los|le|as|os|de)\s(?:markierten|hervorgehobenen|mots|palabras|parole|palavras
        |tokens?|gemarkeerde|wörter|texte|textes|textos|testi)\s
    | (?:все|эти|отмеченные|выделенные)\s(?:отмеченные\s|выделенные\s)?(?:слова|тексты)\b
    | if\ you\b | feel\ free\b | you\ (?:can|could|may|asked|gave|want|provided|have)\b
    | (?:as|since|because)\s(?:we|you|the|they|these|all|i)\b | (?:there|here)\ (?:is|are|seems?)\b
    | (?:however|therefore|thus|hence|also|additionally|finally|overall|in\ summary
        |in\ conclusion)\s*,
    )""",
    regex.VERBOSE | regex.I,
)
_SENTENCE_END = regex.compile(
    r"(?<=\p{Ll}{3}[\"'”’)*_]{0,2}[.!?][\"'”’)*_]{0,2})\s+(?=[\"“'(*_]{0,2}\p{Lu})"
)
_VERB = regex.compile(rf"\s(?:{_DOES}|contains?|shows?)\s", regex.I)
_EAST_SENTENCE = regex.compile(r"[。！？]\s*\S")
_EAST_LETTER = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_EAST_TALK = regex.compile(
    r"^(?:这些|這些|这个|這個|该|上述|以上|所有|标记的|標記的|被标记|文本中|これらの|この|マークされた|上記の)"
    r".*(?:都|是|有关|有關|涉及|描述|表示|指的|反应|すべて|です|ます|関連|関する)"
)
LONGEST_EAST = 40
"""Letters of a script without spaces; a longer line is a sentence."""

REFUSAL = regex.compile(
    # What a gateway says in a model's place.
    r"^(?:error\s*[:：].*(?:overload|try again|time[d ]?\s?out|rate limit|server|request|quota"
    r"|api key)"
    r"|i(?:['’]m| am)\s+(?:sorry|unable|not (?:able|sure|certain)|an? (?:ai|language|assistant))"
    r"|i\s+(?:can(?:['’]t|not|\s+not)|could(?: not|n['’]t)|do(?:n['’]t| not) (?:know|have|see)"
    r"|apologi[sz]e|(?:won['’]t|will not) )"
    r"|i['’]d be happy|i would be happy|i['’]ll (?:help|try|need)"
    r"|sorry\b|apologies\b|unfortunately\b|as an? (?:ai|language model|assistant)\b"
    r"|please (?:provide|give|share|let me)"
    r"|(?:there is )?(?:not enough|insufficient) (?:information|context|data|examples)"
    r"|(?:cannot|can['’]t|could not|unable to) (?:be )?(?:determine|identify|label|find|answer)"
    r"|no (?:clear |common |obvious |specific |consistent )*"
    r"(?:pattern|label|answer|feature|theme)\b)",
    regex.I,
)
_NOTHING = """
n/a na none null nil unknown unclear undetermined unsure nothing label labels answer text no yes
nan todo tbd blank empty feature example examples undefined unlabeled unlabelled word words phrase
pattern marked detector the a an and or of to is
"""
EMPTY_WORDS = frozenset(_NOTHING.split())
"""What is no label however many of them stand in a row."""


def without_opening(line: str) -> str:
    """A line without "Sure!" and the like before what it says."""
    bare = _OPENING.sub("", line.strip().lstrip("¡¿ "))
    words = regex.findall(r"\p{L}+", bare.casefold())
    # A label may well be a list of such words.
    if not all(word in _INTERJECTIONS for word in words):
        rest = _OPENING_COMMA.sub("", bare)
        first = regex.match(r"\p{L}*", rest)
        listed = first is not None and first[0].casefold() in _INTERJECTIONS
        bare = bare if listed else rest
    return bare


def bold_name(line: str) -> str | None:
    """What a line sets apart by its type and talks about; None of any other line.

    ``**net losses** - the words name losses`` gives the first of several proposals its reason, and
    ``The common theme is **net losses**.`` says the same the other way round.
    """
    found = _BOLD_FIRST.match(line) or _QUOTED_FIRST.match(line) or _BOLD_LAST.match(line)
    if found is None or _FURNITURE.match(f"{found['said']}:"):
        return None
    return str(found["said"])


_QUOTED_FIRST = regex.compile(
    r"^\s*[\"“](?P<said>[^\"“”\n]{2,120})[\"”],?\s+(?:[-–—]\s+)?"
    r"(?:because|since|as (?:all|the|they))\b",
    regex.I,
)
_BOLD_LAST = regex.compile(
    rf"^\s*(?:the|my|their|what|a|this|i|based|all)\b[^*\n]{{0,100}}\b(?:is|be|as|to|{_DOES})[:：]?\s+"
    r"\*\*[\"“]?(?P<said>[^*\n\"“”]{2,120}?)[\"”]?\*\*[.!]?\s*$",
    regex.I,
)
_BOLD_FIRST = regex.compile(
    r"^\s*(?:[-*•>]\s+|\(?\d{1,2}[.)]\s+)?(?P<mark>\*\*|__)(?P<said>[^*_\n:：]{2,120})(?P=mark)"
    r"\s+[-–—]\s+\S"
)


def first_sentence(line: str) -> str:
    """A short first sentence, where others follow: a label and then what it rests on."""
    first, *rest = _SENTENCE_END.split(line.strip(), maxsplit=1)
    return first if rest and len(first.split()) <= MAX_LABEL_WORDS else line


def is_talk(line: str, label: str) -> bool:
    """Whether a line is a sentence about the task, or a thought, and not a label.

    Args:
        line: as the model wrote it.
        label: the same without decoration.
    """
    bare = line.strip(" \t*_#>`")
    if _FURNITURE.match(bare) or _HEADING.match(line) or looks_like_thought(bare):
        return True
    words = len(label.split())
    ended = bare.rstrip("\"'”’)*_ ").endswith((".", "!", "?", "…"))
    if _TALK.match(bare):
        return words >= (3 if ended else 6)
    if words > MAX_LABEL_WORDS:
        return bool(_SENTENCE_END.search(bare)) or (ended and bool(_VERB.search(bare)))
    letters = len(_EAST_LETTER.findall(bare))
    if letters >= 10 and _EAST_TALK.match(bare):
        return True
    return bool(_EAST_SENTENCE.search(bare)) or letters > LONGEST_EAST
