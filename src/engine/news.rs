//! What is asked of the librarian, and what it says.

use super::shelf::Shelf;
use crate::error::UserMessage;
pub use crate::models::card::Card;
pub use crate::models::hub::Found;
use crate::models::hub::Progress;
pub use crate::models::removal::Removal;
use crate::nn::precision::Precision;
use std::path::PathBuf;
use std::sync::Arc;

/// What the librarian is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// What is here, and what can be got.
    List,
    /// Look for these words on the hub.
    Search(String),
    /// Download a model of the catalogue, or any id of the hub; goes on where it was paused.
    Get(String),
    /// Stop a download; what has come stays.
    Pause(String),
    /// Look at a folder, file or archive that somebody wants to add.
    Check(PathBuf),
    Add(PathBuf),
    /// What removing a model would do.
    Survey(String),
    Remove(String),
    /// Use a model where none is named for its task.
    Default {
        task: String,
        model: String,
    },
    /// Load a model in this precision from now on; `None`: as in its file.
    Keep {
        model: String,
        precision: Option<Precision>,
    },
    /// Keep a model in memory whatever else is loaded.
    Pin {
        model: String,
        pinned: bool,
    },
}

/// What the librarian says.
#[derive(Clone, Debug)]
pub enum News {
    Shelf(Arc<Shelf>),
    Download(Download),
    Checked {
        path: PathBuf,
        result: Result<Box<Card>, UserMessage>,
    },
    /// What removing a model would do; `None` where that is no more than forgetting it.
    Removal {
        id: String,
        plan: Option<Arc<Removal>>,
    },
    /// What the hub has for these words.
    Found {
        words: String,
        result: Result<Vec<Found>, UserMessage>,
    },
    /// Something was done, in words.
    Done(String),
    Failed(UserMessage),
}

/// A download on its way.
#[derive(Clone, Debug)]
pub struct Download {
    pub id: String,
    pub progress: Progress,
    /// Bytes per second, since it began or went on.
    pub rate: f64,
    pub state: Phase,
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Waiting,
    Running,
    Paused,
    Done,
    Failed(UserMessage),
}
