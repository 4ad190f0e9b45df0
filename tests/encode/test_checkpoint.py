"""Checkpoint folders: complete or refused, hashed by content, loaded without network, pickle or foreign code."""

import json
import logging
import socket

import numpy as np
import pytest

from recutils.encode import Encoder, checkpoint
from recutils.encode.checkpoint import Checkpoint, find, load
from recutils.tables import Problem


def test_a_complete_folder_says_its_limits(tiny):
    found = find(tiny)
    assert (found.width, found.longest, found.max_tokens, found.pooling) == (16, 32, 32, "mean")


def test_the_publishers_own_settings_are_followed(tiny):
    (tiny / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    (tiny / "1_Pooling").mkdir()
    (tiny / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert (find(tiny).max_tokens, find(tiny).pooling) == (12, "cls")
    chosen = Encoder(tiny, max_tokens=20, pooling="mean")
    assert (chosen.max_tokens, chosen.pooling) == (20, "mean")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named_with_the_cure(tiny, file):
    (tiny / file).unlink()
    with pytest.raises(Problem, match=rf"lacks {file}; found .*Copy the missing files"):
        Encoder(tiny)


def test_all_missing_files_are_named_at_once(tmp_path):
    with pytest.raises(Problem, match=r"lacks config\.json, model\.safetensors, tokenizer\.json"):
        Encoder(tmp_path)


def test_a_missing_tokenizer_is_named(tiny):
    for path in (*tiny.glob("tokenizer*.json"), tiny / "vocab.txt"):
        path.unlink()
    with pytest.raises(Problem, match=r"lacks tokenizer\.json"):
        Encoder(tiny)


def test_weights_as_pickle_are_refused(tiny):
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    with pytest.raises(Problem, match=r"lacks model\.safetensors.*pytorch_model\.bin is a pickle"):
        Encoder(tiny)


def test_a_part_of_split_weights_that_is_missing_is_named(tiny):
    (tiny / "model.safetensors").unlink()
    (tiny / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part-1.safetensors"}}')
    with pytest.raises(Problem, match=r"lacks part-1\.safetensors"):
        Encoder(tiny)


def test_json_that_is_none_is_named(tiny):
    (tiny / "config.json").write_text("{")
    with pytest.raises(Problem, match=r"config\.json is not valid JSON.*Copy this file again"):
        Encoder(tiny)


def test_cut_weights_are_a_problem_when_loaded(tiny):
    content = (tiny / "model.safetensors").read_bytes()
    (tiny / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(Problem, match="cannot be loaded .*Copy it again"):
        Encoder(tiny).encode(["star"])


def test_missing_tensors_are_not_replaced_by_random_ones(tiny):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(tiny / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "attention.self.query" not in name}
    assert len(kept) == len(tensors) - 2
    save_file(kept, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Problem, match="the weights lack 2 tensors of BertModel.*would be random"):
        Encoder(tiny).encode(["star"])


def test_a_missing_pooler_does_not_matter(tiny, tiny_made):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(tiny / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "pooler" not in name}
    assert len(kept) < len(tensors)
    save_file(kept, tiny / "model.safetensors", metadata={"format": "pt"})
    both = [Encoder(folder).encode(["star wars"]).vectors for folder in (tiny, tiny_made)]
    np.testing.assert_array_equal(*both)


def test_a_tokenizer_of_another_model_is_refused(tiny):
    path = tiny / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"]["stranger"] = len(content["model"]["vocab"])
    path.write_text(json.dumps(content))
    with pytest.raises(Problem, match="tokenizer and weights do not belong together"):
        Encoder(tiny).encode(["star"])


def test_the_hash_follows_what_can_change_a_vector(tiny, tiny_made):
    assert find(tiny).hash == find(tiny_made).hash, "the folder's place does not count"
    (tiny / "README.md").write_text("hello")
    (tiny / "manifest.json").write_text("{}")
    assert find(tiny).hash == find(tiny_made).hash
    content = bytearray((tiny / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tiny / "model.safetensors").write_bytes(content)
    assert find(tiny).hash != find(tiny_made).hash


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("minilmm", "no checkpoint is called 'minilmm'; expected one of minilm,"),
        ("", "no checkpoint is called ''"),
        ("ml-100k", "'ml-100k' is a data set; expected a checkpoint"),
        ("./nowhere", "there is no folder './nowhere'"),
        ("tests/nowhere", "there is no folder 'tests/nowhere'"),
    ],
)
def test_a_name_that_leads_nowhere(model, message, monkeypatch):
    monkeypatch.chdir(checkpoint.runs.ROOT)
    with pytest.raises(Problem, match=message):
        Encoder(model)


def test_a_hub_name_takes_safetensors_only(tiny, monkeypatch):
    asked = {}

    def given(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(tiny)

    monkeypatch.setattr("huggingface_hub.snapshot_download", given)
    assert find("owner/model") == Checkpoint("owner/model", tiny)
    assert asked["name"] == "owner/model"
    assert not [pattern for pattern in asked["patterns"] if pattern.endswith((".bin", ".pt", ".py")) or pattern == "*"]


def test_a_hub_that_is_not_reached_is_a_problem(monkeypatch):
    def fails(name, allow_patterns):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(Problem, match=r"no folder 'owner/model'.*hub.*no route.*local folder"):
        find("owner/model")


def test_a_local_folder_makes_no_call_to_the_network(tiny, monkeypatch):
    called = []

    def refused(*args):
        called.append(args)
        raise OSError("the network is closed in this test")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    Encoder(tiny).encode(["star"])
    assert called == []


def test_code_in_a_folder_is_not_run(tiny):
    config = json.loads((tiny / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    config["model_type"] = "evil"
    (tiny / "config.json").write_text(json.dumps(config))
    (tiny / "evil.py").write_text("raise SystemExit('code of the folder was run')")
    with pytest.raises(Problem, match="cannot be loaded"):
        Encoder(tiny).encode(["star"])


def test_a_device_that_is_not_there_is_an_error(tiny):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(Problem, match="device 'cuda:1' is not available here.*Use device='cpu'"):
        Encoder(tiny, device="cuda:1").encode(["star"])


def test_bf16_on_a_processor_without_it_is_an_error(tiny, monkeypatch):
    monkeypatch.setattr(checkpoint, "_cpu_bf16", lambda: False)
    with pytest.raises(Problem, match="this cpu has no bf16 arithmetic.*Use precision='fp32'"):
        Encoder(tiny, precision="bf16").encode(["star"])


def test_loading_leaves_settings_as_they_were(tiny):
    from transformers.utils import logging as shown

    before = shown.get_verbosity(), shown.is_progress_bar_enabled(), list(logging.getLogger("torchao").filters)
    load(find(tiny), "fp32", "cpu")
    after = shown.get_verbosity(), shown.is_progress_bar_enabled(), list(logging.getLogger("torchao").filters)
    assert before == after
