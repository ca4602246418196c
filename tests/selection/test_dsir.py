from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from cptlab.data.sources.base import Document, split_of
from cptlab.errors import UserError
from cptlab.selection.dsir import DSIR, SMOOTHING, gumbel
from cptlab.selection.ngrams import WORDS, buckets_of, counts_of


def reader(texts):
    return lambda: (Document(str(number), text) for number, text in enumerate(texts))


def test_the_log_weights_are_those_of_the_authors_package():
    corpus = [
        "The court held that the tenant may appeal.",
        "A recipe: mix flour, sugar and eggs; bake.",
        "The appeal was dismissed by the court.",
        " Goals! Goals! The match ended 3-2.",
    ]
    target = ["The court may dismiss the appeal.", "An appeal lies to the high court."]
    # data-selection 1.0.3, HashedNgramDSIR(..., min_example_length=0), num_tokens_to_fit="all", one process
    theirs = [-121.22925014808723, -309.6734780010952, -93.04935382075575, -271.0748111657805]
    np.testing.assert_allclose(DSIR(target="x").log_weights(reader(corpus), target), theirs, rtol=1e-12)


def test_the_weight_of_a_word_is_the_log_ratio_of_its_shares():
    # Unigrams: target a a b, corpus a b b b. log w(a) = log(2/3 : 1/4), log w(b) = log(1/3 : 3/4).
    got = DSIR(target="x", order=1).log_weights(reader(["a", "b b", "b"]), ["a a", "b"])
    a, b = np.log((2 / 3 + SMOOTHING) / (1 / 4 + SMOOTHING)), np.log((1 / 3 + SMOOTHING) / (3 / 4 + SMOOTHING))
    np.testing.assert_allclose(got, [a, 2 * b, b], rtol=1e-12)


def test_words_and_n_grams_are_cut_as_documented():
    assert WORDS.findall("Don't stop -- it's 3.5%!") == ["Don", "'", "t", "stop", "--", "it", "'", "s", "3", ".", "5", "%!"]  # fmt: skip
    assert len(buckets_of("one two three", 1000)) == 5
    assert counts_of("one two one", 10_000, order=1).sum() == 3
    assert sorted(counts_of("one two one", 10_000, order=1))[-2:] == [1, 2]
    assert len(buckets_of("", 10)) == 0


def test_documents_like_the_target_are_kept(source, tokenizer, corpus_folder):
    selection = DSIR(target=f"{corpus_folder}/target.jsonl", share=0.4)
    kept = [d for d in selection.filter(source.documents(), tokenizer, source).documents["mixed"]() if split_of(d) == "train"]  # fmt: skip
    law = [int(d.text.split()[0]) % 2 for d in kept]
    assert np.mean(law) > 0.95  # half of the corpus is law


def test_the_first_document_is_drawn_in_proportion_to_its_weight():
    weights = np.array([1.0, 2.0, 5.0])
    first = Counter(
        int(np.argmax(np.log(weights) + [gumbel(f"{seed} {i} {i}") for i in range(3)])) for seed in range(4000)
    )
    assert chisquare([first[i] for i in range(3)], 4000 * weights / 8).pvalue > 1e-3


def test_the_draw_depends_on_the_seed_alone():
    corpus, one = ["a b", "b c", "c d"] * 20, DSIR(target="a")
    documents = {"a": reader(["a b c"])}
    scores = one.scores(reader(corpus), documents)
    np.testing.assert_array_equal(scores, one.scores(reader(corpus), documents))
    assert (scores != DSIR(target="a", seed=1).scores(reader(corpus), documents)).all()


def test_a_target_may_be_a_corpus_of_the_run(source, tokenizer):
    report = DSIR(target="general").filter(source.documents(), tokenizer, source).report
    assert report["kept_documents"] > 0


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DSIR(), r"selection=dsir needs selection\.target"),
        (lambda: DSIR(target="x", buckets=0), r"buckets=0 and order=2 must be 1 or more"),
        (lambda: DSIR(target="x", order=0), r"buckets=10000 and order=0 must be 1 or more"),
        (lambda: DSIR(target="x").bag([""]), r"selection\.target=x has no words"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_key(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_a_target_that_is_nowhere_is_refused_with_the_closest_corpus(source, tokenizer):
    with pytest.raises(UserError, match=r"selection\.target=genral is neither a corpus .* Did you mean general\?"):
        DSIR(target="genral").filter(source.documents(), tokenizer, source)
