"""Questions that mean something only after those before them, made whole by a rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sitebrook.retrieval.searched import MAX_SEARCHED_CHARACTERS, to_searched
from sitebrook.retrieval.stop_words import all_function_words
from sitebrook.retrieval.words import UNSPACED_RUN, count_words, to_words

# How many questions back a subject is looked for, and how much of them is taken.
_MOST_EARLIER: Final = 3
_MOST_CHARACTERS: Final = 300
# "And ...", "what about ...": English, Italian, Spanish, French, German, Portuguese, Dutch, Nordic
# languages, Russian, Arabic; then Chinese, Japanese, Korean.
_OPENING: Final = re.compile(
    r"\W*(?:(?:and|but|or|so|also|then|what about|how about|e|ed|ma|invece|allora|quindi|y|pero"
    r"|entonces|et|mais|alors|donc|und|aber|oder|dann|mas|ent\u00e3o|en (?:wat|hoe|waar|wanneer|is)"
    r"|maar|dus|och|men|og|\u0430|\u0438|\u043d\u043e|\u0648\u0645\u0627\u0630\u0627"
    r"|\u0648\u0643\u0645|\u0648\u0643\u064a\u0641|\u0648\u0645\u062a\u0649|\u0648\u0647\u0644"
    r"|\u0648\u0623\u064a\u0646|\u0648\u0644\u0645\u0627\u0630\u0627|\u0645\u0627\u0630\u0627"
    r" \u0639\u0646)(?=[\s,;:])"
    r"|\u90a3|\u8fd8\u6709|\u9084\u6709|\u3067\u306f|\u3058\u3083|\u305d\u308c|\u3042\u3068"
    r"|\uadf8\ub7fc|\uadf8\ub9ac\uace0)",
    re.IGNORECASE,
)
# What stands for something said before, in the same languages; articles and words that also open
# whole questions ("that", "there", "es", "la") are left out.
_POINTERS: Final = frozenset(
    """it its they them their theirs this these those he him his she her hers
    esso essa essi esse questo questa questi queste quello quella quelli
    eso esto ello ellos ellas él ella ese esa este esta ça cela ceci celui celle ils elles
    diese dieser dieses diesen diesem davon dafür damit darüber isso isto ele ela eles elas
    dat deze daarvan daarvoor
    \u044d\u0442\u043e \u044d\u0442\u043e\u0442 \u044d\u0442\u0430 \u044d\u0442\u0438
    \u043e\u043d \u043e\u043d\u0430 \u043e\u043d\u043e \u043e\u043d\u0438
    \u0435\u0433\u043e \u0435\u0451 \u0438\u0445
    \u0647\u0630\u0627 \u0647\u0630\u0647 \u0630\u0644\u0643 \u062a\u0644\u0643 \u0647\u0648
    \u0647\u064a""".split()  # noqa: SIM905
)
_UNSPACED_POINTER: Final = re.compile(
    "[\u5b83\u9019\u8fd9\u90a3]|\u4ed6\u4eec|\u5b83\u4eec|\u305d\u308c|\u3053\u308c|\u3042\u308c"
    "|\u305d\u306e|\u3053\u306e|\uadf8\uac83|\uc774\uac83|\uadf8\uac74"
)
# A pointer in a longer question mostly points to something in the question itself.
_MOST_WORDS_WITH_POINTER: Final = 3.0
# "How long?" says one thing in two words, where "What is hepcidin?" names its subject; in languages
# without a list of function words both words count.
_MOST_WORDS: Final = 1.0
_MOST_UNLISTED_WORDS: Final = 2.0
_MOST_TOKENS: Final = 2
_LATIN: Final = re.compile("[A-Za-z\u00c0-\u024f]")
_TOKEN: Final = re.compile(r"\w+(?:[-.'\u2019]\w+)*")


def why_follow_up(question: str) -> str:
    """Why the question seems to need those before it; empty when it stands alone."""
    if len(question) > MAX_SEARCHED_CHARACTERS:
        return ""
    if _OPENING.match(question):
        return "it begins like one that goes on"
    told = count_words(_told(question))
    has_pointer = bool(_UNSPACED_POINTER.search(question)) or any(
        word in _POINTERS for word in question.casefold().replace("?", " ").split()
    )
    if has_pointer and told <= _MOST_WORDS_WITH_POINTER:
        return "it points back"
    is_listed = _LATIN.search(question) or UNSPACED_RUN.search(question)
    most = _MOST_WORDS if is_listed else _MOST_UNLISTED_WORDS
    is_short = len(_TOKEN.findall(question)) <= _MOST_TOKENS
    return "it names no subject" if not told or (is_short and told <= most) else ""


def join_earlier(question: str, earlier: Sequence[str]) -> str:
    """The question behind what those before it are about, as far back as they need each other.

    At most 300 characters are taken of them, from the last three.
    """
    question = to_searched(question)
    known = set(to_words(question, ""))
    subjects: list[str] = []
    for one in reversed(earlier[-_MOST_EARLIER:]):
        subjects = [*_subjects(to_searched(one), known), *subjects]
        if not why_follow_up(one):
            break
    subject = " ".join(subjects)
    if len(subject) > _MOST_CHARACTERS:
        subject = subject[-_MOST_CHARACTERS:].partition(" ")[2]
    return f"{subject}: {question}" if subject else question


def _told(question: str) -> list[str]:
    """The words of a question that say what it is about, folded."""
    return [word for word in to_words(question, "") if word not in all_function_words()]


def _subjects(question: str, known: set[str]) -> list[str]:
    """Those words as they are written, without what is ``known``, to which they are added."""
    found: list[str] = []
    for token in _TOKEN.findall(question):
        words = {word for word in _told(token) if word not in known}
        if words and token.casefold() not in _POINTERS:
            known |= words
            found.append(token)
    return found
