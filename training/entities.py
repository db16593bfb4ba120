#!/usr/bin/env python3
"""Trains the entity tagger: models/entities-minilm.

    python3 training/entities.py train  --data ../shared/data --work ~/.cache/glossa/entities
    python3 training/entities.py export --data ../shared/data --work ~/.cache/glossa/entities --models models

The vocabulary knows no capitals, names have them: the type embedding, which a single sentence does
not need, says how the word of a piece is written instead (`case_of`). The files stay those of a
plain BertForTokenClassification; `"token_types": "case"` in config.json says what to feed it.

Trained on CoNLL-2003 train (PER, ORG, LOC, MISC) and on CrossNER train with its finer types
folded into those four; types that CoNLL knows no counterpart of carry no loss. Sentences stand alone or
with the next one or two, at random; some are written all small or all in capitals; some pieces are hidden.
"""

import gzip
import random
from collections import Counter
from pathlib import Path

import torch
from transformers import BertForTokenClassification

import encoder
from encoder import SEED, padded

LABELS = ["O"] + [f"{p}-{t}" for t in ("PER", "ORG", "LOC", "MISC") for p in "BI"]
EPOCHS = 14
BATCH = 32
RATE = 1e-4
MAX_TOKENS = 256
HIDDEN = 0.04
MASK = 103
IGNORED = -100
PERSONS = "person politician scientist writer musicalartist researcher"
ORGANISATIONS = "organisation politicalparty band university"
PLACES = "location country"
OTHERS = "misc award book album event election poem song conference product academicjournal"
COARSE = {t: c for c, types in (("PER", PERSONS), ("ORG", ORGANISATIONS), ("LOC", PLACES), ("MISC", OTHERS)) for t in types.split()}


def read(path):
    """Sentences as lists of (word, tag)."""
    opener = gzip.open if path.suffix == ".gz" else open
    sentences, current = [], []
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                word, tag = line.rstrip("\n").split("\t")
                current.append((word, tag))
            elif current:
                sentences.append(current)
                current = []
    return sentences + [current] if current else sentences


def coarse(sentence):
    """CrossNER's types as CoNLL's four; None where there is no counterpart."""
    out = []
    for word, tag in sentence:
        kind = COARSE.get(tag[2:])
        out.append((word, tag if tag == "O" else f"{tag[:2]}{kind}" if kind else None))
    return out


def case_of(word):
    """0 no capital, 1 Capitalized, 2 CAPITALS, 3 one capital letter alone, 4 mixEd."""
    letters = [c for c in word if c.isalpha()]
    capitals = [c.isupper() for c in letters]
    if not any(capitals):
        return 0
    if len(letters) == 1:
        return 3
    if all(capitals):
        return 2
    return 1 if capitals[0] and not any(capitals[1:]) else 4


def cases(text, offsets):
    """The case of the run of letters and digits that each piece lies in."""
    out = []
    for start, end in offsets:
        if not text[start:end].isalnum():
            out.append(case_of(text[start:end]))
            continue
        while start > 0 and text[start - 1].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        out.append(case_of(text[start:end]))
    return out


def example(sentence, tokenizer):
    """ids, types, label ids and the word of each piece, of words joined by spaces."""
    text = " ".join(w for w, _ in sentence)
    coded = tokenizer.encode(text, add_special_tokens=False)
    ends, at = [], 0
    for word, _ in sentence:
        at += len(word) + 1
        ends.append(at)
    labels, words, word, seen = [], [], 0, -1
    for start, _ in coded.offsets:
        while start >= ends[word]:
            word += 1
        tag = sentence[word][1]
        if tag is not None and tag[0] == "B" and word == seen:
            tag = f"I{tag[1:]}"
        labels.append(IGNORED if tag is None else LABELS.index(tag))
        words.append(word)
        seen = word
    ids, types = coded.ids[: MAX_TOKENS - 2], cases(text, coded.offsets)[: MAX_TOKENS - 2]
    labels, words = labels[: MAX_TOKENS - 2], words[: MAX_TOKENS - 2]
    return [101] + ids + [102], [0] + types + [0], [IGNORED] + labels + [IGNORED], [None] + words + [None]


def grouped(sentences, rng):
    """Each sentence once, alone or with its neighbours."""
    at, out = 0, []
    while at < len(sentences):
        count = rng.choice([1, 1, 1, 1, 2, 3])
        out.append([pair for s in sentences[at : at + count] for pair in s])
        at += count
    return out


def recased(sentence, rng):
    draw = rng.random()
    change = str.lower if draw < 0.03 else str.upper if draw < 0.06 else str
    return [(change(w), t) for w, t in sentence]


def batches_of(news, others, tokenizer, epoch):
    rng = random.Random(SEED + epoch)
    made = [example(recased(s, rng), tokenizer) for s in grouped(news, rng) + others]
    for ids, _, labels, _ in made:
        for i in range(1, len(ids) - 1):
            if labels[i] != IGNORED and rng.random() < HIDDEN:
                ids[i] = MASK
    return [tensors([made[k] for k in b]) for b in encoder.by_length([len(m[0]) for m in made], BATCH, rng)]


def tensors(made):
    ids, types, labels, _ = zip(*made)
    mask = [[1] * len(i) for i in ids]
    return dict(input_ids=padded(ids), token_type_ids=padded(types), attention_mask=padded(mask), labels=padded(labels, IGNORED))


def loss_of(model, batch):
    logits = model(**{k: v for k, v in batch.items() if k != "labels"}).logits.float()
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch["labels"], ignore_index=IGNORED, label_smoothing=0.03)


def spans(tags):
    """Entities (start, end, type) of IOB2 tags, as seqeval counts them by default."""
    out, start = [], None
    for i, tag in enumerate(tags + ["O"]):
        if start is not None and (tag[0] != "I" or tag[2:] != tags[start][2:]):
            out.append((start, i, tags[start][2:]))
            start = None
        if start is None and tag != "O":
            start = i
    return out


def measure_on(sentences, tokenizer):
    def measure(model):
        made = [example(s, tokenizer) for s in sentences]
        order = sorted(range(len(made)), key=lambda i: len(made[i][0]))
        found, hits, true = Counter(), Counter(), Counter()
        for at in range(0, len(order), 64):
            part = order[at : at + 64]
            batch = tensors([made[i] for i in part])
            batch.pop("labels")
            with torch.autocast("cpu", torch.bfloat16):
                guesses = model(**batch).logits.argmax(-1).tolist()
            for i, guess in zip(part, guesses):
                tags = ["O"] * len(sentences[i])
                seen = set()
                for word, label in zip(made[i][3], guess):
                    if word is not None and word not in seen:
                        seen.add(word)
                        tags[word] = LABELS[label]
                mine, gold = set(spans(tags)), set(spans([t for _, t in sentences[i]]))
                for kind, group in ((hits, mine & gold), (found, mine), (true, gold)):
                    kind.update(t for _, _, t in group)
        each = {t: 200 * hits[t] / max(1, found[t] + true[t]) for t in ("PER", "ORG", "LOC", "MISC")}
        total = 200 * hits.total() / max(1, found.total() + true.total())
        return f"F1 {total:.2f} " + " ".join(f"{t} {v:.1f}" for t, v in each.items())
    return measure


def model_of(data):
    names = dict(enumerate(LABELS))
    return encoder.base_model(data, BertForTokenClassification, type_vocab_size=5, num_labels=len(LABELS),
                              id2label=names, label2id={v: k for k, v in names.items()})


def train(args):
    torch.manual_seed(SEED)
    data, work = Path(args.data), Path(args.work).expanduser()
    tokenizer = encoder.tokenizer_of(data)
    news = read(data / "conll2003/train.txt.gz")
    others = [coarse(s) for f in sorted((data / "crossner").glob("*.train.txt")) for s in read(f)]
    dev = read(data / "conll2003/dev.txt")
    per_epoch = len(batches_of(news, others, tokenizer, 0))
    total = args.steps or per_epoch * EPOCHS
    encoder.fit(model_of(data), work, total, RATE, lambda n: batches_of(news, others, tokenizer, n), loss_of,
                measure_on(dev, tokenizer))


def export(args):
    data = Path(args.data)
    model = model_of(data)
    model.load_state_dict(torch.load(Path(args.work).expanduser() / "checkpoint.pt")["ema"], strict=False)
    config = {"architectures": ["BertForTokenClassification"], "token_types": "case"}
    encoder.export(model, Path(args.models) / "entities-minilm", "entities.manifest.json", config)
    model.eval()
    with torch.no_grad():
        print(measure_on(read(data / "conll2003/dev.txt"), encoder.tokenizer_of(data))(encoder.rounded(model)))


if __name__ == "__main__":
    encoder.command_line(__doc__, train, export)
