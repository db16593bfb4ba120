#!/usr/bin/env python3
"""Makes tests/fixtures/sentinels.json: what `transformers` makes of T5's sentinels (<extra_id_0> and the like), of texts
that have them and of outputs that have them.

    pip install -r training/requirements.txt
    python3 tests/parity/make_sentinels.py

Needs the folders that make_seq2seq.py made. `legacy` and `new` are read from spiece.model (T5Tokenizer with and without
`legacy`, ten sentinels), `padded` from the same with the usual hundred, `json` from tokenizer.json.
"""

import json

from transformers import AutoTokenizer, T5Tokenizer

from make_fixtures import OUT

TEXTS = [
    "The <extra_id_0> leaves at <extra_id_1> past seven.", "<extra_id_0>", "a<extra_id_1>b", "  <extra_id_2>  <extra_id_3>.",
    "<extra_id_9> <extra_id_10>", "plain </s> end", "<pad><unk> x", "<extra_id_00>", "<EXTRA_ID_0>", "café<extra_id_4>",
    "<extra_id_0> the cat <extra_id_1> sat", "x <extra_id_0>\n y", "no sentinel at all", "<extra_id_99> the <extra_id_0>",
]


def cases(tokenizer, top):
    """`top` is the id of <extra_id_0>."""
    outputs = [
        [5, top, 6], [top, 20, 21, top - 1, 30, 1], [top], [0, 5, 2, 6, 1], [20, top, top, 21], [top, 1, top - 9],
        [0, top, 17, 4, 43, top - 1, 34, 35, top - 2, 1],
    ]
    return {
        "ids": [[text, tokenizer(text).input_ids] for text in TEXTS],
        "texts": [[ids, tokenizer.decode(ids, skip_special_tokens=True).strip()] for ids in outputs],
    }


if __name__ == "__main__":
    piece = str(OUT / "seq2seq-t5" / "spiece.model")
    legacy, new = T5Tokenizer(piece, extra_ids=10), T5Tokenizer(piece, extra_ids=10, legacy=False)
    pieces = legacy.sp_model.get_piece_size()
    rows = {
        "legacy": cases(legacy, pieces + 9), "new": cases(new, pieces + 9),
        "padded": cases(T5Tokenizer(piece), pieces + 99),
        "json": cases(AutoTokenizer.from_pretrained(OUT / "seq2seq-t5-gated"), pieces + 9),
    }
    assert legacy.convert_tokens_to_ids("<extra_id_0>") == pieces + 9
    (OUT / "sentinels.json").write_text(json.dumps(rows, ensure_ascii=False) + "\n", encoding="utf-8")
    print({name: len(found["ids"]) for name, found in rows.items()})
