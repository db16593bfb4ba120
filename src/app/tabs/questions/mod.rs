//! The Questions tab: a passage beside questions about it, the answers lit in the passage.

mod view;

use super::asking::{Asking, Editor, Ended};
use super::why::Words;
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{ClientId, Event, ItemResult, Priority, Report, Request};
use crate::engine::record::Record;
use crate::tasks::{Answers, Input, Options, Output};
use egui::Ui;
use std::path::PathBuf;
use std::sync::Arc;

const PASSAGE: &str = "The Amazon rainforest covers most of the Amazon basin of South America. The basin covers seven million square kilometres, of which five and a half million square kilometres are covered by the rainforest. The region includes territory belonging to nine nations. The majority of the forest, 60 percent, lies in Brazil, followed by Peru with 13 percent and Colombia with 10 percent.";

/// Questions about the passage; the last one has no answer in it.
const EXAMPLES: [&str; 3] =
    ["Which country has most of the forest?", "How many nations share the region?", "When was the forest discovered?"];

/// The answered questions.
pub struct Answered {
    pub passage: Arc<str>,
    pub questions: Vec<(String, ItemResult)>,
    pub report: Report,
    pub request: u64,
}

impl Answered {
    fn answers(&self, index: usize) -> Option<&Answers> {
        self.questions.get(index)?.1.as_ref().ok()?.answers()
    }
}

/// The tab.
pub struct QuestionsTab {
    editor: Editor,
    /// One question per line.
    questions: String,
    several: bool,
    /// Whether the passage is being edited rather than shown with its answers.
    editing: bool,
    asking: Asking,
    /// What the running request is about.
    asked: Option<(Arc<str>, Vec<String>)>,
    answered: Option<Answered>,
    /// Question, and place in its list, that the passage shows.
    shown: (usize, usize),
    tokens_shown: bool,
    why: Words,
}

impl Default for QuestionsTab {
    fn default() -> Self {
        Self {
            editor: Editor::new("Text to look in", PASSAGE),
            questions: EXAMPLES[0].to_owned(),
            several: false,
            editing: true,
            asking: Asking::default(),
            asked: None,
            answered: None,
            shown: (0, 0),
            tokens_shown: false,
            why: Words::default(),
        }
    }
}

impl Tab for QuestionsTab {
    fn id(&self) -> &'static str {
        "questions"
    }

    fn title(&self) -> &'static str {
        "Questions"
    }

    fn icon(&self) -> Icon {
        Icon::Question
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if self.editor.poll(ui, cx) {
            self.editing = true;
            self.answered = None;
        }
        self.questions_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        self.why.on_event(event);
        let Some(Ended { id, items, report }) = self.asking.on_event(event) else { return };
        let Some((passage, questions)) = self.asked.take() else { return };
        let answers = items.into_iter().flatten();
        self.answered =
            Some(Answered { passage, questions: questions.into_iter().zip(answers).collect(), report, request: id });
        self.shown = (0, 0);
        self.editing = false;
        *cx.mark = Some(id);
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => self.run(cx),
            UiCommand::Stop => {
                self.asking.stop();
                self.why.stop();
            }
            UiCommand::Why => self.ask_why(cx),
            UiCommand::CopyText => self.copy(cx, lines),
            UiCommand::CopyJson => self.copy(cx, json),
            UiCommand::Tokens => self.tokens_shown = !self.tokens_shown,
            _ => return false,
        }
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        self.editor.open(path, cx);
    }
}

impl QuestionsTab {
    fn run(&mut self, cx: &mut Cx<'_>) {
        self.why.clear();
        let mut questions: Vec<String> =
            self.questions.lines().map(str::trim).filter(|q| !q.is_empty()).map(str::to_owned).collect();
        if questions.is_empty() {
            questions.push(String::new());
        }
        let passage: Arc<str> = self.editor.text.as_str().into();
        if self.asking.start(cx, request(&passage, &questions)) {
            self.asked = Some((passage, questions));
        }
    }

    /// Follows the score of the shown answer's place while the question loses its words.
    fn ask_why(&mut self, cx: &mut Cx<'_>) {
        let Some(answered) = &self.answered else { return };
        let (question, place) = self.shown;
        let Some(best) = answered.answers(question).and_then(|a| a.places.get(place)).cloned() else { return };
        let what = format!("the score of '{}'", best.text);
        let probe = move |output: &Output| {
            let places = output.answers()?.places.iter();
            let here = places.filter(|p| p.start < best.end && best.start < p.end).map(|p| p.score);
            Some(here.fold(0.0, f64::max))
        };
        let passage = Arc::clone(&answered.passage);
        let text = answered.questions[question].0.clone();
        self.why.start(cx, &text, what, |variants| request(&passage, &variants), probe);
    }

    fn copy(&self, cx: &mut Cx<'_>, form: fn(&Answered) -> String) {
        if let Some(answered) = &self.answered {
            cx.copy(form(answered));
        }
    }
}

/// Questions about one passage, as one request.
fn request(passage: &Arc<str>, questions: &[String]) -> Request {
    let ask = |q: &String| Input::Question { question: q.clone(), context: Arc::clone(passage) };
    Request {
        task: "qa",
        model: None,
        inputs: questions.iter().map(ask).collect(),
        options: Options::default(),
        priority: Priority::Interactive,
        client: ClientId::default(),
    }
}

fn lines(answered: &Answered) -> String {
    let line = |(question, result): &(String, ItemResult)| {
        let answer = result.as_ref().ok().and_then(|o| o.answers()).and_then(|a| a.answer());
        format!("{question}\t{}", answer.map_or("(no answer)", |p| &p.text))
    };
    answered.questions.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn json(answered: &Answered) -> String {
    let record = |(question, result): &(String, ItemResult)| {
        let input = Input::Question { question: question.clone(), context: Arc::clone(&answered.passage) };
        Some(Record::pretty(answered.request, &input, result.as_ref().ok()?, &answered.report))
    };
    answered.questions.iter().filter_map(record).collect::<Vec<_>>().join("\n")
}
