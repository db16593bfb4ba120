//! The command line: one file per subcommand. JSON alone on stdout, everything else on stderr.

mod bench;
mod chat;
mod crowd;
mod display;
mod doctor;
mod eval;
mod gui;
mod inputs;
mod models;
mod monitor;
mod run;
mod search;
mod tokenize;
mod writing;

use crate::engine::message::{Event, EventSink};
use crate::engine::{Engine, EngineConfig};
use crate::error::{UserMessage, plain, plain_lines};
use crate::labs::notes::{self, Notable};
use crate::models::careful;
use crate::models::library::Library;
use crate::nn::precision::Precision;
use crate::nn::runtime::{DeviceChoice, Runtime};
use crate::telemetry::sources::Probe;
use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Shows language AI at work: models on one side, the hardware's curves on the other.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Without a command the window opens. Settings, models and texts stay on this machine."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

/// Options of every command.
#[derive(Args, Clone)]
struct Common {
    /// Folder with models (also GLOSSA_MODELS)
    #[arg(long, global = true, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Device to compute on
    #[arg(long, global = true, value_enum, default_value_t = Device::Auto)]
    device: Device,
    /// CPU threads (default: one per core)
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// How weights are kept: f32 is exact; f16 (bf16 on CUDA) takes half the memory; int8 a quarter, and is
    /// fastest where the CPU multiplies bytes (VNNI, Arm dot products); q8_0, q5_0, q4_0 and
    /// q4_k_m are ggml's blocks, made once and kept on disk (default: as in the file; floats as f32 on CPU,
    /// f16 on CUDA)
    #[arg(long, global = true, value_name = "PRECISION", value_parser = precision)]
    precision: Option<Precision>,
    /// Tokens that prompt and answer may have together (default: what the model allows, up to 4096);
    /// for `run qa` the text that the questions are about
    #[arg(long, global = true, value_name = "N|TEXT")]
    context: Option<String>,
    /// Say more on stderr (-vv for all); GLOSSA_LOG takes a filter such as glossa=debug
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, ValueEnum)]
enum Device {
    Auto,
    Cpu,
    Cuda,
}

#[derive(Subcommand)]
enum Command {
    /// Open the window (the default)
    Gui(gui::GuiArgs),
    /// Answer texts, without a window
    Run(run::RunArgs),
    /// Talk with a language model in the terminal
    Chat(chat::ChatArgs),
    /// Show the pieces that a model reads
    Tokenize(tokenize::TokenizeArgs),
    /// Measure accuracy on labelled data
    Eval(eval::EvalArgs),
    /// Measure speed at fixed lengths and batch sizes
    Bench(bench::BenchArgs),
    /// Record what the hardware does, as a table, a file or a picture
    Monitor(monitor::MonitorArgs),
    /// List, get, check, measure and quantize models
    Models(models::ModelsArgs),
    /// Say what hardware, models and display were found, and what to do about what is missing
    Doctor(doctor::DoctorArgs),
}

/// Where sensors are read.
#[derive(Args, Clone, Default)]
struct Sensors {
    /// Read sensors below this folder instead of / (a recorded tree)
    #[arg(long, value_name = "DIR")]
    sysroot: Option<PathBuf>,
    /// NVIDIA's management library, if not the driver's own (also GLOSSA_NVML)
    #[arg(long, value_name = "FILE", hide = true)]
    nvml: Option<PathBuf>,
}

impl Sensors {
    fn probe(&self) -> Result<Probe, UserMessage> {
        if let Some(dir) = self.sysroot.as_ref().filter(|d| !d.is_dir()) {
            let why = format!("'{}' is not a folder", dir.display());
            let next = "Give --sysroot a folder that holds proc/ and sys/, or leave it out.";
            return Err(UserMessage::new("No sensors", why, next));
        }
        let root = self.sysroot.clone().unwrap_or_else(|| PathBuf::from("/"));
        let nvml = self.nvml.clone().or_else(|| std::env::var_os("GLOSSA_NVML").map(PathBuf::from));
        Ok(Probe { nvml, ..Probe::new(root) })
    }
}

/// A precision by its name.
fn precision(name: &str) -> Result<Precision, String> {
    let names = Precision::ALL.map(Precision::name).join(", ");
    Precision::named(name).ok_or_else(|| format!("precisions are: {names}"))
}

/// The id of a registered task.
fn task_id(name: &str) -> Result<&'static str, String> {
    let ids: Vec<&'static str> = crate::tasks::all().iter().map(|t| t.id()).collect();
    ids.iter().copied().find(|id| *id == name).ok_or_else(|| format!("tasks are: {}", ids.join(", ")))
}

/// Reads the arguments and runs. Usage errors exit 2, failures 1 with the reason on stderr.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(on_panic));
    let cli = match Cli::try_parse().and_then(Cli::checked) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    log(cli.common.verbose);
    let common = cli.common;
    let result = match cli.command {
        None => gui::run(&gui::GuiArgs::default(), &common),
        Some(Command::Gui(args)) => gui::run(&args, &common),
        Some(Command::Run(args)) => run::run(&args, &common),
        Some(Command::Chat(args)) => chat::run(&args, &common),
        Some(Command::Tokenize(args)) => tokenize::run(&args, &common),
        Some(Command::Eval(args)) => eval::run(&args, &common),
        Some(Command::Bench(args)) => bench::run(&args, &common),
        Some(Command::Monitor(args)) => monitor::run(&args),
        Some(Command::Models(args)) => models::run(&args, &common),
        Some(Command::Doctor(args)) => doctor::run(&args, &common),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            say(&format!("glossa: {message}"));
            ExitCode::from(1)
        }
    }
}

/// Help and version go to stdout, and it matters whether they arrive; what is wrong with the arguments to stderr.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    if error.use_stderr() {
        let colours = std::io::stderr().is_terminal();
        // Arguments are echoed: what they hold is written out, colours of our own are not.
        say(&if colours { text.ansi().to_string() } else { plain_lines(&text.to_string()).into_owned() });
        return ExitCode::from(2);
    }
    match write_part(&text.to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("glossa: {message}"));
            ExitCode::from(1)
        }
    }
}

/// One line about a panic, wherever it is caught; none where it is expected.
fn on_panic(info: &std::panic::PanicHookInfo<'_>) {
    if careful::is_quiet() {
        return;
    }
    let said = info.payload_as_str().unwrap_or("no reason given");
    let at = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
    let thread = std::thread::current().name().map(|n| format!(", thread {n}")).unwrap_or_default();
    say(&format!("glossa: an internal error: {}{at}{thread}", plain(said)));
}

/// Writes lines to stderr. Where nobody can hear them the work goes on.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}

impl Cli {
    /// A context is a number of tokens, but for questions a text. Anything else exits 2.
    fn checked(self) -> Result<Self, clap::Error> {
        let asks = matches!(&self.command, Some(Command::Run(args)) if args.task == "qa");
        if let Some(context) = self.common.context.as_deref().filter(|_| !asks)
            && !context.parse::<u32>().is_ok_and(|n| (16..=16_777_216).contains(&n))
        {
            let why = format!("--context '{context}' must be a number of tokens, 16 to 16777216");
            return Err(<Self as clap::CommandFactory>::command().error(clap::error::ErrorKind::ValueValidation, why));
        }
        Ok(self)
    }
}

/// Tracing to stderr: warnings, more with -v, or what GLOSSA_LOG says.
fn log(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        // What the window system lacks is told in a sentence of ours.
        0 => "error,eframe::native=off",
        1 => "glossa=info,warn",
        _ => "glossa=trace,info",
    };
    let filter = EnvFilter::try_from_env("GLOSSA_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).try_init();
}

impl Common {
    fn library(&self) -> Result<Library, UserMessage> {
        if let Some(dir) = self.models.as_ref().filter(|d| !d.is_dir()) {
            let why = format!("'{}' is not a folder", dir.display());
            return Err(UserMessage::new(
                "No models",
                why,
                "Give --models the folder that holds one folder per model.",
            ));
        }
        Ok(Library::find(self.models.as_deref()))
    }

    fn choice(&self) -> DeviceChoice {
        match self.device {
            Device::Auto => DeviceChoice::Auto,
            Device::Cpu => DeviceChoice::Cpu,
            Device::Cuda => DeviceChoice::Cuda,
        }
    }

    fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }

    fn context(&self) -> Option<usize> {
        self.context.as_deref().and_then(|n| n.parse().ok()).filter(|n| *n >= 16)
    }

    fn engine_config(&self) -> Result<EngineConfig, UserMessage> {
        let mut config = EngineConfig::new(self.library()?);
        config.device = self.choice();
        config.threads = self.threads();
        config.precision = self.precision;
        config.context = self.context();
        Ok(config)
    }

    /// An engine. A device that was asked for and cannot be had is an error here: a measurement
    /// on another one would mislead.
    fn engine(&self) -> Result<Engine, UserMessage> {
        let (sink, status) = EventSink::channel(None);
        let config = EngineConfig { status: Some(sink), ..self.engine_config()? };
        let engine = Engine::start(config)
            .map_err(|e| UserMessage::new("The engine could not start", e.to_string(), "Close other programs."))?;
        if self.choice() == DeviceChoice::Cuda
            && let Ok(Event::Status(status)) = status.recv()
            && let Some(refusal) = status.device.refusal()
        {
            return Err(refusal);
        }
        Ok(engine)
    }

    fn runtime(&self) -> Result<Runtime, UserMessage> {
        let mut runtime = Runtime::new(self.choice(), self.threads(), self.precision)
            .map_err(|e| UserMessage::new("No device to compute on", e.to_string(), "Try --threads 1."))?;
        runtime.context = self.context();
        runtime.report.refusal().map_or(Ok(runtime), Err)
    }
}

/// Refuses to write over what is read.
fn refuse_inputs(read: &[PathBuf], out: &std::path::Path) -> Result<(), UserMessage> {
    if crate::disk::same_file(read, std::slice::from_ref(&out.to_owned())).is_none() {
        return Ok(());
    }
    let why = format!("'{}' is one of the files that are read", out.display());
    Err(UserMessage::new("Nothing was written", why, "Name another file to write to."))
}

/// A progress bar on stderr, where that is a terminal.
fn progress_bar(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

/// Shows progress on `bar`, whose length may not have been known before.
fn follow(bar: &ProgressBar) -> impl FnMut(usize, usize) {
    move |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    }
}

/// Prints a result as JSON, or as the table that people read.
fn print_result<T: serde::Serialize>(json: bool, result: &T, table: fn(&T) -> String) -> Result<(), UserMessage> {
    if json { print_json(result) } else { write_line(&table(result)) }
}

/// The same for a measurement, which the list of models shows from then on, unless something stands against it.
fn print_noted<T: Notable + serde::Serialize>(
    common: &Common,
    json: bool,
    result: &T,
    table: fn(&T) -> String,
) -> Result<(), UserMessage> {
    notes::keep(&common.library()?, result);
    if let Some(warnings) = result.warnings() {
        warnings.iter().for_each(|w| say(&format!("glossa: warning: {w}")));
        if warnings.forbid_keeping() {
            say("glossa: this result is not kept with the model");
        }
    }
    print_result(json, result, table)
}

/// Prints JSON, for people (indented) or for programs.
fn print_json(value: &impl serde::Serialize) -> Result<(), UserMessage> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| UserMessage::new("The result could not be written", e.to_string(), ""))?;
    write_line(&text)
}

/// Writes one line to stdout.
fn write_line(text: &str) -> Result<(), UserMessage> {
    write_part(&format!("{text}\n"))
}

/// Writes one row of a table to stdout: names in it can neither break it nor steer a terminal.
fn write_row(text: &str) -> Result<(), UserMessage> {
    write_line(&plain(text))
}

/// Writes to stdout, at once. A reader that has gone (`| head`) is no error worth a message.
fn write_part(text: &str) -> Result<(), UserMessage> {
    use std::io::Write as _;
    let stdout = std::io::stdout();
    // A file or a program gets what it is; a terminal gets nothing that steers it.
    let text = if stdout.is_terminal() { plain_lines(text) } else { text.into() };
    let mut out = stdout.lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => Err(UserMessage::new(
            "The result could not be written",
            e.to_string(),
            "Check the disk or the pipe behind stdout.",
        )),
    }
}
