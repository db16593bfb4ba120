//! Keys and values of one text, wherever they lie.

use super::device::DeviceCache;
use super::pages::Table;
use super::shelf::DeviceKept;
use crate::nn::NnError;

/// Keys and values of a running text, with the tokens that they are of.
pub struct Cache(Held);

enum Held {
    Cpu(Table),
    Device(DeviceKept),
}

impl Cache {
    pub(super) fn on_cpu(table: Table) -> Self {
        Self(Held::Cpu(table))
    }

    pub(super) fn on_device(text: DeviceKept) -> Self {
        Self(Held::Device(text))
    }

    pub(super) fn table(&self) -> Option<&Table> {
        match &self.0 {
            Held::Cpu(table) => Some(table),
            Held::Device(_) => None,
        }
    }

    pub(super) fn table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.0 {
            Held::Cpu(table) => Some(table),
            Held::Device(_) => None,
        }
    }

    /// The device's own cache, into which `ids` are about to be read.
    pub(super) fn on_device_mut(&mut self, ids: &[u32]) -> Option<&mut DeviceCache> {
        match &mut self.0 {
            Held::Cpu(_) => None,
            Held::Device(text) => Some(text.extend(ids)),
        }
    }

    /// The tokens that it holds.
    pub fn tokens(&self) -> &[u32] {
        match &self.0 {
            Held::Cpu(table) => table.tokens(),
            Held::Device(text) => text.tokens(),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.tokens().len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.tokens().is_empty()
    }

    /// Takes over what other texts have read meanwhile of `prompt`, whose beginning it holds. Tokens that it gained.
    pub fn catch_up(&mut self, prompt: &[u32]) -> usize {
        self.table_mut().map_or(0, |table| table.catch_up(prompt))
    }

    /// Whether it lies in pages that others may share.
    pub fn is_paged(&self) -> bool {
        self.table().is_some()
    }

    /// Nobody else shall begin with what it holds.
    pub fn spoil(&mut self) {
        match &mut self.0 {
            Held::Cpu(table) => table.spoil(),
            Held::Device(text) => text.spoil(),
        }
    }

    /// A copy that goes its own way. On a CPU it costs a table of pages.
    ///
    /// # Errors
    /// An error of the device, such as out of memory.
    pub fn fork(&self) -> Result<Self, NnError> {
        Ok(Self(match &self.0 {
            Held::Cpu(table) => Held::Cpu(table.fork()),
            Held::Device(text) => Held::Device(text.fork()?),
        }))
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Held::Cpu(table) => table.truncate(len),
            Held::Device(text) => text.truncate(len),
        }
    }
}
