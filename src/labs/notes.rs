//! What measurements say about a model, noted where the list of models shows it.

use super::bench::Bench;
use super::doubts::Doubts;
use super::eval_entities::EntityEvaluation;
use super::eval_kinds::Agreement;
use super::eval_questions::QuestionEvaluation;
use super::eval_rewriting::{SummaryEvaluation, TranslationEvaluation};
use super::evaluate::Evaluation;
use super::language_bench::LanguageBench;
use super::measure::Measured;
use super::perplexity::Perplexity;
use super::rewriting_bench::RewritingBench;
use crate::models::library::Library;
use crate::models::measured::{self, Measurement};

/// Tokens of the sequence that an encoder's speed is told for.
pub const TOKENS: usize = 128;

/// A result that says something about a model.
pub trait Notable {
    /// The numbers that are worth keeping.
    fn measurements(&self) -> Vec<Measurement>;

    /// What was noticed about it, of a result on data.
    fn warnings(&self) -> Option<&Doubts> {
        None
    }
}

/// Keeps what `result` says, in place of what was known of the same model in the same precision. What is doubted
/// is not kept: a model's card would tell it without its warnings.
pub fn keep(library: &Library, result: &dyn Notable) {
    if result.warnings().is_some_and(Doubts::forbid_keeping) {
        return;
    }
    measured::note(library.measurements().as_deref(), result.measurements());
}

/// The speed of a model in a precision on a device.
pub(super) fn speed(of: (&str, &str, &str), metric: &str, value: f64, n: usize) -> Measurement {
    let (model, precision, device) = of;
    let (model, precision, device) = (model.to_owned(), precision.to_owned(), device.to_owned());
    Measurement { model, precision, device, metric: metric.to_owned(), value, data: String::new(), n, ci95: None }
}

/// Enough of a path to tell data sets apart, such as "sst2/dev.tsv".
fn short(path: &str) -> String {
    let parts: Vec<&str> = path.rsplit('/').take(2).filter(|p| !p.is_empty()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

fn score(m: &Measured, metric: &str, value: f64, ci95: [f64; 2]) -> Vec<Measurement> {
    vec![Measurement {
        data: short(&m.data),
        ci95: Some(ci95),
        ..speed((&m.model, m.precision, m.device), metric, value, m.n)
    }]
}

impl Notable for Bench {
    fn measurements(&self) -> Vec<Measurement> {
        let cell = self.cells.iter().filter(|c| c.batch == 1 && c.tokens == TOKENS);
        let of = (&*self.model, self.precision, &*self.device);
        cell.map(|c| speed(of, "ms", c.latency_ms.p50, c.latency_ms.n)).collect()
    }
}

impl Notable for LanguageBench {
    fn measurements(&self) -> Vec<Measurement> {
        let of = (&*self.model, self.precision, &*self.device);
        vec![speed(of, "tokens/s", self.decode.tokens_per_second, self.decode.run_ms.n)]
    }
}

impl Notable for RewritingBench {
    fn measurements(&self) -> Vec<Measurement> {
        let cell = self.cells.iter().filter(|c| c.batch == 1 && c.beams == 1);
        let of = (&*self.model, self.precision, &*self.device);
        cell.map(|c| speed(of, "tokens/s", c.tokens_per_second, c.run_ms.n)).collect()
    }
}

impl Notable for Evaluation {
    fn measurements(&self) -> Vec<Measurement> {
        score(&self.measured, "accuracy", self.accuracy, self.accuracy_ci95)
    }

    fn warnings(&self) -> Option<&Doubts> {
        Some(&self.measured.warnings)
    }
}

impl Notable for Agreement {
    fn measurements(&self) -> Vec<Measurement> {
        score(&self.measured, "Pearson", self.pearson, self.pearson_ci95)
    }

    fn warnings(&self) -> Option<&Doubts> {
        Some(&self.measured.warnings)
    }
}

impl Notable for EntityEvaluation {
    fn measurements(&self) -> Vec<Measurement> {
        score(&self.measured, "F1", self.overall.f1, self.f1_ci95)
    }

    fn warnings(&self) -> Option<&Doubts> {
        Some(&self.measured.warnings)
    }
}

impl Notable for QuestionEvaluation {
    fn measurements(&self) -> Vec<Measurement> {
        score(&self.measured, "F1", self.f1, self.f1_ci95)
    }

    fn warnings(&self) -> Option<&Doubts> {
        Some(&self.measured.warnings)
    }
}

impl Notable for TranslationEvaluation {
    fn measurements(&self) -> Vec<Measurement> {
        score(&self.measured, "BLEU", self.bleu, self.bleu_ci95)
    }

    fn warnings(&self) -> Option<&Doubts> {
        Some(&self.measured.warnings)
    }
}

impl Notable for SummaryEvaluation {
    fn measurements(&self) -> Vec<Measurement> {
        score(&self.measured, "ROUGE-L", self.rouge.rouge_l, self.rouge_l_ci95)
    }

    fn warnings(&self) -> Option<&Doubts> {
        Some(&self.measured.warnings)
    }
}

impl Notable for Perplexity {
    fn measurements(&self) -> Vec<Measurement> {
        let of = (&*self.model, self.precision, &*self.device);
        vec![Measurement {
            data: short(&self.data),
            ci95: Some(self.perplexity_ci95),
            ..speed(of, "perplexity", self.perplexity, self.scored)
        }]
    }

    fn warnings(&self) -> Option<&Doubts> {
        Some(&self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Result(Doubts);

    impl Notable for Result {
        fn measurements(&self) -> Vec<Measurement> {
            vec![speed(("m", "f32", "CPU"), "accuracy", 0.5, 4)]
        }

        fn warnings(&self) -> Option<&Doubts> {
            Some(&self.0)
        }
    }

    #[test]
    fn what_is_doubted_is_not_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let library = Library::default().with_registry(folder.path().join("library.json"));
        let file = library.measurements().expect("file");
        let mut doubts = Doubts::default();
        doubts.doubt("no label is known");
        keep(&library, &Result(doubts));
        assert!(!file.exists());
        let mut note = Doubts::default();
        note.note("a long text was read in two parts");
        keep(&library, &Result(note));
        assert_eq!(measured::read(&file).len(), 1);
    }

    #[test]
    fn data_sets_are_named_by_the_end_of_their_path() {
        assert_eq!(
            ["../shared/data/sst2/dev.tsv", "/tmp/a.txt", "a.txt"].map(short),
            ["sst2/dev.tsv", "tmp/a.txt", "a.txt"]
        );
    }
}
