//! The Chat tab: conversations, their state, and what commands and events do to them.

mod answering;
mod bubbles;
mod conversation;
mod keeper;
mod list;
mod merge;
mod options;
mod view;

use super::writing::dropped_model;
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::jobs::Pending;
use crate::app::widgets::file_picker::FilePicker;
use crate::app::widgets::icons::Icon;
use crate::engine::message::Event;
use answering::Answering;
use conversation::{Conversation, Turn, now};
use egui::Ui;
use keeper::{Keeper, News};
use std::path::PathBuf;

/// What lies over the conversation.
#[derive(Default)]
enum Over {
    #[default]
    Nothing,
    List(list::List),
    Options,
    OpenModel(FilePicker),
    Export(FilePicker),
}

/// Something that was deleted and can come back.
struct Deleted {
    what: &'static str,
    /// The conversation as it was, and its place.
    before: Conversation,
    at: usize,
}

/// The tab.
#[derive(Default)]
pub struct ChatTab {
    keeper: Option<Keeper>,
    started: bool,
    /// Newest first; the first is shown unless `current` says otherwise.
    conversations: Vec<Conversation>,
    current: usize,
    input: String,
    answering: Answering,
    over: Over,
    deleted: Option<Deleted>,
    /// The question that is being changed, by turn, with its new words.
    editing: Option<(usize, String)>,
    bubbles: bubbles::Bubbles,
    to_bottom: bool,
    to_focus: bool,
    exporting: Option<Pending<Result<String, String>>>,
}

impl Tab for ChatTab {
    fn id(&self) -> &'static str {
        "chat"
    }

    fn title(&self) -> &'static str {
        "Chat"
    }

    fn icon(&self) -> Icon {
        Icon::Bubble
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        self.wake(cx);
        self.chat_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        self.hear(event, cx);
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => self.send(cx),
            UiCommand::Stop => self.stop(),
            UiCommand::NewConversation => self.begin(cx),
            UiCommand::CopyText => {
                if let Some(answer) = self.shown().and_then(|c| c.turns.last()).and_then(Turn::answer) {
                    cx.copy(answer.text.clone());
                }
            }
            UiCommand::CopyJson => {
                if let Some(conversation) = self.shown() {
                    cx.copy(conversation.to_json());
                }
            }
            _ => return false,
        }
        true
    }

    fn on_exit(&mut self) {
        self.keep_all_unfinished();
        // Waits until everything is written.
        self.keeper = None;
    }

    fn takes_models(&self) -> bool {
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        if let Some(model) = dropped_model(&path, cx) {
            cx.settings.chat.model = Some(model);
            cx.notices.say("The next answer comes from this model.");
        }
    }
}

impl ChatTab {
    /// Starts the keeper when the tab is first shown, and hears what it says.
    fn wake(&mut self, cx: &mut Cx<'_>) {
        if !self.started {
            self.started = true;
            self.to_focus = true;
            self.keeper = cx.data.and_then(|d| Keeper::start(d.join("conversations"), cx.ctx));
        }
        for news in self.keeper.iter().flat_map(Keeper::news).collect::<Vec<_>>() {
            match news {
                News::Found(found, problems) => {
                    self.conversations.extend(found);
                    problems.into_iter().for_each(|problem| cx.notices.push(problem));
                }
                News::More(id, turns) => {
                    if let Some(conversation) = self.conversations.iter_mut().find(|c| c.id == id)
                        && merge::add(conversation, &turns)
                    {
                        cx.notices.say("Another window of Glossa has said more in this conversation.");
                    }
                }
                News::Gone(id) => {
                    if self.answering.of(&id).is_none() {
                        let shown = self.shown().map(|c| c.id.clone());
                        self.conversations.retain(|c| c.id != id);
                        let place = self.conversations.iter().position(|c| Some(&c.id) == shown.as_ref());
                        self.current = place.unwrap_or(0);
                    }
                    cx.notices.push(
                        "This conversation was deleted in another window of Glossa; it is not written any more.".into(),
                    );
                }
                News::Problem(problem) => cx.notices.push(problem),
                News::Good(words) => cx.notices.say(words),
            }
        }
        match self.exporting.as_mut().and_then(Pending::poll) {
            Some(Ok(said)) => cx.notices.say(said),
            Some(Err(problem)) => cx.notices.push(problem),
            None => {}
        }
        if self.conversations.is_empty() {
            self.conversations.push(Conversation::new(&cx.settings.chat.system, cx.settings.private));
        }
        self.current = self.current.min(self.conversations.len() - 1);
    }

    fn shown(&self) -> Option<&Conversation> {
        self.conversations.get(self.current)
    }

    fn keep(&self, index: usize) {
        if let (Some(keeper), Some(conversation)) = (&self.keeper, self.conversations.get(index)) {
            keeper.write(conversation);
        }
    }

    /// Shows an empty conversation.
    fn begin(&mut self, cx: &Cx<'_>) {
        self.over = Over::Nothing;
        self.editing = None;
        let empty = self.conversations.iter().position(|c| c.turns.is_empty());
        if let Some(index) = empty {
            self.conversations.remove(index);
        }
        self.conversations.insert(0, Conversation::new(&cx.settings.chat.system, cx.settings.private));
        self.current = 0;
    }

    /// Sends what is written in the input.
    fn send(&mut self, cx: &mut Cx<'_>) {
        if self.is_busy() || self.input.trim().is_empty() {
            return;
        }
        let question = std::mem::take(&mut self.input).trim().to_owned();
        self.ask(question, cx);
    }

    /// Asks `question` at the end of the conversation that is shown.
    fn ask(&mut self, question: String, cx: &mut Cx<'_>) {
        let Some(conversation) = self.conversations.get_mut(self.current) else { return };
        conversation.turns.push(Turn { question, ..Turn::default() });
        self.answer_last(cx);
    }

    /// Keeps the conversation as it is, so that what is done next can be undone.
    fn remember(&mut self, what: &'static str) {
        if let Some(before) = self.shown().cloned() {
            self.deleted = Some(Deleted { what, before, at: self.current });
        }
    }

    fn undo(&mut self) {
        let Some(Deleted { before, at, .. }) = self.deleted.take() else { return };
        // An answer on its way belongs to what is replaced now.
        self.answering.leave(&before.id);
        match self.conversations.iter().position(|c| c.id == before.id) {
            Some(index) => {
                self.conversations[index] = before;
                self.current = index;
            }
            None => {
                let at = at.min(self.conversations.len());
                self.conversations.insert(at, before);
                self.current = at;
            }
        }
        self.keep(self.current);
    }

    /// Deletes a question with its answers.
    fn delete_turn(&mut self, turn: usize) {
        self.remember("Message deleted.");
        if let Some(conversation) = self.conversations.get_mut(self.current)
            && turn < conversation.turns.len()
        {
            conversation.turns.remove(turn);
            conversation.changed = now();
            self.answering.forget_failure(&conversation.id);
        }
        self.keep(self.current);
    }

    /// Asks a changed question; what was said after the old one goes.
    fn resend(&mut self, turn: usize, question: String, cx: &mut Cx<'_>) {
        self.remember("The earlier version was replaced.");
        if let Some(conversation) = self.conversations.get_mut(self.current) {
            conversation.turns.truncate(turn);
        }
        self.ask(question, cx);
    }

    /// Deletes a whole conversation.
    fn delete_conversation(&mut self, index: usize) {
        if index >= self.conversations.len() {
            return;
        }
        self.settle(index);
        let shown = std::mem::replace(&mut self.current, index);
        self.remember("Conversation deleted.");
        let gone = self.conversations.remove(index);
        if let Some(keeper) = &self.keeper {
            keeper.remove(&gone.id);
        }
        self.current = if shown > index { shown - 1 } else { shown };
    }
}
