//! What a person has chosen, kept between starts.

use super::jobs::Pending;
use crate::disk::{Found, Lock, read_json, set_aside, write_whole};
use crate::nn::runtime::DeviceChoice;
use crate::tasks::{Sampling, WritingOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    #[default]
    System,
    Light,
    Dark,
}

/// All settings. Missing ones take their default, so that older files still load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub theme: ThemeChoice,
    /// Text and controls, 1 = normal.
    pub scale: f32,
    /// Everything 1.4 times larger.
    pub projector: bool,
    /// Large targets.
    pub touch: bool,
    pub device: DeviceChoice,
    /// CPU threads, `None` for one per core.
    pub threads: Option<usize>,
    /// Tokens that a conversation may have, `None` for the usual.
    pub context: Option<usize>,
    /// Seconds that the pulse shows.
    pub window_secs: f64,
    pub pulse_open: bool,
    pub monitor: MonitorSettings,
    /// Id of the tab shown last.
    pub tab: String,
    /// How the chat tab writes.
    pub chat: WritingSettings,
    /// How the generate tab writes.
    pub generate: WritingSettings,
    /// Folder of the T5 model for summaries in other words; `None` for one in the models folders.
    pub t5: Option<String>,
    /// Conversations are not kept on disk.
    pub private: bool,
    /// Answers show how unsure the model was of each token.
    pub surprise: bool,
}

/// Lengths of a conversation to choose from, in tokens; `None` for the usual.
pub const CONTEXTS: [(Option<usize>, &str); 5] =
    [(Some(1024), "1,024"), (Some(2048), "2,048"), (None, "4,096"), (Some(8192), "8,192"), (Some(32_768), "32,768")];

/// What the monitor shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorSettings {
    /// Seconds that the curves show.
    pub window_secs: f64,
    /// Titles of plots that are not shown.
    pub hidden: Vec<String>,
    /// Requests right after a model's loading count in the percentiles.
    pub warming: bool,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        Self { window_secs: 60.0, hidden: Vec::new(), warming: true }
    }
}

/// How a model writes: which, and how it draws its tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WritingSettings {
    /// A model id or a file; `None` for the default.
    pub model: Option<String>,
    /// What the model is told before a conversation; empty: what its template says.
    pub system: String,
    pub sampling: Sampling,
    pub max_tokens: usize,
}

impl Default for WritingSettings {
    fn default() -> Self {
        let usual = WritingOptions::default();
        Self { model: None, system: String::new(), sampling: usual.sampling, max_tokens: usual.max_tokens }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            scale: 1.0,
            projector: false,
            touch: false,
            device: DeviceChoice::Auto,
            threads: None,
            context: None,
            window_secs: 60.0,
            pulse_open: false,
            monitor: MonitorSettings::default(),
            tab: "sentiment".into(),
            // The small model that comes with Glossa wanders when it is bold, and needs help out of
            // loops.
            chat: WritingSettings {
                sampling: Sampling { temperature: 0.3, repetition_penalty: 1.1, ..Sampling::default() },
                ..WritingSettings::default()
            },
            generate: WritingSettings {
                sampling: Sampling { temperature: 0.7, ..Sampling::default() },
                max_tokens: 48,
                ..WritingSettings::default()
            },
            t5: None,
            private: false,
            surprise: false,
        }
    }
}

/// Time windows of the pulse: seconds and words.
pub const WINDOWS: [(f64, &str); 5] =
    [(15.0, "15 s"), (30.0, "30 s"), (60.0, "60 s"), (180.0, "3 min"), (600.0, "10 min")];

/// Time windows of the monitor.
pub const LONG_WINDOWS: [(f64, &str); 7] = [
    (15.0, "15 s"),
    (60.0, "60 s"),
    (180.0, "3 min"),
    (600.0, "10 min"),
    (1_800.0, "30 min"),
    (7_200.0, "2 h"),
    (21_600.0, "6 h"),
];

impl Settings {
    /// The factor by which everything is drawn larger.
    pub fn zoom(&self) -> f32 {
        self.scale.clamp(0.7, 2.5) * if self.projector { 1.4 } else { 1.0 }
    }
}

/// Seconds after which settings that could not be written are tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Settings with their file.
pub struct SettingsFile {
    path: Option<PathBuf>,
    written: Settings,
    /// Being written, and what came of it.
    writing: Option<(Settings, Pending<Result<(), String>>)>,
    retry: Option<Instant>,
    /// Why they could not be read or kept, in words.
    pub problem: Option<String>,
}

/// Puts `value` into `root` at `pointer`, part by part; what does not fit is left out and named.
fn take(root: &mut Value, pointer: &str, value: &Value, left_out: &mut Vec<String>) {
    let before = root.pointer(pointer).cloned();
    if let (Some(Value::Object(_)), Value::Object(parts)) = (&before, value) {
        for (key, part) in parts {
            take(root, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), part, left_out);
        }
        return;
    }
    // What this version does not know is kept in the file, and is not ours to judge.
    let Some(before) = before else { return };
    if let Some(place) = root.pointer_mut(pointer) {
        *place = value.clone();
    }
    if Settings::deserialize(&*root).is_err() {
        if let Some(place) = root.pointer_mut(pointer) {
            *place = before;
        }
        left_out.push(pointer.trim_start_matches('/').replace('/', "."));
    }
}

/// Copies into `file` what differs between `old` and `new`.
fn change(file: &mut Value, old: &Value, new: &Value) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return };
    if !file.is_object() {
        *file = Value::Object(serde_json::Map::new());
    }
    let Value::Object(file) = file else { return };
    for (key, value) in new {
        match (old.get(key), value) {
            (Some(before), _) if before == value => {}
            (Some(before @ Value::Object(_)), Value::Object(_)) => {
                change(file.entry(key.clone()).or_insert_with(|| before.clone()), before, value);
            }
            _ => drop(file.insert(key.clone(), value.clone())),
        }
    }
}

impl SettingsFile {
    /// The usual place: the user's configuration folder.
    pub fn default_path() -> Option<PathBuf> {
        directories::ProjectDirs::from("", "", "glossa").map(|d| d.config_dir().join("settings.json"))
    }

    /// Reads the settings, each by itself; a missing file gives the defaults. What cannot be read is a problem in words
    /// and stays in the file; where it could have said that conversations are private, they are.
    pub fn open(path: Option<PathBuf>) -> (Self, Settings) {
        let (settings, problem) = path.as_deref().map_or_else(Default::default, read);
        (Self { path, written: settings.clone(), writing: None, retry: None, problem }, settings)
    }

    /// Writes on a thread of its own what has changed, one write at a time.
    pub fn keep(&mut self, settings: &Settings, ctx: &egui::Context) {
        if let Some((tried, result)) = self.writing.as_mut().and_then(|(s, p)| Some((s.clone(), p.poll()?))) {
            self.writing = None;
            self.retry = result.is_err().then(|| Instant::now() + AGAIN);
            if result.is_ok() {
                self.written = tried;
            }
            self.problem = result.err();
        }
        let waits = self.retry.is_some_and(|at| Instant::now() < at);
        let is_due = self.writing.is_none() && !waits && *settings != self.written;
        let Some(path) = self.path.clone().filter(|_| is_due) else { return };
        let (old, new) = (self.written.clone(), settings.clone());
        let writing = Pending::spawn(ctx, move || write(&path, &old, &new));
        self.writing = Some((settings.clone(), writing));
    }

    /// Waits for the last write, and writes what has changed since. At the end of the program.
    pub fn finish(&mut self, settings: &Settings) {
        if let Some((tried, mut writing)) = self.writing.take()
            && writing.wait().is_some_and(|result| result.is_ok())
        {
            self.written = tried;
        }
        if let Some(path) = &self.path
            && *settings != self.written
            && let Err(problem) = write(path, &self.written, settings)
        {
            tracing::warn!(problem = ?problem, "settings are not kept");
        }
    }
}

fn read(path: &Path) -> (Settings, Option<String>) {
    let shown = path.display();
    let closed = |why: String| (Settings { private: true, ..Settings::default() }, Some(why));
    let file = match read_json::<Value>(path) {
        Found::Nothing => return Default::default(),
        Found::Read(file @ Value::Object(_)) => file,
        Found::Read(_) => return closed(damaged(path, "it is no list of settings")),
        Found::Damaged(why) => return closed(damaged(path, &why)),
        Found::Unreadable(e) => {
            return closed(format!(
                "'{shown}' cannot be read ({e}); the usual settings are used, and conversations are private. Correct its permissions."
            ));
        }
    };
    let (mut root, mut left_out) = (serde_json::to_value(Settings::default()).unwrap_or_default(), Vec::new());
    take(&mut root, "", &file, &mut left_out);
    let mut settings = Settings::deserialize(&root).unwrap_or_default();
    if left_out.is_empty() {
        return (settings, None);
    }
    settings.private |= left_out.iter().any(|name| name == "private");
    let names = left_out.join(", ");
    let problem =
        format!("Some settings in '{shown}' are not understood and left as they are: {names}. All others hold.");
    (settings, Some(problem))
}

fn damaged(path: &Path, why: &str) -> String {
    format!(
        "'{}' is damaged ({why}); the usual settings are used, and conversations are private. A copy is kept when a setting is changed.",
        path.display()
    )
}

/// Writes what has changed from `old` to `new`, and leaves what else is in the file: other windows' changes, and what is
/// not understood. The error is for people.
fn write(path: &Path, old: &Settings, new: &Settings) -> Result<(), String> {
    let attempt = || -> std::io::Result<()> {
        let _lock = Lock::take(path)?;
        let mut file = match read_json::<Value>(path) {
            Found::Read(file @ Value::Object(_)) => file,
            Found::Nothing => Value::Null,
            Found::Read(_) | Found::Damaged(_) => {
                set_aside(path)?;
                Value::Null
            }
            Found::Unreadable(e) => return Err(e),
        };
        let json = |settings: &Settings| serde_json::to_value(settings).map_err(std::io::Error::other);
        let new = json(new)?;
        if file.is_null() {
            file = new;
        } else {
            change(&mut file, &json(old)?, &new);
        }
        write_whole(path, &serde_json::to_vec_pretty(&file).map_err(std::io::Error::other)?)
    };
    attempt().map_err(|e| {
        format!("Settings hold until you close Glossa: '{}' cannot be written ({e}). Make its folder writable to keep them.", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_damaged_files_load() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("settings.json");
        std::fs::write(&path, r#"{"theme":"dark","gone":1}"#).expect("file");
        let (file, settings) = SettingsFile::open(Some(path.clone()));
        assert_eq!(settings.theme, ThemeChoice::Dark);
        assert_eq!(settings.window_secs, 60.0);
        assert!(file.problem.is_none());
        std::fs::write(&path, "{").expect("file");
        let (mut file, settings) = SettingsFile::open(Some(path.clone()));
        assert_eq!(settings, Settings { private: true, ..Settings::default() });
        assert!(file.problem.as_ref().is_some_and(|p| p.contains("settings.json")));
        file.finish(&Settings { touch: true, ..settings });
        let copy = std::fs::read_to_string(folder.path().join("settings.json.damaged")).expect("copy");
        assert_eq!(copy, "{");
    }

    /// One value that is not known resets nothing else, and stays in the file with whatever else is there.
    #[test]
    fn one_unknown_value_costs_nothing_but_itself() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("settings.json");
        let text = r#"{"theme":"sepia","scale":1.3,"private":true,"t5":"/my/t5","newer":[1],
                       "chat":{"system":"Be brief.","max_tokens":99,"sampling":{"temperature":"hot","top_k":7}}}"#;
        std::fs::write(&path, text).expect("file");
        let (mut file, settings) = SettingsFile::open(Some(path.clone()));
        assert!(settings.private && settings.scale == 1.3 && settings.t5.as_deref() == Some("/my/t5"));
        assert_eq!((settings.chat.system.as_str(), settings.chat.max_tokens), ("Be brief.", 99));
        assert_eq!(settings.chat.sampling.top_k, 7);
        let problem = file.problem.clone().expect("problem");
        assert!(problem.contains("theme") && problem.contains("chat.sampling.temperature"), "{problem}");
        file.finish(&Settings { touch: true, ..settings });
        let now: Value = serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
        assert_eq!(
            (&now["theme"], &now["touch"], &now["newer"]),
            (&"sepia".into(), &true.into(), &serde_json::json!([1]))
        );
        for bad in [r#"{"private":"yes"}"#, "[]", "\u{0}"] {
            std::fs::write(&path, bad).expect("file");
            assert!(SettingsFile::open(Some(path.clone())).1.private, "{bad}: what may have been private is");
        }
    }

    #[test]
    fn two_windows_keep_each_others_changes() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("settings.json");
        let (mut one, start) = SettingsFile::open(Some(path.clone()));
        let (mut two, _) = SettingsFile::open(Some(path.clone()));
        one.finish(&Settings { touch: true, ..start.clone() });
        two.finish(&Settings { scale: 1.5, ..start });
        let (_, both) = SettingsFile::open(Some(path));
        assert!(both.touch && both.scale == 1.5);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let blocker = folder.path().join("file");
        std::fs::write(&blocker, "").expect("file");
        let usual = Settings::default();
        let problem = write(&blocker.join("settings.json"), &usual, &usual).unwrap_err();
        assert!(problem.contains("settings.json") && problem.contains("writable"), "{problem}");
    }
}
