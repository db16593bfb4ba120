//! What a person has chosen, kept between starts.

use super::jobs::Pending;
use crate::disk::write_whole;
use crate::nn::runtime::DeviceChoice;
use crate::tasks::{Options, Sampling};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
        let options = Options::default();
        Self { model: None, system: String::new(), sampling: options.sampling, max_tokens: options.max_tokens }
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

/// Settings with their file.
pub struct SettingsFile {
    path: Option<PathBuf>,
    written: Settings,
    writing: Option<Pending<Result<(), String>>>,
    /// Why they could not be read or kept, in words.
    pub problem: Option<String>,
}

impl SettingsFile {
    /// The usual place: the user's configuration folder.
    pub fn default_path() -> Option<PathBuf> {
        directories::ProjectDirs::from("", "", "glossa").map(|d| d.config_dir().join("settings.json"))
    }

    /// Reads the settings; a missing file gives the defaults, a damaged one too, with a problem.
    pub fn open(path: Option<PathBuf>) -> (Self, Settings) {
        let mut problem = None;
        let settings = match path.as_deref().map(std::fs::read) {
            Some(Ok(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|e| {
                let shown = path.as_deref().unwrap_or(Path::new("")).display();
                problem = Some(format!("'{shown}' is damaged ({e}); the usual settings are used."));
                Settings::default()
            }),
            _ => Settings::default(),
        };
        (Self { path, written: settings.clone(), writing: None, problem }, settings)
    }

    /// Writes on a thread of its own what has changed, one write at a time.
    pub fn keep(&mut self, settings: &Settings, ctx: &egui::Context) {
        if let Some(result) = self.writing.as_mut().and_then(Pending::poll) {
            self.writing = None;
            self.problem = result.err();
        }
        let Some(path) = self.path.clone().filter(|_| self.writing.is_none() && *settings != self.written) else {
            return;
        };
        self.written = settings.clone();
        let settings = settings.clone();
        self.writing = Some(Pending::spawn(ctx, move || write(&path, &settings)));
    }

    /// Waits for the last write. At the end of the program.
    pub fn finish(&mut self, settings: &Settings) {
        if let Some(path) = &self.path
            && *settings != self.written
            && let Err(problem) = write(path, settings)
        {
            tracing::warn!(%problem, "settings are not kept");
        }
        if let Some(writing) = &mut self.writing {
            writing.wait();
        }
    }
}

/// Writes the settings; the error is for people.
fn write(path: &Path, settings: &Settings) -> Result<(), String> {
    let written = serde_json::to_vec_pretty(settings).map_err(Into::into).and_then(|json| write_whole(path, &json));
    written.map_err(|e: std::io::Error| {
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
        let (file, settings) = SettingsFile::open(Some(path));
        assert_eq!(settings, Settings::default());
        assert!(file.problem.is_some_and(|p| p.contains("settings.json")));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let blocker = folder.path().join("file");
        std::fs::write(&blocker, "").expect("file");
        let problem = write(&blocker.join("settings.json"), &Settings::default()).unwrap_err();
        assert!(problem.contains("settings.json") && problem.contains("writable"), "{problem}");
    }
}
