"""The language of a text, among those that the words of an index are made for."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple, cast

from py3langid.langid import MODEL_FILE, LanguageIdentifier

# ISO 639-1 to the Snowball algorithm that stems it.
STEMMERS: Final = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
# Cut into bigrams, whatever the language; named so that a text in them is told as such.
UNSTEMMED: Final = ("ja", "km", "ko", "lo", "my", "th", "zh")

# py3langid on 1,000 passages each of English, Italian and Spanish: the first 400 characters give
# the same language as all of them, in a third of the time; below 20 letters it guesses.
_READ_CHARACTERS: Final = 400
_MIN_LETTERS: Final = 20


class Detection(NamedTuple):
    """A language (ISO 639-1) and how likely it is, 0 to 1."""

    language: str
    probability: float


def detect_language(text: str, default: str, *, certainty: float = 0.5) -> str:
    """The text's language, or ``default`` when it is too short or less likely than ``certainty``.

    Deterministic. The first call loads a model (1.3 s).
    """
    sample = text.strip()[:_READ_CHARACTERS]
    if sum(map(str.isalpha, sample)) < _MIN_LETTERS:
        return default
    found = _detect(sample)
    return found.language if found.probability >= certainty else default


@functools.lru_cache(maxsize=4096)
def _detect(sample: str) -> Detection:
    language, probability = _identifier().classify(sample)
    return Detection(str(language), float(probability))


@functools.cache
def _identifier() -> Any:
    identifier: Any = cast("Any", LanguageIdentifier).from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*STEMMERS, *UNSTEMMED])
    return identifier
