//! The golden rules, each with a sentence of our own; line breaks; places; work.

use super::*;

fn cut(text: &str) -> Vec<&str> {
    sentences(text).into_iter().map(|r| &text[r]).collect()
}

/// Each line's sentences are what ` | ` separates in it, joined by a space.
#[track_caller]
fn cut_as(lines: &[&str]) {
    for line in lines {
        let wanted: Vec<&str> = line.split(" | ").collect();
        assert_eq!(cut(&wanted.join(" ")), wanted);
    }
}

#[test]
fn rule_1_to_3_sentences_end_with_a_full_stop_a_question_or_an_exclamation_mark() {
    cut_as(&["The door was open. | A dog lay there.", "Is it ours? | It must be.", "Look at that! | It moved."]);
}

#[test]
fn rule_4_to_9_short_abbreviations_end_a_sentence_only_before_another() {
    cut_as(&[
        "The painter Anna K. Holm was deaf.",
        "The rest is on p. 17.",
        "Will Ruth and co. be there?",
        "The boat was built by Dahl & Co. in winter.",
        "Better call Ruth and co. | They know the way.",
        "The boat was built by Dahl & Co. | It still floats.",
    ]);
}

#[test]
fn rule_10_to_12_titles_and_places_stand_before_names() {
    cut_as(&[
        "We walked around Mt. Rainier.",
        "St. Olav's Church is on 3rd st. by the bridge.",
        "It is Ken Ames Jr.'s car.",
    ]);
}

#[test]
fn rule_13_to_17_dotted_initials_end_a_sentence_only_before_another() {
    cut_as(&[
        "They left the U.S.S.R. in spring.",
        "My aunt moved to the E.U. | Where is yours?",
        "My aunt moved to the U.S. | Where is yours?",
        "He flew for the U.S. Navy in Spain.",
        "The law has been in force in the U.S. for years.",
    ]);
}

#[test]
fn rule_18_times_begin_a_sentence_or_end_it() {
    cut_as(&["At 4 a.m. Dr. Ode was called. | She came home at 8 P.M. | Mr. Ode had cooked."]);
}

#[test]
fn rule_19_and_20_numbers_have_dots_and_end_sentences() {
    cut_as(&["It weighs 20.75 kg with the lid.", "It weighs 20.75 kg. | It costs $30.50. | We took it."]);
}

#[test]
fn rule_21_brackets_within_a_sentence_hold_sentences() {
    cut_as(&["The cook (She had been at sea for 20 years.) made soup.", "The cook (She sang. She drank.) made soup."]);
}

#[test]
fn rule_22_and_23_addresses_hold_dots() {
    cut_as(&["Mail to a.b.c@mail.example.org by noon.", "See http://docs.example.org/a.b/c.html for more."]);
}

#[test]
fn rule_24_to_26_quotes_hold_sentences_and_end_them() {
    cut_as(&[
        "He looked up, 'It is late.' he said.",
        "He looked up, \"It is late.\" he said.",
        "He looked up, “It is late.” he said.",
        "He looked up, \"It is late.\" | He closed the book.",
    ]);
}

#[test]
fn rule_27_to_30_several_marks_end_one_sentence() {
    cut_as(&["Run!! | The tide comes.", "Who?? | Nobody.", "Now!? | Are you sure?", "Now?! | I am sure."]);
}

#[test]
fn rule_31_to_39_items_of_a_list_are_sentences() {
    cut_as(&[
        "1.) The red one | 2.) The blue one",
        "1.) The red one. | 2.) The blue one.",
        "1) The red one | 2) The blue one",
        "1) The first item | 2) The second item",
        "1) The red one. | 2) The blue one.",
        "1. The red one | 2. The blue one",
        "1. The red one. | 2. The blue one.",
        "• 9. The red one | • 10. The blue one",
        "⁃9. The red one | ⁃10. The blue one",
        "a. The red one | b. The blue one | c. The third of them",
    ]);
}

#[test]
fn rule_40_to_42_broken_lines_go_on_and_lists_do_not() {
    assert_eq!(cut("The page was\nscanned badly."), ["The page was\nscanned badly."]);
    assert_eq!(cut("The page was \nscanned badly."), ["The page was \nscanned badly."]);
    assert_eq!(cut("rooms\nopening hours\nhow to get here\n"), ["rooms", "opening hours", "how to get here"]);
}

#[test]
fn rule_43_to_45_odd_numbers_names_and_pronouns() {
    cut_as(&[
        "The plot has N°. 2044.117.3. | It is for sale.",
        "He wrote for Yahoo! in the nineties.",
        "Nobody saw it but you and I. | Has Ruth I. Blum seen it?",
    ]);
}

#[test]
fn rule_46_to_51_ellipses() {
    cut_as(&[
        "She writes that “the sea was never so calm. . . .”",
        "\"The ship [...] was lost near the cape [...]\" (Holm 12).",
        "They left the rest out . . . . | The end is known.",
        "We never heard the rest.... | He fell asleep.",
        "It isn't ... how to say it...really . . . that I'm angry, it is . . . I can't say.",
        "The words . . . were few . . . . | They were heard.",
    ]);
}

#[test]
fn rule_52_sentences_without_a_space_between_them() {
    let text = "It rained all day.Then it froze.Mr. Holm counted 2,000.None was left.";
    assert_eq!(cut(text), ["It rained all day.", "Then it froze.", "Mr. Holm counted 2,000.", "None was left."]);
    cut_as(&["Node.js and System.Out are no sentences.", "Read README.Md and go to Example.Com now."]);
}

#[test]
fn lists_of_one_language_do_no_harm_in_another() {
    cut_as(&[
        "I am 12. | You are 13.",
        "He is at sea. | 5 years ago. | 20 of them left.",
        "It takes 5 ms. | Max counted.",
        "She has MS. | Peter has not.",
        "He said no. | 5 people heard it.",
        "We need R&D. | Investors know it.",
        "Hmm. | Peter is late.",
        "It is on Oak Dr. | She lives there with Dr. No.",
        "He lives on Main St. | Mr. Kim does not.",
        "Voir art. 12, al. 3. | C'est là.",
        "Choose plan B. | Plan A failed.",
        "Am 5. Mai kam er. | Ich bin 12. | Peter ist 9.",
        "Elle a 3 ans. | Il en a 5. | Marie en a 9.",
    ]);
}

#[test]
fn abbreviations_and_wrapped_lines_do_not_end_a_sentence() {
    let text = "Dr. Smith met J. R. Hill. \"Was it late?\" she asked.\nThe train, which was\nlate, left at 5 p.m. on time.\n\nA heading\nNext one.";
    assert_eq!(
        cut(text),
        [
            "Dr. Smith met J. R. Hill.",
            "\"Was it late?\" she asked.",
            "The train, which was\nlate, left at 5 p.m. on time.",
            "A heading",
            "Next one."
        ]
    );
    cut_as(&["It was no. | It stayed so.", "See no. 5 first."]);
    assert!(cut(" \n \n").is_empty());
    assert_eq!(cut("一。二！"), ["一。", "二！"]);
}

#[test]
fn lines_end_sentences_but_for_small_letters_and_abbreviations() {
    assert_eq!(cut("We met Mr.\nHolm there."), ["We met Mr.\nHolm there."]);
    assert_eq!(cut("Es kam am\n3. Mai an."), ["Es kam am\n3. Mai an."]);
    assert_eq!(cut("Es kam am 3.\nMai an."), ["Es kam am 3.\nMai an."]);
    assert_eq!(cut("It was in 1932.\nmay be"), ["It was in 1932.", "may be"]);
    assert_eq!(cut("1. Red\n\nHe came to Rome 2. Then"), ["1. Red", "He came to Rome 2.", "Then"]);
    assert_eq!(cut("To buy\r\n1. rice\r\n2. salt"), ["To buy", "1. rice", "2. salt"]);
    assert_eq!(cut("Sold by Acme Inc.\nBerlin"), ["Sold by Acme Inc.", "Berlin"]);
    assert_eq!(cut("First:\nsecond"), ["First:", "second"]);
    assert_eq!(cut("It ended.\nsmall it went on"), ["It ended.", "small it went on"]);
    assert_eq!(cut("one\n\ntwo"), ["one", "two"]);
    assert_eq!(cut("one\u{2029}two"), ["one", "two"]);
    assert_eq!(cut("\"Was it?\"\nshe asked."), ["\"Was it?\"\nshe asked."]);
}

#[test]
fn texts_without_capitals_and_other_scripts() {
    cut_as(&[
        "i went home. | was it late? | yes, it was.",
        "visit yahoo! for more",
        "გამარჯობა. | როგორ ხარ?",
        "Ինչպե՞ս ես։ | Լավ եմ։",
        "Great!🎉 | We won. | 🙂",
    ]);
    assert_eq!(cut("「行く？」と言った。はい。"), ["「行く？」と言った。", "はい。"]);
    assert_eq!(cut("你好!我是王。"), ["你好!", "我是王。"]);
    assert_eq!(cut("Wahr.¹ Falsch.[2] Gut.12 So"), ["Wahr.¹", "Falsch.[2]", "Gut.12 So"]);
    assert_eq!(cut("It was found.12 Others agree."), ["It was found.12", "Others agree."]);
}

/// Bits that a hostile text may be made of.
const BITS: [&str; 44] = [
    ".",
    ". ",
    "..",
    "…",
    "!",
    "?",
    "\"",
    "“",
    "„",
    "«",
    "»",
    "(",
    ")",
    "[",
    "]",
    "'",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\n\n",
    "\u{2029}",
    "\u{a0}",
    "a",
    "Dr",
    "Mt",
    "U.S.",
    "z. B.",
    "The",
    "he",
    "1",
    "2.",
    "• ",
    "a) ",
    "Yahoo!",
    "。",
    "」",
    "「",
    "e\u{301}",
    "👩‍👩‍👧",
    "\u{0}",
    ";",
    "Ω",
    "etc.",
];

#[test]
fn places_are_exact_and_nothing_but_white_space_is_between() {
    let mut state = 7u64;
    for _ in 0..4000 {
        let mut text = String::new();
        for _ in 0..24 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push_str(BITS[(state >> 33) as usize % BITS.len()]);
        }
        let mut end = 0;
        for range in sentences(&text) {
            assert!(text[end..range.start].trim().is_empty(), "{text:?}");
            assert!(!text[range.clone()].is_empty() && text[range.clone()].trim() == &text[range.clone()], "{text:?}");
            end = range.end;
        }
        assert!(text[end..].trim().is_empty(), "{text:?}");
    }
}

#[test]
fn work_grows_with_the_text_and_no_faster() {
    let work = |bit: &str, times: usize| {
        let text = bit.repeat(times);
        let text = Text::new(&text);
        read(&text);
        text.looked.get()
    };
    let more =
        ["x (a. ", "x \"a. ", "1. A ", "a\n", "a.\n", "J. K. ", "Dr. No ", "\"Aa!\" Bb ", "w.Word ", "a (b\n(c. "];
    for bit in BITS.iter().chain(&more) {
        let (one, four) = (work(bit, 2000), work(bit, 8000));
        assert!(four <= 4 * one + 2000, "{bit:?}: {one} looks, then {four}");
        // A place is looked at some hundred times at most, where each character may be an abbreviation's.
        assert!(four <= 8000 * bit.len() * 120, "{bit:?}: {four}");
    }
    let spaces = format!("a.{}B", " ".repeat(100_000));
    let text = Text::new(&spaces);
    read(&text);
    assert!(text.looked.get() < 1_000_000);
}
