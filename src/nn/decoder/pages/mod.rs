//! Keys and values as pages: one pool per model, a table of page numbers per text.
//!
//! As vLLM's paged attention (Kwon et al. 2023, arXiv:2309.06180) and SGLang's tree of beginnings (Zheng et al. 2023,
//! arXiv:2312.07104): what two texts begin with alike is stored and computed once, a fork costs a table, and a page that
//! two hold is copied when one of them writes. Pages that no running text holds stay until their room is needed, the least
//! recently used go first.
//!
//! A text that is admitted is promised all pages that it may come to need, so that it never stops halfway for want of
//! them: `held + promised ≤ limit` holds at any time.

mod prefix;
mod state;
mod table;
#[cfg(test)]
mod tests;

pub use crate::nn::kernels::causal::PAGE;
pub(super) use prefix::shared;
pub use state::{Usage, pages_of};
pub use table::{Admission, Pool, Table};
