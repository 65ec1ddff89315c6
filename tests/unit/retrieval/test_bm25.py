from __future__ import annotations

import random

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from sitebrook.retrieval.bm25 import Snapshot
from sitebrook.retrieval.knowledge import ChunkTexts

WORDS = [f"word{at}" for at in range(200)]


def make_texts(version: int, texts: dict[str, str], language: str = "en") -> ChunkTexts:
    return ChunkTexts(
        version, tuple(texts), {name: (text, language) for name, text in texts.items()}
    )


def make_snapshot(texts: dict[str, str], language: str = "en") -> Snapshot:
    return Snapshot.build(make_texts(1, texts, language), None, k1=1.2, b=0.75)


def test_scores_equal_those_of_bm25okapi_with_the_same_idf() -> None:
    chance = random.Random(7)
    corpus = [chance.choices(WORDS, range(200, 0, -1), k=chance.randint(1, 80)) for _ in range(300)]
    snapshot = make_snapshot({str(at): " ".join(words) for at, words in enumerate(corpus)}, "xx")
    reference = BM25Okapi(corpus, k1=1.2, b=0.75)
    counts = {word: sum(word in words for words in corpus) for word in WORDS}
    reference.idf = {
        word: float(np.log(1 + (300 - count + 0.5) / (count + 0.5)))
        for word, count in counts.items()
        if count
    }
    for _ in range(20):
        question = chance.choices([*WORDS, "unknown"], k=6)
        expected = reference.get_scores(question)
        found = snapshot.find(" ".join(question), 300)
        assert [found.score(str(at)) for at in range(300)] == pytest.approx(list(expected))
        ranked = [score for _, score in found.ranked]
        assert ranked == sorted(ranked, reverse=True)
        assert len(ranked) == np.count_nonzero(expected)


def test_a_function_word_counts_half() -> None:
    snapshot = make_snapshot({"a": "the walrus", "b": "cold soup", "c": "warm soup"})
    plain = make_snapshot({"a": "the walrus", "b": "cold soup", "c": "warm soup"}, "fi")
    assert snapshot.find("the", 1).score("a") == pytest.approx(plain.find("the", 1).score("a") / 2)


def test_a_word_in_every_chunk_still_counts_for_the_chunk() -> None:
    found = make_snapshot({"a": "walrus one", "b": "walrus two"}).find("walrus", 5)
    assert all(score > 0 for _, score in found.ranked)


def test_chunks_in_two_languages_are_found_by_a_question_in_either() -> None:
    texts = {"en": ("The hotels are closed.", "en"), "it": ("Gli alberghi sono chiusi.", "it")}
    snapshot = Snapshot.build(ChunkTexts(1, tuple(texts), texts), None, k1=1.2, b=0.75)
    assert snapshot.find("hotel", 1).ranked[0][0] == "en"
    assert snapshot.find("albergo alberghi", 1).ranked[0][0] == "it"


def test_coverage_and_evidence_say_how_much_of_the_question_is_there() -> None:
    snapshot = make_snapshot({"a": "the red walrus", "b": "the soup", "c": "the end"})
    whole = snapshot.find("where is the red walrus", 10)
    assert whole.evidence == 1
    assert 0 < whole.coverage < 1
    half = snapshot.find("the walrus of Mongolia", 10)
    assert half.evidence == pytest.approx(0.5)
    assert snapshot.find("quantum chromodynamics", 10).evidence == 0
    assert snapshot.find("the", 10).evidence == 1


def test_what_has_no_words_finds_nothing() -> None:
    snapshot = make_snapshot({"a": "!!!", "b": "..."})
    assert snapshot.find("walrus", 10).ranked == ()
    assert make_snapshot({"a": "walrus"}).find("?!", 10).ranked == ()
    assert make_snapshot({}).find("walrus", 10).ranked == ()


def test_a_new_snapshot_counts_only_the_words_of_new_chunks() -> None:
    first = make_snapshot({"a": "red walrus", "b": "soup"})
    changed = ChunkTexts(2, ("b", "c"), {"c": ("green walrus", "en")})
    second = Snapshot.build(changed, first, k1=1.2, b=0.75)
    assert second.words["b"] is first.words["b"]
    assert [name for name, _ in second.find("walrus", 5).ranked] == ["c"]
    assert second.version == 2
    assert [name for name, _ in first.find("walrus", 5).ranked] == ["a"]
