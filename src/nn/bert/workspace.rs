//! The buffers that a forward pass on CPU works in.

use super::Sequence;
use super::config::Config;
use crate::nn::kernels::Shared;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

/// Activations of one group: `[tokens, width]` each.
#[derive(Default)]
pub(super) struct Workspace {
    x: Vec<f32>,
    qkv: Vec<f32>,
    context: Vec<f32>,
    wide: Vec<f32>,
    starts: Vec<usize>,
}

/// Raw parts of a workspace, for the members of a team.
pub(super) struct Buffers<'a> {
    pub x: Shared,
    pub qkv: Shared,
    pub context: Shared,
    pub wide: Shared,
    /// First token of each sequence, and the total.
    pub starts: &'a [usize],
    /// Next (sequence, head) to attend to, one counter per layer.
    pub next: Vec<AtomicUsize>,
    /// What the head reads.
    pub kept: Mutex<Vec<f32>>,
}

impl Workspace {
    /// Buffers large enough for `batch`.
    pub fn fit(&mut self, config: &Config, batch: &[Sequence<'_>]) -> Buffers<'_> {
        self.starts.clear();
        self.starts.push(0);
        let mut total = 0;
        for sequence in batch {
            total += sequence.ids.len();
            self.starts.push(total);
        }
        let h = config.hidden;
        let buffer = |v: &mut Vec<f32>, width: usize| {
            if v.len() < total * width {
                v.resize(total * width, 0.0);
            }
            Shared(v.as_mut_ptr())
        };
        Buffers {
            x: buffer(&mut self.x, h),
            qkv: buffer(&mut self.qkv, 3 * h),
            context: buffer(&mut self.context, h),
            wide: buffer(&mut self.wide, config.intermediate),
            starts: &self.starts,
            next: (0..config.layers).map(|_| AtomicUsize::new(0)).collect(),
            kept: Mutex::default(),
        }
    }
}
