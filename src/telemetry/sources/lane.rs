//! How a source is read: here at every tick, or, where its files answer slowly, on a thread of its own and at its own
//! pace, so that it delays nobody else.

use super::Source;
use super::files::LIMIT;
use crate::telemetry::channel::Channel;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

/// A reading that takes so long delays the others.
const SLOW: Duration = Duration::from_millis(60);
/// One that takes so long need not do it twice.
const VERY_SLOW: Duration = Duration::from_millis(300);

/// What a thread is asked, and what it answers: when it began, what was due, the values.
struct Turn {
    time: f64,
    due: Vec<bool>,
    row: Vec<f32>,
    /// The channels, where they have changed.
    channels: Option<Vec<Channel>>,
}

/// A source with a thread.
struct Away {
    ask: Sender<Turn>,
    answers: Receiver<Turn>,
    is_busy: bool,
    channels: Vec<Channel>,
}

enum Place {
    Here(Box<dyn Source>),
    Away(Away),
}

/// A source, wherever it is read.
pub(super) struct Lane {
    place: Place,
    /// Slow readings in a row.
    slow: u32,
}

/// What came of a reading.
pub(super) enum Outcome {
    /// The values are those of this time.
    Read(f64),
    /// They come later; the last ones stand.
    Later,
    /// The thread has ended.
    Gone,
}

impl Lane {
    pub fn new(source: Box<dyn Source>) -> Self {
        Self { place: Place::Here(source), slow: 0 }
    }

    /// What it reads, in order; may grow with a reading.
    pub fn channels(&self) -> &[Channel] {
        match &self.place {
            Place::Here(source) => source.channels(),
            Place::Away(away) => &away.channels,
        }
    }

    /// Whether an answer is being waited for.
    pub fn is_busy(&self) -> bool {
        matches!(&self.place, Place::Away(away) if away.is_busy)
    }

    /// Takes an answer in that has come meanwhile, with what was due when it was asked for.
    pub fn take(&mut self, due: &mut [bool], row: &mut [f32]) -> Outcome {
        let Place::Away(away) = &mut self.place else { return Outcome::Later };
        match away.answers.try_recv() {
            Ok(turn) => {
                away.is_busy = false;
                row.iter_mut().zip(&turn.row).for_each(|(to, from)| *to = *from);
                due.iter_mut().zip(&turn.due).for_each(|(to, from)| *to = *from);
                if let Some(channels) = turn.channels {
                    away.channels = channels;
                }
                Outcome::Read(turn.time)
            }
            Err(TryRecvError::Empty) => Outcome::Later,
            Err(TryRecvError::Disconnected) => Outcome::Gone,
        }
    }

    /// Reads what is due into `row`, or asks for it.
    pub fn read(&mut self, now: f64, due: &[bool], buffer: &mut [u8], row: &mut [f32]) -> Outcome {
        match &mut self.place {
            Place::Here(source) => {
                let begun = Instant::now();
                source.read(now, due, buffer, row);
                let took = begun.elapsed();
                self.slow = if took > SLOW { self.slow + 1 } else { 0 };
                if took > VERY_SLOW || self.slow > 1 {
                    self.go_away();
                }
                Outcome::Read(now)
            }
            Place::Away(away) => {
                let turn = Turn { time: now, due: due.to_vec(), row: row.to_vec(), channels: None };
                if !due.contains(&true) {
                    return Outcome::Later;
                }
                match away.ask.try_send(turn) {
                    Ok(()) => {
                        away.is_busy = true;
                        Outcome::Later
                    }
                    Err(_) => Outcome::Gone,
                }
            }
        }
    }

    /// From now on on a thread. Where there is none to be had, everything stays as it is.
    fn go_away(&mut self) {
        let Place::Here(source) = &mut self.place else { return };
        let source: Box<dyn Source> = std::mem::replace(source, Box::new(Nothing));
        let channels = source.channels().to_vec();
        let (ask, asked) = crossbeam_channel::bounded::<Turn>(1);
        let (say, answers) = crossbeam_channel::bounded::<Turn>(1);
        let work = move || {
            let (mut source, mut buffer) = (source, vec![0; LIMIT]);
            let mut known = source.channels().len();
            while let Ok(mut turn) = asked.recv() {
                source.read(turn.time, &turn.due, &mut buffer, &mut turn.row);
                if source.channels().len() != known {
                    known = source.channels().len();
                    turn.channels = Some(source.channels().to_vec());
                }
                if say.send(turn).is_err() {
                    return;
                }
            }
        };
        // Whoever waits for an answer of a thread that was not had learns at once that it is gone.
        let spawned = std::thread::Builder::new().name("glossa-slow-sensor".into()).spawn(work);
        if let Err(error) = spawned {
            tracing::warn!(%error, "a slow sensor has no thread");
        }
        self.place = Place::Away(Away { ask, answers, is_busy: false, channels });
    }
}

/// Stands in while a source moves.
struct Nothing;

impl Source for Nothing {
    fn channels(&self) -> &[Channel] {
        &[]
    }

    fn read(&mut self, _: f64, _: &[bool], _: &mut [u8], _: &mut [f32]) {}
}
