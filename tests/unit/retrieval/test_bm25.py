from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from sitebrook.retrieval.bm25 import Bm25, KeywordMatches
from sitebrook.retrieval.postings import IndexedChunk, Postings, join, to_postings
from sitebrook.retrieval.words import to_words

WORDS = [f"word{at}" for at in range(200)]
NONE = np.empty(0, dtype=np.uint32)


def make_chunks(
    texts: Iterable[tuple[str, str]], language: str = "en", *, first: int = 0
) -> list[IndexedChunk]:
    return [
        IndexedChunk(number, name, language, to_words(text, language))
        for number, (name, text) in enumerate(texts, first)
    ]


def make_index(texts: dict[str, str], language: str = "en") -> Bm25:
    return Bm25([to_postings(make_chunks(texts.items(), language))])


def make_corpus(seed: int, size: int, vocabulary: Sequence[str] = WORDS) -> list[list[str]]:
    chance = random.Random(seed)
    weights = [1 / (at + 1) for at in range(len(vocabulary))]
    return [chance.choices(vocabulary, weights, k=chance.randint(1, 80)) for _ in range(size)]


def make_reference(corpus: list[list[str]], k1: float, b: float) -> BM25Okapi:
    """rank-bm25 with Lucene's idf."""
    reference = BM25Okapi(corpus, k1=k1, b=b)
    counts = {word: sum(word in words for words in corpus) for word in reference.idf}
    reference.idf = {
        word: float(np.log(1 + (len(corpus) - count + 0.5) / (count + 0.5)))
        for word, count in counts.items()
    }
    return reference


def split(chunks: list[IndexedChunk], seed: int) -> list[Postings]:
    chance = random.Random(seed)
    parts: list[Postings] = []
    at = 0
    while at < len(chunks):
        size = chance.choice([1, 2, 7, 40, 150])
        parts.append(to_postings(chunks[at : at + size]))
        at += size
    return parts


def check(found: KeywordMatches, expected: Sequence[float], names: Sequence[str]) -> None:
    scores = found.score(names)
    assert [scores[name] for name in names] == pytest.approx(list(expected), rel=1e-12, abs=1e-12)
    best = sorted(zip(names, expected, strict=True), key=lambda one: -one[1])
    best = [one for one in best if one[1] > 0][: len(found.ranked)]
    assert [score for _, score in found.ranked] == pytest.approx([score for _, score in best])


@pytest.mark.parametrize(
    ("size", "k1", "b"),
    [(1, 1.2, 0.75), (5, 1.2, 0.75), (300, 0.9, 0.4), (3000, 2, 1), (300, 0.1, 0)],
)
def test_scores_equal_those_of_bm25okapi_with_the_same_idf(size: int, k1: float, b: float) -> None:
    corpus = make_corpus(7, size)
    names = [f"c{at}" for at in range(size)]
    texts = zip(names, map(" ".join, corpus), strict=True)
    chunks = make_chunks(texts, "xx")
    reference = make_reference(corpus, k1, b)
    chance = random.Random(size)
    for parts in ([to_postings(chunks)], split(chunks, 3)):
        index = Bm25(parts, k1=k1, b=b)
        assert len(index) == size
        for _ in range(20):
            question = chance.choices([*WORDS, "unknown"], k=6)
            expected = reference.get_scores(question)
            check(index.find(" ".join(question), size), expected, names)
            assert len(index.find(" ".join(question), 10).ranked) <= 10
            check(index.find(" ".join(question), 10), expected, names)


def test_removed_chunks_count_for_nothing_before_and_after_they_are_joined_away() -> None:
    corpus = make_corpus(11, 500)
    names = [f"c{at}" for at in range(500)]
    chunks = make_chunks(zip(names, map(" ".join, corpus), strict=True), "xx")
    gone = set(random.Random(2).sample(range(500), 200))
    left = [at for at in range(500) if at not in gone]
    parts = [*split(chunks, 5), to_postings([], sorted(gone))]
    joined = join(parts, np.array(sorted(gone), dtype=np.uint32))
    assert len(joined.removed) == 0
    fresh = to_postings([chunks[at] for at in left])
    reference = make_reference([corpus[at] for at in left], 1.2, 0.75)
    for index in (Bm25(parts), Bm25([joined]), Bm25([fresh])):
        assert len(index) == 300
        for question in ("word3 word0 word50", "word1", "word199 word198 word2 word2"):
            found = index.find(question, 500)
            check(found, reference.get_scores(question.split()), [names[at] for at in left])
            assert not {name for name, _ in found.ranked} & {names[at] for at in gone}
            assert found.score([names[min(gone)]]) == {names[min(gone)]: 0.0}


def test_many_equal_chunks_stand_in_the_order_of_their_age() -> None:
    chunks = make_chunks([(f"c{at}", "same words") for at in range(700)])
    parts = [to_postings(chunks[400:]), to_postings(chunks[:400])]
    assert [name for name, _ in Bm25(parts).find("same", 100).ranked] == [
        f"c{at}" for at in range(100)
    ]


def test_a_word_said_a_thousand_times_counts_as_often() -> None:
    corpus = [["word0"] * 1000 + ["word1"], ["word1"] * 3, ["word0", "word2"]]
    chunks = make_chunks([(str(at), " ".join(words)) for at, words in enumerate(corpus)], "xx")
    expected = make_reference(corpus, 1.2, 0.75).get_scores(["word0", "word1"])
    check(Bm25([to_postings(chunks)]).find("word0 word1", 3), expected, ["0", "1", "2"])


def test_without_saturation_and_lengths_each_word_counts_its_idf() -> None:
    chunks = make_chunks([("a", "walrus walrus walrus soup"), ("b", "walrus"), ("c", "")], "xx")
    found = Bm25([to_postings(chunks)], k1=0, b=0).find("walrus", 3)
    assert dict(found.ranked) == pytest.approx({"a": np.log(1.6), "b": np.log(1.6)})


def test_a_function_word_counts_half() -> None:
    texts = {"a": "the walrus", "b": "cold soup", "c": "warm soup"}
    half = make_index(texts).find("the", 1).score(["a"])["a"]
    assert half == pytest.approx(make_index(texts, "fi").find("the", 1).score(["a"])["a"] / 2)


def test_a_word_in_every_chunk_still_counts_for_the_chunk() -> None:
    found = make_index({"a": "walrus one", "b": "walrus two"}).find("walrus", 5)
    assert all(score > 0 for _, score in found.ranked)


def test_chunks_in_two_languages_are_found_by_a_question_in_either() -> None:
    chunks = [
        *make_chunks([("en", "The hotels are closed.")], "en"),
        *make_chunks([("it", "Gli alberghi sono chiusi.")], "it", first=1),
    ]
    index = Bm25([to_postings(chunks)])
    assert index.find("hotel", 1).ranked[0][0] == "en"
    assert index.find("albergo alberghi", 1).ranked[0][0] == "it"


def test_the_best_form_of_a_word_counts_in_each_chunk_wherever_it_lies() -> None:
    english = make_chunks([("a", "hotels hotels"), ("b", "soup")], "en")
    italian = make_chunks([("c", "hotels"), ("d", "zuppa")], "it", first=2)
    whole = Bm25([to_postings([*english, *italian])]).find("hotels", 9)
    apart = Bm25([to_postings(english), to_postings(italian)]).find("hotels", 9)
    assert dict(whole.ranked) == pytest.approx(dict(apart.ranked))
    assert {name for name, _ in whole.ranked} == {"a", "c"}
    assert whole.languages == ("en", "it")


def test_coverage_and_evidence_say_how_much_of_the_question_is_there() -> None:
    index = make_index({"a": "the red walrus", "b": "the soup", "c": "the end"})
    whole = index.find("where is the red walrus", 10)
    assert whole.evidence == 1
    assert 0 < whole.coverage < 1
    half = index.find("the walrus of Mongolia", 10)
    assert half.evidence == pytest.approx(0.5)
    assert index.find("quantum chromodynamics", 10).evidence == 0
    assert index.find("the", 10).evidence == 1


def test_each_word_tells_what_it_adds_to_a_chunk() -> None:
    index = make_index({"a": "the red walrus", "b": "the red soup", "c": "an end"})
    found = index.find("the red walrus walrus", 10)
    shares = found.shares(["a", "b", "gone"])
    words = {word.forms: at for at, word in enumerate(found.words)}
    assert sum(shares["a"]) == pytest.approx(dict(found.ranked)["a"])
    assert shares["b"][words["walrus",]] == 0
    assert shares["a"][words["red",]] == shares["b"][words["red",]] > 0
    assert shares["gone"] == (0, 0, 0)
    the, walrus = found.words[words["the",]], found.words[words["walrus",]]
    assert (the.chunks, the.weight, the.is_stop_word) == (2, 0.5, True)
    assert (walrus.chunks, walrus.weight, walrus.is_stop_word) == (1, 2, False)


def test_what_has_no_words_finds_nothing() -> None:
    index = make_index({"a": "!!!", "b": "..."})
    assert index.find("walrus", 10).ranked == ()
    assert make_index({"a": "walrus"}).find("?!", 10).ranked == ()
    empty = Bm25([]).find("walrus", 10)
    assert (empty.ranked, empty.score(["a"])) == ((), {"a": 0.0})
    assert Bm25([to_postings([], [3])]).find("walrus", 10).ranked == ()


def test_a_search_within_some_chunks_gives_those_of_the_whole_ranking() -> None:
    corpus = make_corpus(11, 3000)
    texts = [(str(at), " ".join(words)) for at, words in enumerate(corpus)]
    index = Bm25(
        [to_postings(make_chunks(texts[:2000])), to_postings(make_chunks(texts[2000:], first=2000))]
    )
    within = np.arange(7, 3000, 13, dtype=np.uint32)
    question = "word3 word50 word120"
    wanted = {str(number) for number in within}
    whole = [one for one in index.find(question, 3000).ranked if one[0] in wanted]
    found = index.find(question, 20, within)
    assert list(found.ranked) == whole[:20]
    assert index.find(question, 20, NONE).ranked == ()
