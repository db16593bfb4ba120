//! Classification with labels of one's own: by likeness to the labels' names (zero-shot), or by a
//! head taught from a few examples. Both stand on sentence embeddings. A checkpoint with classes of
//! its own answers with those.

use super::vectors::cosine;
use crate::nn::bert::softmax;
use crate::tasks::contract::TaskError;

/// Most labels of one request.
pub const MAX_LABELS: usize = 10_000;
/// Cosines are divided by this before the softmax: a tenth more likeness is e² times as likely.
const TEMPERATURE: f32 = 0.05;

/// The labels, each once, without blanks around them.
///
/// # Errors
/// [`TaskError::Prompt`] for fewer than two, or too many.
pub fn distinct(labels: &[String]) -> Result<Vec<String>, TaskError> {
    let mut seen = std::collections::HashSet::new();
    let trimmed = labels.iter().map(|l| l.trim()).filter(|l| !l.is_empty());
    let unique: Vec<String> = trimmed.filter(|l| seen.insert(l.to_lowercase())).map(str::to_owned).collect();
    if unique.len() < 2 {
        return Err(TaskError::Labels("two labels or more are needed to choose between".into()));
    }
    if unique.len() > MAX_LABELS {
        let why = format!("{} labels were given; at most {MAX_LABELS} can be compared", unique.len());
        return Err(TaskError::Labels(why));
    }
    Ok(unique)
}

/// A label as one would say it: `card_arrival` as "card arrival".
pub fn spoken(label: &str) -> String {
    label.replace('_', " ")
}

/// Softmax of the cosines between a vector and the labels', all of length 1.
pub fn shares(vector: &[f32], labels: &[&Vec<f32>]) -> Vec<f64> {
    let likeness = |l: &&Vec<f32>| cosine(l, vector) / TEMPERATURE;
    softmax(&labels.iter().map(likeness).collect::<Vec<f32>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|l| (*l).to_owned()).collect()
    }

    #[test]
    fn labels_count_once_and_there_must_be_two() {
        assert_eq!(distinct(&owned(&[" sport", "Sport", "", "politics "])).expect("two"), ["sport", "politics"]);
        assert!(distinct(&owned(&["one", "one"])).unwrap_err().to_string().contains("two labels"));
        let many: Vec<String> = (0..=MAX_LABELS).map(|i| i.to_string()).collect();
        assert!(distinct(&many).unwrap_err().to_string().contains("10000"));
    }

    #[test]
    fn the_nearest_label_is_likeliest() {
        let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let p = shares(&[0.9, 0.43589], &[&x, &y]);
        assert!(p[0] > 0.99 && (p[0] + p[1] - 1.0).abs() < 1e-12);
    }
}
