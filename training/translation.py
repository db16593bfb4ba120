"""English → French from scratch: a small Marian transformer on the Tatoeba pairs of data/translation.

Multi30k's lines are skipped (CC BY-NC-SA: measured on, never trained on).
train:  SentencePiece model (joint), then the weights; a stopped run goes on from its checkpoint.
export: a folder in Hugging Face's Marian format, matrices as ggml's Q8_0 (`NAME.q8_0`).
"""

import gzip
import json
import random
import time
from pathlib import Path

import sentencepiece
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import MarianConfig, MarianMTModel

from encoder import SEED, command_line, entry, rate_at
from vocabulary import q8_0

VOCABULARY = 8000
TOKENS = 3072  # of the longer side in a batch
WIDEST = 48
SMOOTHING = 0.1
STEPS = 3400
MUON, ADAM = 0.02, 0.002
# From this step on four tenths of that: the loss had stopped falling.
CALM = 1000


def pairs(path, corpus):
    """(English, French) lines of one corpus."""
    opened = gzip.open(path, "rt", encoding="utf-8") if str(path).endswith(".gz") else open(path, encoding="utf-8")
    with opened as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    return [(row[1], row[2]) for row in rows if row[0] == corpus]


def pieces(data, work):
    """One SentencePiece unigram model over both languages, trained once."""
    model = work / "joint.model"
    if not model.exists():
        text = [side for pair in pairs(data / "translation/en-fr/train.tsv.gz", "tatoeba") for side in pair]
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text), model_prefix=str(work / "joint"), vocab_size=VOCABULARY - 1,
            character_coverage=1.0, bos_id=-1, eos_id=0, unk_id=1, num_threads=1, minloglevel=1,
        )
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


def configuration():
    """Marian's: `</s>` 0, `<unk>` 1, `<pad>` last; the decoder starts from `<pad>`."""
    pad = VOCABULARY - 1
    return MarianConfig(
        vocab_size=VOCABULARY, d_model=256, encoder_layers=5, decoder_layers=3,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=1024, decoder_ffn_dim=1024,
        activation_function="swish", dropout=0.1, scale_embedding=True, max_position_embeddings=512,
        pad_token_id=pad, eos_token_id=0, forced_eos_token_id=0, decoder_start_token_id=pad, bos_token_id=0,
        share_encoder_decoder_embeddings=True, tie_word_embeddings=True, init_std=0.02,
    )


def as_typed(pair, rng):
    """Now and then as people type: no full stop on either side, or a small first letter too."""
    english, french = pair
    luck = rng.random()
    if luck < 0.08 and english.endswith(".") and french.endswith("."):
        english, french = english[:-1], french[:-1].rstrip()
        if luck < 0.04 and not english.startswith("I"):
            english = english[:1].lower() + english[1:]
    return english, french


def batches(rows, spm, rng):
    """Shuffled batches of token lists of like length, about TOKENS of padded target each."""
    coded = [(spm.encode(e)[: WIDEST - 1] + [0], spm.encode(f)[: WIDEST - 1] + [0]) for e, f in (as_typed(r, rng) for r in rows)]
    rng.shuffle(coded)
    out = []
    for start in range(0, len(coded), 40_000):
        part = sorted(coded[start : start + 40_000], key=lambda c: (len(c[1]), len(c[0])))
        batch = []
        for row in part:
            longest = max(len(row[1]), len(row[0]), *(len(x) for b in batch[-1:] for x in b))
            if batch and longest * (len(batch) + 1) > TOKENS:
                out.append(batch)
                batch = []
            batch.append(row)
        out.append(batch)
    rng.shuffle(out)
    return out


def padded(rows, value):
    longest = max(map(len, rows))
    return torch.tensor([r + [value] * (longest - len(r)) for r in rows])


def loss_of(model, batch):
    """Cross entropy with label smoothing, the mean over target tokens."""
    pad = model.config.pad_token_id
    source, target = padded([b[0] for b in batch], pad), padded([b[1] for b in batch], pad)
    shifted = torch.cat([torch.full_like(target[:, :1], pad), target[:, :-1]], 1)
    hidden = model.model(input_ids=source, attention_mask=(source != pad).long(), decoder_input_ids=shifted).last_hidden_state
    kept = target != pad
    logits = F.linear(hidden[kept], model.lm_head.weight)
    return F.cross_entropy(logits.float(), target[kept], label_smoothing=SMOOTHING), int(kept.sum())


def optimizers_for(model):
    """Muon for the matrices of the layers, Adam for the rest (embedding, biases, norms)."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (matrices if ".layers." in name and p.dim() == 2 else rest).append(p)
    return [
        torch.optim.Muon(matrices, lr=MUON, momentum=0.95, weight_decay=0.01, adjust_lr_fn="original"),
        torch.optim.AdamW(rest, lr=ADAM, betas=(0.9, 0.98), weight_decay=0.0, foreach=True),
    ]


def translate(model, spm, texts, beams=1, batch=100):
    pad = model.config.pad_token_id
    order = sorted(range(len(texts)), key=lambda k: len(texts[k]))
    out = [""] * len(texts)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        ids = padded([spm.encode(texts[k]) + [0] for k in part], pad)
        done = model.generate(input_ids=ids, attention_mask=(ids != pad).long(), num_beams=beams, max_length=80, bad_words_ids=[[pad]])
        for k, row in zip(part, done.tolist()):
            out[k] = spm.decode([t for t in row if t not in (0, pad)])
    return out


def measure(model, spm, rows, beams=1):
    import sacrebleu

    said = translate(model, spm, [r[0] for r in rows], beams)
    truth = [[r[1] for r in rows]]
    return {"bleu": round(sacrebleu.corpus_bleu(said, truth).score, 2), "chrf": round(sacrebleu.corpus_chrf(said, truth).score, 2)}


def train(args):
    data, work = Path(args.data), Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    spm = pieces(data, work)
    model = MarianMTModel._from_config(configuration(), attn_implementation="eager")
    rows = pairs(data / "translation/en-fr/train.tsv.gz", "tatoeba")
    dev = pairs(data / "translation/en-fr/dev.tsv", "tatoeba")[: args.dev]
    optimizers = optimizers_for(model)
    full = [o.param_groups[0]["lr"] for o in optimizers]
    step = epoch = at = 0
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        for optimizer, kept in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(kept)
        step, epoch, at = state["step"], state["epoch"], state["at"]
    # A run can be made longer or shorter while it goes: the number of steps in `work/steps`.
    total, length = args.steps or STEPS, work / "steps"
    print(f"{sum(p.numel() for p in model.parameters()):,} weights, {len(rows):,} pairs, {total} steps, from {step}", flush=True)
    model.train()
    started, seen, running = time.time(), 0, 0.0
    while step < total:
        for batch in batches(rows, spm, random.Random(f"{SEED} {epoch}"))[at:]:
            for optimizer, rate in zip(optimizers, full):
                for group in optimizer.param_groups:
                    group["lr"] = rate * rate_at(step, total) * (1.0 if step < CALM else 0.4)
            with torch.autocast("cpu", torch.bfloat16):
                loss, tokens = loss_of(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            step, at, running, seen = step + 1, at + 1, running + loss.item(), seen + tokens
            if step % 50 == 0:
                total = int(length.read_text()) if length.exists() else total
                print(f"step {step}/{total} epoch {epoch} loss {running / 50:.4f} {seen / (time.time() - started):.0f} target tokens/s", flush=True)
                running = 0.0
            if step % 500 == 0 or step >= total:
                model.eval()
                with torch.no_grad():
                    print(f"step {step}", measure(model, spm, dev), flush=True)
                model.train()
                state = dict(model=model.state_dict(), optimizers=[o.state_dict() for o in optimizers], step=step, epoch=epoch, at=at)
                torch.save(state, work / "checkpoint.tmp")
                (work / "checkpoint.tmp").replace(checkpoint)
            if step >= total:
                break
        else:
            epoch, at = epoch + 1, 0
    print("done", flush=True)


def export(args):
    data, work = Path(args.data), Path(args.work)
    spm = pieces(data, work)
    config = configuration()
    out = Path(args.models) / "translate-en-fr"
    out.mkdir(parents=True, exist_ok=True)
    state = torch.load(work / "checkpoint.pt")["model"]
    weights = {}
    for name, value in state.items():
        if "embed_positions" in name or "embed_tokens" in name or name == "lm_head.weight":
            continue  # sinusoids, and names for the shared embedding
        if value.dim() == 2 and name != "final_logits_bias":
            weights[f"{name}.q8_0"] = q8_0(value)
        else:
            weights[name] = value.half().contiguous()
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    kept = {k: v for k, v in config.to_dict().items() if k in KEPT}
    kept |= {"architectures": ["MarianMTModel"], "num_beams": 4, "bad_words_ids": [[config.pad_token_id]]}
    (out / "config.json").write_text(json.dumps(kept, indent=2) + "\n")
    words = {spm.id_to_piece(i): i for i in range(spm.get_piece_size())} | {"<pad>": config.pad_token_id}
    (out / "vocab.json").write_text(json.dumps(words, ensure_ascii=False) + "\n", encoding="utf-8")
    # One model over both languages, under the two names that Marian's folders have.
    for name in ("source.spm", "target.spm"):
        (out / name).write_bytes((work / "joint.model").read_bytes())
    for path in out.iterdir():
        path.chmod(0o644)
    manifest = json.loads((Path(__file__).parent / "translation.manifest.json").read_text())
    manifest["files"] = [entry(out, n) for n in ("config.json", "model.safetensors", "source.spm", "target.spm", "vocab.json")]
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


KEPT = {
    "model_type", "vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads",
    "decoder_attention_heads", "encoder_ffn_dim", "decoder_ffn_dim", "activation_function", "scale_embedding",
    "max_position_embeddings", "pad_token_id", "eos_token_id", "bos_token_id", "forced_eos_token_id",
    "decoder_start_token_id", "share_encoder_decoder_embeddings", "tie_word_embeddings",
}


if __name__ == "__main__":
    command_line(__doc__, train, export)
