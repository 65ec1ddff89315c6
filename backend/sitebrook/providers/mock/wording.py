"""What the mock says in its own words, and in which language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]+")

# The commonest function words tell languages apart even in a short question; those that two of
# these languages share are left out.
_FUNCTION_WORDS: Final = {
    "en": "the is are of to and what how does where which with can you my this that it for when "
    "do who why should there have from",
    "it": "il lo gli è di che per con come cosa quale quali dove quando posso della del dei delle "
    "nel sul mio questo perché sono fare chi ho",
    "de": "der die das und ist wie was wo mit für nicht ein eine ich kann welche mein auf zu wer",
    "fr": "le les des est et une que comment où avec pour dans je puis quel quelle mon qui du peux",
    "es": "el los las qué cómo dónde y es una para puedo cuál mi con por se cuándo",
}
_LANGUAGES: Final = {
    language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()
}
FUNCTION_WORDS: Final = frozenset[str]().union(*_LANGUAGES.values())


def language_of(text: str, default: str) -> str:
    """The language of a question (ISO 639-1), or ``default`` when its words do not tell."""
    words = _WORD.findall(text.lower())
    counts = {
        language: sum(word in function_words for word in words)
        for language, function_words in _LANGUAGES.items()
    }
    best = max(counts, key=lambda language: (counts[language], language == default))
    return best if counts[best] else default


@dataclass(frozen=True, slots=True)
class Wording:
    """The mock's own sentences in one language; of ``leads`` the seed picks one."""

    leads: tuple[str, ...]
    also: tuple[str, ...]
    not_found: str
    plain: str
    tool_result: str
    hello: str
    thanks: str
    bye: str
    about: str


_ENGLISH: Final = Wording(
    leads=(
        "",
        "Here is what the documents of this site say:",
        "According to the documents of this site:",
        "From this site's documents:",
    ),
    also=("Also:", "It is also worth knowing:", "Besides:", "In addition:"),
    not_found="I could not find anything about this in the documents of this site.",
    plain="I am sitebrook's mock model: I answer from a site's documents, and none were searched "
    "for this. You asked:",
    tool_result="The tool `{name}` answered:",
    hello="Hello! Ask me something about this site, and I will look it up in its documents.",
    thanks="You are welcome. Is there anything else you would like to know?",
    bye="Goodbye, and come back whenever you have a question.",
    about="I am sitebrook's mock model. I answer from the documents of this site and name the "
    "sources; no language model is connected.",
)
_ITALIAN: Final = Wording(
    leads=(
        "",
        "Ecco che cosa dicono i documenti di questo sito:",
        "Secondo i documenti di questo sito:",
        "Dai documenti di questo sito:",
    ),
    also=("Inoltre:", "È utile sapere anche:", "In più:", "E ancora:"),
    not_found="Non ho trovato nulla su questo argomento nei documenti di questo sito.",
    plain="Sono il modello di prova di sitebrook: rispondo dai documenti di un sito, e per questa "
    "domanda non ne è stato cercato nessuno. Hai chiesto:",
    tool_result="Lo strumento `{name}` ha risposto:",
    hello="Ciao! Chiedimi qualcosa su questo sito e lo cercherò nei suoi documenti.",
    thanks="Prego. C'è altro che vorresti sapere?",
    bye="Arrivederci, torna quando hai una domanda.",
    about="Sono il modello di prova di sitebrook. Rispondo dai documenti di questo sito e ne "
    "indico le fonti; nessun modello linguistico è collegato.",
)


def wording_of(language: str) -> Wording:
    """The sentences for a language; English where there are none."""
    return _ITALIAN if language == "it" else _ENGLISH


_SMALL_TALK: Final = (
    (
        "hello",
        r"hi|hey|hello|good (?:morning|afternoon|evening|day)|ciao|salve|buon ?giorno|buonasera",
    ),
    ("thanks", r"(?:ok(?:ay)?,? )?(?:many |grazie )?(?:thanks?|thank you|thx|grazie|mille grazie)"),
    ("bye", r"bye|goodbye|see you|arrivederci|a presto"),
    ("about", r"who are you|what are you|chi sei|cosa sei|che cosa sei"),
)
_TAIL: Final = r"(?:,? (?:there|all|everyone|bot|so much|very much|a lot|a tutti|mille|tante|bye))*"
_PATTERNS: Final = tuple(
    (kind, re.compile(rf"(?:{words}){_TAIL}\W*", re.IGNORECASE)) for kind, words in _SMALL_TALK
)
_ITALIAN_TALK: Final = re.compile(
    r"\b(?:ciao|salve|buon|buongiorno|buonasera|grazie|arrivederci|presto|sei)\b", re.IGNORECASE
)


def small_talk(text: str, language: str) -> str | None:
    """The answer to a greeting, thanks or farewell; None when the text is something else."""
    text = text.strip()
    for kind, pattern in _PATTERNS:
        if pattern.fullmatch(text):
            if _ITALIAN_TALK.search(text):
                language = "it"
            elif text.isascii() and kind != "about":
                language = "en"
            return str(getattr(wording_of(language), kind))
    return None
