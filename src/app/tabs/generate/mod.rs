//! The Generate tab: a text continued token by token, and what else each token might have been.

mod branches;
mod view;

use super::writing::{Ended, Stream, dropped_model};
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::file_picker::FilePicker;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{ClientId, Event, Priority, Request};
use crate::error::UserMessage;
use crate::tasks::Input;
use branches::{Branch, Tree};
use egui::Ui;
use std::path::PathBuf;

/// Tokens shown as what might have come.
pub const CANDIDATES: usize = 10;

/// Name, and text.
const EXAMPLES: [(&str, &str); 3] = [
    ("steam engine", "The steam engine was first used to"),
    ("once upon a time", "Once upon a time, in a small village by the sea, there lived"),
    ("recipe", "To make a good tomato soup, you need"),
];

/// The tab.
pub struct GenerateTab {
    prompt: String,
    /// The texts that were written after the prompt.
    tree: Tree,
    running: Option<Stream>,
    /// The branch that the running text belongs to.
    writing: usize,
    failed: Option<UserMessage>,
    notes: Vec<String>,
    picker: Option<FilePicker>,
    controls: bool,
}

impl Default for GenerateTab {
    fn default() -> Self {
        Self {
            prompt: EXAMPLES[0].1.to_owned(),
            tree: Tree::default(),
            running: None,
            writing: 0,
            failed: None,
            notes: Vec::new(),
            picker: None,
            controls: false,
        }
    }
}

impl Tab for GenerateTab {
    fn id(&self) -> &'static str {
        "generate"
    }

    fn title(&self) -> &'static str {
        "Generate"
    }

    fn icon(&self) -> Icon {
        Icon::Pencil
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        self.generate_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        let Some(stream) = &mut self.running else { return };
        let before = stream.steps.len();
        let ended = stream.on_event(event);
        let fresh = stream.steps[before..].to_vec();
        self.tree.extend(self.writing, fresh);
        let Some(ended) = ended else { return };
        self.running = None;
        match ended {
            Ended::Done(report, _) => {
                self.notes.clone_from(&report.warnings);
                *cx.mark = event.id().map(|id| id.0);
            }
            Ended::Stopped(_) => *cx.mark = event.id().map(|id| id.0),
            Ended::Failed(message) => self.failed = Some(message),
        }
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => self.go_on(cx, cx.settings.generate.max_tokens),
            UiCommand::OneToken => self.go_on(cx, 1),
            UiCommand::Stop => {
                if let Some(stream) = &mut self.running {
                    stream.stop();
                }
            }
            UiCommand::CopyText => cx.copy(format!("{}{}", self.tree.prompt, self.tree.text())),
            UiCommand::CopyJson => cx.copy(self.tree.to_json()),
            _ => return false,
        }
        true
    }

    fn takes_models(&self) -> bool {
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        if let Some(model) = dropped_model(&path, cx) {
            cx.settings.generate.model = Some(model);
            self.tree = Tree::default();
        }
    }
}

impl GenerateTab {
    /// Lets the model write `tokens` more, after the branch that is shown; afresh if the prompt has
    /// changed.
    fn go_on(&mut self, cx: &mut Cx<'_>, tokens: usize) {
        if self.running.is_some() {
            return;
        }
        if self.tree.prompt != self.prompt || self.tree.branches.is_empty() {
            self.tree = Tree::new(&self.prompt);
        }
        self.tree.selected = None;
        self.submit(cx, tokens);
    }

    /// Takes another candidate at a token, and lets the model go on from there.
    fn branch(&mut self, cx: &mut Cx<'_>, token: usize, candidate: usize) {
        if self.running.is_none() && self.tree.fork(token, candidate) {
            self.submit(cx, cx.settings.generate.max_tokens);
        }
    }

    fn submit(&mut self, cx: &mut Cx<'_>, tokens: usize) {
        self.failed = None;
        self.notes.clear();
        let settings = &cx.settings.generate;
        let mut options = settings.options(CANDIDATES);
        options.writing.max_tokens = tokens.max(1);
        let request = Request {
            task: "generate",
            model: settings.model.clone(),
            inputs: vec![Input::Forced { text: self.tree.prompt.clone(), ids: self.tree.ids() }],
            options,
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        match cx.submit(request) {
            Ok(ticket) => {
                self.writing = self.tree.shown;
                self.running = Some(Stream::new(ticket));
            }
            Err(message) => self.failed = Some(message),
        }
    }

    fn shown(&self) -> Option<&Branch> {
        self.tree.branches.get(self.tree.shown)
    }
}
