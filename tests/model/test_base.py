"""The arguments of a model, also of one that hands the rest to its parent."""

import pytest

from recutils.model.content import TextToFactors
from recutils.model.sasrec import TextSASRec


def test_arguments_reach_through_to_the_parent() -> None:
    assert TextToFactors.arguments() == ("reg_text", "factors", "reg", "alpha", "iterations", "values", "seed")
    assert TextToFactors(factors=3).parameters()["factors"] == 3
    assert {"text", "length", "seed"} <= set(TextSASRec.arguments())


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="factor"):
        TextToFactors(factor=3)
