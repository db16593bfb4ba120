#!/usr/bin/env python3
"""Fine-tunes the MiniLM encoder on SST-2 and writes models/sentiment-minilm.

    python3 training/sentiment.py train  --data ../shared/data --work ~/.cache/glossa/sentiment --bf16
    python3 training/sentiment.py export --data ../shared/data --work ~/.cache/glossa/sentiment --models models

What is learned: the six encoder layers, the position and type embeddings, the pooler and the
two-class head. The vocabulary embedding stays frozen, so that every encoder that Glossa ships can
share one copy of it (models/minilm-vocab).

Training data: SST-2 train only (all labelled phrases, and the whole sentences twice more). The
corpus is lower-cased and tokenized ("wo n't"), people are not: a part of the examples is put back
into ordinary spelling each time it is drawn, with or without a closing mark. The dev split chooses
nothing: the exported weights are the exponential moving average at the last step of the one run.
"""

import argparse
import gzip
import json
import math
import random
import re
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

from encoder import KEPT, SEED, WORD_EMBEDDING, entry, optimizer_for

EPOCHS = 3
BATCH = 48
MAX_TOKENS = 96
LEARNING_RATE = 6e-5
WARM_UP = 0.06
LABEL_SMOOTHING = 0.05
EMA_DECAY = 0.999
NATURAL_SHARE = 0.35


def read_tsv(path):
    """Rows (label, text) of a `label<TAB>text` file, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as handle:
        rows = [line.rstrip("\n").split("\t", 1) for line in handle if "\t" in line]
    return [(int(label), text) for label, text in rows]


def natural(text, rng):
    """The Penn-Treebank spelling of SST-2 put back into ordinary text, at random in its details."""
    text = re.sub(r" (n't|'s|'re|'ve|'ll|'d|'m)\b", r"\1", text)
    text = re.sub(r" ([,.!?;:%)\]])", r"\1", text)
    text = re.sub(r"([(\[$]) ", r"\1", text)
    text = text.replace("`` ", '"').replace(" ''", '"').replace("` ", "'").replace(" '", "'")
    if text and text[-1].isalnum():
        text += rng.choice([".", ".", ".", "!", ""])
    return text


def base_model(data):
    """BertForSequenceClassification around the weights in data/minilm, word embedding frozen."""
    config = BertConfig.from_json_file(data / "minilm/config.json")
    config.num_labels = 2
    config.id2label = {0: "negative", 1: "positive"}
    config.label2id = {"negative": 0, "positive": 1}
    model = BertForSequenceClassification(config)
    weights = {k: v.float() for k, v in load_file(data / "minilm/model.f16.safetensors").items()}
    weights = {k if k.startswith("bert.") else f"bert.{k}": v for k, v in weights.items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    print("missing", missing, "unexpected", unexpected, flush=True)
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    return model


class Batches:
    """Shuffled batches of similar length; the order depends on the seed and the epoch alone."""

    def __init__(self, rows, tokenizer, epoch):
        rng = random.Random(SEED + epoch)
        order = list(range(len(rows)))
        rng.shuffle(order)
        texts = [rows[i][1] for i in order]
        texts = [natural(t, rng) if rng.random() < NATURAL_SHARE else t for t in texts]
        ids = [e.ids for e in tokenizer.encode_batch(texts)]
        chunk = BATCH * 64
        batches = []
        for start in range(0, len(order), chunk):
            part = sorted(range(start, min(start + chunk, len(order))), key=lambda k: len(ids[k]))
            batches += [part[i : i + BATCH] for i in range(0, len(part), BATCH)]
        rng.shuffle(batches)
        self.batches = [([ids[k] for k in b], [rows[order[k]][0] for k in b]) for b in batches]


def pad(ids):
    """Token ids and attention mask, both [batch, longest]."""
    longest = max(len(i) for i in ids)
    tokens = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for row, i in enumerate(ids):
        tokens[row, : len(i)] = torch.tensor(i)
        mask[row, : len(i)] = 1
    return tokens, mask


@torch.no_grad()
def accuracy(model, tokenizer, rows):
    """Share of rows whose arg max is the label; model in eval mode, float32."""
    model.eval()
    ids = [e.ids for e in tokenizer.encode_batch([t for _, t in rows])]
    order = sorted(range(len(rows)), key=lambda i: len(ids[i]))
    hits = 0
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        tokens, mask = pad([ids[i] for i in part])
        guess = model(input_ids=tokens, attention_mask=mask).logits.argmax(-1).tolist()
        hits += sum(g == rows[i][0] for g, i in zip(guess, part))
    model.train()
    return hits / len(rows)


def tokenizer_of(data):
    tokenizer = Tokenizer.from_file(str(data / "minilm/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def train(args):
    torch.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)
    data, work = Path(args.data), Path(args.work).expanduser()
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(data)
    dev, dev_punct = (read_tsv(data / f"sst2/{n}.tsv") for n in ("dev", "dev_punct"))
    held_out = {t.strip() for _, t in dev + dev_punct}
    rows = read_tsv(data / "sst2/train_phrases.tsv.gz") + 2 * read_tsv(data / "sst2/train.tsv")
    rows = [(label, t) for label, t in rows if t.strip() and t.strip() not in held_out]
    model = base_model(data)
    optimizer = optimizer_for(model, LEARNING_RATE)
    per_epoch = math.ceil(len(rows) / BATCH)
    total = per_epoch * EPOCHS
    warm = int(total * WARM_UP)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: (s + 1) / warm if s < warm else max(0.0, (total - s) / (total - warm))
    )
    ema = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    step, checkpoint = 0, work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        ema, step = state["ema"], state["step"]
        torch.set_rng_state(state["rng"])
    print(f"{len(rows)} examples, {total} steps, from step {step}", flush=True)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    model.train()
    started, seen, running = time.time(), 0, 0.0
    while step < total:
        for ids, labels in Batches(rows, tokenizer, step // per_epoch).batches[step % per_epoch :]:
            tokens, mask = pad(ids)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                logits = model(input_ids=tokens, attention_mask=mask).logits
            loss = loss_of(logits.float(), torch.tensor(labels))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            decay = min(EMA_DECAY, (1 + step) / (10 + step))
            with torch.no_grad():
                live = [p for _, p in model.named_parameters() if p.requires_grad]
                torch._foreach_lerp_(list(ema.values()), live, 1 - decay)
            step, seen, running = step + 1, seen + len(ids), running + loss.item()
            if step % 50 == 0:
                rate = seen / (time.time() - started)
                print(f"step {step}/{total} loss {running / 50:.4f} {rate:.0f} texts/s", flush=True)
                running = 0.0
            if step % 500 == 0 or step == total:
                scores = with_ema(model, ema, lambda m: (accuracy(m, tokenizer, dev), accuracy(m, tokenizer, dev_punct)))
                print(f"step {step} dev {scores[0]:.4f} dev_punct {scores[1]:.4f}", flush=True)
                state = dict(model=model.state_dict(), optimizer=optimizer.state_dict(), ema=ema,
                             schedule=schedule.state_dict(), step=step, rng=torch.get_rng_state())
                torch.save(state, work / "checkpoint.tmp")
                (work / "checkpoint.tmp").replace(checkpoint)
            if args.steps and step >= args.steps:
                return
    print("done", flush=True)


def with_ema(model, ema, measure):
    """`measure(model)` with the averaged weights in place, then the live ones put back."""
    kept = {n: p.detach().clone() for n, p in model.named_parameters() if n in ema}
    model.load_state_dict(ema, strict=False)
    result = measure(model)
    model.load_state_dict(kept, strict=False)
    return result


def export(args):
    """Writes f16 safetensors, config, tokenizer and manifest; the accuracy is filled in by hand
    from `glossa eval`, which is the one that counts."""
    data, models = Path(args.data), Path(args.models)
    model = base_model(data)
    model.load_state_dict(torch.load(Path(args.work).expanduser() / "checkpoint.pt")["ema"], strict=False)
    tokenizer = tokenizer_of(data)
    half = model.half().float()  # what the shipped f16 weights will compute
    for name in ("dev", "dev_punct"):
        rows = read_tsv(data / f"sst2/{name}.tsv")
        print(name, f"{accuracy(half, tokenizer, rows):.4f}", len(rows), flush=True)
    weights = {k: v.half().contiguous() for k, v in half.state_dict().items()}
    vocab, out = models / "minilm-vocab", models / "sentiment-minilm"
    vocab.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    save_file({WORD_EMBEDDING: weights.pop(WORD_EMBEDDING)}, vocab / "word_embeddings.safetensors")
    shutil.copyfile(data / "minilm/tokenizer.json", vocab / "tokenizer.json")
    (vocab / "tokenizer.json").chmod(0o644)
    weights.pop("bert.embeddings.position_ids", None)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    for file in (vocab / "word_embeddings.safetensors", out / "model.safetensors"):
        file.chmod(0o644)
    config = {k: v for k, v in model.config.to_dict().items() if k in KEPT}
    config["architectures"] = ["BertForSequenceClassification"]
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    manifest = json.loads((Path(__file__).parent / "sentiment.manifest.json").read_text())
    manifest["files"] = [entry(out, n) for n in (
        "config.json", "model.safetensors",
        "../minilm-vocab/word_embeddings.safetensors", "../minilm-vocab/tokenizer.json")]
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["train", "export"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True, help="where the run keeps its checkpoints")
    parser.add_argument("--models", default="models")
    parser.add_argument("--steps", type=int, help="stop after this many steps (a trial)")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16 (faster where the CPU has it)")
    args = parser.parse_args()
    {"train": train, "export": export}[args.what](args)


if __name__ == "__main__":
    main()
