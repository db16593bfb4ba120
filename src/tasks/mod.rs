//! Language tasks: what goes in, what comes out, how a model's numbers become an answer.
//!
//! A new task is one file in a wing and one line in [`all`].

mod contract;
pub mod forecast;
pub mod reading;
pub mod rewriting;
pub mod text;
pub mod writing;

pub use crate::nn::beam::{EarlyStopping, SearchOptions};
pub use crate::nn::sampling::Sampling;
pub use contract::*;
pub use reading::options::{ClassifyOptions, Length, SummaryOptions};
use reading::{embed, entities, questions, sentiment};
pub use rewriting::options::TranslateOptions;
use rewriting::tasks;
pub use text::structure::Structure;
pub use writing::options::WritingOptions;
use writing::{chat, generate};

/// Every task, in the order in which the window lists them.
pub fn all() -> Vec<Box<dyn Task>> {
    vec![
        Box::new(sentiment::Sentiment),
        Box::new(entities::EntitiesTask),
        Box::new(questions::Questions),
        Box::new(embed::SUMMARIZE),
        Box::new(tasks::ABSTRACTIVE),
        Box::new(tasks::TRANSLATE),
        Box::new(embed::CLASSIFY),
        Box::new(embed::EMBED),
        Box::new(generate::Generate),
        Box::new(chat::Chat),
    ]
}

/// Whether the answers of the task called `id` are texts that a model writes.
pub fn writes(id: &str) -> bool {
    find(id).is_some_and(|t| t.writes())
}

/// The task called `id`.
pub fn find(id: &str) -> Option<Box<dyn Task>> {
    all().into_iter().find(|t| t.id() == id)
}
