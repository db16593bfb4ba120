#!/usr/bin/env python3
"""Makes tests/fixtures/iob.json: sequences of tags in IOB1, IOB2, IOBES and BILOU, with the entities that
seqeval finds in them and the scores that it gives, in its default and its strict mode.

    pip install seqeval==1.2.2
    python3 tests/parity/make_iob.py

seqeval's default mode knows IOBES's letters only: for it BILOU's L and U are written E and S, as its
manual has it.
"""

import json
import random
from pathlib import Path

from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

OUT = Path(__file__).resolve().parents[1] / "fixtures"
KINDS = ["PER", "ORG", "LOC", "work-of-art"]
SCHEMES = {"IOB1": IOB1, "IOB2": IOB2, "IOBES": IOBES, "BILOU": BILOU}
LETTERS = {"IOB1": "IB", "IOB2": "IB", "IOBES": "IBES", "BILOU": "IBLU"}


def entities(rng):
    """Random entities as (kind, length), None for words outside; neighbours are frequent."""
    return [None if rng.random() < 0.4 else (rng.choice(KINDS), rng.choice([1, 1, 2, 3])) for _ in range(rng.randrange(1, 9))]


def write(items, scheme):
    """Tags of `items` in `scheme`."""
    tags, before = [], None
    for item in items:
        if item is None:
            tags.append("O")
            before = None
            continue
        kind, length = item
        if scheme in ("IOBES", "BILOU"):
            single, end = ("S", "E") if scheme == "IOBES" else ("U", "L")
            marks = [single] if length == 1 else ["B"] + ["I"] * (length - 2) + [end]
        else:
            marks = ["B" if scheme == "IOB2" or before == kind else "I"] + ["I"] * (length - 1)
        tags += [f"{m}-{kind}" for m in marks]
        before = kind
    return tags


def spoilt(tags, scheme, rng):
    """Some tags replaced by any others: most such sequences break the scheme's rules."""
    anything = ["O"] + [f"{m}-{k}" for m in LETTERS[scheme] for k in KINDS]
    return [rng.choice(anything) if rng.random() < 0.3 else t for t in tags]


def plain(tags):
    return [t.replace("L-", "E-", 1) if t.startswith("L-") else t.replace("U-", "S-", 1) if t.startswith("U-") else t for t in tags]


def spans(tags):
    return [[start, end + 1, kind] for kind, start, end in get_entities(plain(tags))]


def strict(tags, scheme):
    found = Entities([tags], SCHEMES[scheme]).entities[0]
    return [[e.start, e.end, e.tag] for e in found]


def scores(truth, said, **mode):
    return [f(truth, said, zero_division=0, **mode) for f in (precision_score, recall_score, f1_score)]


def main():
    rng = random.Random(1)
    sets = []
    for scheme in SCHEMES:
        truth = [write(entities(rng), scheme) for _ in range(40)]
        said = [spoilt(t, scheme, rng) for t in truth]
        sets.append({
            "scheme": scheme,
            "truth": [{"tags": t, "spans": spans(t), "strict": strict(t, scheme)} for t in truth],
            "said": [{"tags": t, "spans": spans(t), "strict": strict(t, scheme)} for t in said],
            "default": scores([plain(t) for t in truth], [plain(t) for t in said]),
            "strict": scores(truth, said, mode="strict", scheme=SCHEMES[scheme]),
        })
    (OUT / "iob.json").write_text(json.dumps({"sets": sets}, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
