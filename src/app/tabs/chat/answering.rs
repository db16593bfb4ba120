//! Answers that are coming: any number of conversations at a time, one answer in each.

use super::ChatTab;
use super::conversation::{Answer, now};
use crate::app::tabs::Cx;
use crate::app::tabs::writing::{Ended, Stream, model_name};
use crate::engine::message::{ClientId, Event, Priority, Report, Request};
use crate::error::UserMessage;
use crate::tasks::Input;
use std::time::{Duration, Instant};

/// Time between two writings of an answer that is still coming.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// An answer that is coming.
pub struct Running {
    pub stream: Stream,
    pub conversation: String,
    pub turn: usize,
    kept: Instant,
}

/// All answers that are coming, and why others did not come, by conversation.
#[derive(Default)]
pub struct Answering {
    running: Vec<Running>,
    failed: Vec<(String, UserMessage)>,
}

impl Answering {
    /// The answer that is coming in a conversation.
    pub fn of(&self, conversation: &str) -> Option<&Running> {
        self.running.iter().find(|r| r.conversation == conversation)
    }

    /// Whether any is coming.
    pub fn is_any(&self) -> bool {
        !self.running.is_empty()
    }

    /// How many are coming in other conversations than this one.
    pub fn elsewhere(&self, conversation: &str) -> usize {
        self.running.iter().filter(|r| r.conversation != conversation).count()
    }

    /// Why the last question of a conversation has no answer.
    pub fn failure(&self, conversation: &str) -> Option<&UserMessage> {
        self.failed.iter().find(|f| f.0 == conversation).map(|f| &f.1)
    }

    /// The last question is another one now.
    pub fn forget_failure(&mut self, conversation: &str) {
        self.failed.retain(|f| f.0 != conversation);
    }

    fn fail(&mut self, conversation: &str, message: UserMessage) {
        self.forget_failure(conversation);
        self.failed.push((conversation.to_owned(), message));
    }

    /// Asks for the end of a conversation's answer. What has come of it stays.
    pub fn stop(&mut self, conversation: &str) {
        if let Some(running) = self.running.iter_mut().find(|r| r.conversation == conversation) {
            running.stream.stop();
        }
    }

    /// Ends a conversation's answer without waiting for what has come of it.
    pub fn leave(&mut self, conversation: &str) {
        self.stop(conversation);
        self.running.retain(|r| r.conversation != conversation);
    }
}

impl ChatTab {
    /// Whether an answer is coming in the conversation that is shown.
    pub(super) fn is_busy(&self) -> bool {
        self.shown().is_some_and(|c| self.answering.of(&c.id).is_some())
    }

    /// Hears an event of an answer, whichever conversation it belongs to.
    pub(super) fn hear(&mut self, event: &Event, cx: &mut Cx<'_>) {
        let Some(id) = event.id() else { return };
        let Some(place) = self.answering.running.iter().position(|r| r.stream.ticket.id == id) else { return };
        let running = &mut self.answering.running[place];
        if let Some(ended) = running.stream.on_event(event) {
            let running = self.answering.running.remove(place);
            // The pulse shows where the time went of what is looked at.
            let is_shown = self.shown().is_some_and(|c| c.id == running.conversation);
            if is_shown && !matches!(ended, Ended::Failed(_)) {
                *cx.mark = Some(id.0);
            }
            self.finish(&running, ended, cx);
        } else if running.kept.elapsed() > KEEP_EVERY {
            running.kept = Instant::now();
            self.keep_unfinished(place);
        }
    }

    /// Has the last question of the conversation that is shown answered (once more).
    pub(super) fn answer_last(&mut self, cx: &mut Cx<'_>) {
        if self.is_busy() {
            return;
        }
        self.to_bottom = true;
        let settings = &cx.settings.chat;
        let Some(conversation) = self.conversations.get_mut(self.current) else { return };
        let Some(turn) = conversation.turns.len().checked_sub(1) else { return };
        conversation.changed = now();
        let request = Request {
            task: "chat",
            model: settings.model.clone(),
            inputs: vec![Input::Chat(conversation.messages())],
            options: settings.options(0),
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        let id = conversation.id.clone();
        self.answering.forget_failure(&id);
        match cx.submit(request) {
            Ok(ticket) => {
                let (stream, kept) = (Stream::new(ticket), Instant::now());
                self.answering.running.push(Running { stream, conversation: id, turn, kept });
            }
            Err(message) => self.answering.fail(&id, message),
        }
        // Written down before the answer comes: a crash loses nothing.
        self.keep(self.current);
    }

    /// Stops the answer in the conversation that is shown; others go on.
    pub(super) fn stop(&mut self) {
        if let Some(conversation) = self.conversations.get(self.current) {
            self.answering.stop(&conversation.id);
        }
    }

    /// Ends the answer that is coming in a conversation at once; what has come of it is the answer.
    pub(super) fn settle(&mut self, index: usize) {
        let Some(conversation) = self.conversations.get_mut(index) else { return };
        let Some(running) = self.answering.of(&conversation.id) else { return };
        let answer = Self::unfinished(running, None);
        if let Some(turn) = conversation.turns.get_mut(running.turn).filter(|_| !answer.text.is_empty()) {
            turn.answers.push(answer);
            turn.shown = turn.answers.len() - 1;
        }
        self.answering.leave(&conversation.id);
    }

    /// A coming answer as far as it has come.
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
            cached: stream.prompt.cached,
            saved_ms: stream.prompt.saved_ms,
            shared_with: report.map_or(0, |r| r.shared_with.len()),
            stopped: true,
            // What is only shown is not written, and need not be copied while it grows.
            steps: if report.is_some() { stream.steps.clone() } else { Vec::new() },
            ..Answer::default()
        }
    }

    /// Writes every answer that is coming down as far as it is.
    pub(super) fn keep_all_unfinished(&self) {
        (0..self.answering.running.len()).for_each(|place| self.keep_unfinished(place));
    }

    fn keep_unfinished(&self, place: usize) {
        let (Some(running), Some(keeper)) = (self.answering.running.get(place), &self.keeper) else { return };
        let Some(conversation) = self.conversations.iter().find(|c| c.id == running.conversation) else { return };
        if conversation.private || running.stream.text.is_empty() {
            return;
        }
        keeper.write_partial(&running.conversation, running.turn, Self::unfinished(running, None));
    }

    fn finish(&mut self, running: &Running, ended: Ended, cx: &Cx<'_>) {
        let Some(index) = self.conversations.iter().position(|c| c.id == running.conversation) else { return };
        let answer = match ended {
            Ended::Failed(message) => return self.answering.fail(&running.conversation, message),
            Ended::Stopped(report) => Self::unfinished(running, Some(&report)),
            Ended::Done(report, whole) => Answer {
                text: whole.text,
                seed: whole.seed,
                stopped: false,
                warnings: report.warnings.clone(),
                ..Self::unfinished(running, Some(&report))
            },
        };
        let answer = Answer { model: model_name(cx, Some(&answer.model)), ..answer };
        if let Some(turn) = self.conversations[index].turns.get_mut(running.turn)
            && !(answer.stopped && answer.text.is_empty())
        {
            turn.answers.push(answer);
            turn.shown = turn.answers.len() - 1;
        }
        self.keep(index);
    }
}
