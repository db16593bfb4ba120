//! The Chat tab: conversations, their state, and what commands and events do to them.

mod bubbles;
mod conversation;
mod keeper;
mod list;
mod merge;
mod options;
mod view;

use super::writing::{Ended, Stream, dropped_model};
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::jobs::Pending;
use crate::app::widgets::file_picker::FilePicker;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{ClientId, Event, Priority, Report, Request};
use crate::error::UserMessage;
use crate::tasks::Input;
use conversation::{Answer, Conversation, Turn, now};
use egui::Ui;
use keeper::{Keeper, News};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two writings of an answer that is still coming.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// An answer that is coming.
struct Running {
    stream: Stream,
    conversation: String,
    turn: usize,
    kept: Instant,
}

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
    running: Option<Running>,
    failed: Option<UserMessage>,
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
        let Some(running) = &mut self.running else { return };
        let ended = running.stream.on_event(event);
        if let Some(ended) = ended {
            if let (Ended::Done(..) | Ended::Stopped(_), Some(id)) = (&ended, event.id()) {
                *cx.mark = Some(id.0);
            }
            self.finish(ended, cx);
        } else if running.kept.elapsed() > KEEP_EVERY {
            running.kept = Instant::now();
            self.keep_unfinished();
        }
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
        self.keep_unfinished();
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
                    if self.running.as_ref().is_none_or(|r| r.conversation != id) {
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
        self.failed = None;
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
        if self.running.is_some() || self.input.trim().is_empty() {
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

    /// Has the last question answered (once more).
    fn answer_last(&mut self, cx: &mut Cx<'_>) {
        if self.running.is_some() {
            return;
        }
        self.failed = None;
        self.to_bottom = true;
        let settings = &cx.settings.chat;
        let Some(conversation) = self.conversations.get_mut(self.current) else { return };
        conversation.changed = now();
        let turn = conversation.turns.len() - 1;
        let request = Request {
            task: "chat",
            model: settings.model.clone(),
            inputs: vec![Input::Chat(conversation.messages())],
            options: settings.options(0),
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        let id = conversation.id.clone();
        match cx.submit(request) {
            Ok(ticket) => {
                let (stream, kept) = (Stream::new(ticket), Instant::now());
                self.running = Some(Running { stream, conversation: id, turn, kept });
            }
            Err(message) => self.failed = Some(message),
        }
        // Written down before the answer comes: a crash loses nothing.
        self.keep(self.current);
    }

    fn stop(&mut self) {
        if let Some(running) = &mut self.running {
            running.stream.stop();
        }
    }

    /// The running answer as far as it has come.
    fn unfinished(running: &Running, report: Option<&Report>) -> Answer {
        let stream = &running.stream;
        let tokens = stream.steps.len();
        Answer {
            text: stream.text.clone(),
            model: report.map(|r| r.model.clone()).unwrap_or_default(),
            tokens,
            tokens_per_second: report.map_or_else(|| stream.rate(), Report::tokens_per_second).unwrap_or(0.0),
            ttft_ms: report.map_or(0.0, |r| r.timing.ttft),
            context_used: stream.prompt.tokens + tokens,
            context: stream.prompt.context,
            dropped: stream.prompt.dropped,
            stopped: true,
            // What is only shown is not written, and need not be copied while it grows.
            steps: if report.is_some() { stream.steps.clone() } else { Vec::new() },
            ..Answer::default()
        }
    }

    /// Writes the answer that is coming down as far as it is.
    fn keep_unfinished(&self) {
        let (Some(running), Some(keeper)) = (&self.running, &self.keeper) else { return };
        let Some(conversation) = self.conversations.iter().find(|c| c.id == running.conversation) else { return };
        if conversation.private || running.stream.text.is_empty() {
            return;
        }
        keeper.write_partial(&running.conversation, running.turn, Self::unfinished(running, None));
    }

    fn finish(&mut self, ended: Ended, cx: &mut Cx<'_>) {
        let Some(running) = self.running.take() else { return };
        let answer = match ended {
            Ended::Failed(message) => {
                self.failed = Some(message);
                return;
            }
            Ended::Stopped(report) => Self::unfinished(&running, Some(&report)),
            Ended::Done(report, whole) => Answer {
                text: whole.text,
                seed: whole.seed,
                stopped: false,
                warnings: report.warnings.clone(),
                ..Self::unfinished(&running, Some(&report))
            },
        };
        let answer = Answer { model: super::writing::model_name(cx, Some(&answer.model)), ..answer };
        let Some(index) = self.conversations.iter().position(|c| c.id == running.conversation) else { return };
        if let Some(turn) = self.conversations[index].turns.get_mut(running.turn)
            && !(answer.stopped && answer.text.is_empty())
        {
            turn.answers.push(answer);
            turn.shown = turn.answers.len() - 1;
        }
        self.keep(index);
    }

    /// Keeps the conversation as it is, so that what is done next can be undone.
    fn remember(&mut self, what: &'static str) {
        if let Some(before) = self.shown().cloned() {
            self.deleted = Some(Deleted { what, before, at: self.current });
        }
    }

    fn undo(&mut self) {
        let Some(Deleted { before, at, .. }) = self.deleted.take() else { return };
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
        let shown = std::mem::replace(&mut self.current, index);
        self.remember("Conversation deleted.");
        let gone = self.conversations.remove(index);
        if let Some(keeper) = &self.keeper {
            keeper.remove(&gone.id);
        }
        self.current = if shown > index { shown - 1 } else { shown };
        if self.running.as_ref().is_some_and(|r| r.conversation == gone.id) {
            self.stop();
        }
    }
}
