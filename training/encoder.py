"""What the trainings of the MiniLM encoders share: weights, batches, the loop, the export.

The vocabulary embedding stays frozen in every one of them, so that all encoders that Glossa ships
read one copy of it (models/minilm-vocab).
"""

import argparse
import hashlib
import json
import math
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig

SEED = 20261124
WORD_EMBEDDING = "bert.embeddings.word_embeddings.weight"
BLOCK = 32
ROUNDED_FROM = 0.75


def plain_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **_):
    """softmax(QKᵀ/√d)V by three plain products: in bfloat16 on a CPU, forward and backward take half
    the time of PyTorch's fused kernel. Query, key, value [batch, heads, length, d]."""
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    scores = torch.matmul(query, key.transpose(2, 3)) * query.shape[-1] ** -0.5
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=scores.dtype).masked_fill(~attn_mask, -1e4)
        scores = scores + attn_mask.clamp(min=-1e4).to(scores.dtype)
    return torch.matmul(torch.softmax(scores, -1), value)


def base_model(data, architecture, **config):
    """`architecture` around the weights in data/minilm, word embedding frozen, no dropout in
    attention. A type embedding with more rows than the original's starts as copies of row 0."""
    torch.nn.functional.scaled_dot_product_attention = plain_attention
    base = BertConfig.from_json_file(data / "minilm/config.json")
    base.attention_probs_dropout_prob = 0.0
    for key, value in config.items():
        setattr(base, key, value)
    model = architecture(base)
    weights = {k: v.float() for k, v in load_file(data / "minilm/model.f16.safetensors").items()}
    weights = {k if k.startswith("bert.") else f"bert.{k}": v for k, v in weights.items()}
    types = "bert.embeddings.token_type_embeddings.weight"
    extra = base.type_vocab_size - weights[types].shape[0]
    if extra > 0:
        weights[types] = torch.cat([weights[types][:1]] * base.type_vocab_size)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    print("missing", missing, "unexpected", unexpected, flush=True)
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    return model


def tokenizer_of(data):
    tokenizer = Tokenizer.from_file(str(data / "minilm/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def by_length(lengths, batch, rng):
    """Shuffled batches of indices whose lengths are alike."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), batch * 64):
        part = sorted(order[start : start + batch * 64], key=lambda k: lengths[k])
        batches += [part[i : i + batch] for i in range(0, len(part), batch)]
    rng.shuffle(batches)
    return batches


def padded(rows, value=0):
    """Lists of numbers as one tensor [rows, longest]."""
    longest = max(len(r) for r in rows)
    return torch.tensor([r + [value] * (longest - len(r)) for r in rows])


def optimizer_for(model, rate, decay=0.01):
    """AdamW; no weight decay on biases and layer norms."""
    heavy, plain = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (plain if "bias" in name or "LayerNorm" in name else heavy).append(p)
    groups = [{"params": heavy, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), foreach=True)


def rate_at(step, total, warm=0.06, cool=0.5):
    """Share of the full learning rate: up over the first 6 %, level, down to nothing over the last half."""
    if step < warm * total:
        return (step + 1) / (warm * total)
    return min(1.0, (total - step) / (cool * total))


def fit(model, work, total, rate, epoch_of, loss_of, measure, ema_decay=0.999, every=500, bf16=True):
    """The loop. `epoch_of(n)` lists the batches of epoch n, the same each time it is asked;
    `loss_of(model, batch)` is a scalar; `measure(model)` is printed from the averaged weights. The last
    quarter learns to live with the rounding of the shipped weights. A run that was stopped goes on from the last checkpoint. Returns the averaged weights."""
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint.pt"
    optimizer = optimizer_for(model, rate)
    ema = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    step = epoch = at = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        ema, step, epoch, at = state["ema"], state["step"], state["epoch"], state["at"]
    print(f"{total} steps, from step {step}", flush=True)
    model.train()
    started, tokens, running = time.time(), 0, 0.0
    while step < total:
        batches = epoch_of(epoch)
        for batch in batches[at:]:
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_at(step, total)
            with as_shipped(model, step >= ROUNDED_FROM * total):
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    loss = loss_of(model, batch)
                loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                live = [p for _, p in model.named_parameters() if p.requires_grad]
                torch._foreach_lerp_(list(ema.values()), live, 1 - min(ema_decay, (1 + step) / (10 + step)))
            step, at, running = step + 1, at + 1, running + loss.item()
            tokens += batch["input_ids"].numel()
            if step % 50 == 0:
                print(f"step {step}/{total} loss {running / 50:.4f} {tokens / (time.time() - started):.0f} tokens/s", flush=True)
                running = 0.0
            if step % every == 0 or step == total:
                print(f"step {step}", with_weights(model, ema, measure), flush=True)
                state = dict(model=model.state_dict(), optimizer=optimizer.state_dict(), ema=ema, step=step, epoch=epoch, at=at)
                torch.save(state, work / "checkpoint.tmp")
                (work / "checkpoint.tmp").replace(checkpoint)
            if step >= total:
                break
        epoch, at = epoch + 1, 0
    print("done", flush=True)
    return ema


def with_weights(model, weights, measure):
    """`measure(model)` with `weights` in place, in eval mode; then everything put back."""
    kept = {n: p.detach().clone() for n, p in model.named_parameters() if n in weights}
    model.load_state_dict(weights, strict=False)
    model.eval()
    with torch.no_grad():
        result = measure(model)
    model.load_state_dict(kept, strict=False)
    model.train()
    return result


def levels(weight):
    """ggml's Q5_1 of a matrix [rows, columns]: codes 0 to 31 [blocks, 32], step and minimum [blocks, 1]
    (f16 values), for blocks of 32 in a row. Fitted by least squares to the codes of the plain range."""
    blocks = weight.float().view(-1, BLOCK)
    low, high = blocks.amin(-1, keepdim=True), blocks.amax(-1, keepdim=True)
    step = ((high - low) / 31).clamp(min=1e-8)
    codes = ((blocks - low) / step).round_().clamp_(0, 31)
    spread = codes - codes.mean(-1, keepdim=True)
    fitted = (spread * blocks).sum(-1, keepdim=True) / (spread * spread).sum(-1, keepdim=True).clamp(min=1e-8)
    step = torch.where(fitted > 0, fitted, step).half().float().clamp(min=6e-8)
    low = (blocks.mean(-1, keepdim=True) - step * codes.mean(-1, keepdim=True)).half().float()
    return ((blocks - low) / step).round_().clamp_(0, 31), step, low


def five_bits(weight):
    """The matrix as Q5_1 will give it back."""
    codes, step, low = levels(weight)
    return (codes * step + low).view_as(weight)


def q5_1(weight):
    """The bytes of Q5_1, uint8 [rows, columns / 32 · 24]: step, minimum, fifth bits, low nibbles."""
    codes, step, low = levels(weight)
    codes = codes.to(torch.int64)
    fifth = ((codes >> 4) << torch.arange(BLOCK)).sum(-1, keepdim=True)
    fifth = torch.cat([(fifth >> s) & 255 for s in (0, 8, 16, 24)], -1).to(torch.uint8)
    nibbles = ((codes[:, :16] & 15) | ((codes[:, 16:] & 15) << 4)).to(torch.uint8)
    parts = [step.half().view(torch.uint8), low.half().view(torch.uint8), fifth, nibbles]
    return torch.cat(parts, -1).view(weight.shape[0], -1)


def rounded(model):
    """The model as its shipped weights will compute it: layer matrices Q5_1, the rest f16."""
    weights = {}
    for name, value in model.state_dict().items():
        weights[name] = five_bits(value) if in_five_bits(name, value) else value.half().float()
    model.load_state_dict(weights)
    return model


def in_five_bits(name, value):
    return ".layer." in name and name.endswith(".weight") and value.dim() == 2


@contextmanager
def as_shipped(model, on):
    """Forward and backward with rounded matrices, the step on the fine ones (straight-through)."""
    kept = {p: p.data for n, p in model.named_parameters() if on and in_five_bits(n, p)}
    for p, fine in kept.items():
        p.data = five_bits(fine)
    yield
    for p, fine in kept.items():
        p.data = fine


def export(model, out, manifest, config):
    """Safetensors (matrices of the layers as `NAME.q5_1`, the rest f16), config.json and manifest.json."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, value in model.state_dict().items():
        if name == WORD_EMBEDDING or name.endswith("position_ids"):
            continue
        if in_five_bits(name, value):
            weights[f"{name}.q5_1"] = q5_1(value)
        else:
            weights[name] = value.half().contiguous()
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    kept = {k: v for k, v in model.config.to_dict().items() if k in KEPT} | config
    (out / "config.json").write_text(json.dumps(kept, indent=2) + "\n")
    manifest = json.loads((Path(__file__).parent / manifest).read_text())
    manifest["files"] = [entry(out, n) for n in (
        "config.json", "model.safetensors",
        "../minilm-vocab/word_embeddings.safetensors", "../minilm-vocab/tokenizer.json")]
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def command_line(doc, train, export):
    """`train` or `export`, with the options of both."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["train", "export"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True, help="where the run keeps its checkpoints")
    parser.add_argument("--models", default="models")
    parser.add_argument("--steps", type=int, help="another length of the run")
    parser.add_argument("--dev", type=int, default=500, help="how many dev questions each look takes")
    args = parser.parse_args()
    {"train": train, "export": export}[args.what](args)


def entry(folder, name):
    blob = (folder / name).read_bytes()
    return {"path": name, "size": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}


KEPT = {
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "hidden_act", "max_position_embeddings", "type_vocab_size", "vocab_size", "layer_norm_eps",
    "pad_token_id", "id2label", "label2id", "hidden_dropout_prob", "attention_probs_dropout_prob",
    "initializer_range", "position_embedding_type",
}
