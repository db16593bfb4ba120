//! `glossa chat`: a conversation in the terminal.

use super::writing::WritingArgs;
use super::{Common, say, write_part};
use crate::disk::write_whole;
use crate::engine::message::{CancelToken, ClientId, Event, EventSink, Priority, Report, Request};
use crate::engine::{Engine, wait_for_end};
use crate::error::{UserMessage, plain};
use crate::nn::lock;
use crate::tasks::{Generated, Input, Message, Role};
use clap::Args;
use rustyline::error::ReadlineError;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

const HELP: &str = "/reset      begin a new conversation
/system T   tell the model T before the conversation (without T: what its template says)
/save FILE  write the conversation as Markdown, or as JSON if FILE ends in .json
/help       this list
/quit       leave (also Ctrl-D); Ctrl-C stops an answer";

#[derive(Args)]
pub(super) struct ChatArgs {
    /// Model id, a GGUF file, or a GPT-2 folder
    #[arg(long, value_name = "ID|FILE|DIR")]
    model: Option<String>,
    #[command(flatten)]
    writing: WritingArgs,
}

/// The answer that Ctrl-C stops, if one is being written.
type Current = Arc<Mutex<Option<CancelToken>>>;

pub(super) fn run(args: &ChatArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let engine = common.engine()?;
    let current = Current::default();
    let stopped = Arc::clone(&current);
    let handler = ctrlc::set_handler(move || match lock(&stopped).as_ref() {
        Some(cancel) => cancel.cancel(),
        None => std::process::exit(130),
    });
    handler.map_err(|e| UserMessage::new("The terminal cannot be used", e.to_string(), "Use: glossa run chat TEXT"))?;
    let mut talk = Talk { engine, args, current, messages: Vec::new(), system: args.writing.system.clone() };
    let mut lines = Lines::open();
    if std::io::stderr().is_terminal() {
        say("Ask something; /help lists what else can be typed.");
    }
    while let Some(line) = lines.next()? {
        match talk.take(line.trim()) {
            Ok(true) => {}
            Ok(false) => break,
            Err(message) => say(&format!("glossa: {message}")),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where lines come from: an editor with history in a terminal, else plain standard input.
enum Lines {
    Editor(Box<rustyline::DefaultEditor>),
    Plain,
}

impl Lines {
    fn open() -> Self {
        if std::io::stdin().is_terminal()
            && let Ok(editor) = rustyline::DefaultEditor::new()
        {
            return Self::Editor(Box::new(editor));
        }
        Self::Plain
    }

    /// The next line, `None` at the end.
    fn next(&mut self) -> Result<Option<String>, UserMessage> {
        let fail = |why: String| UserMessage::new("Standard input could not be read", why, "");
        match self {
            Self::Editor(editor) => match editor.readline("› ") {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    Ok(Some(line))
                }
                Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
                Err(ReadlineError::Eof) => Ok(None),
                Err(error) => Err(fail(error.to_string())),
            },
            Self::Plain => {
                let mut line = String::new();
                let count = std::io::stdin().read_line(&mut line).map_err(|e| fail(e.to_string()))?;
                Ok((count > 0).then(|| line.trim_start_matches('\u{feff}').to_owned()))
            }
        }
    }
}

/// A conversation.
struct Talk<'a> {
    engine: Engine,
    args: &'a ChatArgs,
    current: Current,
    messages: Vec<Message>,
    system: Option<String>,
}

impl Talk<'_> {
    /// Carries out a line; false to leave.
    fn take(&mut self, line: &str) -> Result<bool, UserMessage> {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "" => {}
            "/quit" | "/exit" => return Ok(false),
            "/help" => say(HELP),
            "/reset" => {
                self.messages.clear();
                say("New conversation.");
            }
            "/system" => {
                self.system = Some(rest.trim().to_owned()).filter(|s| !s.is_empty());
                self.messages.clear();
                let set = if self.system.is_some() { "set" } else { "as the template has it" };
                say(&format!("New conversation, system prompt {set}."));
            }
            "/save" => self.save(rest.trim())?,
            other if other.starts_with('/') => say(&format!("There is no command {}. /help lists them.", plain(other))),
            _ => self.ask(line)?,
        }
        Ok(true)
    }

    fn ask(&mut self, text: &str) -> Result<(), UserMessage> {
        self.messages.push(Message::user(text));
        let system = self.system.iter().map(Message::system);
        let request = Request {
            task: "chat",
            model: self.args.model.clone(),
            inputs: vec![Input::Chat(system.chain(self.messages.iter().cloned()).collect())],
            options: self.args.writing.options(),
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        let (sink, events) = EventSink::channel(None);
        let ticket = match self.engine.submit(request, sink) {
            Ok(ticket) => ticket,
            Err(error) => {
                self.messages.pop();
                return Err(error.into());
            }
        };
        *lock(&self.current) = Some(ticket.cancel);
        let (mut answer, mut whole, mut said) = (String::new(), None, Ok(()));
        let end = wait_for_end(&events, |event| {
            if let Event::Partial { partial, .. } = event {
                answer.push_str(&partial.text);
                if said.is_ok() {
                    said = write_part(&partial.text);
                }
            }
            if let Some(text) = event.first_answer().and_then(|o| o.text()) {
                whole = Some(text.clone());
            }
        });
        *lock(&self.current) = None;
        said.and_then(|()| write_part("\n"))?;
        match end {
            Some(Event::Done { report, .. }) => {
                self.messages.push(Message::assistant(answer));
                note(&report, whole.as_ref());
            }
            Some(Event::Cancelled { .. }) => {
                self.messages.push(Message::assistant(answer));
                say("(stopped)");
            }
            Some(Event::Failed { message, .. }) => {
                self.messages.pop();
                return Err(message);
            }
            _ => return Err(crate::engine::SubmitError::Stopped.into()),
        }
        Ok(())
    }

    fn save(&self, name: &str) -> Result<(), UserMessage> {
        if name.is_empty() {
            say("Say where: /save FILE.md or /save FILE.json");
            return Ok(());
        }
        let path = Path::new(name);
        let text = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            let json = serde_json::to_string_pretty(&self.messages);
            json.map_err(|e| UserMessage::new("The conversation was not saved", e.to_string(), ""))?
        } else {
            let title = |role| match role {
                Role::System => "System",
                Role::User => "You",
                Role::Assistant => "Model",
            };
            let turns = self.messages.iter().map(|m| format!("**{}**\n\n{}\n", title(m.role), m.content.trim()));
            turns.collect::<Vec<_>>().join("\n")
        };
        write_whole(path, text.as_bytes()).map_err(|e| {
            let why = format!("'{}': {e}", path.display());
            UserMessage::new("The conversation was not saved", why, "Choose another place.")
        })?;
        say(&format!("Saved to '{}'.", plain(&path.display().to_string())));
        Ok(())
    }
}

/// What an answer cost, where somebody reads it.
fn note(report: &Report, answer: Option<&Generated>) {
    for warning in &report.warnings {
        say(&format!("({warning})"));
    }
    if let Some(g) = answer.filter(|_| std::io::stderr().is_terminal()) {
        let rate = report.tokens_per_second().unwrap_or(0.0);
        let used = g.prompt.tokens + g.token_ids.len();
        let first = report.timing.ttft / 1e3;
        say(&format!("({rate:.0} tokens/s, first token {first:.2} s, context {used} of {})", g.prompt.context));
    }
}
