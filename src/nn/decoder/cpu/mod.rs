//! The decoder on CPU: one program that a team of threads runs together, stage by stage.
#![expect(unsafe_code, reason = "stages of the team write disjoint parts of shared buffers")]

use super::Want;
use super::cache::CpuCache;
use super::config::Config;
use super::layer::CpuLayer;
use super::rotary::{Frequencies, Tables};
use super::weights::{Norm, Reader};
use crate::nn::kernels::arena::Arena;
use crate::nn::kernels::causal::{Causal, CausalScratch, HeadCache, causal};
use crate::nn::kernels::gemm::Epilogue;
use crate::nn::kernels::math::{LayerNormArgs, RmsNormArgs, activate_rows, gate, layer_norm, rms_norm};
use crate::nn::kernels::matrix::{Matrix, Product};
use crate::nn::kernels::team::{Member, Team};
use crate::nn::kernels::{Isa, Shared};
use crate::nn::precision::Precision;
use crate::nn::{NnError, lock};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Rows up to which every thread normalizes all of them for itself rather than meet the others.
const FEW_ROWS: usize = 4;
/// Query rows that one unit of attention takes.
const UNIT_ROWS: usize = 48;

/// The decoder, packed for this CPU.
pub struct CpuDecoder {
    config: Config,
    isa: Isa,
    team: Arc<Team>,
    words: Option<Matrix>,
    positions: Vec<f32>,
    frequencies: Option<Frequencies>,
    layers: Vec<CpuLayer>,
    norm: Norm,
    output: Matrix,
    workspace: Mutex<Workspace>,
}

/// Activations of a chunk of tokens, `[tokens, width]` each.
#[derive(Default)]
struct Workspace {
    x: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    context: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    branch: Vec<f32>,
    tables: Tables,
}

/// What the members of a team share in a forward pass.
struct Pass<'a> {
    ids: &'a [u32],
    /// Position of the first of `ids`.
    base: usize,
    x: Shared,
    normed: Shared,
    q: Shared,
    k: Shared,
    v: Shared,
    context: Shared,
    gate: Shared,
    up: Shared,
    branch: Shared,
    logits: Shared,
    /// Rows whose logits are wanted.
    wanted: Range<usize>,
    tables: &'a Tables,
    heads: &'a [HeadCache],
    /// Next unit of attention, one counter per layer.
    next: &'a [AtomicUsize],
}

// SAFETY: the raw pointers inside are written to in disjoint parts between barriers.
unsafe impl Sync for Pass<'_> {}

/// Buffers of one thread.
#[derive(Default)]
struct Own {
    normed: Vec<f32>,
    scratch: Vec<f32>,
    attention: CausalScratch,
}

impl CpuDecoder {
    /// Reads and packs all weights. `progress` gets the share done, 0 to 1.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, or [`NnError::Stopped`] from `progress`.
    pub fn load(
        reader: &Reader<'_>,
        team: Arc<Team>,
        isa: Isa,
        kept: Precision,
        progress: &mut dyn FnMut(f32) -> Result<(), NnError>,
    ) -> Result<Self, NnError> {
        let config = reader.config.clone();
        let arena = Arena::default();
        let ends = reader.ends()?;
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            progress(index as f32 / (config.layers + 1) as f32)?;
            layers.push(CpuLayer::new(isa, &arena, (reader.layer(index)?, &config), kept)?);
        }
        progress(config.layers as f32 / (config.layers + 1) as f32)?;
        let frequencies = Frequencies::new(&config, &ends.factors);
        // Rounded to bytes, a table loses more than the layers do: it stays as it is.
        let kept = if kept == Precision::Int8 { Precision::Own } else { kept };
        let words = Matrix::new(isa, &arena, &ends.words, &[], kept);
        let (words, output) = match &ends.output {
            Some(output) => (Some(words), Matrix::new(isa, &arena, output, &[], kept)),
            None => (None, words),
        };
        words.iter().chain([&output]).try_for_each(|t| t.fits("a table of words", config.vocab, config.hidden))?;
        let (positions, norm, workspace) = (ends.positions, ends.norm, Mutex::default());
        Ok(Self { config, isa, team, words, positions, frequencies, layers, norm, output, workspace })
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let words = self.words.as_ref().map_or(0, Matrix::bytes);
        self.layers.iter().map(CpuLayer::bytes).sum::<usize>() + words + self.output.bytes() + self.positions.len() * 4
    }

    /// An empty cache.
    pub fn cache(&self) -> CpuCache {
        CpuCache::new(&self.config, self.isa.panel())
    }

    /// Reads `ids` after what `cache` holds; logits `[wanted rows, vocab]`.
    ///
    /// Ids and lengths have been checked by the caller.
    pub fn forward(&self, cache: &mut CpuCache, ids: &[u32], want: Want) -> Vec<f32> {
        let (c, base) = (&self.config, cache.len);
        cache.reserve(ids.len(), c.context);
        let heads: Vec<HeadCache> =
            (0..c.layers * c.kv_heads).map(|i| cache.head(i / c.kv_heads, i % c.kv_heads)).collect();
        let mut space = lock(&self.workspace);
        let space = &mut *space;
        if let Some(frequencies) = &self.frequencies {
            frequencies.fill(base, ids.len(), &mut space.tables);
        }
        let wanted = match want {
            Want::Nothing => 0..0,
            Want::Last => ids.len() - 1..ids.len(),
            Want::All => 0..ids.len(),
        };
        let mut logits = vec![0f32; wanted.len() * c.vocab];
        let buffer = |v: &mut Vec<f32>, width: usize| {
            if v.len() < ids.len() * width {
                v.resize(ids.len() * width, 0.0);
            }
            Shared(v.as_mut_ptr())
        };
        let (wide, narrow) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let next: Vec<AtomicUsize> = (0..c.layers).map(|_| AtomicUsize::new(0)).collect();
        let pass = Pass {
            ids,
            base,
            x: buffer(&mut space.x, c.hidden),
            normed: buffer(&mut space.normed, c.hidden),
            q: buffer(&mut space.q, wide),
            k: buffer(&mut space.k, narrow),
            v: buffer(&mut space.v, narrow),
            context: buffer(&mut space.context, wide),
            gate: buffer(&mut space.gate, c.intermediate),
            up: buffer(&mut space.up, c.intermediate),
            branch: buffer(&mut space.branch, c.hidden),
            logits: Shared(logits.as_mut_ptr()),
            wanted,
            tables: &space.tables,
            heads: &heads,
            next: &next,
        };
        self.team.run(|me| self.run(me, &pass));
        cache.len += ids.len();
        logits
    }

    /// One member's part of the forward pass.
    fn run(&self, me: &Member<'_>, p: &Pass<'_>) {
        let mut own = Own::default();
        self.embed(me, p);
        me.wait();
        for (index, layer) in self.layers.iter().enumerate() {
            // Of the last layer all keys and values are kept, the rest is for wanted rows alone.
            let rows = if index + 1 == self.layers.len() { p.wanted.clone() } else { 0..p.ids.len() };
            self.attention(me, p, &mut own, index, rows.clone());
            if rows.is_empty() {
                return;
            }
            self.mlp(me, p, &mut own, layer, rows);
        }
        let rows = p.wanted.clone();
        let normed = self.normalize(me, p, &mut own, &self.norm, rows.clone());
        let a = normed.cast_const();
        let panels = me.part(self.output.panel_count());
        let rows = 0..rows.len();
        let work = Product { a, c: p.logits, rows, panels, epilogue: Epilogue::None, scratch: &mut own.scratch };
        // SAFETY: logits hold the wanted rows; members have disjoint panels.
        unsafe { self.output.product(self.isa, work) };
    }

    fn embed(&self, me: &Member<'_>, p: &Pass<'_>) {
        let h = self.config.hidden;
        let words = self.words.as_ref().unwrap_or(&self.output);
        for token in me.part(p.ids.len()) {
            // SAFETY: each token's row belongs to one member.
            let row = unsafe { std::slice::from_raw_parts_mut(p.x.0.add(token * h), h) };
            words.row(p.ids[token] as usize, row);
            for x in row.iter_mut() {
                *x *= self.config.embedding_scale;
            }
            if let Some(position) = self.positions.get((p.base + token) * h..(p.base + token + 1) * h) {
                row.iter_mut().zip(position).for_each(|(x, p)| *x += p);
            }
        }
    }

    fn attention(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, index: usize, rows: Range<usize>) {
        let (all, layer) = (p.ids.len(), &self.layers[index]);
        let normed = self.normalize(me, p, own, &layer.norm_attention, 0..all);
        let parts = [(&layer.q, p.q), (&layer.k, p.k), (&layer.v, p.v)];
        self.products(me, own, normed, all, &parts);
        me.wait();
        self.rotate_and_store(me, p, index, layer);
        me.wait();
        if rows.is_empty() {
            return;
        }
        self.attend(me, p, own, index, rows.clone());
        me.wait();
        // SAFETY: inside the buffer, which holds all rows.
        let context = Shared(unsafe { p.context.0.add(rows.start * self.config.heads * self.config.head_dim) });
        self.residual(me, p, own, context, (&layer.out, layer.post_attention.as_ref()), rows);
    }

    fn mlp(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, layer: &CpuLayer, wanted: Range<usize>) {
        let (rows, ff) = (wanted.len(), self.config.intermediate);
        let normed = self.normalize(me, p, own, &layer.norm_mlp, wanted.clone());
        let panels = me.part(layer.up.panel_count());
        for (matrix, to) in layer.gate.iter().map(|g| (g, p.gate)).chain([(&layer.up, p.up)]) {
            let (a, panels) = (normed.cast_const(), panels.clone());
            let work = Product { a, c: to, rows: 0..rows, panels, epilogue: Epilogue::None, scratch: &mut own.scratch };
            // SAFETY: members have disjoint panels; both matrices are cut alike.
            unsafe { matrix.product(self.isa, work) };
        }
        // The same columns that this member has just computed.
        let width = self.isa.panel();
        let columns = (panels.start * width).min(ff)..(panels.end * width).min(ff);
        let act = self.config.activation;
        for row in 0..rows {
            // SAFETY: these columns of these rows are this member's.
            unsafe {
                let part = |s: Shared| std::slice::from_raw_parts_mut(s.0.add(row * ff + columns.start), columns.len());
                match layer.gate {
                    Some(_) => gate(self.isa, act, part(p.gate), part(p.up)),
                    None => activate_rows(self.isa, act, part(p.up)),
                }
            }
        }
        me.wait();
        let hidden = if layer.gate.is_some() { p.gate } else { p.up };
        self.residual(me, p, own, hidden, (&layer.down, layer.post_mlp.as_ref()), wanted);
    }

    /// Adds `matrix · from` to rows `wanted` of `x`, through a norm where the family has one, and
    /// meets the others.
    fn residual(
        &self,
        me: &Member<'_>,
        p: &Pass<'_>,
        own: &mut Own,
        from: Shared,
        (matrix, post): (&Matrix, Option<&Norm>),
        wanted: Range<usize>,
    ) {
        let (rows, h) = (wanted.len(), self.config.hidden);
        // SAFETY: inside the buffer, which holds all rows.
        let x = Shared(unsafe { p.x.0.add(wanted.start * h) });
        let (to, epilogue) = if post.is_some() { (p.branch, Epilogue::None) } else { (x, Epilogue::Accumulate) };
        let panels = me.part(matrix.panel_count());
        let (a, scratch) = (from.0.cast_const(), &mut own.scratch);
        // SAFETY: members have disjoint panels of `to`.
        unsafe { matrix.product(self.isa, Product { a, c: to, rows: 0..rows, panels, epilogue, scratch }) };
        me.wait();
        let Some(norm) = post else { return };
        for row in me.part(rows) {
            // SAFETY: each row belongs to one member.
            let (branch, x) = unsafe {
                let slice = |s: Shared| std::slice::from_raw_parts_mut(s.0.add(row * h), h);
                (slice(p.branch), slice(x))
            };
            own.normed.resize(own.normed.len().max(h), 0.0);
            self.normalize_rows(branch, &mut own.normed[..h], norm);
            x.iter_mut().zip(&own.normed).for_each(|(x, b)| *x += b);
        }
        me.wait();
    }

    /// Normalized rows of `x`: of few rows every member makes its own copy, of many each a part.
    fn normalize(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, norm: &Norm, rows: Range<usize>) -> *mut f32 {
        let h = self.config.hidden;
        let few = rows.len() <= FEW_ROWS;
        let mine = if few { 0..rows.len() } else { me.part(rows.len()) };
        // SAFETY: `x` is only read here; each member writes its own rows or its own buffer.
        unsafe {
            let from = std::slice::from_raw_parts(p.x.0.add((rows.start + mine.start) * h), mine.len() * h);
            if few {
                own.normed.resize(own.normed.len().max(rows.len() * h), 0.0);
                self.normalize_rows(from, &mut own.normed[..rows.len() * h], norm);
                return own.normed.as_mut_ptr();
            }
            let to = std::slice::from_raw_parts_mut(p.normed.0.add(mine.start * h), mine.len() * h);
            self.normalize_rows(from, to, norm);
        }
        me.wait();
        p.normed.0
    }

    fn normalize_rows(&self, from: &[f32], to: &mut [f32], norm: &Norm) {
        let (gamma, eps) = (&norm.gamma[..], self.config.eps);
        if norm.beta.is_empty() {
            rms_norm(self.isa, RmsNormArgs { from, to, gamma, eps });
        } else {
            to.copy_from_slice(from);
            layer_norm(self.isa, LayerNormArgs { rows: to, width: gamma.len(), gamma, beta: &norm.beta, eps });
        }
    }

    /// Several products of one input, their panels shared out as one run.
    fn products(&self, me: &Member<'_>, own: &mut Own, a: *mut f32, rows: usize, parts: &[(&Matrix, Shared)]) {
        let mine = me.part(parts.iter().map(|p| p.0.panel_count()).sum());
        let mut before = 0;
        for (matrix, to) in parts {
            let count = matrix.panel_count();
            let local =
                mine.start.clamp(before, before + count) - before..mine.end.clamp(before, before + count) - before;
            if !local.is_empty() {
                let scratch = &mut own.scratch;
                let (a, epilogue) = (a.cast_const(), Epilogue::None);
                let work = Product { a, c: *to, rows: 0..rows, panels: local, epilogue, scratch };
                // SAFETY: members have disjoint panels.
                unsafe { matrix.product(self.isa, work) };
            }
            before += count;
        }
    }

    /// Norms and rotates queries and keys; puts keys and values into the cache.
    fn rotate_and_store(&self, me: &Member<'_>, p: &Pass<'_>, index: usize, layer: &CpuLayer) {
        let c = &self.config;
        let table = if c.is_local(index) { &p.tables.local } else { &p.tables.global };
        let prepare = |row: usize, head: &mut [f32], norm: Option<&Vec<f32>>| {
            if let Some(gamma) = norm {
                let from = head.to_vec();
                rms_norm(self.isa, RmsNormArgs { from: &from, to: head, gamma, eps: c.eps });
            }
            if let (true, Some(f)) = (c.is_rotated(index), &self.frequencies) {
                table.rotate(row, head, f.is_interleaved());
            }
        };
        // Units are heads: first the keys', then the queries'.
        for unit in me.part(c.kv_heads + c.heads) {
            for row in 0..p.ids.len() {
                // SAFETY: each head belongs to one member; the cache has room for every position.
                unsafe {
                    if unit < c.kv_heads {
                        let at = (row * c.kv_heads + unit) * c.head_dim;
                        let key = std::slice::from_raw_parts_mut(p.k.0.add(at), c.head_dim);
                        prepare(row, key, layer.k_norm.as_ref());
                        let cache = &p.heads[index * c.kv_heads + unit];
                        cache.put(p.base + row, key.as_ptr(), p.v.0.add(at));
                    } else {
                        let at = (row * c.heads + unit - c.kv_heads) * c.head_dim;
                        let query = std::slice::from_raw_parts_mut(p.q.0.add(at), c.head_dim);
                        prepare(row, query, layer.q_norm.as_ref());
                    }
                }
            }
        }
    }

    fn attend(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, index: usize, rows: Range<usize>) {
        let c = &self.config;
        let group = c.heads / c.kv_heads;
        // A single token with few key heads would leave threads idle: then by query head.
        let each = if rows.len() == 1 && !c.kv_heads.is_multiple_of(me.count) { 1 } else { group };
        let length = (UNIT_ROWS / each).max(1);
        let (blocks, sets) = (rows.len().div_ceil(length), c.heads / each);
        loop {
            // Later blocks see more: they go first.
            let unit = p.next[index].fetch_add(1, Ordering::Relaxed);
            if unit >= blocks * sets {
                break;
            }
            let (block, set) = (blocks - 1 - unit / sets, unit % sets);
            let mut work = Causal {
                q: p.q.0,
                q_stride: c.heads * c.head_dim,
                heads: set * each..(set + 1) * each,
                tokens: rows.start + block * length..rows.end.min(rows.start + (block + 1) * length),
                base: p.base,
                cache: p.heads[index * c.kv_heads + set * each / group],
                window: c.window.filter(|_| c.is_local(index)),
                scale: c.attention_scale,
                out: p.context,
                scratch: &mut own.attention,
            };
            // SAFETY: each unit is taken once and writes its own rows and columns.
            unsafe { causal(self.isa, &mut work) };
        }
    }
}
