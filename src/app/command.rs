//! Everything that a person can tell the window: name, explanation and key in one table.
//! Buttons, keys and the command palette all come from it.

use egui::{Key, KeyboardShortcut, Modifiers};

/// A command without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UiCommand {
    Run,
    Stop,
    Why,
    Batch,
    CopyText,
    CopyJson,
    SaveCsv,
    Tokens,
    NewConversation,
    OneToken,
    Theme,
    Projector,
    Pulse,
    PausePulse,
    Palette,
    StartEngine,
    /// The tab at this place of the rail.
    Tab(u8),
    Quit,
}

impl UiCommand {
    /// Every command but the tabs, in the palette's order.
    pub const ALL: [Self; 17] = [
        Self::Run,
        Self::Stop,
        Self::Why,
        Self::Batch,
        Self::CopyText,
        Self::CopyJson,
        Self::SaveCsv,
        Self::Tokens,
        Self::NewConversation,
        Self::OneToken,
        Self::Theme,
        Self::Projector,
        Self::Pulse,
        Self::PausePulse,
        Self::Palette,
        Self::StartEngine,
        Self::Quit,
    ];

    /// Short name, as on a button.
    pub fn text(self) -> &'static str {
        match self {
            Self::Run => "Run",
            Self::Stop => "Stop",
            Self::Why => "Why?",
            Self::Batch => "Batch…",
            Self::CopyText => "Copy",
            Self::CopyJson => "JSON",
            Self::SaveCsv => "CSV",
            Self::Tokens => "Tokens",
            Self::NewConversation => "New conversation",
            Self::OneToken => "One token",
            Self::Theme => "Light or dark",
            Self::Projector => "Projector size",
            Self::Pulse => "Pulse",
            Self::PausePulse => "Pause the pulse",
            Self::Palette => "Commands",
            Self::StartEngine => "Start the engine again",
            Self::Tab(_) => "Go to tab",
            Self::Quit => "Quit",
        }
    }

    /// What it does, in a sentence.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Run => "Run what is written: analyse the text, send the message, go on with the text.",
            Self::Stop => "End what is running. What is done so far stays.",
            Self::Why => "Leave out each word in turn and show how far the answer moves.",
            Self::Batch => "Analyse many lines: from a file, or pasted.",
            Self::CopyText => "Copy the answer as text.",
            Self::CopyJson => "Copy the answer as JSON, as the command line prints it.",
            Self::SaveCsv => "Save the answer as a table.",
            Self::Tokens => "Show the pieces that the model reads.",
            Self::NewConversation => "Begin a new conversation; the model forgets what was said.",
            Self::OneToken => "Let the model write a single token.",
            Self::Theme => "Switch between the light and the dark theme.",
            Self::Projector => "Everything 1.4 times larger, for a projector.",
            Self::Pulse => "Show or hide the hardware's curves.",
            Self::PausePulse => "Hold the curves still.",
            Self::Palette => "Find a command by name.",
            Self::StartEngine => {
                "Begin anew after the engine has stopped by itself. Models are read again when they are needed."
            }
            Self::Tab(_) => "Show this tab.",
            Self::Quit => "Close Glossa.",
        }
    }

    /// Its key.
    pub fn shortcut(self) -> Option<KeyboardShortcut> {
        let ctrl = |key| Some(KeyboardShortcut::new(Modifiers::CTRL, key));
        match self {
            Self::Run => ctrl(Key::Enter),
            Self::Stop => Some(KeyboardShortcut::new(Modifiers::NONE, Key::Escape)),
            Self::Why => ctrl(Key::Y),
            Self::Batch => ctrl(Key::B),
            Self::CopyText | Self::CopyJson | Self::SaveCsv | Self::Tokens | Self::StartEngine => None,
            Self::NewConversation => ctrl(Key::N),
            Self::OneToken => ctrl(Key::ArrowRight),
            Self::Theme => ctrl(Key::T),
            Self::Projector => ctrl(Key::P),
            Self::Pulse => ctrl(Key::M),
            Self::PausePulse => ctrl(Key::Space),
            Self::Palette => ctrl(Key::K),
            Self::Tab(i) => {
                let keys = [
                    Key::Num1,
                    Key::Num2,
                    Key::Num3,
                    Key::Num4,
                    Key::Num5,
                    Key::Num6,
                    Key::Num7,
                    Key::Num8,
                    Key::Num9,
                    Key::Num0,
                ];
                keys.get(usize::from(i)).copied().and_then(ctrl)
            }
            Self::Quit => ctrl(Key::Q),
        }
    }

    /// The key in words, such as "Ctrl+K".
    pub fn key_name(self) -> String {
        match self {
            Self::Run => "Ctrl ⏎".into(),
            Self::Stop => "Esc".into(),
            _ => self.shortcut().map_or_else(String::new, |s| s.format(&egui::ModifierNames::NAMES, false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_share_a_key() {
        let keys: Vec<_> =
            UiCommand::ALL.into_iter().chain((0..10).map(UiCommand::Tab)).filter_map(UiCommand::shortcut).collect();
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b), "{a:?}");
        }
    }
}
