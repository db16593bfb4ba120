//! What every task keeps to, and everybody may know: what is asked, what is answered, how a model is driven. The ground
//! floor: it knows no task.

mod answers;
mod error;
mod generated;
mod input;
mod model;
mod need;
pub mod options;
mod output;
mod rewritten;
mod task;
pub mod taught;
mod work;

pub use answers::{Answers, Chosen, Embedding, Entities, Entity, Piece, Place, Reading, ScoreKind, Scores, Summary};
pub use error::TaskError;
pub use generated::{FinishReason, Generated, Partial, PromptInfo, Step};
pub use input::{Input, Message, Role};
pub use model::{Asked, DEFAULT_CONTEXT, Model, Occupancy, STEP_TOKENS};
pub use need::Need;
pub use options::Options;
pub use output::Output;
pub use rewritten::{Alternative, Digest, Link, Rewritten, Sentence, Translated};
pub use task::{Progress, Task};
pub use taught::{Labelled, TaughtHead};
pub use work::{Phase, Work, ended, own};
