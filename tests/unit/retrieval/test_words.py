from __future__ import annotations

import concurrent.futures

import pytest

from sitebrook.retrieval.language import detect_language
from sitebrook.retrieval.stop_words import stop_words
from sitebrook.retrieval.words import to_question_words, to_words

MOTHER_IN_LAW = ["mother", "in", "law", "motherinlaw"]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Running hotels", "en", ["run", "hotel"]),
        ("cafe\u0301 Café CAFÉ", "en", ["cafe", "cafe", "cafe"]),
        ("Straße STRASSE", "de", ["strass", "strass"]),
        ("l'acqua perché", "it", ["l", "acqua", "perc"]),
        ("ERR_CONN-42", "en", ["err_conn-42", "err", "conn", "42"]),
        ("v2.3.1", "en", ["v2.3.1", "v2", "3", "1"]),
        ("user_id getUser", "en", ["user_id", "user", "id", "getus", "get", "user"]),
        ("C++ and C#, C.", "en", ["c++", "and", "c#", "c"]),
        ("well-known", "en", ["well", "known", "wellknown"]),
        ("E-Mail Wi-Fi", "en", ["e", "mail", "email", "wi", "fi", "wifi"]),
        ("10-year mother-in-law", "en", ["10-year", "10", "year", *MOTHER_IN_LAW]),
        ("1,000 or 1.250.000", "en", ["1", "000", "1000", "or", "1", "250", "000", "1250000"]),
        ("3.14", "en", ["3.14", "3", "14"]),
        ("東京都", "ja", ["東京", "京都"]),
        ("我爱北京2024年", "zh", ["我爱", "爱北", "北京", "2024", "年"]),
        ("안녕하세요", "ko", ["안녕", "녕하", "하세", "세요"]),
        ("ภาษาไทย", "th", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("Приветствия друзьям", "ru", ["приветств", "друз"]),
        ("كتابٌ والكتاب", "ar", ["كتاب", "كتاب"]),
        ("İstanbul'da", "tr", ["istanbul", "da"]),
        ("Größe größer", "de", ["gross", "gross"]),
        ("niños NIÑOS", "es", ["nin", "nin"]),
        ("évènement événements", "fr", ["even", "even"]),
        ("\ufb01le \uff26\uff55\uff4c\uff4c", "en", ["file", "full"]),
        ("ёлка елка", "xx", ["елка", "елка"]),
        ("", "en", []),
        ("... --- !!!", "en", []),
    ],
)
def test_words_are_folded_stemmed_and_kept_whole(
    text: str, language: str, expected: list[str]
) -> None:
    assert to_words(text, language) == expected


def test_encoded_data_is_no_word() -> None:
    assert to_words("x" * 65 + " end", "en") == ["end"]


def test_a_question_word_has_its_forms_under_all_languages_once() -> None:
    assert to_question_words("hotels domani", ("en", "it", "en")) == [
        ("hotel", "hotels"),
        ("domani", "doman"),
    ]


@pytest.mark.parametrize("text", ["Where is user_id?", "v2.3.1 東京都", "l'acqua è fredda"])
def test_a_question_in_one_language_has_the_words_of_a_chunk(text: str) -> None:
    for language in ("en", "it", "zh"):
        groups = to_question_words(text, (language,))
        assert [word for forms in groups for word in forms] == to_words(text, language)


def test_threads_share_no_stemmer() -> None:
    text = " ".join(f"{stem}ing{at}ly running hotels" for at, stem in enumerate(["play"] * 500))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: to_words(text, "en"), range(16)))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I change the password of my account on this website?", "en"),
        ("Come posso cambiare la password del mio account su questo sito?", "it"),
        ("Wie kann ich das Passwort meines Kontos auf dieser Seite ändern?", "de"),
        ("如何在这个网站上更改我的帐户密码,请告诉我详细的步骤和方法。", "zh"),
        ("このサイトでアカウントのパスワードを変更するにはどうすればよいですか", "ja"),
    ],
)
def test_a_language_is_told_from_a_sentence(text: str, language: str) -> None:
    assert detect_language(text, "xx") == language


@pytest.mark.parametrize("text", ["", "hello", "404", "x = y + 1; z = [1, 2, 3]"])
def test_a_text_too_short_has_the_default_language(text: str) -> None:
    assert detect_language(text, "it") == "it"


def test_stop_words_are_those_of_the_languages_asked_for() -> None:
    assert {"the", "how", "whi"} <= stop_words(frozenset({"en"}))
    assert "perc" in stop_words(frozenset({"it", "fi"}))
    assert stop_words(frozenset({"fi"})) == frozenset()
