//! The decoder: one step for all rows of all hypotheses, whichever positions they are at.

use super::stage::{Buffers, Own};
use super::{CpuAttention, CpuCross, CpuModel, CpuSource};
use crate::nn::kernels::Shared;
use crate::nn::kernels::gemm::Epilogue;
use crate::nn::kernels::indirect::{Indirect, SourceHead, ToSource, indirect, to_source};
use crate::nn::kernels::rank::{Ranked, rank};
use crate::nn::kernels::team::Member;
use crate::nn::lock;
use crate::nn::seq2seq::memory::{CpuMemory, Next};
use std::sync::Mutex;

/// Hypotheses of one source, and what they go on with.
pub struct CpuStrand<'a> {
    pub source: &'a CpuSource,
    pub memory: &'a mut CpuMemory,
    pub next: Next<'a>,
}

/// One row of a step.
struct Row {
    token: u32,
    position: usize,
    /// Addresses of its keys and values, by position.
    past: Vec<*const f32>,
    /// Where its own go.
    own: Shared,
    source: usize,
}

/// What the members share.
struct Pass<'a> {
    rows: Vec<Row>,
    /// Rows of each source.
    groups: Vec<(&'a CpuSource, std::ops::Range<usize>)>,
    b: Buffers,
    logits: Shared,
    /// Sums of attention to the source over heads, `[rows]`, where they are wanted.
    watched: Option<Vec<Mutex<Vec<f32>>>>,
}

// SAFETY: the raw pointers inside are written to in disjoint parts between barriers.
unsafe impl Sync for Pass<'_> {}

impl CpuModel {
    /// One step; logits `[rows, vocab]`, rows in the order of the strands. Ids and lengths have been
    /// checked by the caller.
    pub fn step(&self, strands: &mut [CpuStrand<'_>]) -> Vec<f32> {
        self.decode(strands, false).0
    }

    /// As [`Self::step`] without logits: attention of each row to its source's tokens, the mean over
    /// heads of the later half of the layers.
    pub fn watch(&self, strands: &mut [CpuStrand<'_>]) -> Vec<Vec<f32>> {
        let sums = self.decode(strands, true).1;
        let layers = self.config.decoder.layers - self.config.decoder.layers / 2;
        let share = 1.0 / (layers * self.config.decoder.heads) as f32;
        sums.into_iter().map(|row| row.into_iter().map(|x| x * share).collect()).collect()
    }

    fn decode(&self, strands: &mut [CpuStrand<'_>], watch: bool) -> (Vec<f32>, Vec<Vec<f32>>) {
        let c = &self.config;
        let place = self.place();
        let (mut rows, mut groups) = (Vec::new(), Vec::new());
        for (index, strand) in strands.iter_mut().enumerate() {
            strand.memory.advance(strand.next, place);
            let newest = strand.memory.newest();
            let first = rows.len();
            for row in 0..strand.next.len() {
                rows.push(Row {
                    token: strand.next.token(row),
                    position: strand.memory.position(row),
                    past: strand.memory.past(row, place),
                    // SAFETY: the newest block has a place for each row.
                    own: Shared(unsafe { newest.add(row * place) }),
                    source: index,
                });
            }
            groups.push((strand.source, first..rows.len()));
        }
        let mut logits = if watch { Vec::new() } else { vec![0f32; rows.len() * c.vocab] };
        let sums = |row: &Row| Mutex::new(vec![0f32; groups[row.source].0.tokens]);
        let watched = watch.then(|| rows.iter().map(sums).collect());
        let mut space = lock(&self.workspace);
        let b = space.fit(rows.len(), c.hidden, c.inner(c.decoder), c.decoder.intermediate);
        let pass = Pass { rows, groups, b, logits: Shared(logits.as_mut_ptr()), watched };
        self.team.run(|me| self.decode_program(me, &pass));
        let sums = pass.watched.into_iter().flatten().map(|m| m.into_inner().unwrap_or_default()).collect();
        (logits, sums)
    }

    fn decode_program(&self, me: &Member<'_>, p: &Pass<'_>) {
        let mut own = Own::default();
        let words = self.target_words.as_ref().unwrap_or(&self.source_words);
        self.embed(me, &p.b, (words, &self.positions[1]), |row| (p.rows[row].token, p.rows[row].position));
        me.wait();
        for (index, layer) in self.decoder.iter().enumerate() {
            self.own_past(me, p, &mut own, (index, &layer.attention));
            if let Some(cross) = &layer.cross {
                self.look_up(me, p, &mut own, (index, cross));
            }
            self.feed(me, &mut own, &p.b, &layer.feed);
        }
        if p.watched.is_some() {
            return;
        }
        let states = self.last(me, &p.b, self.norms[1].as_ref());
        if self.config.logit_scale != 1.0 {
            let h = self.config.hidden;
            let mine = me.part(p.b.rows);
            // SAFETY: members have disjoint rows.
            let part = unsafe { std::slice::from_raw_parts_mut(states.0.add(mine.start * h), mine.len() * h) };
            part.iter_mut().for_each(|x| *x *= self.config.logit_scale);
            me.wait();
        }
        self.product(me, &mut own, (states, p.b.rows), self.output(), p.logits, Epilogue::None);
    }

    /// Self-attention over each row's own past.
    fn own_past(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, (index, layer): (usize, &CpuAttention)) {
        let (c, b) = (&self.config, &p.b);
        let (heads, dim, inner) = (c.decoder.heads, c.head_dim, c.inner(c.decoder));
        let from = self.before(me, b, &layer.norm);
        self.product(me, own, (from, b.rows), &layer.qkv, b.qkv, Epilogue::None);
        me.wait();
        let offset = index * 2 * inner;
        for row in me.part(b.rows) {
            // SAFETY: each row belongs to one member, and its place to the row.
            unsafe {
                let kv = b.qkv.0.add(row * 3 * inner + inner);
                std::ptr::copy_nonoverlapping(kv, p.rows[row].own.0.add(offset), 2 * inner);
            }
        }
        me.wait();
        let mine = me.part(b.rows * heads);
        let mut unit = mine.start;
        while unit < mine.end {
            let (row, head) = (unit / heads, unit % heads);
            let several = head..heads.min(head + mine.end - unit);
            unit += several.len();
            let past = &p.rows[row].past;
            let biases: Vec<&[f32]> = self.biases[1].as_ref().map_or_else(Vec::new, |bias| {
                several.clone().map(|head| bias.row(head, p.rows[row].position, past.len())).collect()
            });
            // SAFETY: addresses come from the row's memory; units are disjoint.
            unsafe {
                let mut work = Indirect {
                    q: b.qkv.0.add(row * 3 * inner),
                    past,
                    offset,
                    value_offset: inner,
                    heads: several,
                    dim,
                    scale: c.attention_scale,
                    biases: &biases,
                    out: Shared(b.context.0.add(row * inner)),
                    scratch: &mut own.indirect,
                };
                indirect(self.isa, &mut work);
            }
        }
        me.wait();
        self.after(me, own, b, b.context, (&layer.out, &layer.norm));
    }

    /// Attention to the source.
    fn look_up(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, (index, layer): (usize, &CpuCross)) {
        let (c, b) = (&self.config, &p.b);
        let (heads, dim, inner) = (c.decoder.heads, c.head_dim, c.inner(c.decoder));
        let from = self.before(me, b, &layer.norm);
        self.product(me, own, (from, b.rows), &layer.q, b.qkv, Epilogue::None);
        me.wait();
        if index >= c.decoder.layers / 2 {
            self.note_attention(me, p, index);
        }
        for unit in me.part(p.groups.len() * heads) {
            let (source, rows) = &p.groups[unit / heads];
            let head = unit % heads;
            // SAFETY: rows of one source and columns of one head are one member's.
            unsafe {
                let at = rows.start * inner + head * dim;
                let mut work = ToSource {
                    q: b.qkv.0.add(at),
                    stride: inner,
                    rows: rows.len(),
                    source: source.head(index, head),
                    scale: c.attention_scale,
                    out: Shared(b.context.0.add(at)),
                    scratch: &mut own.indirect,
                };
                to_source(self.isa, &mut work);
            }
        }
        me.wait();
        self.after(me, own, b, b.context, (&layer.out, &layer.norm));
    }

    /// Adds this layer's attention weights to what is watched. Rare, so in plain loops.
    fn note_attention(&self, me: &Member<'_>, p: &Pass<'_>, index: usize) {
        let Some(watched) = &p.watched else { return };
        let c = &self.config;
        let (dim, inner) = (c.head_dim, c.inner(c.decoder));
        for row in me.part(p.b.rows) {
            let mut sums = lock(&watched[row]);
            let (source, _) = &p.groups[p.rows[row].source];
            for head in 0..c.decoder.heads {
                let SourceHead { keys, width, tokens, .. } = source.head(index, head);
                // SAFETY: the row's queries are computed; keys cover all tokens.
                let score = |t: usize| unsafe {
                    let q = p.b.qkv.0.add(row * inner + head * dim);
                    let key = |d: usize| *keys.add((t / width * dim + d) * width + t % width);
                    (0..dim).map(|d| *q.add(d) * key(d)).sum::<f32>() * c.attention_scale
                };
                let scores: Vec<f32> = (0..tokens).map(score).collect();
                let weights = crate::nn::bert::softmax(&scores);
                sums.iter_mut().zip(weights).for_each(|(s, w)| *s += w as f32);
            }
        }
    }

    /// The likeliest tokens of each row of `logits` (`[rows, vocab]`), shared out over the team.
    pub fn rank(&self, logits: &[f32], banned: &[Vec<u32>], count: usize) -> Vec<Ranked> {
        let vocab = self.config.vocab;
        let results: Vec<Mutex<Ranked>> = banned.iter().map(|_| Mutex::default()).collect();
        self.team.run(|me| {
            for row in me.part(results.len()) {
                let ranked = rank(self.isa, &logits[row * vocab..(row + 1) * vocab], &banned[row], count);
                *lock(&results[row]) = ranked;
            }
        });
        results.into_iter().map(|r| r.into_inner().unwrap_or_default()).collect()
    }
}
