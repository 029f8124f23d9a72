"""Concepts to plant: what a feature fires on is known, so a label can be right or wrong.

A *lexical* concept is a set of words. A *pattern* concept is a rule over text that the word
fired on cannot name: what stands before it, what it stands inside, how it is written.

Naming rule, fixed before any label was seen
    A label is read as whole words, case-insensitively; singular and plural are one word.
    *Lexical*: it is named by one of the accepted category words (``categories``), or by two
    different members. *Pattern*: by one of the accepted class words or forms
    (``categories``), never by words it happens to fire on. Where the previous word decides,
    that word must follow "after", "following" or "preceded by"; where the second word of a
    phrase is fired on, the label must hold the phrase in full, in this order.

``fires`` is the rule itself, on any text, so that a judge can decide from a window alone. No
rule reads further than a sentence and none fires on the first word of a text: a window begins
anywhere, and where it begins says nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

LEXICAL, PATTERN = "lexical", "pattern"

Span = tuple[int, int]
Rule = Callable[[str], Iterator[Span]]

_WORD = re.compile(r"[^\W_]+")


def label_words(text: str) -> list[str]:
    """A label's words as the naming rule reads them: lower case, singular."""
    return [_singular(word) for word in _WORD.findall(text.casefold())]


def _singular(word: str) -> str:
    """``currencies`` → ``currency``, ``dates`` → ``date``; ``class``, ``this`` stay."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@dataclass(frozen=True)
class Concept:
    """Something a feature can fire on, and what counts as naming it.

    Each of ``categories`` names it where all its words are in the label, in any place; in
    double quotes: as one phrase. ``name`` is a fair label of at most nine words.
    """

    kind: str
    name: str
    categories: tuple[str, ...]
    members: tuple[str, ...] = ()
    rule: Rule | None = field(default=None, compare=False)

    def fires(self, text: str) -> list[Span]:
        """Character spans of ``text`` that the concept holds for, ascending."""
        if self.rule is not None:
            return list(self.rule(text))
        return [match.span() for match in self.pattern.finditer(text)]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Any member as a whole word; one in lower case also stands for its capitalised form."""
        forms = {form for member in self.members for form in spellings(member)}
        listed = "|".join(sorted(map(re.escape, forms), key=lambda form: (-len(form), form)))
        return re.compile(rf"(?<![^\W_])(?:{listed})(?![^\W_])")

    def named_by(self, label: str | None) -> bool:
        """Whether a label names this concept by the rule above."""
        words = label_words(label or "")
        if any(_holds(words, category) for category in self.categories):
            return True
        if self.kind == PATTERN:
            return False
        members = {_singular(member.casefold()) for member in self.members}
        return len(members.intersection(words)) >= 2

    @property
    def held_out(self) -> bool:
        """In the half that no labeller was tuned on; by a hash of the name."""
        return hashlib.blake2b(self.name.encode(), digest_size=1).digest()[0] % 2 == 1


def spellings(member: str) -> tuple[str, ...]:
    """Texts that count as the member: as written, and capitalised where it is in lower case."""
    return (member, member.capitalize()) if member.islower() else (member,)


def _holds(words: list[str], category: str) -> bool:
    wanted = label_words(category)
    if not category.startswith('"'):
        return set(wanted) <= set(words)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words)))


def _lexical(name: str, categories: str, members: str) -> Concept:
    return Concept(LEXICAL, name, tuple(categories.split(", ")), tuple(members.split()))


_MONTHS = "January February March April June July August September October November December"
LEXICAL_CONCEPTS: tuple[Concept, ...] = (
    _lexical("months", "month", _MONTHS),
    _lexical(
        "currencies and coins",
        "currency, coin, monetary",
        "dollar dollars pounds franc euro euros cents penny pence yen peso rupees",
    ),
    _lexical(
        "countries",
        "country, nation, state",
        "France Germany Spain Italy Russia China India Japan Canada Australia Brazil Egypt "
        "Greece Turkey Iran Iraq Mexico Poland Portugal Sweden Norway Denmark Austria Belgium "
        "Afghanistan Pakistan Israel Syria Albania Algeria Argentina Angola Azerbaijan Armenia",
    ),
    _lexical(
        "nationalities",
        "nationality, nation, people, language, demonym",
        "French German Spanish Italian Russian Chinese Indian Japanese Canadian Australian "
        "British American Greek Turkish Polish Portuguese Swedish Dutch Danish English Irish "
        "Arab Egyptian Israeli Roman Soviet",
    ),
    _lexical("negation", "negation, negative", "not no never nor neither none without cannot"),
    _lexical(
        "colours",
        "colour, color, chromatic",
        "red blue green yellow white black brown purple pink orange grey gray violet",
    ),
    _lexical(
        "numbers as words",
        "number, numeral, digit, integer, cardinal",
        "two three four five six seven eight nine ten twelve twenty thirty hundred thousand",
    ),
    _lexical(
        "ordinal numbers",
        "ordinal, rank, order",
        "second third fourth fifth sixth seventh eighth ninth tenth",
    ),
    _lexical(
        "family members",
        "family, kin, kinship, relative, relation",
        "mother father son daughter brother sister uncle aunt cousin grandfather wife husband "
        "parents brothers sons sisters nephew",
    ),
    _lexical(
        "animals",
        "animal, mammal, creature, vertebrate",
        "dog dogs cat cats horse horses cattle sheep pig lion bear wolf monkey elephant fish "
        "bird birds snake frog whale goat rabbit deer insects ants bees",
    ),
    _lexical(
        "parts of the body",
        "body, anatomy, organ",
        "head hand hands eyes eye arm arms leg legs foot feet nose mouth heart brain skin "
        "fingers face teeth ears neck shoulder",
    ),
    _lexical(
        "units of measure",
        "unit, measure, measurement, length, distance",
        "miles mile feet inches kilometers kilometres metres meters meter km kg mm cm acres tons "
        "grams litres degrees",
    ),
    _lexical("masculine pronouns", "pronoun, masculine, male, man, men", "he him his himself"),
    _lexical("feminine pronouns", "pronoun, feminine, female, woman, women", "she her hers "),
    _lexical(
        "first person", "pronoun, first person, speaker, self", "I me my myself we us our ours"
    ),
    _lexical("they, them, plural pronouns", "pronoun, plural", "they them their theirs themselves"),
    _lexical(
        "prepositions of place",
        "preposition, place, position, location",
        "under above below behind near within inside outside across beyond along beside beneath",
    ),
    _lexical("modal verbs", "modal, auxiliary", "can could will would shall should must might"),
    _lexical(
        "titles of persons",
        "title, honorific",
        "Mr Mrs Miss Sir Lady Lord Dr Captain Admiral Colonel Queen King Prince Princess Duke",
    ),
    _lexical(
        "compass directions",
        "direction, compass",
        "north south east west northern southern eastern western northeast northwest southeast",
    ),
    _lexical(
        "music",
        "music, musical, instrument",
        "music musical piano guitar drums flute song songs album opera orchestra "
        "band singer choir jazz symphony",
    ),
    _lexical(
        "religion",
        "religion, religious, faith, belief",
        "church religious religion Christian Christianity Islam Muslim Jewish Buddhist Catholic "
        "Orthodox God bishop priest prayer holy",
    ),
    _lexical(
        "professions",
        "profession, occupation, job, worker",
        "teacher lawyer doctor physician engineer artist writer author poet actress "
        "director scientist farmer soldier painter architect ",
    ),
    _lexical(
        "sciences",
        "science, discipline, knowledge, study, field",
        "physics chemistry biology mathematics astronomy geology psychology economics sociology "
        "philosophy linguistics anthropology medicine statistics",
    ),
    _lexical(
        "food and drink",
        "food, drink, foodstuff, eating",
        "bread meat milk cheese wine beer rice wheat sugar salt fruit vegetables butter coffee "
        "tea corn oil eggs honey",
    ),
    _lexical(
        "plants",
        "plant, flora, vegetation",
        "tree trees plant plants flower flowers grass leaves leaf roots seeds forest forests wood "
        "oak pine moss",
    ),
    _lexical(
        "metals and materials",
        "metal, material, metallic, element",
        "iron steel copper gold silver lead aluminium aluminum zinc tin bronze concrete glass "
        "plastic stone rubber ",
    ),
    _lexical(
        "vehicles",
        "vehicle, transport, transportation, craft",
        "ship ships boat cars train trains truck bus aircraft airplane vehicle vehicles "
        "automobile automobiles tank submarine",
    ),
    _lexical(
        "war",
        "war, military, fighting, conflict",
        "war wars battle army soldiers military weapons enemy invasion forces armed attack "
        "defeated naval navy siege",
    ),
    _lexical(
        "law and courts",
        "law, legal, court, justice",
        "court courts law laws judge trial legal crime criminal guilty justice lawyer "
        "attorney constitution",
    ),
    _lexical(
        "money and trade",
        "money, trade, economy, economic, finance, financial, business",
        "money price prices cost costs tax taxes trade market bank income debt budget economic "
        "economy sales revenue",
    ),
    _lexical(
        "government and politics",
        "politics, political, government",
        "president government parliament election elections minister senate party political "
        "congress vote policy republic democracy President",
    ),
    _lexical("death", "death, dying, mortality", "death dead died die dies kill funeral"),
    _lexical(
        "birth and childhood",
        "birth, child, childhood",
        "born birth baby child children childhood infant young youth boy girl boys",
    ),
    _lexical(
        "size",
        "size, magnitude",
        "large small big great huge tiny larger smaller largest smallest vast massive",
    ),
    _lexical(
        "comparatives",
        "comparative, comparison",
        "better larger smaller higher lower greater older younger longer shorter earlier later "
        "faster",
    ),
    _lexical(
        "question words", "question, interrogative", "who what when where why how which whose whom"
    ),
    _lexical(
        "conjunctions",
        "conjunction, connective",
        "and or but because although though while whereas unless",
    ),
    _lexical(
        "quantifiers",
        "quantifier, quantity, amount",
        "many some several few all most both each every any much",
    ),
    _lexical("forms of the copula, to be", "copula, auxiliary", "is was are were be been being am"),
    _lexical("auxiliary to have", "auxiliary, possession", "have has had having"),
    _lexical("demonstratives", "demonstrative, determiner, pronoun", "this that these those"),
    _lexical(
        "periods of time",
        "time, period, duration",
        "day days week weeks month months year years hour hours century centuries decade minutes",
    ),
    _lexical(
        "bodies of water",
        "water, sea",
        "river rivers lake lakes sea ocean island islands coast bay gulf shore harbour",
    ),
    _lexical(
        "cities",
        "city, cities, town, capital, place",
        "London Paris Rome Berlin Moscow Athens Vienna Boston Chicago Alexandria Amsterdam "
        "Philadelphia Tokyo Madrid Dublin Philadelphia Washington",
    ),
    _lexical(
        "states of the USA",
        "state, American, U.S",
        "Alabama Alaska California Texas Florida Georgia Virginia Ohio Illinois Michigan "
        "Massachusetts Pennsylvania Kentucky Tennessee Mississippi Louisiana Arkansas Arizona",
    ),
    _lexical("continents", "continent, region", "Africa Asia Europe America Australia Antarctica"),
    _lexical(
        "first names",
        "name, forename",
        "John William Charles Henry George James Robert Thomas Richard Edward David Peter Paul "
        "Elizabeth Anne Mary Walter Michael Andrew Frederick",
    ),
    _lexical(
        "chemistry",
        "chemistry, chemical, element, substance",
        "hydrogen oxygen nitrogen carbon acid acids atom atoms molecule molecules chemical "
        "reaction electron electrons ions compounds",
    ),
    _lexical(
        "illness",
        "illness, disease, medical, medicine, health",
        "disease diseases symptoms patients patient cancer infection treatment hospital disorder "
        "disorders syndrome medical",
    ),
    _lexical(
        "schools and teaching",
        "school, education, teaching, educational",
        "school schools university college student students teacher education professor taught "
        "learning academic",
    ),
    _lexical(
        "buildings",
        "building, structure, architecture",
        "house houses building buildings castle tower palace temple church hall room bridge wall "
        "roof monument",
    ),
    _lexical(
        "verbs of saying",
        "speech, saying, speaking, communication, say, utterance",
        "said says told spoke stated claimed argued replied asked announced declared explained",
    ),
    _lexical(
        "feelings",
        "feeling, emotion, emotional",
        "love fear anger hope happy happiness pride pleasure joy grief hate feelings feeling "
        "emotion emotions passion pain",
    ),
    _lexical(
        "books and writing",
        "book, writing, literature, literary, publication",
        "book books novel novels wrote written published author writing poem poetry story stories "
        "chapter literature",
    ),
    _lexical(
        "words in -ing",
        "ing, gerund, participle",
        "being making using going doing having taking seeing playing working writing reading "
        "living running fighting growing moving giving leaving saying becoming coming finding "
        "according including following containing meaning remaining",
    ),
    _lexical(
        "weather",
        "weather, climate",
        "rain snow winds storm climate temperature cold heat hot dry",
    ),
    _lexical(
        "sun, moon and stars",
        "astronomy, space, celestial, heavenly, sky, star",
        "sun moon star stars planet planets Earth Moon Sun solar galaxy orbit",
    ),
)
