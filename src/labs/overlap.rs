//! How much a text has in common with a reference: BLEU and chrF as sacrebleu 2 counts them, ROUGE
//! as rouge-score 0.1.2 does (without stemming). Held to both in `tests/parity/scores.rs`.

use regex::Regex;
use std::collections::HashMap;
use std::hash::Hash;

/// Longest runs of words that BLEU looks at.
const WORDS: usize = 4;
/// Longest runs of letters that chrF looks at.
const LETTERS: usize = 6;

/// Counts behind BLEU (Papineni et al. 2002), which can be added up over sentences.
#[derive(Clone, Debug, Default)]
pub struct Bleu {
    right: [usize; WORDS],
    total: [usize; WORDS],
    said: usize,
    reference: usize,
}

/// Counts behind chrF (Popović 2015), which can be added up over sentences.
#[derive(Clone, Debug, Default)]
pub struct Chrf {
    /// Of each length: runs said, in the reference, in both.
    counts: [[usize; 3]; LETTERS],
}

/// F1 of single words, pairs of words, and the longest common subsequence (Lin 2004).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Rouge {
    pub rouge1: f64,
    pub rouge2: f64,
    pub rouge_l: f64,
}

/// Cuts a text into words as the WMT script mteval-v13a does, which sacrebleu follows.
pub struct Mteval([Regex; 4]);

impl Default for Mteval {
    fn default() -> Self {
        let rule = |pattern: &str| Regex::new(pattern).unwrap_or_else(|e| unreachable!("a fixed pattern: {e}"));
        Self([
            rule(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"),
            rule(r"([^0-9])([\.,])"),
            rule(r"([\.,])([^0-9])"),
            rule(r"([0-9])(-)"),
        ])
    }
}

impl Mteval {
    /// The words of `text`.
    pub fn words(&self, text: &str) -> Vec<String> {
        let mut line = text.trim().replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
        if line.contains('&') {
            for (mark, plain) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
                line = line.replace(mark, plain);
            }
        }
        line = format!(" {line} ");
        for (rule, with) in self.0.iter().zip([" $1 ", "$1 $2 ", " $1 $2", "$1 $2 "]) {
            line = rule.replace_all(&line, with).into_owned();
        }
        line.split_whitespace().map(str::to_owned).collect()
    }
}

/// How often each run of `n` occurs.
fn runs<T: Hash + Eq>(items: &[T], n: usize) -> HashMap<&[T], usize> {
    let mut out = HashMap::new();
    for run in items.windows(n) {
        *out.entry(run).or_insert(0) += 1;
    }
    out
}

/// Runs that both have, each as often as the rarer.
fn common<T: Hash + Eq>(a: &HashMap<&[T], usize>, b: &HashMap<&[T], usize>) -> usize {
    a.iter().map(|(run, n)| b.get(run).copied().unwrap_or(0).min(*n)).sum()
}

impl Bleu {
    /// Counts of one sentence.
    pub fn of(said: &str, reference: &str, cut: &Mteval) -> Self {
        let (said, reference) = (cut.words(said), cut.words(reference));
        let mut out = Self { said: said.len(), reference: reference.len(), ..Self::default() };
        for n in 1..=WORDS {
            out.right[n - 1] = common(&runs(&said, n), &runs(&reference, n));
            out.total[n - 1] = (said.len() + 1).saturating_sub(n);
        }
        out
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for n in 0..WORDS {
            self.right[n] += other.right[n];
            self.total[n] += other.total[n];
        }
        self.said += other.said;
        self.reference += other.reference;
    }

    /// 0 to 100, with exponential smoothing of lengths without a match.
    pub fn score(&self) -> f64 {
        if self.right.iter().all(|r| *r == 0) || self.said == 0 {
            return 0.0;
        }
        let mut halved = 1.0;
        let mut logs = 0.0;
        for (right, total) in self.right.iter().zip(self.total) {
            if total == 0 {
                return 0.0;
            }
            let precision = if *right == 0 {
                halved *= 2.0;
                100.0 / (halved * total as f64)
            } else {
                100.0 * *right as f64 / total as f64
            };
            logs += precision.ln();
        }
        let brevity = (1.0 - self.reference as f64 / self.said as f64).min(0.0).exp();
        brevity * (logs / WORDS as f64).exp()
    }
}

impl Chrf {
    /// Counts of one sentence.
    pub fn of(said: &str, reference: &str) -> Self {
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<char>>();
        let (said, reference) = (letters(said), letters(reference));
        let mut out = Self::default();
        for n in 1..=LETTERS {
            let (a, b) = (runs(&said, n), runs(&reference, n));
            let count = |m: &HashMap<&[char], usize>| m.values().sum::<usize>();
            // Runs longer than the reference cannot be in it, and do not count.
            out.counts[n - 1] = [if b.is_empty() { 0 } else { count(&a) }, count(&b), common(&a, &b)];
        }
        out
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// 0 to 100: recall counts twice as much as precision.
    pub fn score(&self) -> f64 {
        let known = || self.counts.iter().filter(|c| c[0] > 0 && c[1] > 0);
        let orders = known().count().max(1) as f64;
        let precision = known().map(|c| c[2] as f64 / c[0] as f64).sum::<f64>() / orders;
        let recall = known().map(|c| c[2] as f64 / c[1] as f64).sum::<f64>() / orders;
        if precision + recall == 0.0 { 0.0 } else { 100.0 * 5.0 * precision * recall / (4.0 * precision + recall) }
    }
}

/// Words as rouge-score sees them: runs of a to z and digits, small.
fn plain_words(text: &str) -> Vec<String> {
    let low = text.to_lowercase();
    low.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn f1(right: usize, said: usize, reference: usize) -> f64 {
    if right == 0 { 0.0 } else { 2.0 * right as f64 / (said + reference) as f64 }
}

impl Rouge {
    /// Of one text.
    pub fn of(said: &str, reference: &str) -> Self {
        let (said, reference) = (plain_words(said), plain_words(reference));
        let by = |n: usize| {
            let count = |words: &[String]| (words.len() + 1).saturating_sub(n);
            f1(common(&runs(&said, n), &runs(&reference, n)), count(&said), count(&reference))
        };
        Self {
            rouge1: by(1),
            rouge2: by(2),
            rouge_l: f1(common_subsequence(&said, &reference), said.len(), reference.len()),
        }
    }

    /// Whether most letters of `text` are ones that ROUGE sees: a to z, and digits. Of a text in
    /// another script it sees nothing, and says 0.
    pub fn can_read(text: &str) -> bool {
        let low = text.to_lowercase();
        let letters = || low.chars().filter(|c| c.is_alphanumeric());
        letters().filter(char::is_ascii_alphanumeric).count() * 2 >= letters().count()
    }

    /// The best of each, over several references.
    pub fn best(said: &str, references: &[String]) -> Self {
        references.iter().map(|r| Self::of(said, r)).fold(Self::default(), |a, b| Self {
            rouge1: a.rouge1.max(b.rouge1),
            rouge2: a.rouge2.max(b.rouge2),
            rouge_l: a.rouge_l.max(b.rouge_l),
        })
    }
}

/// Length of the longest common subsequence, row by row.
fn common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_all_in_common_and_others_nothing() {
        let cut = Mteval::default();
        let text = "The train, at 12.30, leaves now.";
        assert!((Bleu::of(text, text, &cut).score() - 100.0).abs() < 1e-9);
        assert!((Chrf::of(text, text).score() - 100.0).abs() < 1e-9);
        assert_eq!(Rouge::of(text, text), Rouge { rouge1: 1.0, rouge2: 1.0, rouge_l: 1.0 });
        assert_eq!(Bleu::of("x y z w", "a b c d", &cut).score(), 0.0);
        assert_eq!(Bleu::of("", "a", &cut).score(), 0.0);
        assert_eq!(Chrf::of("", "").score(), 0.0);
        assert_eq!(Rouge::of("", ""), Rouge::default());
    }

    #[test]
    fn texts_that_rouge_cannot_see_are_known() {
        for text in ["A text of 2024.", "Où est la gare ?", ""] {
            assert!(Rouge::can_read(text), "{text}");
        }
        for text in ["Поезда.", "电车", "قطار"] {
            assert!(!Rouge::can_read(text) && Rouge::of(text, text).rouge1 == 0.0, "{text}");
        }
    }

    #[test]
    fn subsequences_may_have_gaps() {
        let words = |t: &str| plain_words(t);
        assert_eq!(common_subsequence(&words("a b c d"), &words("b x d a")), 2);
    }
}
