#!/usr/bin/env python3
"""Makes tests/fixtures/scores.json: what sacrebleu and rouge-score give for pairs of texts.

    pip install -r training/requirements.txt
    python3 tests/parity/make_scores.py
"""

import json
import random

import sacrebleu
from rouge_score import rouge_scorer

from make_fixtures import OUT

TEXTS = [
    "Le train part à sept heures et demie.", "Où est la gare la plus proche ?", "Il a dit : « Je ne sais pas. »",
    "It cost 12,50 € (about $13.75), didn't it?", "state-of-the-art, 3-year-old e-mails 1990-2000", "A & B < C > D \"quoted\" &amp; more",
    "Prices rose 5.5% in 2023; they fell 3% in 2024.", "UPPER lower MiXeD", "中文 and emoji 🙂 words", "one", "a b c d e f g h",
    "The quick brown fox jumps over the lazy dog. The lazy dog sleeps.", "Hello , world !", "x.y.z 1.2.3 a,b,c 1,000", "",
    "We propose a new method for learning sentence representations, and show that it works on nine tasks.",
]


def broken(text, rng):
    words = text.split()
    for _ in range(rng.randrange(4)):
        if words:
            i = rng.randrange(len(words))
            kind = rng.randrange(3)
            if kind == 0:
                words.pop(i)
            elif kind == 1:
                words.insert(i, rng.choice(["the", "le", "42", "gare", "."]))
            else:
                j = rng.randrange(len(words))
                words[i], words[j] = words[j], words[i]
    return " ".join(words)


def main():
    rng = random.Random(1)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    sets = []
    for size in [1, 1, 1, 1, 3, 16, 40]:
        pairs = []
        for _ in range(size):
            reference = rng.choice(TEXTS)
            pairs.append((broken(reference, rng), reference))
        said, truth = [p[0] for p in pairs], [p[1] for p in pairs]
        rouge = [scorer.score(t, s) for s, t in pairs]
        sets.append({
            "pairs": pairs,
            "bleu": sacrebleu.corpus_bleu(said, [truth]).score,
            "chrf": sacrebleu.corpus_chrf(said, [truth]).score,
            "rouge": [[r[k].fmeasure for k in ("rouge1", "rouge2", "rougeL")] for r in rouge],
        })
    words = [[t, sacrebleu.BLEU().tokenizer(t)] for t in TEXTS]
    (OUT / "scores.json").write_text(json.dumps({"sets": sets, "words": words}, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
