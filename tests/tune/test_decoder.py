"""A tiny decoder: shared beginnings change nothing, scores are those of the plain model, and what is refused."""

import numpy as np
import pytest
import torch

from recutils.encode.decoder import find_decoder, open_decoder
from recutils.tables import Problem
from recutils.tune import scoring
from recutils.tune.decoder import Decoder
from recutils.tune.prompts import Wording, examples, next_titles, questions

FILMS = "alien brazil casino dogma evita fargo gandhi heat".split()
SAID = Wording(
    begin="not {disliked} liked {liked} {lines}", neutral="liked best", title=", {title}", ask=", {title} ? Answer:",
    pair="best ? A: {first} B: {second} Answer:", yes=" Yes", no=" No", done=" [END] ",
)  # fmt: skip


@pytest.fixture(scope="module")
def plain(reader_folder):
    """Log p of every next token by the whole model, one text at a time: (tokens, words)."""
    tokenizer, model = open_decoder(find_decoder(reader_folder), "fp32", "cpu")

    def logs(text: str) -> tuple[list[int], np.ndarray]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            return ids, model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1).numpy()

    return tokenizer, logs


def test_yes_or_no_is_what_the_whole_model_says(reader, plain, asked) -> None:
    tokenizer, logs = plain
    found = scoring.yes_no(reader, asked, FILMS, SAID)
    yes, no = (tokenizer(word)["input_ids"][0] for word in ("Yes", "No"))
    texts = [begin + ask for begin, asks in questions(asked, FILMS, SAID) for ask in asks]
    wanted = [logs(text)[1][-1][yes] - logs(text)[1][-1][no] for text in texts]
    assert np.std(wanted) > 0.05 and found == pytest.approx(wanted, abs=1e-4)


def test_likelihood_is_what_the_whole_model_says(reader, plain, asked) -> None:
    _, logs = plain
    found = scoring.likelihoods(reader, asked[:5], FILMS, SAID)

    def summed(begin: str, ending: str) -> float:
        n = len(logs(begin)[0])
        ids, table = logs(begin + ending)
        return sum(table[place - 1][ids[place]] for place in range(n, len(ids)))

    texts = next_titles(asked[:5], FILMS, SAID)
    assert found.personal == pytest.approx([summed(begin, one) for begin, ones in texts for one in ones], abs=1e-4)
    alone = [summed(SAID.neutral, one) for _, ones in texts for one in ones]
    assert found.neutral == pytest.approx(alone, abs=1e-4)
    assert np.array_equal(found.corrected, found.personal - found.neutral)


def test_company_and_sharing_change_no_score(reader, asked) -> None:
    together = scoring.yes_no(reader, asked, FILMS, SAID)
    apart = [scoring.yes_no(reader, one.apart(), FILMS, SAID) for one in asked]
    assert together == pytest.approx(np.concatenate(apart), abs=1e-5)


def test_a_kept_beginning_gives_the_scores_of_the_whole_text(reader, asked) -> None:
    solved = examples(asked[:1], FILMS, SAID)
    kept = reader.begin(solved)
    texts = questions(asked[1:4], FILMS, SAID)
    whole = reader.answers(reader.read([(solved + begin, asks) for begin, asks in texts]), " Yes", " No")
    for _ in range(2):  # reading after it leaves it as it was
        found = reader.answers(reader.read(texts, kept), " Yes", " No", kept)
        assert found == pytest.approx(whole, abs=1e-5)
    begin, asks = texts[0]
    visit = reader.begin(begin)
    assert reader.answers(reader.read([("", asks)], visit), " Yes", " No", visit) == pytest.approx(
        reader.answers(reader.read(texts[:1]), " Yes", " No"), abs=1e-5
    )


@pytest.mark.parametrize("upper", [1, 2])
def test_where_the_model_is_cut_changes_nothing(reader_folder, asked, upper) -> None:
    found = scoring.yes_no(Decoder(reader_folder, upper=upper), asked[:3], FILMS, SAID)
    assert found == pytest.approx(scoring.yes_no(Decoder(reader_folder, upper=2), asked[:3], FILMS, SAID), abs=1e-5)


def test_a_choice_is_asked_in_both_orders(reader, asked) -> None:
    found = scoring.choices(reader, asked[:3], FILMS, SAID)
    swapped = [
        one.__class__(one.user, one.history, one.likes, one.candidates[::-1], one.labels[::-1]) for one in asked[:3]
    ]
    assert found.shape == (3, 2) and found[:, ::-1] == pytest.approx(
        scoring.choices(reader, swapped, FILMS, SAID), abs=1e-5
    )


def test_prices_name_three_ways(reader, asked) -> None:
    found = scoring.price(reader, asked[0], FILMS, SAID)
    assert len(found) == 3 and (found["ms for a list"] > 0).all()


def test_what_cannot_be_read_is_refused(reader, reader_folder, tmp_path, asked) -> None:
    with pytest.raises(Problem, match="room for 64"):
        reader.read([("alien " * 60, [" heat" * 5])])
    with pytest.raises(Problem, match="room for 64"):
        reader.begin("alien " * 65)
    with pytest.raises(Problem, match="at least one candidate"):
        reader.read([("alien", [])])
    with pytest.raises(Problem, match="empty"):
        reader.read([("alien", [""])])
    with pytest.raises(Problem, match="same token"):
        reader.contrast("Yes", "Yes :")
    with pytest.raises(Problem, match=r"upper must lie in 1\.\.2"):
        _ = Decoder(reader_folder, upper=3).parts
    with pytest.raises(Problem, match="precision"):
        Decoder(reader_folder, precision="fp16")


def test_another_architecture_is_refused(tmp_path, make_reader) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = make_reader(tmp_path / "gpt")
    for name in ("model.safetensors", "config.json", "generation_config.json"):
        (folder / name).unlink(missing_ok=True)
    GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=16, n_layer=2, n_head=2, n_positions=32)).save_pretrained(folder)
    with pytest.raises(Problem, match="a Llama is expected; got GPT2LMHeadModel"):
        _ = Decoder(folder).parts
