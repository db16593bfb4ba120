//! The decoder on CPU: one program that a team of threads runs together, stage by stage, over the rows of any texts.

mod pass;
mod rows;

use crate::nn::decoder::Want;
use crate::nn::decoder::config::Config;
use crate::nn::decoder::layer::CpuLayer;
use crate::nn::decoder::rotary::{Frequencies, Tables};
use crate::nn::decoder::weights::{Norm, Reader};
use crate::nn::kernels::arena::Arena;
use crate::nn::kernels::causal::HeadPages;
use crate::nn::kernels::matrix::Matrix;
use crate::nn::kernels::team::Team;
use crate::nn::kernels::{Isa, Shared};
use crate::nn::precision::Precision;
use crate::nn::{NnError, lock};
use pass::Pass;
use rows::Rows;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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
    /// A token that no pass survives.
    #[cfg(test)]
    pub(super) trip: Option<u32>,
}

/// Activations of a step, `[rows, width]` each.
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
    logits: Vec<f32>,
    tables: Tables,
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
        Ok(Self {
            config,
            isa,
            team,
            words,
            positions,
            frequencies,
            layers,
            norm,
            output,
            workspace,
            #[cfg(test)]
            trip: None,
        })
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let words = self.words.as_ref().map_or(0, Matrix::bytes);
        self.layers.iter().map(CpuLayer::bytes).sum::<usize>() + words + self.output.bytes() + self.positions.len() * 4
    }

    /// u16 numbers of one key head of one layer in a page.
    fn run(&self) -> usize {
        HeadPages::run(self.config.head_dim, self.isa.panel())
    }

    /// Takes logits back that are not needed any more.
    pub fn recycle(&self, logits: Vec<f32>) {
        let space = &mut lock(&self.workspace).logits;
        if logits.len() > space.len() {
            *space = logits;
        }
    }

    /// Calls `each` for 0 to `count`, whoever is free the next.
    pub fn share_out(&self, count: usize, each: &(dyn Fn(usize) + Sync)) {
        if count <= 1 {
            (0..count).for_each(each);
            return;
        }
        let next = AtomicUsize::new(0);
        self.team.run(|_| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                each(index);
            }
        });
    }

    /// Reads tokens of any texts: ids, position of the first, what is wanted, and the pages, which have room for them.
    /// Logits `[wanted rows, vocab]`, in the texts' order; what lies behind them means nothing.
    ///
    /// Ids and lengths have been checked by the caller.
    pub fn forward<'a>(&self, texts: impl Iterator<Item = (&'a [u32], usize, Want, Vec<*mut u16>)>) -> Vec<f32> {
        let (c, rows) = (&self.config, Rows::new(texts));
        let mut space = lock(&self.workspace);
        let space = &mut *space;
        if let Some(frequencies) = &self.frequencies {
            frequencies.fill(rows.positions.iter().map(|p| *p as usize), &mut space.tables);
        }
        // What lies in it is written over; fresh memory would cost more than the sampling.
        let mut logits = std::mem::take(&mut space.logits);
        if logits.len() < rows.wanted * c.vocab {
            logits.resize(rows.wanted * c.vocab, 0.0);
        }
        let buffer = |v: &mut Vec<f32>, width: usize| {
            if v.len() < rows.ids.len() * width {
                v.resize(rows.ids.len() * width, 0.0);
            }
            Shared(v.as_mut_ptr())
        };
        let (wide, narrow) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let next: Vec<AtomicUsize> = (0..c.layers).map(|_| AtomicUsize::new(0)).collect();
        let group = c.heads / c.kv_heads;
        let pass = Pass {
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
            tables: &space.tables,
            blocks: [rows.blocks(false, group), rows.blocks(true, group)],
            rows,
            next: &next,
        };
        self.team.run(|me| self.run_pass(me, &pass));
        logits
    }
}
