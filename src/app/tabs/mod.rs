//! One file per tab. A new tab is its `mod` line and its line in [`all`].

mod asking;
pub mod chat;
pub mod classify;
mod editor;
pub mod entities;
pub mod extract;
pub mod generate;
pub mod models;
pub mod monitor;
pub mod questions;
pub mod sentiment;
pub mod settings;
pub mod summary;
pub mod translate;
mod why;
mod writing;

use super::command::UiCommand;
use super::notices::Notices;
use super::settings::Settings;
use super::theme::Palette;
use super::widgets::icons::Icon;
use crate::engine::message::{Event, EventSink, Request, Status};
use crate::engine::{Engine, Library, Ticket};
use crate::error::UserMessage;
use crate::telemetry::sampler::SharedStore;
use egui::Ui;
use std::path::{Path, PathBuf};

/// What stands on the stage.
pub trait Tab {
    /// Stable: the saved settings name it.
    fn id(&self) -> &'static str;

    /// Under the icon in the rail.
    fn title(&self) -> &'static str;

    fn icon(&self) -> Icon;

    /// Draws it.
    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>);

    /// Whether something of its own stands beside it instead of the pulse.
    fn has_side(&self) -> bool {
        false
    }

    /// Draws what stands beside it.
    fn side_ui(&mut self, _ui: &mut Ui, _cx: &mut Cx<'_>) {}

    /// Hears of every event of every request; those of others are to be ignored.
    fn on_event(&mut self, _event: &Event, _cx: &mut Cx<'_>) {}

    /// A command while this tab is shown. True if it had a meaning here.
    fn on_command(&mut self, _command: UiCommand, _cx: &mut Cx<'_>) -> bool {
        false
    }

    /// The window closes.
    fn on_exit(&mut self) {}

    /// Whether models that are dropped are for this tab, not for the list of models.
    fn takes_models(&self) -> bool {
        false
    }

    /// Files dropped on the window while this tab is shown.
    fn on_drop(&mut self, _path: PathBuf, _cx: &mut Cx<'_>) {}
}

/// The tabs, in the order of the rail.
pub fn all() -> Vec<Box<dyn Tab>> {
    vec![
        Box::<sentiment::SentimentTab>::default(),
        Box::<entities::EntitiesTab>::default(),
        Box::<questions::QuestionsTab>::default(),
        Box::<summary::SummaryTab>::default(),
        Box::<translate::TranslateTab>::default(),
        Box::<classify::ClassifyTab>::default(),
        Box::<extract::ExtractTab>::default(),
        Box::<generate::GenerateTab>::default(),
        Box::<chat::ChatTab>::default(),
        Box::<monitor::MonitorTab>::default(),
        Box::<models::ModelsTab>::default(),
        Box::<settings::SettingsTab>::default(),
    ]
}

/// What a tab may use of the window.
pub struct Cx<'a> {
    pub ctx: &'a egui::Context,
    pub palette: &'static Palette,
    pub engine: &'a Engine,
    /// Where models are looked for.
    pub library: &'a Library,
    pub sink: &'a EventSink,
    pub status: Option<&'a Status>,
    pub settings: &'a mut Settings,
    /// Folder for what people write; `None` keeps nothing.
    pub data: Option<&'a Path>,
    /// Problems and news that outlive a frame, shown over the stage.
    pub notices: &'a mut Notices,
    /// The request that the pulse should mark.
    pub mark: &'a mut Option<u64>,
    /// Readings and requests of the past.
    pub store: &'a SharedStore,
}

impl Cx<'_> {
    /// Hands a request to the engine; its events come by [`Tab::on_event`].
    ///
    /// # Errors
    /// The engine is busy, or has stopped.
    pub fn submit(&self, request: Request) -> Result<Ticket, UserMessage> {
        Ok(self.engine.submit(request, self.sink.clone())?)
    }

    /// Allows conversations of another length from now on.
    pub fn use_context(&mut self, tokens: Option<usize>) {
        self.settings.context = tokens;
        if let Err(error) = self.engine.set_context(tokens) {
            self.notices.push(error.to_string());
        }
    }

    /// Puts `text` on the clipboard, and says so.
    pub fn copy(&mut self, text: String) {
        self.ctx.copy_text(text);
        self.notices.say("Copied.");
    }
}
