//! How fast a model reads and writes here, and what a step may therefore take.
//!
//! Chunks of a prompt change no number of any answer, so that a step can be as large as the clock allows: whoever reads an
//! answer waits at most about twice as long for the next word while somebody else's long prompt is read.

/// Milliseconds that a step may take while nobody waits for the next word: Stop takes effect between steps.
const STEP_MS: f64 = 120.0;
/// What a step may cost more for the sake of those who are read, as a part of what it costs without.
const MORE: f64 = 0.55;
/// Rows of prompts that ride along at least, and at most.
const RIDERS: (usize, usize) = (4, 256);
/// How much a new measurement counts.
const NEW: f64 = 0.2;
/// Rows of a step from which on it says how fast prompts are read.
const ENOUGH: usize = 16;

/// Measured times.
#[derive(Debug, Default)]
pub struct Pace {
    /// Milliseconds per row of a prompt, where nothing is written; 0: not known.
    reading: f64,
    /// The same of rows that ride along with written ones.
    riding: f64,
    /// Milliseconds of a step that writes so many texts (one more than the index) and reads nothing; 0: not known.
    writing: Vec<f64>,
}

fn mix(old: &mut f64, new: f64) {
    *old = if *old > 0.0 { *old + NEW * (new - *old) } else { new };
}

impl Pace {
    /// Notes a step that wrote so many rows, read so many, and took so long.
    pub fn note(&mut self, written: usize, read: usize, ms: f64) {
        if written == 0 {
            if read >= ENOUGH || (read > 0 && self.reading == 0.0) {
                mix(&mut self.reading, ms / read as f64);
            }
            return;
        }
        if read == 0 {
            if self.writing.len() < written {
                self.writing.resize(written, 0.0);
            }
            mix(&mut self.writing[written - 1], ms);
        } else if let Some(alone) = self.writing_ms(written) {
            mix(&mut self.riding, ((ms - alone) / read as f64).max(0.0));
        }
    }

    /// Milliseconds to read so many tokens of a prompt, 0 if that is not known.
    pub fn reading_ms(&self, tokens: usize) -> f64 {
        self.reading * tokens as f64
    }

    /// Milliseconds of a step that only writes `texts`, from what is known of like numbers.
    fn writing_ms(&self, texts: usize) -> Option<f64> {
        let known = self.writing.iter().enumerate().filter(|(_, ms)| **ms > 0.0);
        let (at, ms) = known.min_by_key(|(i, _)| (i + 1).abs_diff(texts))?;
        // More rows cost more, but less than in proportion.
        Some(ms * (texts as f64 / (at + 1) as f64).sqrt())
    }

    /// Rows that the next step may have while `texts` are written.
    pub fn budget(&self, texts: usize) -> usize {
        if texts == 0 {
            let rows = if self.reading > 0.0 { (STEP_MS / self.reading) as usize } else { 64 };
            return rows.clamp(32, RIDERS.1);
        }
        let each = if self.riding > 0.0 { self.riding } else { self.reading };
        let riders = match self.writing_ms(texts) {
            Some(alone) if each > 0.0 => (alone * MORE / each) as usize,
            _ => RIDERS.0,
        };
        texts + riders.clamp(RIDERS.0, RIDERS.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_along_waits_at_most_twice_as_long() {
        let mut pace = Pace::default();
        assert_eq!((pace.budget(0), pace.budget(3)), (64, 7));
        pace.note(0, 64, 64.0);
        for _ in 0..50 {
            pace.note(8, 0, 12.0);
            pace.note(8, 8, 12.0 + 8.0 * 1.5);
        }
        assert_eq!(pace.budget(0), 120);
        let riders = pace.budget(8) - 8;
        assert!((4..=5).contains(&riders), "{riders}: {} ms more on 12", riders as f64 * 1.5);
        assert!((pace.reading_ms(1_000) - 1_000.0).abs() < 1e-9);
        // Of other numbers of texts something is known too.
        assert!(pace.budget(2) > 2 && pace.budget(32) > 32 + riders);
    }

    #[test]
    fn slow_and_fast_machines_keep_within_bounds() {
        let mut pace = Pace::default();
        pace.note(0, 32, 10_000.0);
        assert_eq!(pace.budget(0), 32);
        let mut pace = Pace::default();
        pace.note(0, 512, 0.5);
        assert_eq!(pace.budget(0), 256);
    }
}
