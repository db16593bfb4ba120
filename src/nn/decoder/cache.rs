//! Keys and values of the tokens that a decoder has read, in the form the CPU kernels want.

use super::config::Config;
use crate::nn::kernels::causal::HeadCache;

/// Positions by which a cache grows.
const STEP: usize = 256;

/// Keys and values as f16, one run per layer and key head.
#[derive(Clone)]
pub struct CpuCache {
    layers: usize,
    heads: usize,
    dim: usize,
    width: usize,
    capacity: usize,
    /// `[layers][heads]` runs, see [`HeadCache`].
    keys: Vec<u16>,
    values: Vec<u16>,
    /// Positions that hold something.
    pub len: usize,
}

impl CpuCache {
    /// Empty; grows as tokens come.
    pub fn new(config: &Config, width: usize) -> Self {
        let (layers, heads, dim) = (config.layers, config.kv_heads, config.head_dim);
        Self { layers, heads, dim, width, capacity: 0, keys: Vec::new(), values: Vec::new(), len: 0 }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        (self.keys.len() + self.values.len()) * 2
    }

    /// Room for `count` more positions: twice as large when full, so that growth is cheap overall.
    pub fn reserve(&mut self, count: usize, most: usize) {
        let needed = self.len + count;
        if needed <= self.capacity {
            return;
        }
        let most = most.next_multiple_of(self.width);
        let capacity = needed.max((self.capacity * 2).min(most)).next_multiple_of(STEP.max(self.width));
        let (key, value) = HeadCache::sizes(capacity, self.dim, self.width);
        let (old_key, old_value) = HeadCache::sizes(self.capacity, self.dim, self.width);
        let runs = self.layers * self.heads;
        let mut keys = vec![0u16; runs * key];
        let mut values = vec![0u16; runs * value];
        let panels = self.dim.div_ceil(self.width);
        for run in 0..runs {
            keys[run * key..run * key + old_key].copy_from_slice(&self.keys[run * old_key..(run + 1) * old_key]);
            for panel in 0..panels {
                let (from, to) = (self.capacity * self.width, capacity * self.width);
                let old = &self.values[run * old_value + panel * from..][..from];
                values[run * value + panel * to..][..from].copy_from_slice(old);
            }
        }
        (self.keys, self.values, self.capacity) = (keys, values, capacity);
    }

    /// The run of one layer's key head.
    ///
    /// # Panics
    /// If there is no such layer or head.
    pub fn head(&mut self, layer: usize, head: usize) -> HeadCache {
        assert!(layer < self.layers && head < self.heads);
        let run = layer * self.heads + head;
        let (key, value) = HeadCache::sizes(self.capacity, self.dim, self.width);
        let (keys, values) = (&mut self.keys[run * key..][..key], &mut self.values[run * value..][..value]);
        let (keys, values) = (keys.as_mut_ptr(), values.as_mut_ptr());
        HeadCache { keys, values, capacity: self.capacity, dim: self.dim, width: self.width }
    }
}
