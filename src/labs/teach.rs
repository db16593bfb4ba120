//! Teaching a head: examples are embedded by the engine, then a logistic regression is fitted on the
//! embeddings. Here too: how well it holds when an example is left out, and the examples on a plane.

use super::labelled::{Row, read_rows};
use super::measure::Query;
use crate::disk;
use crate::engine::Engine;
use crate::engine::message::Priority;
use crate::error::UserMessage;
use crate::nn::logistic::{Examples, Logistic};
use crate::tasks::{Options, Output, TaughtHead};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time that leaving examples out one by one may take; of more examples a random part is tried.
const HOLD_OUT_TIME: Duration = Duration::from_millis(800);
/// Version of the saved format.
const VERSION: u32 = 1;

/// Embedded examples, ready to be fitted.
pub struct Lesson {
    pub labels: Vec<String>,
    /// The class of each example.
    pub classes: Vec<usize>,
    /// `[n][width]`
    pub vectors: Vec<Vec<f32>>,
    /// The embedding model.
    pub model: String,
}

/// Labels in the order in which they first occur, and the class of each row.
///
/// # Errors
/// Fewer than two labels, or none but single words of nothing.
pub fn classes(rows: &[Row]) -> Result<(Vec<String>, Vec<usize>), UserMessage> {
    let mut labels: Vec<String> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let classes = rows
        .iter()
        .map(|row| {
            *known.entry(&row.label).or_insert_with(|| {
                labels.push(row.label.clone());
                labels.len() - 1
            })
        })
        .collect();
    if labels.len() < 2 {
        let why = format!("all {} examples have the same label", rows.len());
        return Err(UserMessage::new("Nothing was taught", why, "Give examples of two labels or more."));
    }
    Ok((labels, classes))
}

impl Lesson {
    /// A lesson from answers of the `embed` task, in the order of `rows`.
    ///
    /// # Errors
    /// An example that could not be embedded, by its number.
    pub fn new(rows: &[Row], outputs: &[Result<Output, UserMessage>], model: &str) -> Result<Self, UserMessage> {
        let (labels, classes) = classes(rows)?;
        let vector = |(i, output): (usize, &Result<Output, UserMessage>)| match output {
            Ok(output) => output.vector().map(<[f32]>::to_vec).ok_or_else(|| {
                UserMessage::new("Nothing was taught", "the model gives no embeddings", "Choose an embedding model.")
            }),
            Err(e) => {
                let why = format!("example {}: {}", i + 1, e.why);
                Err(UserMessage::new("Nothing was taught", why, "Correct or remove that example."))
            }
        };
        let vectors = outputs.iter().enumerate().map(vector).collect::<Result<_, _>>()?;
        Ok(Self { labels, classes, vectors, model: model.to_owned() })
    }

    /// The head, and the examples recognised when left out with how many were tried. `stop` is asked
    /// between two of them.
    pub fn fit(&self, stop: &dyn Fn() -> bool) -> TaughtHead {
        let examples = Examples::new(&self.vectors, &self.classes, self.labels.len());
        let head = examples.fit(None, None);
        let held_out = hold_out(&examples, &head, stop);
        TaughtHead {
            version: VERSION,
            model: self.model.clone(),
            labels: self.labels.clone(),
            width: head.width,
            weights: head.weights,
            examples: self.classes.len(),
            held_out,
        }
    }

    /// The examples on the plane in which they differ most: their first two principal components
    /// (Pearson 1901), by power iteration.
    pub fn plane(&self) -> Vec<[f64; 2]> {
        let width = self.vectors.first().map_or(0, Vec::len);
        let n = self.vectors.len().max(1) as f64;
        let mean: Vec<f64> =
            (0..width).map(|c| self.vectors.iter().map(|v| f64::from(v[c])).sum::<f64>() / n).collect();
        let centered: Vec<Vec<f64>> =
            self.vectors.iter().map(|v| v.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect()).collect();
        let first = component(&centered, None);
        let second = component(&centered, Some(&first));
        centered.iter().map(|v| [dot(v, &first), dot(v, &second)]).collect()
    }
}

/// The direction of most spread, at right angles to `without`.
fn component(rows: &[Vec<f64>], without: Option<&[f64]>) -> Vec<f64> {
    let width = rows.first().map_or(0, Vec::len);
    // Any start that is not at right angles to the answer; fixed, so that a map looks the same each time.
    let mut v: Vec<f64> = (0..width).map(|i| ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5).collect();
    for _ in 0..60 {
        if let Some(other) = without {
            let share = dot(&v, other);
            v.iter_mut().zip(other).for_each(|(x, o)| *x -= share * o);
        }
        let mut next = vec![0f64; width];
        for row in rows {
            let share = dot(row, &v);
            next.iter_mut().zip(row).for_each(|(x, r)| *x += share * r);
        }
        let length = dot(&next, &next).sqrt();
        if length < 1e-12 {
            break;
        }
        v = next.into_iter().map(|x| x / length).collect();
    }
    v
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Leave-one-out: the head is fitted again without each example. `None` if there is only one of some
/// label and nothing else to learn it from.
fn hold_out(examples: &Examples, head: &Logistic, stop: &dyn Fn() -> bool) -> Option<(usize, usize)> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
    let begun = Instant::now();
    let (mut right, mut tried) = (0, 0);
    for index in order {
        if stop() || (tried >= 20 && begun.elapsed() > HOLD_OUT_TIME) {
            break;
        }
        right += usize::from(examples.holds_out(head, index));
        tried += 1;
    }
    (tried > 0).then_some((right, tried))
}

/// Embeds and fits the examples of a TSV `label<TAB>text`.
///
/// # Errors
/// A file that cannot be read or has one label only, or an engine that fails.
pub fn teach(
    engine: &Engine,
    model: Option<&str>,
    path: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<TaughtHead, UserMessage> {
    let rows = read_rows(path)?;
    classes(&rows)?;
    let options = Options::default();
    let query = Query { task: "embed", model, options: &options };
    let inputs = rows.iter().map(|r| r.text.as_str().into()).collect();
    let (outputs, report) = query.ask_all(engine, inputs, Priority::Batch, progress)?;
    Ok(Lesson::new(&rows, &outputs, &report.model)?.fit(&|| false))
}

/// Saves a head as JSON.
///
/// # Errors
/// A file that cannot be written.
pub fn save(head: &TaughtHead, path: &Path) -> Result<(), UserMessage> {
    let fail = |why: String| UserMessage::new("The head was not saved", why, "Choose another folder.");
    let json = serde_json::to_vec(head).map_err(|e| fail(e.to_string()))?;
    disk::write_whole(path, &json).map_err(|e| fail(format!("'{}': {e}", path.display())))
}

/// Reads a saved head.
///
/// # Errors
/// A file that cannot be read, or is no head.
pub fn open(path: &Path) -> Result<TaughtHead, UserMessage> {
    let fail = |why: String| {
        let why = format!("'{}': {why}", path.display());
        UserMessage::new("The head could not be opened", why, "Choose a file that Glossa saved after teaching.")
    };
    let text = super::lines::text(path)?;
    let head: TaughtHead = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    if head.version != VERSION || head.weights.len() != head.labels.len() * (head.width + 1) || head.labels.len() < 2 {
        return Err(fail("its parts do not fit together, or it is of another version".into()));
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lesson() -> Lesson {
        let vectors = (0..12).map(|i| {
            let side = if i % 2 == 0 { 1.0 } else { -1.0 };
            vec![side, 0.1 * i as f32, 0.0]
        });
        Lesson {
            labels: vec!["a".into(), "b".into()],
            classes: (0..12).map(|i| i % 2).collect(),
            vectors: vectors.collect(),
            model: "m".into(),
        }
    }

    #[test]
    fn what_is_taught_is_known_and_survives_the_disk() {
        let head = lesson().fit(&|| false);
        assert_eq!(head.held_out, Some((12, 12)));
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("head.json");
        save(&head, &path).expect("saved");
        let again = open(&path).expect("opened");
        assert_eq!(again, head);
        assert!(again.scores(&[-1.0, 0.3, 0.0], "m").expect("scores")[1].1 > 0.8);
        std::fs::write(&path, "{}").expect("file");
        assert!(open(&path).unwrap_err().to_string().contains("head.json"));
    }

    #[test]
    fn the_plane_shows_the_direction_of_most_spread_first() {
        let points = lesson().plane();
        assert!(points.iter().enumerate().all(|(i, p)| (p[0] > 0.0) == (points[0][0] > 0.0) || i % 2 == 1));
        let spread = |c: usize| points.iter().map(|p| p[c] * p[c]).sum::<f64>();
        assert!(spread(0) > spread(1) && spread(1) > 0.0);
    }

    #[test]
    fn one_label_teaches_nothing() {
        let row = |l: &str| Row { label: l.into(), text: "x".into() };
        assert!(classes(&[row("a"), row("a")]).is_err());
        assert_eq!(classes(&[row("b"), row("a"), row("b")]).expect("two").1, [0, 1, 0]);
    }
}
