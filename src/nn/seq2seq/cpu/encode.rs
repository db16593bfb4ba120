//! The encoder, and the keys and values that the decoder will look up.

use super::stage::{Buffers, Own};
use super::{CpuAttention, CpuModel, CpuSource};
use crate::nn::kernels::Shared;
use crate::nn::kernels::attention::{Attention, Scratch, attention};
use crate::nn::kernels::gemm::Epilogue;
use crate::nn::kernels::indirect::SourceHead;
use crate::nn::kernels::team::Member;
use crate::nn::lock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the members share.
struct Pass<'a> {
    batch: &'a [&'a [u32]],
    /// First row of each sequence, and the total.
    starts: Vec<usize>,
    b: Buffers,
    /// Where each sequence's keys and values go.
    sources: Vec<Shared>,
    /// Next unit, one counter per stage that has some.
    next: Vec<AtomicUsize>,
}

impl CpuModel {
    /// The last states `[tokens, hidden]` of each sequence, for tests.
    pub fn states(&self, batch: &[&[u32]]) -> Vec<Vec<f32>> {
        self.encoded(batch, true).1
    }

    /// Reads sources; ids and lengths have been checked by the caller.
    pub fn encode(&self, batch: &[&[u32]]) -> Vec<CpuSource> {
        self.encoded(batch, false).0
    }

    /// Sources, and the states if they are wanted.
    fn encoded(&self, batch: &[&[u32]], wanted: bool) -> (Vec<CpuSource>, Vec<Vec<f32>>) {
        let c = &self.config;
        let mut starts = vec![0];
        for ids in batch {
            starts.push(starts.last().copied().unwrap_or(0) + ids.len());
        }
        let rows = *starts.last().unwrap_or(&0);
        let (heads, dim, width) = (c.decoder.heads, c.head_dim, self.isa.panel());
        let mut sources: Vec<CpuSource> =
            batch.iter().map(|ids| CpuSource { data: Vec::new(), tokens: ids.len(), heads, dim, width }).collect();
        for source in &mut sources {
            source.data = vec![0f32; c.decoder.layers * heads * source.run()];
        }
        let mut space = lock(&self.workspace);
        let inner = c.inner(c.encoder).max(c.inner(c.decoder));
        let b = space.fit(rows, c.hidden, inner, c.encoder.intermediate);
        let places = sources.iter_mut().map(|s| Shared(s.data.as_mut_ptr())).collect();
        let next = (0..c.encoder.layers).map(|_| AtomicUsize::new(0)).collect();
        let pass = Pass { batch, starts, b, sources: places, next };
        self.team.run(|me| self.encode_program(me, &pass));
        if !wanted {
            return (sources, Vec::new());
        }
        let last = if self.norms[0].is_some() { pass.b.normed } else { pass.b.x };
        // SAFETY: the team has ended; the buffer holds all rows.
        let all = unsafe { std::slice::from_raw_parts(last.0, rows * c.hidden) };
        let states = pass.starts.windows(2).map(|w| all[w[0] * c.hidden..w[1] * c.hidden].to_vec()).collect();
        (sources, states)
    }

    fn encode_program(&self, me: &Member<'_>, p: &Pass<'_>) {
        let (mut own, mut scratch) = (Own::default(), Scratch::default());
        self.embed(me, &p.b, (&self.source_words, &self.positions[0]), |row| {
            let sequence = p.starts.partition_point(|s| *s <= row) - 1;
            let at = row - p.starts[sequence];
            (p.batch[sequence][at], at)
        });
        me.wait();
        for (index, layer) in self.encoder.iter().enumerate() {
            self.encoder_attention(me, p, &mut own, &mut scratch, (index, &layer.attention));
            self.feed(me, &mut own, &p.b, &layer.feed);
        }
        let states = self.last(me, &p.b, self.norms[0].as_ref());
        self.keep(me, p, &mut own, states);
    }

    fn encoder_attention(
        &self,
        me: &Member<'_>,
        p: &Pass<'_>,
        own: &mut Own,
        scratch: &mut Scratch,
        (index, layer): (usize, &CpuAttention),
    ) {
        let (c, b) = (&self.config, &p.b);
        let from = self.before(me, b, &layer.norm);
        self.product(me, own, (from, b.rows), &layer.qkv, b.qkv, Epilogue::None);
        me.wait();
        let (heads, dim, inner) = (c.encoder.heads, c.head_dim, c.inner(c.encoder));
        loop {
            let unit = p.next[index].fetch_add(1, Ordering::Relaxed);
            if unit >= p.batch.len() * heads {
                break;
            }
            let (sequence, head) = (unit / heads, unit % heads);
            let start = p.starts[sequence];
            let tokens = p.batch[sequence].len();
            // SAFETY: the sequence's rows are inside the buffers; each unit is taken once and
            // writes its own rows and columns.
            unsafe {
                let mut unit = Attention {
                    qkv: b.qkv.0.add(start * 3 * inner),
                    stride: 3 * inner,
                    columns: [head * dim, inner + head * dim, 2 * inner + head * dim],
                    head_dim: dim,
                    tokens,
                    queries: tokens,
                    scale: c.attention_scale,
                    bias: self.biases[0].as_ref().map_or(std::ptr::null(), |bias| bias.at_zero(head)),
                    out: Shared(b.context.0.add(start * inner + head * dim)),
                    out_stride: inner,
                    scratch,
                };
                attention(self.isa, &mut unit);
            }
        }
        me.wait();
        self.after(me, own, b, b.context, (&layer.out, &layer.norm));
    }

    /// Keys and values of every decoder layer, packed.
    fn keep(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, states: Shared) {
        let c = &self.config;
        let (heads, dim, inner, width) = (c.decoder.heads, c.head_dim, c.inner(c.decoder), self.isa.panel());
        for (index, cross) in self.decoder.iter().enumerate().filter_map(|(i, l)| Some((i, l.cross.as_ref()?))) {
            self.product(me, own, (states, p.b.rows), &cross.kv, p.b.qkv, Epilogue::None);
            me.wait();
            for unit in me.part(p.batch.len() * heads) {
                let (sequence, head) = (unit / heads, unit % heads);
                let tokens = p.batch[sequence].len();
                let (keys, values) = SourceHead::sizes(tokens, dim, width);
                let run = keys + values;
                // SAFETY: each member packs its own heads, inside the source's buffer.
                unsafe {
                    let to = p.sources[sequence].0.add((index * heads + head) * run);
                    let to = std::slice::from_raw_parts_mut(to, run);
                    let row = p.b.qkv.0.add(p.starts[sequence] * 2 * inner + head * dim);
                    SourceHead::pack(to, [tokens, dim, width], row, row.add(inner), 2 * inner);
                }
            }
            me.wait();
        }
    }
}
