"""What an answer takes from passages without a marker, in several languages."""

from __future__ import annotations

import pytest
from tests.unit.chat.passages import FakePassage, answer, to_sources

_DELIVERY = FakePassage(
    "Parcels leave our warehouse every evening except on Sundays. Delivery to Italy costs seven"
    " euros and takes three working days. Islands take two days longer.",
    title="Delivery",
)
_RETURNS = FakePassage(
    "You can send goods back within thirty days. Keep the receipt and pack everything in its"
    " original box. The refund reaches your account a week after we have received the parcel.",
    title="Returns",
)
_ENGLISH = [_DELIVERY, _RETURNS]
_BY_LANGUAGE = {
    "it": [
        FakePassage(
            "I pacchi partono ogni sera tranne la domenica. La consegna in Italia costa sette euro"
            " e richiede tre giorni lavorativi. Per le isole servono due giorni in più.",
            "it",
            "Consegna",
        ),
        FakePassage(
            "La merce si può restituire entro trenta giorni. Conservate lo scontrino e la scatola"
            " originale. Il rimborso arriva sul conto dopo una settimana.",
            "it",
            "Resi",
        ),
    ],
    "de": [
        FakePassage(
            "Pakete verlassen unser Lager jeden Abend außer sonntags. Die Lieferung nach Italien"
            " kostet sieben Euro und dauert drei Werktage.",
            "de",
            "Lieferung",
        ),
        FakePassage(
            "Waren können innerhalb von dreißig Tagen zurückgegeben werden. Bewahren Sie den"
            " Kassenbon und die Originalverpackung bis dahin im Schrank auf.",
            "de",
            "Rückgabe",
        ),
    ],
    "ru": [
        FakePassage(
            "Посылки уходят со склада каждый вечер, кроме воскресенья. Доставка в Италию стоит семь"
            " евро и занимает три рабочих дня.",
            "ru",
            "Доставка",
        ),
        FakePassage(
            "Товар можно вернуть в течение тридцати дней. Сохраните чек и оригинальную упаковку.",
            "ru",
            "Возврат",
        ),
    ],
    "ar": [
        FakePassage(
            "تغادر الطرود المستودع كل مساء ما عدا يوم الأحد. تكلف التوصيل إلى إيطاليا سبعة يورو"
            " وتستغرق ثلاثة أيام عمل.",
            "ar",
            "التوصيل",
        ),
        FakePassage(
            "يمكنك إرجاع البضائع خلال ثلاثين يوما. احتفظ بالإيصال والعلبة الأصلية.",
            "ar",
            "الإرجاع",
        ),
    ],
    "zh": [
        FakePassage(
            "除星期日外，包裹每天晚上离开仓库。送货到意大利的费用是七欧元，需要三个工作日。",
            "zh",
            "送货",
        ),
        FakePassage(
            "商品可以在三十天内退回。请保留收据和原包装盒。退款将在一周后到账。",
            "zh",
            "退货",
        ),
    ],
    "ja": [
        FakePassage(
            "荷物は日曜日を除いて毎晩倉庫を出ます。イタリアへの配送料は七ユーロで、三営業日かかります。",
            "ja",
            "配送",
        ),
        FakePassage(
            "商品は三十日以内に返品できます。レシートと元の箱を保管してください。",
            "ja",
            "返品",
        ),
    ],
}


@pytest.mark.parametrize(
    ("language", "text", "titles"),
    [
        ("it", "In Italia la consegna costa sette euro e richiede tre giorni.", ["Consegna"]),
        ("it", "Conservate anche la scatola originale e lo scontrino.", ["Resi"]),
        ("de", "Eine Lieferung nach Italien kostet sieben Euro, sie dauert drei Werktage.", "L"),
        ("de", "Kassenbon und Originalverpackung bewahren Sie im Schrank auf.", "R"),
        ("ru", "Доставка в Италию стоит семь евро, это три рабочих дня.", ["Доставка"]),
        ("ru", "Вернуть товар можно в течение тридцати дней.", ["Возврат"]),
        ("ar", "التوصيل إلى إيطاليا تكلف سبعة يورو.", ["التوصيل"]),
        ("ar", "احتفظ بالإيصال والعلبة الأصلية.", ["الإرجاع"]),
        ("zh", "送货到意大利需要三个工作日，费用是七欧元。", ["送货"]),
        ("zh", "请您保留收据和原包装盒。", ["退货"]),
        ("ja", "イタリアへの配送料は七ユーロです。", ["配送"]),
        ("ja", "商品は三十日以内であれば返品できます。", ["返品"]),
    ],
)
def test_a_passage_used_without_a_marker_is_cited(
    language: str, text: str, titles: list[str] | str
) -> None:
    found = answer(text, _BY_LANGUAGE[language]).titles
    if isinstance(titles, str):
        assert [title[0] for title in found] == [titles]
    else:
        assert found == titles


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("it", "Non ho trovato niente sulla consegna in Svizzera nei documenti di questo sito."),
        ("it", "I pagamenti si fanno con carta di credito oppure con un bonifico bancario."),
        ("de", "In den Unterlagen dieser Website steht nichts über die Lieferung in die Schweiz."),
        ("de", "Bezahlen können Sie mit Kreditkarte oder per Überweisung von Ihrem Konto."),
        ("ru", "В документах этого сайта ничего не сказано о доставке в Швейцарию."),
        ("ar", "لم أجد شيئا عن التوصيل إلى سويسرا في وثائق هذا الموقع."),
        ("zh", "本网站的文件中没有关于送货到瑞士的任何信息。"),
        ("zh", "您可以使用信用卡或银行转账付款，也可以货到付款。"),
        ("ja", "このサイトの文書には、スイスへの配送についての情報はありません。"),
        ("ja", "お支払いはクレジットカードまたは銀行振込でお願いします。"),
    ],
)
def test_what_only_shares_the_subject_with_a_passage_is_not_from_it(
    language: str, text: str
) -> None:
    answered = answer(text, _BY_LANGUAGE[language])
    assert (answered.titles, answered.markers) == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        "I could not find anything about delivery to Switzerland.",
        "The documents of this website do not say how much delivery to Spain costs.",
        "Hello! How can I help you today? Ask me about delivery, parcels or returns.",
        "You are welcome. Have a nice day!",
        "It takes three days.",  # three words that say something: too few to tell
        "```\nDelivery to Italy costs seven euros and takes three working days.\n```",
        "",
    ],
)
def test_nothing_is_cited_for_what_no_passage_says(text: str) -> None:
    assert answer(text, _ENGLISH, "How much does delivery cost?").citations == ()


def test_what_the_question_said_already_has_no_source() -> None:
    question = "Is it true that delivery to Italy costs seven euros and takes three working days?"
    text = "You ask whether delivery to Italy costs seven euros and takes three working days."
    assert answer(text, _ENGLISH, question).citations == ()
    assert answer(text, _ENGLISH, "What do you offer?").titles == ["Delivery"]


def test_only_what_no_marker_names_is_added_behind_its_statement() -> None:
    text = (
        "Delivery to Italy costs seven euros and takes three working days [1].\n\n"
        "Islands take two days longer. Keep the receipt and pack it in the original box. \U0001f600"
    )
    answered = answer(text, _ENGLISH)
    assert answered.text == text
    assert [(one.index, one.title) for one in answered.citations] == [
        (1, "Delivery"),
        (2, "Returns"),
    ]
    marked, added = answered.markers
    assert text[marked.start : marked.end] == "[1]"
    assert added.start == added.end == text.index(" \U0001f600")
    assert answered.citations[1].quote.startswith("Keep the receipt")


def test_a_statement_with_a_marker_is_left_to_it() -> None:
    text = "Keep the receipt and pack everything in its original box. [1]"
    assert answer(text, _ENGLISH).titles == ["Delivery"]


def test_of_two_passages_that_say_it_a_cited_one_is_the_source() -> None:
    twin = FakePassage(_DELIVERY.text, title="Twin")
    text = "Islands take two days longer [2]. Delivery to Italy costs seven euros."
    answered = answer(text, [_DELIVERY, twin])
    assert answered.titles == ["Twin"]


def test_a_statement_with_another_number_is_not_from_the_passage() -> None:
    passage = FakePassage("The ferry to the island of Elba leaves Piombino at 8.30 every morning.")
    told = "Every morning the ferry to Elba leaves Piombino at {}."
    assert answer(told.format("8.30"), [passage]).titles == ["Title"]
    assert answer(told.format("9.15"), [passage]).titles == []


def test_words_that_stand_far_apart_in_a_passage_are_no_statement_of_it() -> None:
    filler = " ".join(f"Sentence {number} speaks of thing{number} alone." for number in range(60))
    scattered = FakePassage(f"Parcels are red. {filler} Boxes open upward. {filler} Lids are oak.")
    assert answer("Parcels, boxes and lids are red oak.", [scattered]).citations == ()


def test_choices_share_the_numbers_of_their_citations() -> None:
    sources = to_sources(_ENGLISH)
    assert sources.find_index(2, "") == 1
    text = "Delivery to Italy costs seven euros and takes three working days."
    (added,) = sources.find_unmarked(text, [])
    assert added.index == 2
    assert [one.title for one in sources.cite(text, [added])] == ["Delivery"]
    assert sources.find_unmarked(text, []) == [added]
