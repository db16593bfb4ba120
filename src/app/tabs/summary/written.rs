//! Summaries in other words than the text's: by a T5 model, or by the chat model with a prompt.

use super::Method;
use crate::app::tabs::Cx;
use crate::app::tabs::asking::{Asking, Ended};
use crate::engine::message::{ClientId, Event, Priority, Report, Request};
use crate::error::UserMessage;
use crate::labs::summaries::{ChatSummary, nearest, sentence_inputs};
use crate::tasks::{Input, Options, Output, SearchOptions};
use std::ops::Range;

/// A summary with what it cost.
pub struct Written {
    /// What was summarized.
    pub text: String,
    pub summary: String,
    pub method: Method,
    pub reports: Vec<Report>,
    /// Parts that the text was read in, and passes over what came out.
    pub windows: usize,
    pub passes: usize,
    pub request: u64,
    /// Sentences of the summary, of the source, and which belong together.
    pub places: [Vec<Range<usize>>; 2],
    pub near: Vec<Vec<(usize, f32)>>,
}

impl Written {
    /// From the first question to the last answer, in ms.
    pub fn millis(&self) -> f64 {
        self.reports.iter().map(|r| r.timing.total).sum()
    }

    /// Tokens read and written.
    pub fn tokens(&self) -> [usize; 2] {
        [self.reports.iter().map(|r| r.tokens).sum(), self.reports.iter().map(|r| r.generated).sum()]
    }
}

/// How long a T5 summary may be, and how it is searched.
#[derive(Clone, Copy)]
pub struct Limits {
    pub least: usize,
    pub most: usize,
    pub beams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { least: 20, most: 80, beams: 2 }
    }
}

/// One summary at a time.
#[derive(Default)]
pub struct Writer {
    pub asking: Asking,
    /// Looks for the sentences that belong together.
    comparing: Asking,
    chat: Option<ChatSummary>,
    asked: String,
    method: Method,
    reports: Vec<Report>,
    /// What has been written so far.
    pub coming: String,
    pub written: Option<Written>,
}

impl Writer {
    /// Asks a T5 model.
    pub fn abstractive(&mut self, cx: &Cx<'_>, text: String, model: String, limits: Limits) {
        let search = SearchOptions {
            beams: limits.beams,
            min_tokens: limits.least.min(limits.most),
            max_tokens: limits.most,
            no_repeat_ngram: 3,
            length_penalty: 2.0,
            ..SearchOptions::default()
        };
        let request = Request {
            task: "abstractive",
            model: Some(model),
            inputs: vec![Input::Text(text.clone())],
            options: Options { search, ..Options::default() },
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        self.begin(text, Method::Abstractive);
        self.asking.start(cx, request);
    }

    /// Asks the chat model.
    pub fn chat(&mut self, cx: &Cx<'_>, text: String, sentences: usize) {
        match ChatSummary::new(&text, sentences) {
            Ok(chat) => {
                self.begin(text, Method::Chat);
                self.chat = Some(chat);
                self.next(cx);
            }
            Err(message) => self.asking.failed = Some(message),
        }
    }

    fn begin(&mut self, text: String, method: Method) {
        self.comparing.stop();
        (self.asked, self.method) = (text, method);
        self.reports.clear();
        self.coming.clear();
        self.chat = None;
    }

    fn next(&mut self, cx: &Cx<'_>) {
        let model = cx.settings.chat.model.as_deref();
        if let Some(request) = self.chat.as_ref().and_then(|c| c.request(model))
            && self.asking.start(cx, request)
        {
            self.coming.clear();
        }
    }

    /// Whether a summary is awaited.
    pub fn is_running(&self) -> bool {
        self.asking.is_running()
    }

    /// Ends what runs.
    pub fn stop(&mut self) {
        self.asking.stop();
        self.comparing.stop();
        self.chat = None;
    }

    /// Says that there is no model for the method.
    pub fn refuse(&mut self, message: UserMessage) {
        self.asking.failed = Some(message);
    }

    /// Answers and parts, of a long text that the chat model reads.
    pub fn progress(&self) -> Option<(usize, usize)> {
        self.chat.as_ref().map(ChatSummary::progress).filter(|p| p.1 > 1)
    }

    /// Takes in what belongs to it.
    pub fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        if let Event::Partial { id, partial, .. } = event
            && self.asking.id() == Some(*id)
        {
            self.coming.push_str(&partial.text);
            if let Some((_, text)) = partial.passages.last() {
                self.coming.clone_from(text);
            }
        }
        if let Some(Ended { items, .. }) = self.comparing.on_event(event) {
            self.compare(&items.into_iter().filter_map(|i| i?.ok()).collect::<Vec<_>>());
        }
        let Some(Ended { id, items, report }) = self.asking.on_event(event) else { return };
        self.reports.push(report);
        match items.into_iter().next() {
            Some(Some(Ok(Output::Digest(digest)))) => {
                let (windows, passes) = (digest.reading.windows, digest.passes);
                self.finish(digest.text().to_owned(), [windows, passes], id, cx);
            }
            Some(Some(Ok(Output::Text(answer)))) => {
                let Some(chat) = &mut self.chat else { return };
                chat.take(&answer.text);
                match chat.summary() {
                    Some(summary) => {
                        let counts = [chat.windows, chat.passes];
                        self.finish(summary, counts, id, cx);
                    }
                    None => self.next(cx),
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, summary: String, [windows, passes]: [usize; 2], request: u64, cx: &mut Cx<'_>) {
        let text = std::mem::take(&mut self.asked);
        let (of_summary, mut inputs) = sentence_inputs(&summary);
        let (of_source, sources) = sentence_inputs(&text);
        inputs.extend(sources);
        let reports = std::mem::take(&mut self.reports);
        *cx.mark = Some(request);
        let (method, near) = (self.method, vec![Vec::new(); of_summary.len()]);
        let places = [of_summary, of_source];
        self.written = Some(Written { text, summary, method, reports, windows, passes, request, places, near });
        let (task, model, options, priority) = ("embed", None, Options::default(), Priority::Interactive);
        self.comparing.start(cx, Request { task, model, inputs, options, priority, client: ClientId::default() });
    }

    fn compare(&mut self, outputs: &[Output]) {
        let Some(written) = &mut self.written else { return };
        let vectors: Vec<Vec<f32>> = outputs.iter().filter_map(|o| o.vector().map(<[f32]>::to_vec)).collect();
        let count = written.places[0].len();
        if vectors.len() == count + written.places[1].len() {
            written.near = nearest(&vectors[..count], &vectors[count..]);
        }
    }
}
