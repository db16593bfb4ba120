//! The encoder on CPU: packed sequences without padding, every stage fused.
//!
//! A batch is one buffer of all its tokens; attention looks up where each sequence begins, so no
//! mask and no padding exist. With much to do each thread takes whole groups of sequences through
//! all layers by itself (no barrier, working set in its L2); with little, the team shares every
//! stage.
#![expect(unsafe_code, reason = "stages of the team write disjoint parts of shared buffers")]

use super::Sequence;
use super::config::Config;
use super::weights::{Embeddings, HeadKind, Keep, Layer, Linear, Norm, Reader};
use super::workspace::{Buffers, Workspace};
use crate::nn::kernels::arena::Arena;
use crate::nn::kernels::attention::{Attention, Scratch, attention};
use crate::nn::kernels::gemm::{Epilogue, Packed, linear};
use crate::nn::kernels::math::{Activation, LayerNormArgs, layer_norm};
use crate::nn::kernels::matrix::{Matrix, Product};
use crate::nn::kernels::team::{Member, Team};
use crate::nn::kernels::{Isa, Shared};
use crate::nn::precision::Precision;
use crate::nn::{NnError, lock};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Tokens that one thread takes through the layers at a time.
const GROUP_TOKENS: usize = 256;
/// Tokens that the team takes through the layers together.
const TEAM_TOKENS: usize = 1024;
/// Rows per thread from which a product is split by rows rather than by columns.
const ROWS_WORTH_SPLITTING: usize = 96;

struct PackedLayer {
    qkv: Matrix,
    out: Matrix,
    norm_attention: Norm,
    up: Matrix,
    down: Matrix,
    norm_output: Norm,
}

struct PackedHead {
    keep: Keep,
    dense: Option<(Packed, Activation)>,
    out: Option<Packed>,
}

/// The encoder and its head, packed for this CPU.
pub struct CpuEncoder {
    config: Config,
    isa: Isa,
    team: Arc<Team>,
    embeddings: Embeddings,
    layers: Vec<PackedLayer>,
    head: PackedHead,
    /// One workspace per thread; the first also serves the whole team.
    workspaces: Vec<Mutex<Workspace>>,
}

impl CpuEncoder {
    /// Reads and packs all weights. `progress` gets the share done, 0 to 1.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, or [`NnError::Stopped`] from `progress`.
    pub fn load(
        reader: &Reader<'_>,
        kind: HeadKind,
        team: Arc<Team>,
        isa: Isa,
        precision: Precision,
        progress: &mut dyn FnMut(f32) -> Result<(), NnError>,
    ) -> Result<Self, NnError> {
        // Blocks of the shipped files are for the disk: as floats they are faster.
        let precision = if precision == Precision::Own { Precision::F32 } else { precision };
        let pack = |l: Linear| Packed::new(isa, &l.weight.to_f32(), &l.bias, l.weight.shape()[1], precision);
        let config = reader.config.clone();
        let embeddings = reader.embeddings()?;
        let head = reader.head(kind)?;
        let head = PackedHead {
            keep: kind.keep(),
            dense: head.dense.map(|(linear, act)| (pack(linear), act)),
            out: head.out.map(pack),
        };
        let mut layers = Vec::with_capacity(config.layers);
        let arena = Arena::default();
        for index in 0..config.layers {
            progress(index as f32 / config.layers as f32)?;
            let Layer { qkv, out, norm_attention, up, down, norm_output } = reader.layer(index)?;
            let [qkv, out, up, down] =
                [qkv, out, up, down].map(|l| Matrix::new(isa, &arena, &l.weight, &l.bias, precision));
            let (h, i) = (config.hidden, config.intermediate);
            qkv.fits("the layer of queries, keys and values", 3 * config.heads * config.head_dim(), h)?;
            out.fits("attention's output", h, h)?;
            up.fits("the feed-forward layer", i, h)?;
            down.fits("the feed-forward output", h, i)?;
            layers.push(PackedLayer { qkv, out, norm_attention, up, down, norm_output });
        }
        let workspaces = (0..team.threads()).map(|_| Mutex::default()).collect();
        Ok(Self { config, isa, team, embeddings, layers, head, workspaces })
    }

    /// The table of words, which stays in its file.
    pub fn words(&self) -> &crate::nn::source::RawTensor {
        &self.embeddings.words
    }

    /// Bytes of packed weights and tables (the mapped word table counts in full).
    pub fn bytes(&self) -> usize {
        let layers: usize =
            self.layers.iter().map(|l| l.qkv.bytes() + l.out.bytes() + l.up.bytes() + l.down.bytes()).sum();
        let tables =
            self.embeddings.words.bytes().len() + 4 * (self.embeddings.positions.len() + self.embeddings.types.len());
        let head = self.head.dense.iter().map(|d| d.0.bytes()).chain(self.head.out.iter().map(Packed::bytes));
        layers + tables + head.sum::<usize>()
    }

    /// The head's output for each sequence, in the order given: one row of a sequence, or a row per
    /// token.
    ///
    /// Ids and lengths have been checked by the caller.
    pub fn outputs(&self, batch: &[Sequence<'_>]) -> Vec<Vec<f32>> {
        // Longest first: the last groups to be handed out are the small ones.
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(batch[i].ids.len()));
        let sorted: Vec<Sequence<'_>> = order.iter().map(|&i| batch[i]).collect();
        let groups = groups(&sorted, GROUP_TOKENS);
        let kept = if self.team.threads() > 1 && groups.len() < 4 * self.team.threads() {
            self.by_team(&sorted)
        } else {
            self.by_groups(&sorted, &groups)
        };
        let pooled = match &self.head.dense {
            Some((dense, activation)) => linear(self.isa, &kept, dense, Some(*activation)),
            None => kept,
        };
        let (rows, width) = match &self.head.out {
            Some(out) => (linear(self.isa, &pooled, out, None), out.n),
            None => (pooled, self.config.hidden),
        };
        let mut result = vec![Vec::new(); batch.len()];
        let mut rest = &rows[..];
        for &i in &order {
            let count = if self.head.keep == Keep::All { batch[i].ids.len() } else { 1 };
            let (mine, later) = rest.split_at(count * width);
            result[i] = mine.to_vec();
            rest = later;
        }
        result
    }

    /// The team goes through the layers together, some [`TEAM_TOKENS`] at a time.
    fn by_team(&self, batch: &[Sequence<'_>]) -> Vec<f32> {
        let mut kept = Vec::new();
        for range in groups(batch, TEAM_TOKENS) {
            let part = &batch[range];
            let mut space = lock(&self.workspaces[0]);
            let buffers = space.fit(&self.config, part);
            self.team.run(|me| self.forward(me, part, &buffers));
            kept.extend(buffers.kept.into_inner().unwrap_or_default());
        }
        kept
    }

    /// Each thread takes whole groups through all layers.
    fn by_groups(&self, batch: &[Sequence<'_>], groups: &[Range<usize>]) -> Vec<f32> {
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Vec<f32>>> = groups.iter().map(|_| Mutex::default()).collect();
        self.team.run(|me| {
            let mut space = lock(&self.workspaces[me.index]);
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(range) = groups.get(at) else { break };
                let part = &batch[range.clone()];
                let buffers = space.fit(&self.config, part);
                self.forward(&Member::alone(), part, &buffers);
                *lock(&results[at]) = buffers.kept.into_inner().unwrap_or_default();
            }
        });
        results.into_iter().flat_map(|r| r.into_inner().unwrap_or_default()).collect()
    }

    /// One member's part of the forward pass. What the head reads, `[sequences, hidden]` or
    /// `[tokens, hidden]`, is left in `b.kept`.
    fn forward(&self, me: &Member<'_>, batch: &[Sequence<'_>], b: &Buffers<'_>) {
        let tokens = *b.starts.last().unwrap_or(&0);
        let mut scratch = Scratch::default();
        let codes = &mut Vec::new();
        self.embed(me, batch, b);
        me.wait();
        for (index, layer) in self.layers.iter().enumerate() {
            // SAFETY: every product reads buffers that no stage before the next barrier writes.
            unsafe {
                self.product(me, codes, (b.x, tokens), &layer.qkv, b.qkv, Epilogue::None);
            }
            me.wait();
            let last = self.head.keep == Keep::First && index + 1 == self.layers.len();
            self.attend(b, index, &mut scratch);
            me.wait();
            // A head that reads only the first token: the last layer's rest is for those rows alone.
            let rows = if last { batch.len() } else { tokens };
            if last {
                self.keep_first_rows(me, b);
                me.wait();
            }
            // SAFETY: as above.
            unsafe {
                self.product(me, codes, (b.context, rows), &layer.out, b.x, Epilogue::Accumulate);
            }
            me.wait();
            self.normalize(me, b.x, rows, &layer.norm_attention);
            me.wait();
            let act = Epilogue::Activate(self.config.activation);
            // SAFETY: as above.
            unsafe { self.product(me, codes, (b.x, rows), &layer.up, b.wide, act) };
            me.wait();
            // SAFETY: as above.
            unsafe {
                self.product(me, codes, (b.wide, rows), &layer.down, b.x, Epilogue::Accumulate);
            }
            me.wait();
            self.normalize(me, b.x, rows, &layer.norm_output);
            me.wait();
        }
        if me.index == 0 {
            self.keep_rows(batch.len(), b);
        }
    }

    /// Copies what the head reads out of `x`.
    fn keep_rows(&self, sequences: usize, b: &Buffers<'_>) {
        let h = self.config.hidden;
        let first = self.head.keep == Keep::First;
        let count = if first { sequences } else { b.starts[sequences] };
        // SAFETY: `x` holds a row per token; all members have passed the last barrier.
        let rows = unsafe { std::slice::from_raw_parts(b.x.0, count * h) };
        *lock(&b.kept) = if self.head.keep == Keep::Mean {
            b.starts.windows(2).flat_map(|s| mean(&rows[s[0] * h..s[1] * h], h)).collect()
        } else {
            rows.to_vec()
        };
    }

    /// Word + position + type embeddings and their layer norm into `x`.
    fn embed(&self, me: &Member<'_>, batch: &[Sequence<'_>], b: &Buffers<'_>) {
        let h = self.config.hidden;
        let e = &self.embeddings;
        let mine = me.part(*b.starts.last().unwrap_or(&0));
        let mut sequence = b.starts.partition_point(|&s| s <= mine.start).saturating_sub(1);
        for token in mine.clone() {
            while token >= b.starts[sequence + 1] {
                sequence += 1;
            }
            let at = token - b.starts[sequence];
            let Sequence { ids, types } = batch[sequence];
            // SAFETY: each token's row belongs to one member.
            let row = unsafe { std::slice::from_raw_parts_mut(b.x.0.add(token * h), h) };
            e.words.row(ids[at] as usize, row);
            let kind = types.get(at).map_or(0, |t| *t as usize);
            let kinds = e.types.get(kind * h..(kind + 1) * h);
            for (c, x) in row.iter_mut().enumerate() {
                *x += e.positions[at * h + c] + kinds.map_or(0.0, |k| k[c]);
            }
        }
        self.normalize_rows(b.x, mine, &e.norm);
    }

    /// # Safety
    /// `a` holds `rows` rows as wide as `weight` reads, `c` as it writes; no other stage touches `c` until
    /// the next barrier.
    unsafe fn product(
        &self,
        me: &Member<'_>,
        scratch: &mut Vec<f32>,
        (a, rows): (Shared, usize),
        weight: &Matrix,
        c: Shared,
        epilogue: Epilogue,
    ) {
        let by_rows = rows >= ROWS_WORTH_SPLITTING * me.count;
        let all = weight.panel_count();
        let p = Product {
            a: a.0,
            c,
            rows: if by_rows { me.part(rows) } else { 0..rows },
            panels: if by_rows { 0..all } else { me.part(all) },
            epilogue,
            scratch,
        };
        // SAFETY: shapes as above; members have disjoint rows or disjoint panels.
        unsafe { weight.product(self.isa, p) };
    }

    fn attend(&self, b: &Buffers<'_>, layer: usize, scratch: &mut Scratch) {
        let (h, heads, dim) = (self.config.hidden, self.config.heads, self.config.head_dim());
        let units = (b.starts.len() - 1) * heads;
        let first_only = self.head.keep == Keep::First && layer + 1 == self.config.layers;
        loop {
            let unit = b.next[layer].fetch_add(1, Ordering::Relaxed);
            if unit >= units {
                break;
            }
            let (sequence, head) = (unit / heads, unit % heads);
            let (start, end) = (b.starts[sequence], b.starts[sequence + 1]);
            // SAFETY: the sequence's rows are inside the buffers; each unit is taken once and
            // writes its own rows and columns.
            unsafe {
                let mut unit = Attention {
                    qkv: b.qkv.0.add(start * 3 * h),
                    stride: 3 * h,
                    columns: [head * dim, h + head * dim, 2 * h + head * dim],
                    head_dim: dim,
                    tokens: end - start,
                    queries: if first_only { 1 } else { end - start },
                    scale: 1.0 / (dim as f32).sqrt(),
                    bias: std::ptr::null(),
                    out: Shared(b.context.0.add(start * h + head * dim)),
                    out_stride: h,
                    scratch,
                };
                attention(self.isa, &mut unit);
            }
        }
    }

    /// Moves the first token's rows of `x` and `context` to the front.
    fn keep_first_rows(&self, me: &Member<'_>, b: &Buffers<'_>) {
        let h = self.config.hidden;
        if me.index == 0 {
            for (i, &start) in b.starts[..b.starts.len() - 1].iter().enumerate() {
                for buffer in [b.x, b.context] {
                    // SAFETY: one member alone; a row moves to itself or to an earlier place.
                    unsafe { std::ptr::copy(buffer.0.add(start * h), buffer.0.add(i * h), h) };
                }
            }
        }
    }

    fn normalize(&self, me: &Member<'_>, x: Shared, rows: usize, norm: &Norm) {
        self.normalize_rows(x, me.part(rows), norm);
    }

    fn normalize_rows(&self, x: Shared, rows: Range<usize>, norm: &Norm) {
        let width = self.config.hidden;
        // SAFETY: members have disjoint rows.
        let rows = unsafe { std::slice::from_raw_parts_mut(x.0.add(rows.start * width), rows.len() * width) };
        let (gamma, beta, eps) = (&norm.gamma[..], &norm.beta[..], self.config.eps);
        layer_norm(self.isa, LayerNormArgs { rows, width, gamma, beta, eps });
    }
}

/// The mean of `rows`, each `width` long.
fn mean(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0f32; width];
    for row in rows.chunks_exact(width) {
        for (s, x) in sum.iter_mut().zip(row) {
            *s += x;
        }
    }
    let share = width as f32 / rows.len().max(1) as f32;
    sum.iter_mut().for_each(|s| *s *= share);
    sum
}

/// Consecutive sequences of at most `tokens` together (one longer sequence stands alone).
fn groups(batch: &[Sequence<'_>], tokens: usize) -> Vec<Range<usize>> {
    let mut result = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (i, sequence) in batch.iter().enumerate() {
        if i > start && sum + sequence.ids.len() > tokens {
            result.push(start..i);
            (start, sum) = (i, 0);
        }
        sum += sequence.ids.len();
    }
    if start < batch.len() {
        result.push(start..batch.len());
    }
    result
}
