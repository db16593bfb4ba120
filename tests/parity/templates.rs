//! Chat templates against `transformers`: the forms of 32 families, text and token ids, and Jinja
//! feature by feature. `make_templates.py` beside this file made tests/fixtures/templates.

use super::fixture;
use glossa::models::template::{Message, Template};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tokenizers::{AddedToken, Tokenizer};

#[derive(Deserialize)]
struct Expected {
    moment: i64,
    conversations: BTreeMap<String, Value>,
    families: Vec<Family>,
    features: Vec<Option<String>>,
    clock: Clock,
}

#[derive(Deserialize)]
struct Family {
    name: String,
    bos: Option<String>,
    eos: Option<String>,
    specials: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    conversation: String,
    given: Map<String, Value>,
    text: Option<String>,
    ids: Option<Vec<u32>>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Clock {
    formats: Vec<String>,
    moments: Vec<(i64, Vec<String>)>,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(fixture("templates").join(name)).expect(name);
    serde_json::from_str(&text).expect(name)
}

impl Family {
    fn template(&self, moment: i64) -> Template {
        let file = fixture("templates").join(format!("{}.jinja", self.name));
        let source = std::fs::read_to_string(file).expect("template");
        let (bos, eos) = (self.bos.as_deref().unwrap_or_default(), self.eos.as_deref().unwrap_or_default());
        Template::new(&source, bos, eos).unwrap_or_else(|why| panic!("{}: {why}", self.name)).at(moment)
    }

    fn tokenizer(&self) -> Tokenizer {
        let mut tokenizer = Tokenizer::from_file(fixture("templates").join("tokenizer.json")).expect("tokenizer");
        let marks: Vec<AddedToken> =
            self.specials.iter().map(|mark| AddedToken::from(mark.as_str(), true).normalized(false)).collect();
        tokenizer.add_special_tokens(marks).expect("marks");
        tokenizer
    }

    /// What differs from the reference.
    fn differences(&self, expected: &Expected) -> Vec<String> {
        let (template, tokenizer) = (self.template(expected.moment), self.tokenizer());
        let mut found = Vec::new();
        for case in &self.cases {
            let messages = &expected.conversations[&case.conversation];
            let result = template.render_with(messages, &case.given);
            let name = format!("{}, {}, {}", self.name, case.conversation, Value::from(case.given.clone()));
            match (&result, &case.text, &case.refusal) {
                (Ok(text), Some(wanted), _) if text == wanted => {
                    let ids = tokenizer.encode_fast(text.as_str(), false).expect("ids").get_ids().to_vec();
                    if Some(&ids) != case.ids.as_ref() {
                        found.push(format!("{name}: ids {ids:?} and not {:?}", case.ids));
                    }
                }
                (Err(why), None, Some(wanted)) if why == wanted => {}
                _ => found.push(format!("{name}:\n{result:?} and not\n{:?} {:?}", case.text, case.refusal)),
            }
            // Plain turns go the way that the program takes.
            if let (Ok(turns), true) = (serde_json::from_value::<Vec<Message>>(messages.clone()), case.given.is_empty())
            {
                assert_eq!(template.render(&turns), result, "{name}");
            }
        }
        found
    }
}

#[test]
fn families_render_token_for_token_as_transformers_does() {
    let expected: Expected = read("expected.json");
    assert!(expected.families.len() >= 20);
    let differences: Vec<String> = expected.families.iter().flat_map(|f| f.differences(&expected)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    for family in &expected.families {
        let conversations: Vec<&str> = family.cases.iter().map(|case| case.conversation.as_str()).collect();
        assert!(conversations.len() >= 4, "{} has {} cases", family.name, conversations.len());
    }
}

#[test]
fn every_family_has_its_template_in_the_test() {
    let expected: Expected = read("expected.json");
    let mut files: Vec<String> = std::fs::read_dir(fixture("templates"))
        .expect("folder")
        .filter_map(|entry| entry.expect("entry").file_name().to_str()?.strip_suffix(".jinja").map(str::to_owned))
        .collect();
    let mut names: Vec<String> = expected.families.into_iter().map(|family| family.name).collect();
    files.sort();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn jinja_does_feature_by_feature_what_transformers_does() {
    let expected: Expected = read("expected.json");
    let templates: Vec<String> = read("features.json");
    assert_eq!(templates.len(), expected.features.len());
    let mut differences = Vec::new();
    for (source, wanted) in templates.iter().zip(&expected.features) {
        let template = Template::new(source, "", "");
        let result = template.and_then(|t| t.render_with(&expected.conversations["thinking"], &Map::new()));
        if result.as_ref().ok() != wanted.as_ref() {
            differences.push(format!("{source}\n  {result:?} and not\n  {wanted:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn dates_are_written_as_python_does() {
    let clock = read::<Expected>("expected.json").clock;
    for (moment, wanted) in &clock.moments {
        let source = "{% for f in formats %}{{ strftime_now(f) }}\u{1f}{% endfor %}";
        let template = Template::new(source, "", "").expect("compiles").at(*moment);
        let given = Map::from_iter([("formats".to_owned(), json!(clock.formats))]);
        let text = template.render_with(&json!([]), &given).expect("renders");
        let parts: Vec<&str> = text.split('\u{1f}').collect();
        for ((format, part), wanted) in clock.formats.iter().zip(parts).zip(wanted) {
            assert_eq!(part, wanted, "{format:?} at {moment}");
        }
    }
}

#[test]
fn tokens_and_options_that_are_not_given_are_undefined() {
    let source = "{{ bos_token is defined }}{{ eos_token }}{{ pad_token }}{{ unk_token is defined }}{{ tools is none }}{{ documents is none }}{{ enable_thinking is defined }}{{ add_generation_prompt }}";
    let template = Template::new(source, "", "</s>").expect("compiles").with_token("pad_token", "<pad>");
    let text = template.render(&[Message::user("x")]).expect("renders");
    assert_eq!(text, "False</s><pad>FalseTrueTrueFalseTrue");
    let given = Map::from_iter([("enable_thinking".to_owned(), json!(false)), ("tools".to_owned(), json!([]))]);
    let text = template.render_with(&json!([]), &given).expect("renders");
    assert_eq!(text, "False</s><pad>FalseFalseTrueTrueTrue");
}
