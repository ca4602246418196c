import numpy as np
import pytest

from cptlab.errors import UserError
from cptlab.mixtures.static import Static


def test_a_domain_share_leaves_the_rest_to_the_general_corpus():
    weights = Static(domain_share=0.3).weights(np.array([0.5, 1.0]), ["general", "law"], "general")
    np.testing.assert_allclose(weights, [[0.7, 0.3], [0.7, 0.3]])


def test_shares_name_any_number_of_corpora():
    mixture = Static(shares={"law": 0.2, "general": 0.5, "code": 0.3})
    np.testing.assert_allclose(mixture.weights(np.ones(1), ["general", "code", "law"], "general"), [[0.5, 0.3, 0.2]])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Static(domain_share=1.2), r"mixture\.domain_share is 1\.2; it must lie in \[0, 1\]"),
        (lambda: Static(shares={"a": 0.5, "b": 0.4}), r"sum to 0\.9"),
        (lambda: Static(shares={"a": 0.0, "b": 0.0}), r"mixture\.shares sum to 0; they must sum to 1"),
        (lambda: Static(shares={"a": 1.5, "b": -0.5}), r"mixture\.shares\.a is 1\.5; it must lie in \[0, 1\]"),
        (lambda: Static(domain="g").weights(np.ones(1), ["a", "g"], "g"), r"mixture\.domain is g, the general corpus"),
        (
            lambda: Static(shares={"lawe": 1.0}).weights(np.ones(1), ["law", "g"], "g"),
            r"lawe.*Did you mean law\?",
        ),
        (
            lambda: Static().weights(np.ones(1), ["a", "b", "g"], "g"),
            r"mixture\.domain or give mixture\.shares",
        ),
        (lambda: Static().weights(np.ones(1), ["a", "b"], ""), r"data\.general|needs one domain"),
    ],
)
def test_a_mixture_that_does_not_fit_is_refused_by_name(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
