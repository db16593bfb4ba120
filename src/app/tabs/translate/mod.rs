//! The Translate tab: a text and its translation side by side, sentence by sentence.

mod bridge;
mod view;

use super::asking::{Asking, Editor, Ended, Saving};
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{ClientId, Event, ModelInfo, Priority, Report, Request};
use crate::engine::record::Record;
use crate::tasks::rewriting::languages::pair_of;
use crate::tasks::{Options, Output, SearchOptions, Structure, TranslateOptions, Translated};
use egui::Ui;
use std::path::{Path, PathBuf};

/// Name, and text; ours.
const EXAMPLES: [(&str, &str); 3] = [
    ("morning", "Good morning, everyone. The train leaves at half past seven. We have time for a coffee."),
    ("at the doctor's", "I don't feel well today. My head hurts and I have a fever.\n\nHow long have you been ill?"),
    ("on the road", "Excuse me, where is the station? Turn left at the church. You can't miss it."),
];

/// Beams to choose from.
const BEAMS: [usize; 3] = [1, 4, 8];
/// Alternatives to ask for, as far as there are beams.
const ALTERNATIVES: usize = 5;

/// A translated text.
pub struct Answer {
    pub text: String,
    pub translated: Translated,
    pub report: Report,
    pub request: u64,
    pub beams: usize,
}

/// What the last text cost with so many beams.
#[derive(Clone, Copy)]
struct Cost {
    beams: usize,
    millis: f64,
}

/// The tab.
pub struct TranslateTab {
    editor: Editor,
    /// Source and target; empty until models are known.
    pair: [String; 2],
    beams: usize,
    asking: Asking,
    asked: (String, usize),
    /// What stands of each sentence while the rest is being written.
    coming: Vec<String>,
    answer: Option<Answer>,
    selected: Option<usize>,
    hovered: Option<usize>,
    costs: Vec<Cost>,
    saving: Saving,
}

impl Default for TranslateTab {
    fn default() -> Self {
        Self {
            editor: Editor::new("Text to translate", EXAMPLES[0].1).saying("translated sentence by sentence."),
            pair: [String::new(), String::new()],
            beams: 4,
            asking: Asking::default(),
            asked: (String::new(), 0),
            coming: Vec::new(),
            answer: None,
            selected: None,
            hovered: None,
            costs: Vec::new(),
            saving: Saving::default(),
        }
    }
}

impl Tab for TranslateTab {
    fn id(&self) -> &'static str {
        "translate"
    }

    fn title(&self) -> &'static str {
        "Translate"
    }

    fn icon(&self) -> Icon {
        Icon::Letters
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if self.editor.poll(ui, cx) {
            self.run(cx);
        }
        self.saving.poll(ui, cx);
        self.choose_pair(cx);
        self.translate_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        if let Event::Partial { id, partial, .. } = event
            && self.asking.id() == Some(*id)
        {
            for (index, text) in &partial.passages {
                if self.coming.len() <= *index {
                    self.coming.resize(index + 1, String::new());
                }
                self.coming[*index].clone_from(text);
            }
        }
        let Some(Ended { id, items, report }) = self.asking.on_event(event) else { return };
        if let Some(Some(Ok(Output::Translation(translated)))) = items.into_iter().next() {
            let (text, beams) = std::mem::take(&mut self.asked);
            if self.answer.as_ref().is_none_or(|a| a.text != text) {
                self.costs.clear();
            }
            self.costs.retain(|c| c.beams != beams);
            self.costs.push(Cost { beams, millis: report.timing.total - report.timing.load - report.timing.queue });
            self.costs.sort_by_key(|c| c.beams);
            let sentences = translated.sentences.len();
            self.selected = self.selected.filter(|s| *s < sentences).or((sentences > 0).then_some(0));
            self.answer = Some(Answer { text, translated, report, request: id, beams });
            *cx.mark = Some(id);
        }
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => self.run(cx),
            UiCommand::Stop => self.asking.stop(),
            UiCommand::Batch => self.editor.choose(),
            UiCommand::CopyText => {
                if let Some(answer) = &self.answer {
                    cx.copy(answer.translated.text.clone());
                }
            }
            UiCommand::CopyJson => {
                if let Some(answer) = &self.answer {
                    cx.copy(json(answer));
                }
            }
            UiCommand::SaveCsv => {
                if let Some(answer) = &self.answer {
                    self.saving.ask("translation.csv", csv(answer));
                }
            }
            _ => return false,
        }
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        self.editor.open(path, cx);
    }
}

/// The models that translate, each with its pair.
fn pairs<'a>(cx: &Cx<'a>) -> Vec<(&'a ModelInfo, &'a str, &'a str)> {
    let models = cx.status.map(|s| s.models.iter()).into_iter().flatten();
    models.filter_map(|m| pair_of(&m.task, &m.languages).map(|(from, to)| (m, from, to))).collect()
}

impl TranslateTab {
    /// Takes the first pair there is, until a person chooses.
    fn choose_pair(&mut self, cx: &Cx<'_>) {
        if self.pair[0].is_empty()
            && let Some((_, from, to)) = pairs(cx).first()
        {
            self.pair = [(*from).to_owned(), (*to).to_owned()];
        }
    }

    fn run(&mut self, cx: &mut Cx<'_>) {
        let text = self.editor.text.clone();
        let found = pairs(cx).into_iter().find(|(_, from, to)| [*from, *to] == [&self.pair[0], &self.pair[1]]);
        let model = found.map(|(model, _, _)| model.id.clone());
        let search = SearchOptions {
            beams: self.beams,
            max_tokens: 0,
            n_best: self.beams.min(ALTERNATIVES),
            ..SearchOptions::default()
        };
        let [from, to] = self.pair.clone();
        let structure = self.structure();
        let translate = TranslateOptions { from, to, structure, align: true };
        let options = Options { search, ..translate.into() };
        let request = Request {
            task: "translate",
            model,
            inputs: vec![text.as_str().into()],
            options,
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        if self.asking.start(cx, request) {
            self.asked = (text, self.beams);
            self.coming.clear();
        }
    }

    fn structure(&self) -> Structure {
        self.editor.file.as_deref().map_or(Structure::Plain, Structure::of_file)
    }

    /// Whether the answer belongs to the text as it stands. Compares them: once a frame.
    fn is_fresh(&self) -> bool {
        self.answer.as_ref().is_some_and(|a| a.text == self.editor.text)
    }

    /// Saves the translation beside its source's name.
    fn save(&mut self) {
        let Some(answer) = &self.answer else { return };
        let file = self.editor.file.as_deref().unwrap_or(Path::new("text.txt"));
        let part =
            |p: Option<&std::ffi::OsStr>, or: &str| p.map_or(or.to_owned(), |s| s.to_string_lossy().into_owned());
        let (stem, extension) = (part(file.file_stem(), "text"), part(file.extension(), "txt"));
        let contents = if self.structure() == Structure::Tsv {
            with_column(&answer.text, &answer.translated.text)
        } else {
            answer.translated.text.clone()
        };
        self.saving.ask(&format!("{stem}.{}.{extension}", self.pair[1]), contents.into_bytes());
    }
}

/// A table with the translation of its last column as one more.
fn with_column(table: &str, translated: &str) -> String {
    let last = |line: &str| line.rsplit('\t').next().unwrap_or("").to_owned();
    let rows = table.lines().zip(translated.lines()).map(|(row, new)| format!("{row}\t{}\n", last(new)));
    rows.collect()
}

fn json(answer: &Answer) -> String {
    let output = Output::Translation(answer.translated.clone());
    Record::pretty(answer.request, &answer.text.as_str().into(), &output, &answer.report)
}

/// Sentences as a table: source, translation, score, then the alternatives.
fn csv(answer: &Answer) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(["source", "translation", "score", "alternatives"]);
    for sentence in &answer.translated.sentences {
        let mut row = vec![answer.text[sentence.source.clone()].to_owned()];
        for (i, alternative) in sentence.rewritten.alternatives.iter().enumerate() {
            row.push(alternative.text.clone());
            if i == 0 {
                row.push(format!("{:.4}", alternative.score));
            }
        }
        let _ = writer.write_record(&row);
    }
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_gets_its_last_column_translated_as_one_more() {
        assert_eq!(with_column("1\tyes\n2\tno\n", "1\toui\n2\tnon\n"), "1\tyes\toui\n2\tno\tnon\n");
    }
}
