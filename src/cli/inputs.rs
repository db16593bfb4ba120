//! What `glossa run` reads: texts and questions from arguments and files, and the options of the
//! tasks on encoders.

use super::{progress_bar, say};
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::labs::extract::Wanted;
use crate::labs::labelled::read_labelled;
use crate::labs::{lines, teach};
use crate::tasks::{Input, Length, Options, Structure, TaughtHead};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a summary is made.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Method {
    /// The text's own sentences, the most central ones
    Extractive,
    /// In words of its own, by a T5 model (--model FOLDER)
    Abstractive,
    /// By the chat model, with a prompt
    Chat,
}

impl Method {
    /// The engine's task for what was asked.
    pub(super) fn task(task: &'static str, method: Option<Self>) -> &'static str {
        match (task, method) {
            ("summarize", Some(Self::Abstractive)) => "abstractive",
            ("summarize", Some(Self::Chat)) => "chat",
            _ => task,
        }
    }
}

/// Options of tasks that look into a text.
#[derive(Args, Clone)]
pub(super) struct AnalysisArgs {
    /// Question to answer from the text (qa; may be given several times)
    #[arg(long, value_name = "TEXT")]
    question: Vec<String>,
    /// A whole file as one text (may be given several times)
    #[arg(long, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,
    /// Labels to choose between, comma-separated (classify)
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    #[command(flatten)]
    pub(super) teaching: TeachingArgs,
    /// How to summarize
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// Sentences of a summary
    #[arg(long, value_name = "N", conflicts_with = "percent", value_parser = clap::value_parser!(u16).range(1..))]
    sentences: Option<u16>,
    /// Length of a summary as a share of the text's sentences
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: Option<u8>,
    /// Field to ask for: a name, or "name: question" (extract; may be given several times)
    #[arg(long, value_name = "FIELD")]
    field: Vec<String>,
}

/// Where a head for `classify` comes from.
#[derive(Args, Clone)]
pub(super) struct TeachingArgs {
    /// Examples to teach with, one `label<TAB>text` per line (classify)
    #[arg(long, value_name = "FILE.tsv", conflicts_with = "labels")]
    teach: Option<PathBuf>,
    /// A head that was taught and saved before (classify)
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["labels", "teach"])]
    head: Option<PathBuf>,
    /// Save the taught head
    #[arg(long, value_name = "FILE.json", requires = "teach")]
    save_head: Option<PathBuf>,
}

impl TeachingArgs {
    /// The head, taught or read; what leaving one out said goes to stderr. It is saved over none of `inputs`.
    ///
    /// # Errors
    /// Files that cannot be used, or an engine that fails.
    pub(super) fn head(
        &self,
        engine: &Engine,
        model: Option<&str>,
        inputs: &[&Path],
    ) -> Result<Option<Arc<TaughtHead>>, UserMessage> {
        if let Some(path) = &self.head {
            return Ok(Some(Arc::new(teach::open(path)?)));
        }
        let Some(path) = &self.teach else { return Ok(None) };
        if let Some(out) = &self.save_head {
            let read: Vec<PathBuf> = inputs.iter().map(|p| p.to_path_buf()).chain([path.clone()]).collect();
            super::refuse_inputs(&read, out)?;
        }
        // Read here for what is to be said of it before the work begins.
        read_labelled(path)?.doubts.iter().for_each(|d| say(&format!("glossa: warning: {d}")));
        let bar = progress_bar(0);
        let head = teach::teach(engine, model, path, super::follow(&bar));
        bar.finish_and_clear();
        let head = head?;
        let held = head.held_out.map_or_else(String::new, |(right, tried)| {
            format!("; of {tried} left out one by one, {right} were recognised")
        });
        say(&format!("glossa: taught {} labels from {} examples{held}", head.labels.len(), head.examples));
        if let Some(path) = &self.save_head {
            teach::save(&head, path)?;
        }
        Ok(Some(Arc::new(head)))
    }
}

impl AnalysisArgs {
    /// Puts them into the engine's options. Teaches a head where one is asked for.
    ///
    /// # Errors
    /// As for [`TeachingArgs::head`].
    pub(super) fn apply(
        &self,
        engine: &Engine,
        model: Option<&str>,
        input: Option<&Path>,
        options: &mut Options,
    ) -> Result<(), UserMessage> {
        options.classify.labels.clone_from(&self.labels);
        let inputs: Vec<&Path> = self.file.iter().map(PathBuf::as_path).chain(input).collect();
        options.classify.taught = self.teaching.head(engine, model, &inputs)?;
        options.summarize.length = match (self.sentences, self.percent) {
            (Some(n), _) => Length::Sentences(usize::from(n)),
            (None, Some(p)) => Length::Percent(f32::from(p)),
            (None, None) => Length::default(),
        };
        Ok(())
    }

    /// The engine's task for what was asked.
    pub(super) fn task(&self, task: &'static str) -> &'static str {
        Method::task(task, self.method)
    }

    /// Sentences that a summary by the chat model shall have.
    pub(super) fn summary_sentences(&self) -> usize {
        self.sentences.map_or(3, usize::from)
    }

    /// How a file that is one text is written, by its name.
    pub(super) fn structure(&self) -> Structure {
        self.file.first().map_or(Structure::Plain, |f| Structure::of_file(f))
    }

    /// The fields to ask for.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        self.field.iter().filter_map(|f| Wanted::parse(f)).collect()
    }

    /// All inputs for `task`: `texts` from the command line, then those of `input` and of the files.
    ///
    /// # Errors
    /// A file that cannot be read, or a question without a text.
    pub(super) fn inputs(
        &self,
        task: &str,
        texts: &[String],
        input: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Vec<Input>, UserMessage> {
        let files = self.file.iter().map(|f| lines::text(f)).collect::<Result<Vec<_>, _>>()?;
        if task == "qa" {
            let contexts = context.map(str::to_owned).into_iter().chain(files).collect();
            return self.questions(texts, input, contexts);
        }
        let mut all: Vec<String> = texts.to_vec();
        if let Some(path) = input {
            all.extend(read(path, matches!(task, "summarize" | "abstractive" | "extract"))?);
        }
        all.extend(files);
        Ok(all.into_iter().map(Input::Text).collect())
    }

    /// Each question with each text; or the rows of a JSON-lines file.
    fn questions(
        &self,
        texts: &[String],
        input: Option<&Path>,
        mut contexts: Vec<String>,
    ) -> Result<Vec<Input>, UserMessage> {
        if let Some(path) = input {
            return questions_of(path);
        }
        let mut questions = self.question.clone();
        if contexts.is_empty() {
            contexts.extend_from_slice(texts);
        } else {
            questions.extend_from_slice(texts);
        }
        if questions.is_empty() || contexts.is_empty() {
            let why = if questions.is_empty() { "no question was given" } else { "no text was given to look in" };
            let next = "For example: glossa run qa --context \"The train leaves at nine.\" --question \"When does the train leave?\"";
            return Err(UserMessage::new("There is nothing to answer", why, next));
        }
        let mut all = Vec::new();
        for context in contexts {
            let context: Arc<str> = context.into();
            all.extend(
                questions.iter().map(|q| Input::Question { question: q.clone(), context: Arc::clone(&context) }),
            );
        }
        Ok(all)
    }
}

/// The texts of a file: of JSON lines their "text" (or "sentences"), else lines, or `whole` as one.
fn read(path: &Path, whole: bool) -> Result<Vec<String>, UserMessage> {
    if path.as_os_str() == "-" {
        let bytes = lines::bounded(std::io::stdin().lock(), "standard input")?;
        // Not a line of text is nothing to analyse, in either form.
        let lines = lines::decode(&bytes, "standard input")?;
        return Ok(if whole { vec![lines::utf8(&bytes, "standard input")?.to_owned()] } else { lines });
    }
    if !is_json_lines(path) {
        return if whole { Ok(vec![lines::text(path)?]) } else { lines::read(path) };
    }
    let text = |(i, line): (usize, String)| {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        lines::document(&value).ok_or_else(|| not_a_row(path, i, "\"text\": …"))
    };
    lines::read(path)?.into_iter().enumerate().map(text).collect()
}

fn questions_of(path: &Path) -> Result<Vec<Input>, UserMessage> {
    let row = |(i, line): (usize, String)| {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(|t| t.as_str());
        match (text("question"), text("context")) {
            (Some(question), Some(context)) => {
                Ok(Input::Question { question: question.to_owned(), context: context.into() })
            }
            _ => Err(not_a_row(path, i, "\"question\": …, \"context\": …")),
        }
    };
    lines::read(path)?.into_iter().enumerate().map(row).collect()
}

fn is_json_lines(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")
}

fn not_a_row(path: &Path, index: usize, keys: &str) -> UserMessage {
    let why = format!("'{}': text line {} is no JSON object with these keys", path.display(), index + 1);
    UserMessage::new("The file could not be read", why, format!("Each line must be JSON: {{{keys}}}"))
}
