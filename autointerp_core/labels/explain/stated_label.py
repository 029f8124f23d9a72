"""Lines that call something a label, in the languages that models answer in.

``Final label: net losses``, ``标签是“净亏损”``, ``Die Bezeichnung lautet: Nettoverluste``.
"""

from __future__ import annotations

import regex

_ENGLISH = (
    r"label|answer|explanation|title|concept|description|theme|topic|category|phrase|summary"
    r"|suggestion"
)
_LATIN = (
    # de, fr, es, it, pt, nl, pl, cs, sk, ro, hu, sv/da/nb, fi, et, hr/sr/sl, tr, id, vi
    r"etikett|bezeichnung|beschriftung|antwort|étiquette|libellé|intitulé|réponse|etiqueta|rótulo"
    r"|respuesta|resposta|etichetta|risposta|etiket|antwoord|etykieta|odpowiedź|štítek|odpověď"
    r"|označenie|odpoveď|etichetă|răspuns|címke|válasz|svar|tunniste|vastaus|silt|vastus|oznaka"
    r"|odgovor|cevap|yanıt|jawaban|nhãn|trả lời|câu trả lời"
    # ru, uk, bg, el, he, ar, fa, hi, bn, ta, th
    r"|метка|ярлык|этикетка|название|ответ|мітка|відповідь|етикет|отговор|ετικέτα|απάντηση"
    r"|תווית|תשובה|التسمية|تسمية|الوسم|وسم|الإجابة|برچسب|پاسخ|लेबल|उत्तर|লেবেল|உத்தரம்|ป้ายกำกับ|ฉลาก|คำตอบ"
)
_SPACELESS = r"标签|標籤|标注|標註|答案|回答|回复|ラベル|答え|解答|레이블|라벨|답변|정답|답"
_LEAD_IN = (
    r"here|the|an?|my|based|looking|given|after|i|so|sure|okay|ok|one|this|possible|suggested|best"
    r"|final|short|proposed|likely|appropriate|suitable|good|certainly|of course|absolutely|great"
    r"|therefore|thus|hence|then|in summary|in conclusion|in short|common|shared|main|overall"
    r"|le|la|l['’]|les|el|los|die|das|der|eine?|il|lo|un|une|una|uma|o|de|het|een|den|det|en|ett?"
    r"|voici|aquí|ecco|aqui|hier|вот"
)
_EXPLICIT = regex.compile(
    rf"^(?:(?:{_LEAD_IN})(?!\p{{L}})[^:：\n]{{0,100}}?(?<!\p{{L}})|[^\p{{L}}\p{{N}}:：\n]{{0,8}})"
    rf"(?:{_ENGLISH}|{_LATIN})(?!\p{{L}})[^:：\n]{{0,60}}[:：]\s*(?P<said>.*)$"
    rf"|^[^:：\n]{{0,30}}(?:{_SPACELESS})[^:：\n]{{0,16}}[:：]\s*(?P<said>.*)$",
    regex.I,
)
_SAYS = (
    r"(?:is|as|would be|could be|might be|should be|est|serait|es|sería|è|sarebbe|é|seria|ist"
    r"|lautet|wäre|är|er|on|to|jest|je|是|为|為|应为|應為|可以是|は|은|는)"
)
_STATED = regex.compile(
    # The label is "net losses".  标签是“净亏损”。  ラベルは「純損失」です。
    rf"^(?:(?:{_LEAD_IN})(?!\p{{L}})[^\n\"]{{0,60}}?(?<!\p{{L}}))?(?:{_ENGLISH}|{_LATIN}|{_SPACELESS})"
    rf"[^\p{{P}}\n]{{0,30}}?\s*{_SAYS}\s*[:：]?\s*[\"“„「『«'‘](?P<said>[^\n\"”“」』»]{{2,120}})"
    rf"[\"”“」』»'’]\W*(?:です|だ|である|입니다|이다|예요)?\W*$"
    rf"|^(?:(?:the|my|a|one)\s+(?:\w+\s+){{0,3}}?)(?:label|answer)\s+{_SAYS}\s+(?P<said>.+)$"
    rf"|^(?:{_SPACELESS})\s*{_SAYS}\s*(?P<said>[^:：].*?)(?:です|である|입니다|이다|예요)?\W*$",
    regex.I,
)
_ALONE = regex.compile(
    rf"^(?:{_LEAD_IN}|final|best)?\s*(?:{_ENGLISH}|{_LATIN}|{_SPACELESS})\W*$", regex.I
)
_SIGNS_AROUND = regex.compile(r"^[\p{So}\ufe0f\s]+|[\p{So}\ufe0f\s]+$")
_BULLET = regex.compile(r"^(?:[-*•>#]+\s+|\(?\d{1,2}[.)]\s+)")


def stated_label(line: str) -> str | None:
    """What a line says after naming it a label, as in ``Final label: net losses``.

    None where it names nothing so; empty where the label must stand on the next line.
    """
    bare = _undecorated(line)
    if _ALONE.match(_SIGNS_AROUND.sub("", bare)):
        return ""
    for pattern in (_EXPLICIT, _STATED):
        found = pattern.match(bare)
        if found is not None:
            return str(found["said"])
    return None


def _undecorated(line: str) -> str:
    """A line without bullets, heading signs and emphasis, for recognising how it begins."""
    bare = _BULLET.sub("", " ".join(line.split()))
    return regex.sub(r"\*\*|__|^[*_`#>\s]+|(?<=[:：])\s*[*_`]+", "", bare).strip()
