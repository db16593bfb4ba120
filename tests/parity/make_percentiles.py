"""Writes tests/fixtures/percentiles.json: latencies of several shapes with percentiles by NumPy (`inverted_cdf`, the
nearest rank: definition 1 of Hyndman and Fan 1996), for tests/parity/percentiles.rs.

    python3 make_percentiles.py
"""

import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(20261124)
SHAPES = {
    "one": np.array([7.25]),
    "two": np.array([3.0, 9.0]),
    "ties": np.repeat([1.0, 2.0, 3.0], [50, 45, 5]),
    "hundred": rng.permutation(np.arange(1.0, 101.0)),
    "lognormal": rng.lognormal(2.0, 0.6, 5000),
    "two-modes": np.concatenate([rng.normal(9, 1, 900), rng.normal(2500, 300, 100)]),
    "heavy-tail": 1 + rng.pareto(1.5, 3000) * 20,
    "sorted": np.sort(rng.exponential(30, 777)),
    "reversed": np.sort(rng.exponential(30, 778))[::-1],
}

out = []
for name, values in SHAPES.items():
    values = np.round(np.abs(values), 4)
    at = {f"p{q}": float(np.percentile(values, q, method="inverted_cdf")) for q in (50, 95, 99)}
    out.append({"name": name, "values": values.tolist(), "mean": float(values.mean()), **at})
path = Path(__file__).parents[1] / "fixtures" / "percentiles.json"
path.write_text(json.dumps(out) + "\n")
