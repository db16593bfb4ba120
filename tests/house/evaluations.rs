//! Evaluations that cannot be right say so, and leave no number on a model's card.

use super::cli::{glossa_in, stderr, stdout};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// A folder for data and for what is kept of one person's models.
struct Desk(TempDir);

/// What came of an evaluation.
struct Came {
    code: Option<i32>,
    said: String,
    json: Value,
    /// Metrics that are kept from now on.
    kept: Vec<String>,
}

impl Came {
    /// Measured, with a warning that has `words` on stderr and in the JSON, and nothing kept.
    fn is_doubted(&self, words: &str) -> bool {
        let has = |text: &str| words.split('…').all(|part| text.contains(part));
        let listed = self.json["warnings"].as_array().is_some_and(|w| w.iter().filter_map(Value::as_str).any(has));
        self.code == Some(0) && has(&self.said) && self.said.contains("not kept") && listed && self.kept.is_empty()
    }

    /// Nothing measured, `words` on stderr, nothing on stdout, nothing kept.
    fn is_refused(&self, words: &str) -> bool {
        let has = words.split('…').all(|part| self.said.contains(part));
        self.code == Some(1) && has && self.json.is_null() && self.kept.is_empty()
    }
}

impl std::fmt::Debug for Came {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}, kept {:?}\n{}\n{:#}", self.code, self.kept, self.said, self.json)
    }
}

fn desk() -> Desk {
    Desk(tempfile::tempdir().expect("folder"))
}

impl Desk {
    fn eval(&self, task: &str, name: &str, data: &str, more: &[&str]) -> Came {
        let file = self.0.path().join(name);
        std::fs::write(&file, data).expect("data");
        let file = file.display().to_string();
        let args = [&["eval", task, "--json", "--data", &file], more].concat();
        let output = glossa_in(self.0.path(), &[], &args, None);
        let json = serde_json::from_str(&stdout(&output)).unwrap_or(Value::Null);
        let kept = kept(self.0.path()).unwrap_or_default();
        Came { code: output.status.code(), said: stderr(&output), json, kept }
    }
}

/// Metrics in the file that the cards show.
fn kept(folder: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("data/glossa/measured.json")).ok()?;
    let all: Value = serde_json::from_str(&text).expect("JSON");
    Some(all.as_array()?.iter().filter_map(|m| m["metric"].as_str()).map(str::to_owned).collect())
}

#[test]
fn what_is_right_is_kept() {
    let desk = desk();
    let came = desk.eval("sentiment", "d.tsv", "1\tA fine film.\nnegative\tA dull film.\n", &[]);
    assert!(came.code == Some(0) && came.kept == ["accuracy"], "{came:?}");
    assert_eq!((&came.json["warnings"], came.said.as_str()), (&serde_json::json!([]), ""));
    let came = desk.eval("entities", "n.txt", "Paris\tB-LOC\n.\tO\n\nAnna\tB-PER\nsleeps\tO\n", &[]);
    assert!(came.code == Some(0) && came.kept == ["accuracy", "F1"] && came.json["scheme"] == "IOB2", "{came:?}");
}

#[test]
fn labels_that_the_model_does_not_know_are_named() {
    // shared/cases/eval-other-label-names.tsv: accuracy 0 was kept of it.
    let came = desk().eval("sentiment", "d.tsv", "pos\tA fine film.\nneg\tA dull film.\n", &[]);
    assert!(came.is_doubted("'neg' as 'negative'…'pos' as 'positive'") && came.json["accuracy"] == 1.0, "{came:?}");
    let came = desk().eval("sentiment", "d.tsv", "positive\tA fine film.\nmixed\tA film.\n0\tA dull film.\n", &[]);
    assert!(came.is_doubted("1 of 3 lines…'mixed'…'negative', 'positive'"), "{came:?}");
    for (rows, words) in [
        ("good\tA fine film.\nbad\tA dull film.\n", "'good', 'bad'…'negative', 'positive'"),
        ("2\tA fine film.\n1\tA dull film.\n", "from 1…'negative', 'positive'"),
        ("A fine film.\tpositive\nA dull film.\tnegative\n", "Column 2"),
    ] {
        let came = desk().eval("sentiment", "d.tsv", rows, &[]);
        assert!(came.is_refused(words), "{rows}: {came:?}");
    }
}

#[test]
fn headings_one_class_and_other_columns_are_named() {
    let came = desk().eval("sentiment", "d.tsv", "label\ttext\n1\tA fine film.\n0\tA dull film.\n", &[]);
    assert!(
        came.is_doubted("first line holds the columns' names ('label', 'text')") && came.json["n"] == 2,
        "{came:?}"
    );
    let came = desk().eval("sentiment", "d.tsv", "1\tA fine film.\n1\tA splendid film.\n", &[]);
    assert!(came.is_doubted("every line has the label 'positive'") && came.json["accuracy"] == 1.0, "{came:?}");
    for (rows, words) in [
        ("sentence\tlabel\nA fine film.\t1\n", "Put the label first"),
        ("pos,A fine film.\n", "no tab…commas"),
        ("label\ttext\n", "no rows"),
        ("", "no line of text"),
    ] {
        let came = desk().eval("sentiment", "d.tsv", rows, &[]);
        assert!(came.is_refused(words), "{rows}: {came:?}");
    }
    let rows = "label\ttext\nhot\tthe summer sun burns\ncold\tsnow and ice\n";
    let came = desk().eval("classify", "d.tsv", rows, &[]);
    let names: Vec<&String> = came.json["f1"].as_object().expect("labels").keys().collect();
    assert!(came.is_doubted("first line") && names == ["cold", "hot"], "{came:?}");
    let rows = "the summer sun burns\thot\nsnow and ice outside\tcold\na cold day in winter\tcold\n";
    let came = desk().eval("classify", "d.tsv", rows, &[]);
    assert!(came.is_refused("Put the label first"), "{came:?}");
}

#[test]
fn a_number_that_is_a_label_is_no_position() {
    // A head has its labels in the order of its examples: "1" is its first, and was taken for its second.
    let desk = desk();
    let rows = "1\tthe hot summer sun burns\n1\ta heat wave\n0\tsnow and ice\n0\ta cold winter day\n";
    let teach = desk.0.path().join("teach.tsv");
    std::fs::write(&teach, rows).expect("examples");
    let came = desk.eval("classify", "d.tsv", rows, &["--teach", &teach.display().to_string()]);
    assert!(came.json["accuracy"] == 1.0 && came.kept == ["accuracy"], "{came:?}");
}

#[test]
fn neighbours_in_iobes_are_entities_of_their_own() {
    // shared/cases/conll-iobes-neighbours.txt: the three cities were counted as one.
    let came = desk().eval(
        "entities",
        "n.txt",
        "Anna S-PER\nvisits O\nParis S-LOC\nLondon S-LOC\nNew B-LOC\nYork E-LOC\n. O\n",
        &[],
    );
    let e = &came.json;
    assert!(e["support"] == 4 && e["f1"] == 1.0 && e["scheme"] == "IOBES" && came.kept == ["F1"], "{came:?}");
}

#[test]
fn types_and_columns_that_the_model_does_not_know_are_named() {
    let came = desk().eval("entities", "n.txt", "Paris\tB-location\n.\tO\n\nSony\tB-corporation\n", &[]);
    assert!(came.is_doubted("'corporation'…'PER', 'ORG', 'LOC', 'MISC'") && came.json["support"] == 2, "{came:?}");
    for (rows, words) in [
        ("Sony\tB-corporation\n.\tO\n", "'corporation'…'PER'"),
        ("Sony\tB-ORG\tB-NP\n.\tO\tO\n", "'NP'…Column 2"),
        ("B-ORG\tSony\nO\t.\n", "first column"),
    ] {
        let came = desk().eval("entities", "n.txt", rows, &[]);
        assert!(came.is_refused(words), "{rows}: {came:?}");
    }
    let came = desk().eval("entities", "n.txt", "nothing\tO\nhere\tO\n", &[]);
    assert!(came.is_doubted("no word of the data is tagged"), "{came:?}");
}

#[test]
fn questions_are_read_from_squads_own_file_and_looked_through() {
    let squad = |answers: &str| {
        format!(
            r#"{{"data": [{{"paragraphs": [{{"context": "Anna met Bob in Paris.", "qas": [
            {{"question": "Who met Bob?", "answers": [{answers}]}}]}}]}}]}}"#
        )
    };
    let came = desk().eval("qa", "q.json", &squad(r#"{"text": "Anna", "answer_start": 0}"#), &[]);
    assert!(came.code == Some(0) && came.json["exact"] == 1.0 && came.kept == ["F1"], "{came:?}");
    let came = desk().eval("qa", "q.json", &squad(r#"{"text": "Anna", "answer_start": 3}"#), &[]);
    assert!(came.is_doubted("1 of 1 answer not where 'start' says"), "{came:?}");
    let came = desk().eval("qa", "q.json", &squad(""), &[]);
    assert!(came.is_doubted("no question has an answer"), "{came:?}");
    let row = r#"{"question": "Who met Bob?", "context": "Anna met Bob.", "answer": "Anna"}"#;
    assert!(desk().eval("qa", "q.jsonl", row, &[]).is_refused("line 1…'answers'"));
}

#[test]
fn translations_the_wrong_way_round_are_noticed() {
    let pairs = [
        ("The train leaves at seven.", "Le train part à sept heures."),
        ("Where is the station?", "Où est la gare ?"),
        ("I am very hungry.", "J'ai très faim."),
        ("She does not like coffee.", "Elle n'aime pas le café."),
        ("We will come tomorrow.", "Nous viendrons demain."),
        ("The book is on the table.", "Le livre est sur la table."),
        ("He speaks three languages.", "Il parle trois langues."),
        ("It is raining today.", "Il pleut aujourd'hui."),
        ("My brother lives in Paris.", "Mon frère habite à Paris."),
        ("Thank you for your help.", "Merci pour votre aide."),
    ];
    let write = |turned: bool| {
        let line = |(a, b): (&str, &str)| if turned { format!("{b}\t{a}\n") } else { format!("{a}\t{b}\n") };
        pairs.map(line).concat()
    };
    let came = desk().eval("translate", "p.tsv", &write(false), &["--beams", "1"]);
    assert!(came.code == Some(0) && came.kept == ["BLEU"], "{came:?}");
    let came = desk().eval("translate", "p.tsv", &write(true), &["--beams", "1"]);
    assert!(came.is_doubted("more like the sources"), "{came:?}");
    let came = desk().eval("translate", "p.tsv", &write(false), &["--beams", "1", "--only", "tatoeba"]);
    assert!(came.is_refused("'tatoeba'"), "{came:?}");
}

#[test]
fn summaries_and_texts_that_say_little_are_noticed() {
    let document = "The train leaves at seven. It stops in Lyon and in Nice. Tickets are sold on board.";
    let came = desk().eval("summarize", "s.tsv", &format!("{document}\tThe train leaves at seven.\n"), &[]);
    assert!(came.code == Some(0) && came.kept == ["ROUGE-L"], "{came:?}");
    let came = desk().eval("summarize", "s.tsv", &format!("The train leaves at seven.\t{document}\n"), &[]);
    assert!(came.is_doubted("longer than its document in 1 of 1"), "{came:?}");
    let came = desk().eval("perplexity", "t.txt", document, &[]);
    assert!(came.is_doubted("tokens say little"), "{came:?}");
    let rows = "1\tThe city was founded in the ninth century by a king.\n".repeat(10);
    let came = desk().eval("perplexity", "t.txt", &rows, &[]);
    assert!(came.is_doubted("columns"), "{came:?}");
}
