"""Wikitext to plain prose: complete paragraphs, by section, and nothing else.

A paragraph out of which something readable would be missing (a formula, a template we do not know
how to expand) is left out whole, so what remains reads as its authors wrote it. Lists, tables,
references, captions and the link-collecting last sections are left out too.
"""

import re
from collections.abc import Iterator

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink
from mwparserfromhell.wikicode import Wikicode

HOLE = "\x00"  # something readable was here and could not be rendered
NOT_PROSE = "\x01"  # this line is a list item or a table row
SECTION = "\x02"  # a heading was here; its title follows up to the line's end

UNWANTED_SECTIONS = {
    "see also", "references", "notes", "footnotes", "external links", "further reading", "sources",
    "bibliography", "citations", "notes and references", "gallery", "works", "filmography",
}  # fmt: skip
BLOCK_TAGS = {"table", "gallery", "timeline", "references", "source", "syntaxhighlight", "imagemap"}
LIST_TAGS = {"li", "dd", "dt"}
# Templates that mark a place without adding text to it.
SILENT = re.compile(
    r"cite|citation|sfn|efn|refn|harv|notetag|r$|rp$|cn$|fact|dn$|who|when|which|where|why|by whom"
    r"|clarify|dead ?link|disambiguation needed|page needed|verify|dubious|vague|better source"
    r"|failed|full$|according|importance|refimprove|anchor|use |good article|featured|pp-|portal"
    r"|main$|see also|further|about|for$|redirect|hatnote|clear|-$|toc|update|original research"
    r"|pov|weasel|specify|synthesis|ref$|ref label|note$"
)
UNITS = {
    "sqmi": "square miles",
    "mi2": "square miles",
    "km2": "km²",
    "sqkm": "km²",
    "acre": "acres",
    "mi": "miles",
}


def paragraphs(wikitext: str) -> Iterator[tuple[str, str]]:
    """Yield (section title, paragraph) for every complete prose paragraph of an article."""
    section = ""
    for line in _render(mwparserfromhell.parse(wikitext)).split("\n"):
        if line.startswith(SECTION):
            section = line[1:].strip()
        elif section.lower() not in UNWANTED_SECTIONS and (paragraph := _tidy(line)):
            yield section, paragraph


def _tidy(line: str) -> str | None:
    """The line as a finished paragraph, or None where it is not one."""
    # "Algeria (pronunciation; Arabic name) is …": an aside with a hole goes, its sentence stays.
    line = re.sub(rf"\s*\([^()]*{HOLE}[^()]*\)", "", line)
    line = re.sub(r"[\s\u00a0]+", " ", line).strip()
    line = re.sub(r"\(\s*[,;:]?\s*", "(", line)
    line = re.sub(r"\s*[,;:]?\s*\)", ")", line)
    line = re.sub(r" ?\(\)", "", line)
    line = re.sub(r" ([,.;:!?])(?=\s|$)", r"\1", line)
    if re.search(rf"[{HOLE}{NOT_PROSE}{{}}|]|\[\[|\]\]|<|==|\(see |\bthumb\b", line):
        return None
    if (
        len(line) < 60
        or not re.search(r"[.!?][\"'”’)]{0,2}$", line)
        or not re.match(r"[\"'“‘(]?[A-Z0-9]", line)
    ):
        return None
    return line


def _render(code: Wikicode | None) -> str:
    return "" if code is None else "".join(_render_node(node) for node in code.nodes)


def _render_node(node: object) -> str:
    match node:
        case Text():
            return str(node)
        case HTMLEntity():
            return str(node.normalize())
        case Wikilink():
            title = str(node.title).strip()
            if re.match(r"(?i)(file|image|category|[a-z]{2,3}):", title):
                return ""
            return _render(node.text) if node.text else _render(node.title)
        case ExternalLink():
            return _render(node.title)
        case Heading():
            return f"\n{SECTION}{_render(node.title)}\n"
        case Template():
            return _render_template(node)
        case Tag():
            return _render_tag(str(node.tag).strip().lower(), node)
    return ""  # comments, and arguments of templates


def _render_tag(name: str, tag: Tag) -> str:
    if name == "ref":
        return ""
    if name in ("math", "score", "chem"):
        return HOLE
    if name in LIST_TAGS:
        return NOT_PROSE
    if name in BLOCK_TAGS:
        return f"\n{NOT_PROSE}\n"
    if name == "br":
        return " "
    if name == "sup" and (digits := _render(tag.contents)) in ("2", "3"):
        return {"2": "²", "3": "³"}[digits]
    if name in ("sup", "sub"):
        return HOLE
    return _render(tag.contents)


def _render_template(template: Template) -> str:
    name = str(template.name).strip().lower().replace("_", " ")
    values = [_render(p.value).strip() for p in template.params if not p.showkey]
    if name in ("convert", "cvt") and len(values) >= 2:
        if values[1] in ("to", "and", "-", "–", "by", "x", "or") and len(values) >= 4:
            return f"{values[0]} {values[1]} {values[2]} {UNITS.get(values[3], values[3])}"
        return f"{values[0]} {UNITS.get(values[1], values[1])}"
    if (name.startswith(("lang-", "lang|")) or name in ("lang", "transl", "nihongo")) and values:
        return values[0] if name == "nihongo" else values[-1]
    if (
        name
        in ("nowrap", "nobr", "abbr", "small", "val", "nobold", "em", "strong", "as of", "currency")
        and values
    ):
        return f"As of {' '.join(values)}" if name == "as of" else values[0]
    if name in ("quote", "blockquote", "cquote", "quotation"):
        text = (
            values[0]
            if values
            else _render(template.get("text").value)
            if template.has("text")
            else ""
        )
        return f"\n{text.strip()}\n"
    if name in ("circa", "c.", "ca."):
        return f"c. {values[0]}" if values else "c."
    if name in ("ndash", "snd", "spaced ndash", "spnd"):
        return "–" if name == "ndash" else " – "
    if name in ("mdash", "em dash"):
        return "—"
    if name in ("nbsp", "space"):
        return " "
    return "" if SILENT.match(name) else HOLE
