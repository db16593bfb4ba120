#!/usr/bin/env python3
"""Makes tests/fixtures/decoder-*: tiny random language models as GGUF files (and GPT-2 as a Hugging
Face folder), with the logits and the greedy text that `transformers` gives for the very same,
dequantized weights in float32.

    pip install -r training/requirements.txt gguf
    python3 tests/parity/make_decoders.py [NAME ...]      (all, or those with such a word in their name)
"""

import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers as hf
from gguf import GGMLQuantizationType as Q

OUT = Path(__file__).parent.parent / "fixtures"
LENGTHS = [1, 7, 70, 150]
GREEDY = 12


def asked(name):
    return len(sys.argv) < 2 or any(word in name for word in sys.argv[1:])


def byte_tokens():
    """GPT-2's alphabet of printable stand-ins for bytes."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars, n = {}, 0
    for b in range(256):
        chars[b] = chr(b) if b in keep else chr(256 + n)
        n += b not in keep
    return [chars[b] for b in range(256)]


MERGES = ["Ġ t", "h e", "Ġt he", "i n", "a n", "Ġ a", "e r", "o n", "Ġa n", "r e"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_level(writer, pre):
    tokens = SPECIAL + byte_tokens() + [m.replace(" ", "") for m in MERGES]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(2)
    writer.add_bos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    return len(tokens)


def sentence_pieces(writer, prefix):
    words = ["▁", "▁t", "he", "▁the", "an", "▁a", "▁an", "in", "er", "▁▁", "é", "日"]
    letters = [chr(c) for c in range(97, 123)] + list("ABCDEFGHIJ0123456789.,!?'\n")
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + words + letters
    tokens += ["<|user|>", "<|end|>", "<|assistant|>"]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(words) + len(letters)) + [3] * 3
    scores = [0.0] * 3 + [0.0] * 256 + [-float(i + 1) for i in range(len(words))]
    scores += [-100.0 - i for i in range(len(letters))] + [0.0] * 3
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_scores(scores)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(prefix)
    writer.add_chat_template(
        "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}<|assistant|>\n"
    )
    return len(tokens)


def llama3_factors(base, dim, factor, low, high, old):
    freqs = 1.0 / (base ** (np.arange(0, dim, 2, dtype=np.float32) / dim))
    out = []
    for f in freqs:
        wave = 2 * math.pi / f
        if wave < old / high:
            out.append(1.0)
        elif wave > old / low:
            out.append(factor)
        else:
            smooth = (old / wave - low) / (high - low)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(out, dtype=np.float32)


NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def gguf_name(name, arch):
    stem, tail = name.rsplit(".", 1)
    if stem in NAMES:
        return f"{NAMES[stem]}.{tail}"
    _, _, layer, rest = stem.split(".", 3)
    ours = NAMES[rest]
    if arch == "gemma3" and rest == "post_attention_layernorm":
        ours = "post_attention_norm"
    return f"blk.{layer}.{ours}.{tail}"


def permute(w, heads):
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def make(arch, model, quant, tokenizer, extra=None, rotated=False, least=0, name=None):
    name = name or arch
    if not asked(name):
        return
    torch.manual_seed(sum(map(ord, arch)))
    config = model.config
    folder = OUT / f"decoder-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / "model.gguf", arch)
    vocab = tokenizer(writer)
    assert vocab == config.vocab_size, (vocab, config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head)
    writer.add_value_length(head)
    for key, value in (extra or {}).items():
        if isinstance(value, np.ndarray):
            writer.add_tensor(key, value)
        elif isinstance(value, int):
            writer.add_uint32(f"{arch}.{key}", value)
        elif isinstance(value, float):
            writer.add_float32(f"{arch}.{key}", value)
        else:
            writer.add_string(f"{arch}.{key}", value)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1 and name.endswith("weight"):
                p.normal_(0.0 if arch == "gemma3" else 1.0, 0.2)
                data = p.numpy() + (1.0 if arch == "gemma3" else 0.0)
            elif p.dim() == 1:
                p.normal_(0.0, 0.3)
                data = p.numpy()
            else:
                p.normal_(0.0, 0.2)
                data = p.numpy()
            ours = gguf_name(name, arch)
            turn = lambda x: x
            if rotated and (".q_proj." in name or ".k_proj." in name):
                heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
                turn = lambda x, heads=heads: np.ascontiguousarray(permute(x, heads))
            if p.dim() == 2 and quant not in (Q.F32, Q.F16):
                # The model gets what the blocks say; the file gets the very same blocks.
                packed = gguf.quants.quantize(data, quant)
                p.copy_(torch.from_numpy(gguf.quants.dequantize(packed, quant)))
                writer.add_tensor(ours, turn(packed), raw_dtype=quant)
            elif p.dim() == 2 and quant == Q.F16:
                p.copy_(p.half().float())
                writer.add_tensor(ours, turn(p.numpy()).astype(np.float16))
            else:
                writer.add_tensor(ours, turn(np.ascontiguousarray(data, dtype=np.float32)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expect(folder, model, least)


def expect(folder, model, least=0):
    model.eval()
    cases = []
    for length in [n for n in LENGTHS if n >= least]:
        torch.manual_seed(length)
        ids = torch.randint(3, model.config.vocab_size, (1, length))
        with torch.no_grad():
            logits = model(ids).logits[0]
            text = ids
            for _ in range(GREEDY):
                text = torch.cat([text, model(text).logits[0, -1].argmax().view(1, 1)], 1)
        cases.append(
            {
                "ids": ids[0].tolist(),
                "first": [round(x, 5) for x in logits[0].tolist()],
                "last": [round(x, 5) for x in logits[-1].tolist()],
                "greedy": text[0, length:].tolist(),
            }
        )
    (folder / "expected.json").write_text(json.dumps(cases, separators=(",", ":")))
    print(folder.name, sum(f.stat().st_size for f in folder.iterdir()) // 1000, "kB")


def main():
    bpe = len(SPECIAL) + 256 + len(MERGES)
    spm = 3 + 256 + 12 + 26 + 26 + 3
    small = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2,
                 max_position_embeddings=512, attention_dropout=0.0, attn_implementation="eager",
                 pad_token_id=0, bos_token_id=1, eos_token_id=2)
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}
    make("llama",
         hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=bpe, num_hidden_layers=2, rope_theta=500000.0, rope_scaling=scaling, tie_word_embeddings=False, **small)),
         Q.Q4_1, lambda w: byte_level(w, "llama-bpe"),
         {"rope_freqs.weight": llama3_factors(500000.0, 16, 8.0, 1.0, 4.0, 64), "rope.dimension_count": 16},
         rotated=True)
    make("qwen2", hf.Qwen2ForCausalLM(hf.Qwen2Config(vocab_size=bpe, num_hidden_layers=2, rope_theta=1e6, tie_word_embeddings=True, **small)),
         Q.Q8_0, lambda w: byte_level(w, "qwen2"))
    make("qwen3", hf.Qwen3ForCausalLM(hf.Qwen3Config(vocab_size=bpe, num_hidden_layers=2, head_dim=32, rope_theta=1e6, tie_word_embeddings=True, **small)),
         Q.Q5_0, lambda w: byte_level(w, "qwen2"))
    short, long = (np.linspace(1, 1.5, 8, dtype=np.float32), np.linspace(1, 6, 8, dtype=np.float32))
    factor = math.sqrt(1 + math.log(512 / 64) / math.log(64))
    rope = {"type": "longrope", "short_factor": short.tolist(), "long_factor": long.tolist()}
    make("phi3", hf.Phi3ForCausalLM(hf.Phi3Config(vocab_size=spm, num_hidden_layers=2, rope_theta=10000.0, rope_scaling=rope, original_max_position_embeddings=64, sliding_window=48, tie_word_embeddings=False, **small)),
         Q.Q4_0, lambda w: sentence_pieces(w, True),
         {"rope_factors_short.weight": short, "rope_factors_long.weight": long, "rope.scaling.attn_factor": factor,
          "rope.scaling.original_context_length": 64, "attention.sliding_window": 48, "rope.dimension_count": 16}, least=70)
    make("gemma3", hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(vocab_size=spm, num_hidden_layers=7, head_dim=32, query_pre_attn_scalar=32, sliding_window=24, rope_theta=1e6, rope_local_base_freq=10000.0, **small)),
         Q.F16, lambda w: sentence_pieces(w, False), {"attention.sliding_window": 24})
    make("smollm3", hf.SmolLM3ForCausalLM(hf.SmolLM3Config(vocab_size=bpe, num_hidden_layers=4, rope_theta=5e6, tie_word_embeddings=True, **small)),
         Q.Q5_1, lambda w: byte_level(w, "smaug-bpe"), rotated=True)
    yarn(bpe, spm, small)
    if asked("gpt2"):
        gpt2()


def yarn(bpe, spm, small):
    """YaRN (factor 4 over 64 positions) in the layouts of the families whose long-context files carry it."""
    small = small | {"max_position_embeddings": 256}
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    keys = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
    make("qwen2", hf.Qwen2ForCausalLM(hf.Qwen2Config(vocab_size=bpe, num_hidden_layers=1, rope_theta=1e6, rope_scaling=scaling, tie_word_embeddings=True, **small)),
         Q.Q8_0, lambda w: byte_level(w, "qwen2"), keys, name="qwen2-yarn")
    make("llama", hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=bpe, num_hidden_layers=1, rope_theta=10000.0, rope_scaling=scaling, tie_word_embeddings=True, **small)),
         Q.Q4_1, lambda w: byte_level(w, "llama-bpe"), keys | {"rope.dimension_count": 16}, rotated=True, name="llama-yarn")
    # Phi's own class checks for LongRoPE; its rotation takes any.
    config = hf.Phi3Config(vocab_size=spm, num_hidden_layers=1, rope_theta=10000.0, tie_word_embeddings=False, **small)
    config.rope_scaling = scaling
    make("phi3", hf.Phi3ForCausalLM(config), Q.Q4_0, lambda w: sentence_pieces(w, True),
         keys | {"rope.dimension_count": 16, "rope.scaling.yarn_beta_fast": 32.0}, name="phi3-yarn")


def gpt2():
    torch.manual_seed(2)
    tokens = byte_tokens() + [m.replace(" ", "") for m in MERGES] + ["<|endoftext|>"]
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=len(tokens), n_positions=256, n_embd=48, n_layer=2, n_head=3,
                                             bos_token_id=len(tokens) - 1, eos_token_id=len(tokens) - 1))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(1.0 if "ln_" in name and name.endswith("weight") else 0.0, 0.2)
    folder = OUT / "decoder-gpt2"
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    expect(folder, model)


main()
