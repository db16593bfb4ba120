//! What both programs are made of: products, norms, the feed-forward layer.

use super::{CpuFeed, CpuModel};
use crate::nn::kernels::Shared;
use crate::nn::kernels::gemm::Epilogue;
use crate::nn::kernels::indirect::IndirectScratch;
use crate::nn::kernels::math::{LayerNormArgs, RmsNormArgs, gate, layer_norm, rms_norm};
use crate::nn::kernels::matrix::{Matrix, Product};
use crate::nn::kernels::team::Member;
use crate::nn::seq2seq::weights::Norm;

/// Activations of the rows of a step, `[rows, width]` each.
#[derive(Default)]
pub struct Workspace {
    x: Vec<f32>,
    normed: Vec<f32>,
    qkv: Vec<f32>,
    context: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

/// Raw parts of a workspace, for the members of a team.
pub struct Buffers {
    pub rows: usize,
    pub x: Shared,
    pub normed: Shared,
    pub qkv: Shared,
    pub context: Shared,
    gate: Shared,
    up: Shared,
}

/// Buffers of one thread.
#[derive(Default)]
pub struct Own {
    pub scratch: Vec<f32>,
    pub indirect: IndirectScratch,
}

impl Workspace {
    /// Buffers for `rows` rows.
    pub fn fit(&mut self, rows: usize, hidden: usize, inner: usize, intermediate: usize) -> Buffers {
        let buffer = |v: &mut Vec<f32>, width: usize| {
            if v.len() < rows * width {
                v.resize(rows * width, 0.0);
            }
            Shared(v.as_mut_ptr())
        };
        Buffers {
            rows,
            x: buffer(&mut self.x, hidden),
            normed: buffer(&mut self.normed, hidden),
            qkv: buffer(&mut self.qkv, 3 * inner),
            context: buffer(&mut self.context, inner),
            gate: buffer(&mut self.gate, intermediate),
            up: buffer(&mut self.up, intermediate),
        }
    }
}

impl CpuModel {
    /// This member's part of `to = matrix · from` for all rows; nobody waits.
    pub(super) fn product(
        &self,
        me: &Member<'_>,
        own: &mut Own,
        (from, rows): (Shared, usize),
        matrix: &Matrix,
        to: Shared,
        epilogue: Epilogue,
    ) {
        let panels = me.part(matrix.panel_count());
        let (a, scratch) = (from.0.cast_const(), &mut own.scratch);
        // SAFETY: members have disjoint panels; the buffers hold all rows.
        unsafe { matrix.product(self.isa, Product { a, c: to, rows: 0..rows, panels, epilogue, scratch }) };
    }

    /// What a sublayer reads: the states, or in a family with norms before each sublayer a
    /// normalized copy.
    pub(super) fn before(&self, me: &Member<'_>, b: &Buffers, norm: &Norm) -> Shared {
        if !norm.beta.is_empty() {
            return b.x;
        }
        self.rms(me, b, norm);
        me.wait();
        b.normed
    }

    /// `x += matrix · from`, then, in a family with norms after each sublayer, the norm.
    pub(super) fn after(
        &self,
        me: &Member<'_>,
        own: &mut Own,
        b: &Buffers,
        from: Shared,
        (matrix, norm): (&Matrix, &Norm),
    ) {
        self.product(me, own, (from, b.rows), matrix, b.x, Epilogue::Accumulate);
        me.wait();
        if norm.beta.is_empty() {
            return;
        }
        let width = norm.gamma.len();
        let mine = me.part(b.rows);
        // SAFETY: members have disjoint rows.
        let rows = unsafe { std::slice::from_raw_parts_mut(b.x.0.add(mine.start * width), mine.len() * width) };
        let (gamma, beta, eps) = (&norm.gamma[..], &norm.beta[..], self.config.eps);
        layer_norm(self.isa, LayerNormArgs { rows, width, gamma, beta, eps });
        me.wait();
    }

    /// This member's rows of `x`, root-mean-square normalized, into `normed`.
    fn rms(&self, me: &Member<'_>, b: &Buffers, norm: &Norm) {
        let width = norm.gamma.len();
        let mine = me.part(b.rows);
        let (at, count) = (mine.start * width, mine.len() * width);
        // SAFETY: members have disjoint rows; `x` is only read.
        let (from, to) = unsafe {
            (
                std::slice::from_raw_parts(b.x.0.add(at), count),
                std::slice::from_raw_parts_mut(b.normed.0.add(at), count),
            )
        };
        rms_norm(self.isa, RmsNormArgs { from, to, gamma: &norm.gamma, eps: self.config.eps });
    }

    /// The states that leave a stack: normalized where the family has a last norm.
    pub(super) fn last(&self, me: &Member<'_>, b: &Buffers, norm: Option<&Norm>) -> Shared {
        norm.map_or(b.x, |norm| self.before(me, b, norm))
    }

    /// The feed-forward sublayer.
    pub(super) fn feed(&self, me: &Member<'_>, own: &mut Own, b: &Buffers, feed: &CpuFeed) {
        let from = (self.before(me, b, &feed.norm), b.rows);
        let act = self.config.activation;
        let hidden = match &feed.gate {
            None => {
                self.product(me, own, from, &feed.up, b.up, Epilogue::Activate(act));
                b.up
            }
            Some(matrix) => {
                self.product(me, own, from, matrix, b.gate, Epilogue::None);
                self.product(me, own, from, &feed.up, b.up, Epilogue::None);
                // The same columns that this member has just computed.
                let (ff, width) = (matrix.n(), self.isa.panel());
                let panels = me.part(matrix.panel_count());
                let columns = (panels.start * width).min(ff)..(panels.end * width).min(ff);
                for row in 0..b.rows {
                    // SAFETY: these columns of these rows are this member's.
                    unsafe {
                        let at = row * ff + columns.start;
                        let part = |s: Shared| std::slice::from_raw_parts_mut(s.0.add(at), columns.len());
                        gate(self.isa, act, part(b.gate), part(b.up));
                    }
                }
                b.gate
            }
        };
        me.wait();
        self.after(me, own, b, hidden, (&feed.down, &feed.norm));
    }

    /// Rows of `words`, scaled, with their places in `positions`, into `x`. `at` gives token and position of a row.
    pub(super) fn embed(
        &self,
        me: &Member<'_>,
        b: &Buffers,
        (words, positions): (&Matrix, &[f32]),
        at: impl Fn(usize) -> (u32, usize),
    ) {
        let h = self.config.hidden;
        for row in me.part(b.rows) {
            let (id, position) = at(row);
            // SAFETY: each row belongs to one member.
            let x = unsafe { std::slice::from_raw_parts_mut(b.x.0.add(row * h), h) };
            words.row(id as usize, x);
            let scale = self.config.embedding_scale;
            if scale != 1.0 {
                x.iter_mut().for_each(|x| *x *= scale);
            }
            if let Some(place) = positions.get(position * h..(position + 1) * h) {
                x.iter_mut().zip(place).for_each(|(x, p)| *x += p);
            }
        }
    }
}
