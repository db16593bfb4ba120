//! Words that open sentences, and other words whose place says whether a full stop ends one.

use super::text::Text;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that stand with a capital only where a sentence begins. None that names begin with: `May`, `Will`,
/// `Under` (Secretary), `War` (Department), `Ma`.
const OPENERS: [&str; 4] = [
    // English
    "i he she it we you they the a an this that these those there here then now today yesterday tomorrow later \
     however but and or if as at by for from in on to with without after before during since until once although \
     though because despite maybe perhaps also still even only just not never nothing nobody everyone everybody \
     someone somebody everything something anyone what who whom why where when how which whose while do does did \
     is are was were has have had could should would must let meanwhile finally instead moreover therefore thus \
     nevertheless sometimes often usually soon each every another many much most few several some any all both \
     either neither none unlike through between along among around across about his her my our your their its \
     yes no so please thanks nowhere everywhere whether whatever whenever afterwards eventually recently \
     unfortunately fortunately two three four five six seven eight nine ten others millions thousands \
     hundreds dozens",
    // French
    "il elle on nous vous ils elles je tu le la les un une des ce cet cette ces cela ça mon mes son ses notre nos \
     votre vos leur leurs qui que quoi quand où comment pourquoi combien quel quelle quels quelles mais et ou donc \
     ni puis alors ensuite enfin ainsi aussi après avant pendant depuis dans sur sous avec sans pour par chez vers \
     en au aux à y si comme lorsque parce tout toute tous toutes chaque aucun aucune plusieurs certains beaucoup \
     personne rien jamais toujours hier aujourd demain maintenant ici là voici voilà oui non peut cependant \
     pourtant toutefois d'abord quelques",
    // German
    "ich du er sie es wir ihr man der die das den dem des ein eine einen einem einer eines dieser diese dieses \
     diesen diesem jeder jede jedes jener kein keine keiner mein meine sein seine ihre ihren unser unsere dein \
     deine euer und aber oder doch denn sondern auch nur noch schon dann danach da dort hier heute gestern morgen \
     jetzt nun bald später früher damals wer wie wo warum wann wohin woher wenn weil als ob obwohl während nachdem \
     bevor seit seitdem bis im in am an auf aus bei für gegen mit nach ohne um unter vom von vor zu zum zur über \
     durch trotz trotzdem deshalb daher dennoch jedoch außerdem allerdings zuerst zuletzt schließlich vielleicht \
     niemand jemand alle alles viele einige manche beide mehrere ist sind hat haben kann können muss soll sollte \
     wird werden wurde wurden ja nein nicht nie immer oft zwei drei vier leider dabei damit dafür dagegen",
    // Spanish
    "él ella ellos ellas yo usted ustedes nosotros nosotras el los las un una unos unas lo se me te mi mis su sus \
     nuestro nuestra nuestros este esta estos estas ese esa eso esto aquel aquella qué quién quiénes cuándo dónde \
     cómo cuál cuánto por para con sin sobre desde hasta entre según durante tras ante al o pero sino aunque porque \
     pues cuando donde como sí ya luego después antes entonces así también tampoco además ahora hoy ayer mañana \
     aquí allí siempre nunca nadie nada alguien algo todo toda todos todas cada muchos muchas algunos algunas otro \
     otra otros otras es era fue hay ha han está están tiene tienen mientras finalmente quizás tal solo sólo \
     demasiado dos tres cuatro cinco",
];

/// Words that stand before an apostrophe: `C'est`, `It's` is found as `It`.
const ELIDED: &str = "c j d l m n s t qu don doesn didn isn aren wasn weren couldn wouldn shouldn haven hasn can";
/// Articles and prepositions that names begin with.
const PARTICLES: &str = "le la les de du des el los las da di al";
/// Words that begin a sentence with a time or place: `At 5 a.m. Mr. Lowe …`
const INTRODUCTIONS: &str = "at by in on from since until till before after around about circa im am um gegen seit \
    bis vor nach ab vers à dès en a hacia desde hasta le el los depuis avant après";
/// Zones and days that belong to a time.
const AFTER_TIMES: &str = "EST EDT CST CDT MST MDT PST PDT ET PT CT GMT UTC BST CET CEST MEZ MESZ IST JST Eastern \
    Pacific Central Mountain Uhr Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March \
    April May June July August September October November December";
/// What a single capital counts or labels, so that it is no initial: `plan B`, `vitamin C`.
const LABELLED: &str = "step chapter page level phase volume season episode platz stufe kapitel seite schritt \
    niveau étape página paso nivel plan option vitamin grade hepatitis type group section class team appendix exhibit point \
    room gate platform block version part variant letter column row figure table gruppe klasse punkt typ plan \
    variante abschnitt buchstabe anhang teil raum groupe classe lettre vitamine salle annexe grupo clase letra \
    vitamina anexo sala opción parte";
/// Words before an ordinal in German.
const BEFORE_ORDINALS: &str = "der die das den dem des am im vom zum zur beim bis ab seit und oder bzw jeder jede \
    jedes jeden jedem ein eine einen einem einer ihr ihre ihren ihrem sein seine seinen seinem mein meine meinen unser \
    unsere";
/// Words after an ordinal in German, and months of all kinds.
const AFTER_ORDINALS: &str = "januar februar märz april mai juni juli august september oktober november dezember \
    jan jän feb febr mrz apr jun jul aug sep sept okt nov dez jänner jahrhundert jahrhunderts jh platz klasse stock \
    etage liga tag tages woche auflage kapitel weltkrieg weltkriegs mal runde stelle teil band satz akt stunde \
    geburtstag jahrestag minute lebensjahr semester quartal halbjahr hälfte bundesliga rang preis strophe";
/// What said "no", so that it does not count: `He said no. 5 people …`
const BEFORE_NO: &str = "said say says saying answered answer oh que dijo dice sagte means meant";
/// Names that end with an exclamation mark.
const EXCLAIMED: &str = "yahoo jeopardy yum wham joomla";
/// What speech is told with, after a name (the other languages have the name after it).
const SPEECH: &str = "asked said cried replied shouted whispered answered demanded exclaimed called yelled screamed \
    wondered inquired muttered murmured added snapped laughed";
/// Words that a line does not end with unless it goes on in the next one.
const LINKS: &str = "the a an of to in on at by for from with and or but as is are was were be has have had that which \
    who this le la les de du des un une et ou à au aux en par pour avec sur que qui der die das den dem ein eine \
    einen und oder zu mit von für auf im am bei als ist war hat el los las y o con para es del al";
/// What persons are called by, before a full stop.
const PERSONS: &str = "mr mrs ms mme mlle";
/// Ends of files' and sites' names, which are no sentences after a dot.
const ENDINGS: &str = "com org net edu gov io js ts py rs md txt pdf doc docx html htm php asp jpg png gif csv json \
    xml zip exe dll java cpp co uk us eu de fr es info biz app dev ai";

type Set = HashSet<&'static str>;

fn set(words: &'static str) -> Set {
    words.split_whitespace().collect()
}

static OPENING: LazyLock<Set> = LazyLock::new(|| OPENERS.iter().flat_map(|l| l.split_whitespace()).collect());

macro_rules! holds {
    ($($(#[$doc:meta])* $name:ident: $list:ident;)*) => {
        $($(#[$doc])* pub(super) fn $name(word: &str) -> bool {
            static WORDS: LazyLock<Set> = LazyLock::new(|| set($list));
            WORDS.contains(word) || WORDS.contains(word.to_lowercase().as_str())
        })*
    };
}

holds! {
    /// Whether a name may begin with `word`.
    particle: PARTICLES;
    /// Whether a sentence that begins with `word` may only tell the time at first.
    introduces: INTRODUCTIONS;
    /// Whether `word` belongs to a time before it.
    belongs_to_time: AFTER_TIMES;
    /// Whether `word` is labelled by a letter after it.
    labelled: LABELLED;
    /// Whether an ordinal stands after `word` in German.
    before_ordinal: BEFORE_ORDINALS;
    /// Whether `word` is counted by an ordinal before it.
    after_ordinal: AFTER_ORDINALS;
    /// Whether "no" after `word` is an answer.
    before_no: BEFORE_NO;
    /// Whether `word` is written with an exclamation mark.
    exclaimed: EXCLAIMED;
    /// Whether `word` tells speech.
    speech: SPEECH;
    /// Whether files or sites have names that end so.
    ending: ENDINGS;
    /// Whether a line that ends with `word` goes on.
    links: LINKS;
    /// Whether `word` is said before a person's name.
    person: PERSONS;
    /// Whether an apostrophe after `word` has left a letter out.
    elided: ELIDED;
}

/// Whether `word`, written in any way, opens sentences.
pub(super) fn opening_word(word: &str) -> bool {
    OPENING.contains(word.to_lowercase().as_str())
}

/// Whether the word that begins at `at` stands there only because a sentence begins.
pub(super) fn opens(text: &Text<'_>, at: usize) -> bool {
    let end = text.word_end(at);
    let word = text.slice(at..end);
    let mut letters = word.chars();
    let capital = letters.next().is_some_and(char::is_uppercase) && letters.all(char::is_lowercase);
    let after = text.at(end);
    let single = word.chars().nth(1).is_none();
    if !capital || after == Some('.') && single {
        return false;
    }
    if matches!(after, Some('\'' | '’')) && elided(word) {
        // L'Oréal is a name, L'auteur opens a sentence.
        return text.at(end + after.map_or(0, char::len_utf8)).is_some_and(char::is_lowercase);
    }
    opening_word(word)
}

/// Whether a name begins at `at` with an article or preposition: Le Pen, De la Torre.
pub(super) fn named(text: &Text<'_>, at: usize) -> bool {
    let end = text.word_end(at);
    particle(text.slice(at..end)) && {
        let next = text.white(end).0;
        next > end && text.at(next).is_some_and(char::is_uppercase)
    }
}
