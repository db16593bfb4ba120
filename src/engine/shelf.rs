//! All models at a glance: what is here, and what can be got.

use crate::error::UserMessage;
use crate::models::card::Card;
use crate::models::catalogue::{self, Known};
use crate::models::hub::Hub;
use crate::models::library::{Library, ModelEntry};
use crate::models::measured;
pub use crate::models::measured::Measurement;
use crate::models::registry::Added;
use crate::nn::precision::Precision;
use serde::Serialize;
use std::sync::Arc;

/// A model, here or to be got.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Volume {
    pub id: String,
    pub name: String,
    /// Task id whose models it belongs to.
    pub task: String,
    #[serde(rename = "here")]
    pub is_here: bool,
    /// On the list, and its files are gone.
    #[serde(rename = "missing", skip_serializing_if = "std::ops::Not::not")]
    pub is_missing: bool,
    /// `shipped`, `hub`, `added`; `catalogue` of what can be got
    pub origin: &'static str,
    /// Used where none is named for its task.
    #[serde(rename = "default")]
    pub is_default: bool,
    #[serde(rename = "pinned")]
    pub is_pinned: bool,
    /// Of its files; about, of one that is not here.
    pub bytes: u64,
    pub parameters: u64,
    /// Bytes that have come of a download that was stopped.
    pub partial: u64,
    /// Of the file.
    pub precision: String,
    /// That it is to be loaded in, if not the file's.
    #[serde(rename = "load_as")]
    pub kept: Option<Precision>,
    pub licence: String,
    pub languages: Vec<String>,
    pub description: String,
    /// On the hub, of what can be got there.
    pub repo: Option<String>,
    /// Of one that is here.
    #[serde(skip)]
    pub card: Option<Arc<Card>>,
    pub measured: Vec<Measurement>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All of them, those that are here first.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    pub volumes: Vec<Volume>,
    /// Folders that could be models but are damaged.
    pub problems: Vec<UserMessage>,
}

impl Volume {
    /// Whether it came with the program, and stays.
    pub fn is_shipped(&self) -> bool {
        self.origin == "shipped"
    }

    fn of_entry(entry: &ModelEntry) -> Self {
        let card = Card::of(entry);
        let problem = card.as_ref().err().map(ToString::to_string);
        let card = card.ok().map(Arc::new);
        let of = |f: fn(&Card) -> String| card.as_deref().map(f).unwrap_or_default();
        let known = catalogue::find(&entry.id);
        let licence = of(|c| c.licence.clone());
        Self {
            id: entry.id.clone(),
            name: entry.name(),
            task: entry.task().unwrap_or("").to_owned(),
            is_here: true,
            origin: entry.origin.name(),
            bytes: card.as_ref().map_or_else(|| entry.weight_bytes(), |c| c.bytes),
            parameters: card.as_ref().map_or(0, |c| c.parameters),
            precision: of(|c| c.precision.clone()),
            licence: if licence.is_empty() { known.map(|k| k.licence.clone()).unwrap_or_default() } else { licence },
            languages: card.as_ref().map(|c| c.languages.clone()).unwrap_or_default(),
            description: of(|c| c.description.clone()),
            repo: known.map(|k| k.repo.clone()),
            card,
            problem,
            ..Self::default()
        }
    }

    /// One that was added and whose files are gone.
    fn of_missing(gone: &Added) -> Self {
        Self {
            id: gone.path.display().to_string(),
            name: gone.name.clone(),
            task: gone.task.clone(),
            is_here: true,
            is_missing: true,
            origin: "added",
            problem: Some(format!(
                "'{}' is not there any more. Put it back, or take the model off the list.",
                gone.path.display()
            )),
            ..Self::default()
        }
    }

    fn of_known(known: &Known, hub: &Hub) -> Self {
        Self {
            id: known.id.clone(),
            name: known.name.clone(),
            task: known.task.clone(),
            origin: "catalogue",
            bytes: known.bytes,
            parameters: known.parameters,
            partial: hub.partial(&known.repo),
            precision: known.precision.clone(),
            licence: known.licence.clone(),
            languages: known.languages.clone(),
            description: known.note.clone(),
            repo: Some(known.repo.clone()),
            ..Self::default()
        }
    }
}

impl Shelf {
    /// Looks through the folders. Opens every model's headers: not for the window's thread.
    pub fn of(library: &Library) -> Self {
        let measured = library.measurements().map(|p| measured::read(&p)).unwrap_or_default();
        let registry = library.registry();
        let (entries, errors) = library.list();
        let is_default = |entry: &ModelEntry| {
            let chosen = entry.task().and_then(|task| library.default_id(&entries, &registry, task));
            chosen.as_ref() == Some(&entry.id)
        };
        let here = entries.iter().map(|entry| Volume {
            is_default: is_default(entry),
            is_pinned: registry.pinned.contains(&entry.id),
            kept: registry.precisions.get(&entry.id).copied(),
            measured: measured.iter().filter(|m| m.model == entry.id).cloned().collect(),
            ..Volume::of_entry(entry)
        });
        let mut volumes: Vec<Volume> = here.collect();
        volumes.extend(library.missing().iter().map(Volume::of_missing));
        let hub = library.hub_or_env();
        let missing = catalogue::all().iter().filter(|k| entries.iter().all(|e| e.id != k.id));
        volumes.extend(missing.map(|k| Volume::of_known(k, &hub)));
        Self { volumes, problems: errors.into_iter().map(UserMessage::from).collect() }
    }
}
