import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.data.sources.base import split_of
from cptlab.data.sources.files import Files
from cptlab.data.sources.installed_packages import InstalledPackages
from cptlab.errors import UserError
from cptlab.selection.none import NoSelection
from cptlab.selection.quality_threshold import QualityThreshold
from cptlab.selection.quality_topk import QualityTopK

scored = st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 50)), min_size=1, max_size=30)


def columns(pairs):
    scores, tokens = zip(*pairs, strict=True)
    return np.array(scores), np.array(tokens)


def kept_texts(selection, source, tokenizer):
    documents = selection.filter(source.documents(), tokenizer, source).documents
    return {d.text for d in documents["mixed"]() if split_of(d) == "train"}


def test_a_threshold_keeps_both_its_ends_and_drops_what_has_no_score(source, tokenizer):
    kept = kept_texts(QualityThreshold(score="quality", minimum=0.5, maximum=0.75), source, tokenizer)
    numbers = {int(text.split()[0]) for text in kept}
    everything = {int(d.text.split()[0]) for d in source.documents()["mixed"]() if split_of(d) == "train"}
    assert numbers == {n for n in everything if 150 <= n <= 225}
    assert 300 in everything


@given(pairs=scored, low=st.floats(-5, 5), high=st.floats(-5, 5))
def test_a_higher_threshold_keeps_a_subset(pairs, low, high):
    low, high = sorted((low, high))
    loose, strict = (QualityThreshold(minimum=m).keep(*columns(pairs)) for m in (low, high))
    assert not (strict & ~loose).any()


@given(pairs=scored, small=st.floats(0.01, 1), large=st.floats(0.01, 1))
def test_a_smaller_budget_keeps_a_subset_and_no_budget_is_overspent(pairs, small, large):
    small, large = sorted((small, large))
    scores, tokens = columns(pairs)
    few, many = (QualityTopK(share=share).keep(scores, tokens) for share in (small, large))
    assert not (few & ~many).any()
    assert tokens[many].sum() <= large * tokens.sum() + 1e-9
    assert QualityTopK(share=1.0).keep(scores, tokens).all()


def test_the_best_documents_are_kept_until_the_tokens_are_spent():
    scores, tokens = np.array([0.2, 0.9, 0.5, 0.9]), np.array([10, 30, 5, 20])
    np.testing.assert_array_equal(QualityTopK(tokens=50).keep(scores, tokens), [False, True, False, True])
    np.testing.assert_array_equal(QualityTopK(tokens=55).keep(scores, tokens), [False, True, True, True])
    np.testing.assert_array_equal(QualityTopK(share=0.5).keep(scores, tokens), [False, True, False, False])


def test_more_tokens_than_the_corpus_has_are_refused(source, tokenizer):
    with pytest.raises(UserError, match=r"selection\.tokens is 1e\+09 but the corpus has .* training tokens"):
        QualityTopK(score="quality", tokens=1e9).filter(source.documents(), tokenizer, source)


def test_a_selection_that_keeps_nothing_says_what_the_scores_are(source, tokenizer):
    with pytest.raises(UserError, match=r"selection=quality_threshold keeps none of .* \(scores from 0 to 0\.99"):
        QualityThreshold(score="quality", minimum=2).filter(source.documents(), tokenizer, source)


def test_a_missing_score_is_refused_with_the_closest_name(source, tokenizer):
    with pytest.raises(UserError, match=r'line 1 of .*mixed\.jsonl has no "qualty"; .* Did you mean quality\?'):
        QualityTopK(score="qualty").filter(source.documents(), tokenizer, source)
    with pytest.raises(UserError, match=r'its "text" is a str, no number'):
        QualityTopK(score="text").filter(source.documents(), tokenizer, source)


def test_a_parquet_column_of_scores_is_read_and_a_missing_one_refused(tmp_path, tokenizer):
    texts = [f"{i} the court held an appeal" for i in range(200)]
    pq.write_table(pa.table({"text": texts, "edu": [i / 200 for i in range(200)]}), tmp_path / "a.parquet")
    source = Files(corpora={"mixed": f"{tmp_path}/a.parquet"}, cache_dir=f"{tmp_path}/cache")
    kept = kept_texts(QualityThreshold(score="edu", minimum=0.9), source, tokenizer)
    assert {int(text.split()[0]) for text in kept} <= set(range(180, 200))
    with pytest.raises(UserError, match=r'a\.parquet has no column "eduu"; set selection\.score\. Did you mean edu\?'):
        kept_texts(QualityThreshold(score="eduu"), source, tokenizer)


def test_sources_without_columns_refuse_a_score(tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("the court")
    plain = Files(corpora={"mixed": f"{tmp_path}/a.txt"}, cache_dir=f"{tmp_path}/cache")
    with pytest.raises(UserError, match=r"selection\.score=quality: corpus mixed has plain text without scores"):
        kept_texts(QualityTopK(score="quality"), plain, tokenizer)
    packages = InstalledPackages(packages=["numpy"])
    with pytest.raises(UserError, match=r"data=installed_packages has no columns beside the text"):
        QualityTopK(score="quality").filter(packages.documents(), tokenizer, packages)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: QualityThreshold(score=""), r"selection\.score is empty"),
        (lambda: QualityTopK(score=""), r"selection\.score is empty"),
        (lambda: QualityThreshold(minimum=0.6, maximum=0.5), r"selection\.minimum is 0\.6, above selection\.maximum"),
        (lambda: QualityTopK(share=0), r"selection\.share is 0; it must lie in \(0, 1\]"),
        (lambda: QualityTopK(tokens=-1), r"selection\.tokens is -1; it must be 0"),
        (lambda: NoSelection(corpus="law"), r"selection\.corpus is law, but selection=none keeps every document"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_key(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
