"""What models write around an answer, and taking it away.

Thoughts in the tags of every model family (also with only a closing tag), the channels of the
harmony format with and without their markers, turn and sentence ends, role names, and the tags
that an answer itself is put in. The families are written down as kinds of marker, not one by one:
a name such as *think* in any of the brackets that models use.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

import regex

from autointerp_core.labels.providers.reply_escapes import plain
from autointerp_core.labels.providers.reply_markers import ANSWERS, MARKER

_OTHERS = "user system human tool developer ipython function observation"
_OTHERS_TURN = frozenset(_OTHERS.split())
_STARTS = regex.compile(r"^(?:s|bos|start|begin|sop|gmask|smask|/?inst|/?sys)", regex.IGNORECASE)
_CUT_MARKER = regex.compile(
    r"\s*(?:<[/|｜][^<>\s]{0,40}|◁[^◁▷\s]{0,20}|<(?:think|answer|label)\w*)$"
)
_BARE_CHANNELS = regex.compile(
    r"\A\s*(?:assistant\s*)?(?:analysis|commentary)"
    r"(?:(?=\p{L}|[\"'“(*<{]|\s*\n)|(?=\s.*assistant\s?final))",
    regex.DOTALL,
)
_BARE_FINAL = regex.compile(
    r"assistant\s?final(?:\s*json(?=\s*[{\[]))?(.*?)(?=assistant(?:analysis|commentary|final)|\Z)",
    regex.DOTALL,
)
_GLUED_FINAL = regex.compile(
    r"\A\s*(?:assistant)?final(?=\p{Lu}|[\"'“「{]|(?!(?:s|e|es|ly|i[sz]\w*|it\w*|ist\w*)\b)\p{Ll})"
)
_HALF_CHANNEL = regex.compile(
    r"\A\s*(?:assistant\s*)?(analysis|commentary|final)\s*(?=<\|message\|>)"
)
_RUN_ON = regex.compile(r"(?<=[\p{L}\p{N}.!?\"”])assistant[^\S\n]*(?:\n.*)?\Z", regex.DOTALL)
_ROLE_LINE = regex.compile(r"\A\s*(?:assistant|model|bot)[^\S\n]*:?[^\S\n]*\n", regex.IGNORECASE)
_BOXED = regex.compile(r"\\boxed\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
_TEX_TEXT = regex.compile(r"\\(?:text\w*|mathrm|mathbf|emph)\s*\{([^{}]*)\}")

_MARKUP = regex.compile(
    r"""
      <[/!?|｜]?\p{L}[^<>\n]*> | <\s\p{L}+\s>         # a tag of any name
    | </ | <[|｜] | [|｜]> | [◁▷｜] | \[/?[A-Z_]{3,}\] | \[/\w+\] | <0x[0-9A-Fa-f]{2}>
    | (?<=\p{L})\ufffd | \ufffd(?=\p{L}) | \]~!?b[\[\]] | \[e~\[
    | ``` | ~~~ | \\(?:boxed|text\w*|begin|end|frac|mathrm)\b
    | \A\s*[{\[]\s*["'{\[\]}] | \{\s*["']?\w+["']?\s*: | ["']\w+["']\s*:\s*["'\[{]
    | &(?:lt|gt|quot|amp|nbsp|\#\d+); | \]\(\s*https?: | \|\s*-{3,}
    """,
    regex.VERBOSE,
)


@dataclass(frozen=True)
class Spoken:
    """What a model said to whoever asked it."""

    text: str
    """Without thoughts and markers; empty where nothing is left."""
    unfinished: bool = False
    """It ends inside a thought."""
    tagged: bool = False
    """It stood in tags of its own, ``<answer>`` or the like."""


def spoken(reply: str) -> Spoken:
    """The answer in what a model wrote.

    A closing tag without an opening one ends a thought that began before the reply, as it does
    with models whose chat template opens it. A thought that is never closed hides all that
    follows; what was said before it stands.
    """
    text = _prepared(reply)
    scan = _Scan()
    at = 0
    for found in MARKER.finditer(text):
        if found.start() < at:
            continue
        scan.add(text[at : found.start()])
        at = found.end()
        if not scan.mark(found):
            at = len(text)
            break
    scan.add(_CUT_MARKER.sub("", text[at:]))
    return scan.result()


def is_markup(text: str) -> bool:
    """Whether something in a text is for a machine to read: tags, tokens, JSON, TeX, fences."""
    return bool(_MARKUP.search(text) or MARKER.search(text))


def opens_thought(prompt_end: str) -> bool:
    """Whether a prompt ends in an opening tag, so that the reply begins inside a thought."""
    bare = prompt_end.rstrip()
    return any(m["open"] and m.end() == len(bare) for m in MARKER.finditer(bare))


def is_marker(token: str) -> bool:
    """Whether the text of one token is a marker that :func:`spoken` knows."""
    return bool(MARKER.fullmatch(token.strip()))


def _prepared(reply: str) -> str:
    """The reply with its markers in the one form that the scan reads."""
    text = reply.replace("\r\n", "\n").replace("\r", "\n")
    if "&lt;" in text and MARKER.search(html.unescape(text)):
        text = html.unescape(text)
    text = plain(text)
    text = regex.sub(r"\\([<>|])", r"\1", text)
    text = _HALF_CHANNEL.sub(r"<|channel|>\1", text)
    if "<|channel" not in text:
        text = _without_bare_channels(text)
    text = _BOXED.sub(lambda m: f"<answer>{_TEX_TEXT.sub(lambda t: t[1], m[1])}</answer>", text)
    text = regex.sub(r"\$([^$\n]*)\$", r"\1", text) if _TEX_TEXT.search(text) else text
    text = _TEX_TEXT.sub(r"\1", text)
    return _RUN_ON.sub("", _ROLE_LINE.sub("", text))


def _without_bare_channels(text: str) -> str:
    """Harmony whose markers were taken away as special tokens: the names are left."""
    if _BARE_CHANNELS.match(text):
        finals: list[str] = [part for part in _BARE_FINAL.findall(text) if part.strip()]
        return f"<think></think>{finals[-1]}" if finals else f"<think>{text}"
    # Nothing thought: the final channel alone.
    return _GLUED_FINAL.sub("", text)


class _Scan:
    """Texts and markers in order, and what they leave."""

    def __init__(self) -> None:
        self.text = ""
        self.before: str | None = None
        """What followed a closed thought, where another closing tag came after it."""
        self.thought: str | None = None
        """Family of the thought that is open."""
        self.nested = False
        self.closed = False
        self.answers: list[tuple[int, str]] = []
        """(kind, text) of tagged answers."""
        self.kinds: list[int] = []
        """Kinds of the answer tags that are open."""

    def add(self, piece: str) -> None:
        if self.thought is not None or not piece:
            return
        piece = piece.replace("▁", " ")
        if self.kinds:
            kind, said = self.answers[-1]
            self.answers[-1] = (kind, said + piece)
        else:
            self.text += piece

    def mark(self, found: regex.Match[str]) -> bool:
        """Take a marker in; False where all that follows is no part of the answer."""
        if found["channel"] or found["channel_open"]:
            name = (found["name"] or found["gemma"]).casefold()
            self.thought = None if name == "final" else "channel"
            self.closed = True
            self.text = ""
            return True
        if found["channel_close"]:
            self._close("channel")
        elif found["close"]:
            self._close(_family(found, "c"))
        elif found["open"]:
            if self.thought is None:
                self.thought, self.nested = _family(found, "o"), False
            else:
                self.nested = True
        elif self.thought == "channel":
            # A channel ends with its message, in whatever way that is said.
            if found["turn"] or (found["token"] and not _message(found["token"])):
                self.thought = None
        elif self.thought is not None:
            if found["turn"] and _role(found) in _ANSWERERS:
                # The turn that was thought is over, and the one that is said begins.
                self.thought, self.closed = None, True
            return not _ends(found["token"]) or _another_turn(found)
        elif found["call"]:
            return False
        elif found["answer_open"]:
            self._open_answer(found)
        elif found["answer_close"]:
            self._close_answer(found)
        elif found["turn"]:
            return self._turn(found)
        else:
            token = found["token"]
            if token.casefold() == "[/inst]" and _answers_follow(found):
                self.text = ""  # the question, repeated
            if _ends(token) and self._has_words():
                return False
            self.add("" if token.startswith("<0x") and token != "<0x0A>" else "\n")
        return True

    def _close(self, family: str) -> None:
        if self.thought is not None:
            if family == self.thought:
                self.thought, self.closed = None, True
            return
        # Everything so far was thought, unless a thought had been closed before it.
        said = self._said()
        self.before = said if self.closed and not self.nested and said.strip() else self.before
        self.text, self.answers, self.kinds, self.closed = "", [], [], True

    def _open_answer(self, found: regex.Match[str]) -> None:
        name = next(found[key] for key in ("a1", "a2", "a3") if found[key]).casefold()
        rest = _rest(found)
        closed = found["a2"] or regex.search(
            rf"</\s*{name}\b|\[/", found.string[found.end() :], regex.I
        )
        if _mid_line(self.text) and not closed:
            if rest.strip():
                self.add(found[0])  # a tag that a sentence speaks of
            return
        kind = next((n for n, names in enumerate(ANSWERS) if name in names.split("|")), 1)
        self.kinds.append(kind)
        self.answers.append((kind, ""))

    def _close_answer(self, found: regex.Match[str]) -> None:
        if self.kinds:
            self.kinds.pop()
            return
        name = next((found[key] for key in ("b1", "b2") if found[key]), "").casefold()
        if _rest(found).partition("\n")[0].strip(" .*_`\"'"):
            self.add(found[0])
            return
        if not _WORDS.search(self.text):
            return
        kind = next((n for n, names in enumerate(ANSWERS) if name in names.split("|")), 1)
        # Only a closing tag: what stands before it is the answer.
        self.answers.append((kind, self.text))
        self.text = ""

    def _turn(self, found: regex.Match[str]) -> bool:
        role = _role(found)
        if self._has_words() or role in _OTHERS_TURN:
            return False
        self.add("\n")
        return True

    def _has_words(self) -> bool:
        return bool(_WORDS.search(self._said()))

    def _said(self) -> str:
        filled = [(kind, said) for kind, said in self.answers if _WORDS.search(said)]
        if not filled:
            return self.text
        best = min(kind for kind, _ in filled)
        return next(said for kind, said in reversed(filled) if kind == best)

    def result(self) -> Spoken:
        said = self._said().strip()
        if not said and self.before and self.thought is None:
            said = self.before.strip()
        tagged = any(_WORDS.search(text) for _, text in self.answers)
        return Spoken(said, self.thought is not None, tagged and bool(said))


_WORDS = regex.compile(r"[^\s\p{P}]|\p{P}\p{P}")
_ROLE_KEYS = ("role", "role2", "role3", "role4", "role5", "role6")
_ANSWERERS = frozenset(("assistant", "model", "bot", "ai", "gpt", "chatbot"))
_NAMED = ("inner", "unused", "details", "granite", "spoken")


def _family(found: regex.Match[str], side: str) -> str:
    """What a thought's opening tag has in common with its closing one."""
    word = "open" if side == "o" else "close"
    for name in _NAMED:
        if found[f"{name}_{word}"]:
            return name
    numbers = (1, 3, 4, 5, 6, 7) if side == "o" else (1, 2, 3, 4, 5, 6, 7)
    said = next(str(found[f"{side}{n}"]).casefold() for n in numbers if found[f"{side}{n}"])
    # <|START_THINKING|> … <|END_THINKING|>, and models that close <thinking> with </think>.
    return regex.sub(r"^(?:begin|start|end)_(?:of_)?|_(?:start|end)$|ing$|s$", "", said)


def _rest(found: regex.Match[str]) -> str:
    """What follows a marker, without further markers."""
    return MARKER.sub("", found.string[found.end() :])


def _answers_follow(found: regex.Match[str]) -> bool:
    """Whether words follow the end of a question before the next one begins."""
    said, _, _ = found.string[found.end() :].partition("[INST]")
    return bool(MARKER.sub("", said).strip())


def _role(found: regex.Match[str]) -> str:
    """Whose turn begins; the model's own where it is not said."""
    return next((str(found[key]) for key in _ROLE_KEYS if found[key]), "assistant").casefold()


def _another_turn(found: regex.Match[str]) -> bool:
    """Whether a marker is followed at once by another turn of whoever answers."""
    rest = found.string[found.end() :].lstrip()
    turn = MARKER.match(rest)
    return turn is not None and bool(turn["turn"]) and _role(turn) in _ANSWERERS


def _mid_line(text: str) -> bool:
    return bool(text.rpartition("\n")[2].strip(" *_`#>-\"'"))


def _message(token: str) -> bool:
    return regex.sub(r"\W", "", token).casefold() in ("message", "constrain")


def _ends(token: str | None) -> bool:
    """Whether a token says that the answer is over; those that begin something do not."""
    if token is None or token.startswith("<0x"):
        return False
    name = token.strip("<>[]|｜◁▷")
    return not _STARTS.match(name) and "sep" not in name.casefold()
