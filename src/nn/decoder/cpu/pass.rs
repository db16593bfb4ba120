//! One forward pass, as every member of the team runs it.
#![expect(unsafe_code, reason = "stages of the team write disjoint parts of shared buffers")]

use super::CpuDecoder;
use super::rows::{Block, Rows, TextRows};
use crate::nn::decoder::layer::CpuLayer;
use crate::nn::decoder::rotary::Tables;
use crate::nn::decoder::weights::Norm;
use crate::nn::kernels::Shared;
use crate::nn::kernels::causal::{Causal, CausalScratch, HeadPages, causal};
use crate::nn::kernels::gemm::Epilogue;
use crate::nn::kernels::math::{LayerNormArgs, RmsNormArgs, activate_rows, gate, layer_norm, rms_norm};
use crate::nn::kernels::matrix::{Matrix, Product};
use crate::nn::kernels::team::Member;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows up to which every thread normalizes all of them for itself rather than meet the others.
const FEW_ROWS: usize = 16;

/// What the members of a team share in a forward pass.
pub(super) struct Pass<'a> {
    pub rows: Rows,
    /// Blocks of attention: of all rows, and of those wanted, for the last layer.
    pub blocks: [Vec<Block>; 2],
    pub x: Shared,
    pub normed: Shared,
    pub q: Shared,
    pub k: Shared,
    pub v: Shared,
    pub context: Shared,
    pub gate: Shared,
    pub up: Shared,
    pub branch: Shared,
    pub logits: Shared,
    pub tables: &'a Tables,
    /// Next unit of attention, one counter per layer.
    pub next: &'a [AtomicUsize],
}

// SAFETY: the raw pointers inside are written to in disjoint parts between barriers.
unsafe impl Sync for Pass<'_> {}

/// Buffers of one thread.
#[derive(Default)]
struct Own {
    pub normed: Vec<f32>,
    scratch: Vec<f32>,
    attention: CausalScratch,
}

impl CpuDecoder {
    /// One member's part of the forward pass.
    pub(super) fn run_pass(&self, me: &Member<'_>, p: &Pass<'_>) {
        let mut own = Own::default();
        self.embed(me, p);
        me.wait();
        for (index, layer) in self.layers.iter().enumerate() {
            // Of the last layer all keys and values are kept, the rest is for wanted rows alone.
            let rows = if index + 1 == self.layers.len() { p.rows.wanted } else { p.rows.ids.len() };
            self.attention(me, p, &mut own, index, rows);
            if rows == 0 {
                return;
            }
            self.mlp(me, p, &mut own, layer, rows);
        }
        let rows = p.rows.wanted;
        let a = self.normalize(me, p, &mut own, &self.norm, rows).cast_const();
        let (panels, rows) = (me.part(self.output.panel_count()), 0..rows);
        let work = Product { a, c: p.logits, rows, panels, epilogue: Epilogue::None, scratch: &mut own.scratch };
        // SAFETY: logits hold the wanted rows; members have disjoint panels.
        unsafe { self.output.product(self.isa, work) };
    }

    fn embed(&self, me: &Member<'_>, p: &Pass<'_>) {
        let h = self.config.hidden;
        let words = self.words.as_ref().unwrap_or(&self.output);
        for token in me.part(p.rows.ids.len()) {
            // SAFETY: each token's row belongs to one member.
            let row = unsafe { std::slice::from_raw_parts_mut(p.x.0.add(token * h), h) };
            #[cfg(test)]
            assert!(self.trip != Some(p.rows.ids[token]), "the kernel trips");
            words.row(p.rows.ids[token] as usize, row);
            for x in row.iter_mut() {
                *x *= self.config.embedding_scale;
            }
            let at = p.rows.positions[token] as usize;
            if let Some(position) = self.positions.get(at * h..(at + 1) * h) {
                row.iter_mut().zip(position).for_each(|(x, p)| *x += p);
            }
        }
    }

    fn attention(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, index: usize, rows: usize) {
        let (all, layer) = (p.rows.ids.len(), &self.layers[index]);
        let normed = self.normalize(me, p, own, &layer.norm_attention, all);
        let parts = [(&layer.q, p.q), (&layer.k, p.k), (&layer.v, p.v)];
        self.products(me, own, normed, all, &parts);
        me.wait();
        self.rotate_and_store(me, p, index, layer);
        me.wait();
        if rows == 0 {
            return;
        }
        self.attend(me, p, own, index);
        me.wait();
        self.residual(me, p, own, p.context, (&layer.out, layer.post_attention.as_ref()), rows);
    }

    fn mlp(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, layer: &CpuLayer, rows: usize) {
        let ff = self.config.intermediate;
        let normed = self.normalize(me, p, own, &layer.norm_mlp, rows);
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
        self.residual(me, p, own, hidden, (&layer.down, layer.post_mlp.as_ref()), rows);
    }

    /// Adds `matrix · from` to the first `rows` of `x`, through a norm where the family has one, and
    /// meets the others.
    fn residual(
        &self,
        me: &Member<'_>,
        p: &Pass<'_>,
        own: &mut Own,
        from: Shared,
        (matrix, post): (&Matrix, Option<&Norm>),
        rows: usize,
    ) {
        let h = self.config.hidden;
        let (to, epilogue) = if post.is_some() { (p.branch, Epilogue::None) } else { (p.x, Epilogue::Accumulate) };
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
                (slice(p.branch), slice(p.x))
            };
            own.normed.resize(own.normed.len().max(h), 0.0);
            self.normalize_rows(branch, &mut own.normed[..h], norm);
            x.iter_mut().zip(&own.normed).for_each(|(x, b)| *x += b);
        }
        me.wait();
    }

    /// The first rows of `x`, normalized: of few rows every member makes its own copy, of many each a part.
    fn normalize(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, norm: &Norm, rows: usize) -> *mut f32 {
        let h = self.config.hidden;
        let few = rows <= FEW_ROWS;
        let mine = if few { 0..rows } else { me.part(rows) };
        // SAFETY: `x` is only read here; each member writes its own rows or its own buffer.
        unsafe {
            let from = std::slice::from_raw_parts(p.x.0.add(mine.start * h), mine.len() * h);
            if few {
                own.normed.resize(own.normed.len().max(rows * h), 0.0);
                self.normalize_rows(from, &mut own.normed[..rows * h], norm);
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

    /// Norms and rotates queries and keys; puts keys and values into their pages.
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
            if unit >= c.kv_heads {
                for row in 0..p.rows.ids.len() {
                    let at = (row * c.heads + unit - c.kv_heads) * c.head_dim;
                    // SAFETY: each head belongs to one member.
                    let query = unsafe { std::slice::from_raw_parts_mut(p.q.0.add(at), c.head_dim) };
                    prepare(row, query, layer.q_norm.as_ref());
                }
                continue;
            }
            for text in &p.rows.texts {
                let cache = self.head(index, unit, text);
                for (row, position) in text.rows.iter().map(|r| (r.0 as usize, r.1 as usize)) {
                    let at = (row * c.kv_heads + unit) * c.head_dim;
                    // SAFETY: each head belongs to one member; the pages have room for every position.
                    unsafe {
                        let key = std::slice::from_raw_parts_mut(p.k.0.add(at), c.head_dim);
                        prepare(row, key, layer.k_norm.as_ref());
                        cache.put(position, key.as_ptr(), p.v.0.add(at));
                    }
                }
            }
        }
    }

    /// A text's keys and values of one head.
    fn head<'a>(&self, layer: usize, head: usize, text: &'a TextRows) -> HeadPages<'a> {
        let (dim, width) = (self.config.head_dim, self.isa.panel());
        HeadPages { pages: &text.pages, offset: (layer * self.config.kv_heads + head) * self.run(), dim, width }
    }

    /// Attention, of each text to its own keys and values.
    fn attend(&self, me: &Member<'_>, p: &Pass<'_>, own: &mut Own, index: usize) {
        let c = &self.config;
        let group = c.heads / c.kv_heads;
        let blocks = &p.blocks[usize::from(index + 1 == self.layers.len())];
        // Little work with few key heads would leave threads idle: then by query head.
        let each = if blocks.len() == 1 && !c.kv_heads.is_multiple_of(me.count) { 1 } else { group };
        let sets = c.heads / each;
        loop {
            let unit = p.next[index].fetch_add(1, Ordering::Relaxed);
            let Some(block) = blocks.get(unit / sets) else { break };
            let (set, text) = (unit % sets, &p.rows.texts[block.text]);
            let mut work = Causal {
                q: p.q.0,
                q_stride: c.heads * c.head_dim,
                heads: set * each..(set + 1) * each,
                rows: &text.rows[block.rows.clone()],
                cache: self.head(index, set * each / group, text),
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
