import json
import shutil

import numpy as np
import pytest
import torch

from cptlab.errors import UserError
from cptlab.selection.language_model import load_judge
from cptlab.selection.perplexity import Perplexity

TEXTS = ["the court held", "flour", "a tenant may appeal the judgment of the lower court then bake the cake", ""]


def test_a_loss_is_that_of_the_document_alone_whatever_it_is_batched_with(small_model):
    judge = load_judge(str(small_model), max_tokens=64)
    got = judge.losses(TEXTS)
    for text, loss in zip(TEXTS, got, strict=True):
        ids = torch.tensor([next(judge.tokenizer.encode([text]))])
        if ids.shape[1] < 2:
            assert np.isnan(loss)
            continue
        with torch.no_grad():
            logits = judge.model(input_ids=ids).logits[0, :-1]
        assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, ids[0, 1:]).item(), rel=1e-5)


def test_an_embedding_is_the_mean_of_the_documents_own_hidden_states(small_model):
    judge = load_judge(str(small_model), max_tokens=64)
    got = judge.embeddings(TEXTS[:3])
    for text, vector in zip(TEXTS[:3], got, strict=True):
        ids = torch.tensor([next(judge.tokenizer.encode([text]))])
        with torch.no_grad():
            states = judge.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
        np.testing.assert_allclose(vector, states.mean(0).numpy(), rtol=1e-4, atol=1e-6)


def test_a_long_document_is_judged_by_its_first_tokens(small_model):
    judge = load_judge(str(small_model), max_tokens=4)
    start, more = "the court held that a tenant", "the court held that a tenant may bake"
    np.testing.assert_allclose(*(judge.losses([text]) for text in (start, more)))


def test_the_documents_between_two_quantiles_are_kept():
    scores = np.arange(11.0)[::-1]
    kept = Perplexity(model="x", low=0.2, high=0.7).keep(scores, np.ones(11, int))
    assert sorted(scores[kept]) == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Perplexity(), r"selection=perplexity needs selection\.model"),
        (lambda: Perplexity(model="x", low=0.8, high=0.5), r"low=0\.8 and high=0\.5 are quantiles"),
        (lambda: Perplexity(model="x", max_tokens=1), r"selection\.max_tokens is 1; it must be 2 or more"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_key(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_a_folder_that_is_no_model_is_refused_with_the_closest_name(small_model):
    with pytest.raises(UserError, match=r"selection\.model: .*small_modl is neither .* Did you mean small_model\?"):
        Perplexity(model=str(small_model.with_name("small_modl"))).fingerprint()


def test_a_model_without_its_tokenizer_is_refused(small_model, tmp_path):
    shutil.copytree(small_model, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json; a model can judge text only with its own tokenizer"):
        load_judge(str(tmp_path), 8)


def test_a_tokenizer_that_is_not_the_models_is_refused(small_model, tmp_path):
    shutil.copytree(small_model, tmp_path / "model")
    (tmp_path / "run.json").write_text(json.dumps({"tokenizer_hash": "0" * 64}))
    with pytest.raises(UserError, match=r"is not the one that the run was trained with \(hash 000000000000\)"):
        load_judge(str(tmp_path), 8)
    (tmp_path / "run.json").unlink()
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace('"vocab_size": 300', '"vocab_size": 200'))
    with pytest.raises(UserError, match=r"has 300 tokens but the model embeds 200"):
        load_judge(str(tmp_path), 8)
