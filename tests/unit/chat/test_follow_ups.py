"""Which questions need those before them, and what is searched then."""

from __future__ import annotations

import pytest

from sitebrook.chat.follow_ups import join_earlier, why_follow_up


@pytest.mark.parametrize(
    "question",
    [
        "And to Spain?",
        "What about opening hours on Sundays in winter?",
        "How long does it take?",
        "Why?",
        "And how?",
        "Are they expensive to repair?",
        "E per la Spagna?",
        "Quanto costano queste?",
        "Y los domingos?",
        "Cuánto cuesta esto?",
        "Et pour l'Espagne ?",
        "Combien coûte cela ?",
        "Und nach Spanien?",
        "Wie lange dauert dieses?",
        "Mas e para a Espanha?",
        "En hoe lang duurt dat?",
        "А в Испанию?",
        "Сколько стоит?",
        "Сколько это стоит?",
        "وكم يستغرق ذلك؟",
        "那到西班牙呢？",
        "它多少钱？",
        "多少钱？",
        "それはいくらですか？",
        "では、日曜日は？",
        "그럼 일요일은?",
    ],
)
def test_a_question_that_goes_on_or_points_back_needs_those_before_it(question: str) -> None:
    assert why_follow_up(question)


@pytest.mark.parametrize(
    "question",
    [
        "How do I repair a spinnaker sail?",
        "Opening hours on Sundays?",
        "What is hepcidin?",
        "How much is delivery?",
        "I want to back up all mails and folders of an account, how do I do this?",
        "Is there parking near the workshop?",
        "Which sails of your catalogue keep their shape longest in strong wind and why is it?",
        "E-mail address of the workshop?",
        "Quali documenti servono per la restituzione della merce?",
        "En qué horario abren los domingos de invierno?",
        "En quelle année la société a-t-elle été fondée ?",
        "Welche Unterlagen brauche ich für eine Rückgabe?",
        "O preço da entrega para a Espanha?",
        "Какие документы нужны для возврата товара?",
        "ما هي ساعات العمل في المكتبة أيام الأحد والعطل الرسمية؟",
        "送货到西班牙需要多少天？",
        "日曜日の営業時間は何時から何時までですか？",
    ],
)
def test_a_whole_question_is_left_as_it_is(question: str) -> None:
    assert why_follow_up(question) == ""


def test_the_subject_of_the_question_before_is_put_in_front() -> None:
    asked = join_earlier("How long does it take?", ["How much does delivery to Italy cost?"])
    assert asked == "delivery Italy cost: How long does it take?"


def test_a_chain_is_followed_back_to_its_subject_and_no_further() -> None:
    earlier = ["Do you repair masts?", "How much does delivery to Italy cost?", "And to Spain?"]
    assert join_earlier("And how long?", earlier) == "delivery Italy cost Spain: And how long?"


def test_what_the_question_says_itself_is_not_repeated() -> None:
    asked = join_earlier("And the delivery to Spain?", ["How much does delivery cost?"])
    assert asked == "cost: And the delivery to Spain?"


def test_scripts_without_spaces_keep_the_question_before_whole() -> None:
    assert join_earlier("那西班牙呢？", ["送货到意大利要多少钱？"]) == (
        "送货到意大利要多少钱: 那西班牙呢？"
    )


def test_questions_without_a_subject_add_nothing() -> None:
    assert join_earlier("And why?", ["Hello!", "How are you?"]) == "And why?"
    assert join_earlier("Why?", []) == "Why?"


def test_long_questions_before_are_cut_between_words() -> None:
    earlier = [" ".join(f"subject{number}" for number in range(200))]
    subject, _, question = join_earlier("And how long?", earlier).rpartition(": ")
    assert question == "And how long?"
    assert len(subject) <= 300
    assert all(word.startswith("subject") for word in subject.split())
    assert subject.endswith("subject199")


def test_a_long_question_stands_alone() -> None:
    pasted = "Why? " * 20_000
    assert why_follow_up(f"And what about this? {pasted}") == ""
    assert len(join_earlier(pasted, ["How much does delivery cost?"])) < 4_100


def test_of_a_long_question_before_the_beginning_and_the_end_are_taken() -> None:
    middle = " ".join(f"line{number}" for number in range(30_000))
    assert join_earlier("And how long?", [f"{middle} masts of pine?"]).endswith(
        "masts pine: And how long?"
    )
    told = join_earlier("And how long?", [f"{'a ' * 3_000}spar {'a ' * 3_000}masts?"])
    assert told == "masts: And how long?"
