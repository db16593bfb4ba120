//! Abbreviations of English, French, German and Spanish, by what may stand after them.
//!
//! The language of a text is not known, so all lists are one. A word of one language that abbreviates in
//! another is in a list that is asked only where the rest of the place agrees (a digit after it, a capital).

use super::text::Text;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What may stand after an abbreviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The sentence always goes on: `Dr.`, `z. B.`
    Never,
    /// A name stands after it, unless a word that opens sentences does: `Mt.`, `Sen.`, `Str.`
    Before,
    /// It stands after a name, and ends a sentence before a word that opens sentences: `Inc.`, `U.S.`
    After,
    /// It ends a sentence before any capital: `etc.`
    Ends,
    /// As `Ends`, but not where the sentence only begins with a time (`At 5 a.m. Mr. Lowe …`).
    Time,
    /// A number stands after it, or it is no abbreviation: `No. 5`, `Sept. 1932`.
    Number,
}

/// In any case.
const NEVER: &str = "mr mrs messrs mx dr drs mme mmes mlle mlles mgr msgr srta dra dña exmo excmo ilmo \
    vs cf viz approx aprox ca resp incl excl esp bzw vgl ggf gegebenenf evtl sog zzgl inkl exkl einschl insb insbes bspw \
    beisp bzgl bezgl betr hrsg dipl habil rer jur";
/// With a capital. `D.` and `M.` are initials, which have rules of their own.
const NEVER_NAMES: &str = "Ms Gem Lic Ing Mag Frl Hr Hrn MM Gral Cnel Tte Sgto Mons Capt Cpt Pfr Dña";
/// In any case.
const BEFORE: &str = "boul trad coll prof profs st mts blvd bd av ave avda str sr sra sres ud uds vd vds mio mrd tsd deg dept univ \
    gebr eds";
/// With a capital.
const BEFORE_NAMES: &str = "Sen Sens Rep Reps Gov Govs Gen Col Maj Cmdr Cdr Lt Sgt Cpl Pvt Adm Pres Rev Hon Fr Mt \
    Mtn Ft Pt Pte Ste Sto Sta Rd Ln Hwy Rte Sq Pl Bldg Supt Insp Det Amb Atty Dist Sec Assoc Asst Dir Pr Fa Bhf \
    Abg Bgm Min Arq Av Ed Del Cap Com Comdr Ens Brig Gvt Govt Natl Intl Int Mfg Inst Fam \
    Pdte Pdta Hno Hna Pza Plza Ctra Urb Fco Bco Gob Ayto Dpto Admón";
/// In any case.
const AFTER: &str = "inc ltd co corp bros jr llc plc cie cía cia ltda hnos assn esq";
/// Without a capital.
const AFTER_SMALL: &str = "sen jun";
/// Without a capital: adjectives in German, which a noun stands after.
const BEFORE_SMALL: &str = "kath ev evang dt frz engl ital lat griech amerik bayer österr schweiz allg bes gesetzl \
    staatl städt techn wiss ehem hl lt wg zw stellv röm orig urspr entspr spez";
/// With a capital.
const AFTER_NAMES: &str = "Calif Colo Conn Fla Ga Ky Mass Mich Minn Neb Nev Okla Ont Pa Penn Tenn Tex Va Wash Wis \
    Hbf Bf";
/// In any case.
const ENDS: &str = "etc usw usf al ibid ff jh jhs jhd jhdt";
/// In any case.
const NUMBER: &str = "no nos nr nrn n° nº nos num núm núms p pp pg pgs pag pág págs párr párrf cra fig figs abb tab tbl eq eqs ch \
    chap chaps cap caps kap sec secs sect art arts abs ziff vol vols bd bde t par pars ex anm anl v vv l ll tel tél \
    fax ext env est max min mind ver temp op ref refs ser bk rm fl hrs ft yd lb lbs oz rs reg az pos lfd rn rz lit §§ gem éd rd gegr fn jg alin";
/// With a capital.
const MONTHS: &str = "Jan Feb Febr Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Jän Mrz Okt Dez Mon Tue Tues Wed Thu \
    Thur Thurs Fri Sat Sun Mo Di Mi Do Sa So Lun Mié Jue Vie Sáb Dom";
/// Without a capital.
const MONTHS_SMALL: &str = "janv févr fevr avr juil sept oct nov déc dec ene feb abr jun jul";
/// As those, but words of their own in other languages: only after a number or a preposition.
const MONTHS_DOUBTFUL: &str = "ago mar set dic jan apr aug may";

/// Abbreviations of several parts, as they are written. White space may stand after their dots.
const COMPOUND: [(&str, Class); 67] = [
    ("z.B", Class::Never),
    ("Z.B", Class::Never),
    ("I.d.R", Class::Never),
    ("d.h", Class::Never),
    ("p.ej", Class::Never),
    ("p.ex", Class::Never),
    ("c.-à-d", Class::Never),
    ("c.à.d", Class::Never),
    ("c-à-d", Class::Never),
    ("e.g", Class::Never),
    ("i.e", Class::Never),
    ("u.a", Class::Never),
    ("v.a", Class::Never),
    ("i.d.R", Class::Never),
    ("o.g", Class::Never),
    ("m.E", Class::Never),
    ("u.U", Class::Never),
    ("i.A", Class::Never),
    ("i.V", Class::Never),
    ("z.T", Class::Never),
    ("z.Z", Class::Never),
    ("z.Zt", Class::Never),
    ("d.i", Class::Never),
    ("i.S", Class::Never),
    ("i.S.d", Class::Never),
    ("a.k.a", Class::Never),
    ("n.b", Class::Never),
    ("P.S", Class::Never),
    ("N.B", Class::Never),
    ("op.cit", Class::Ends),
    ("s.o", Class::Ends),
    ("s.u", Class::Ends),
    ("o.ä", Class::Ends),
    ("o.Ä", Class::Ends),
    ("u.ä", Class::Ends),
    ("u.Ä", Class::Ends),
    ("u.dgl", Class::Ends),
    ("u.v.m", Class::Ends),
    ("u.s.w", Class::Ends),
    ("p.a", Class::Ends),
    ("q.e.d", Class::Ends),
    ("EE.UU", Class::After),
    ("FF.AA", Class::After),
    ("CC.OO", Class::After),
    ("É.-U", Class::After),
    ("e.V", Class::After),
    ("e.K", Class::After),
    ("a.M", Class::After),
    ("S.A", Class::After),
    ("S.L", Class::After),
    ("Ph.D", Class::Ends),
    ("B.Sc", Class::Ends),
    ("M.Sc", Class::Ends),
    ("a.m", Class::Time),
    ("p.m", Class::Time),
    ("A.M", Class::Time),
    ("P.M", Class::Time),
    ("a.C", Class::Time),
    ("d.C", Class::Time),
    ("v.Chr", Class::Time),
    ("n.Chr", Class::Time),
    ("av.J.-C", Class::Time),
    ("apr.J.-C", Class::Time),
    ("v.u.Z", Class::Time),
    ("B.C", Class::Time),
    ("A.D", Class::Time),
    ("B.C.E", Class::Time),
];

type Words = HashMap<String, Class>;

/// Words of `lists` without capitals.
fn words(lists: &[(&str, Class)]) -> Words {
    let each = |(list, class): &(&str, Class)| list.split_whitespace().map(|w| (w.to_lowercase(), *class)).collect();
    lists.iter().flat_map(|l| -> Vec<_> { each(l) }).collect()
}

static ANY: LazyLock<Words> = LazyLock::new(|| {
    words(&[
        (NUMBER, Class::Number),
        (NEVER, Class::Never),
        (BEFORE, Class::Before),
        (AFTER, Class::After),
        (ENDS, Class::Ends),
    ])
});

static CAPITAL: LazyLock<Words> = LazyLock::new(|| {
    words(&[
        (MONTHS, Class::Number),
        (NEVER_NAMES, Class::Never),
        (BEFORE_NAMES, Class::Before),
        (AFTER_NAMES, Class::After),
    ])
});

static SMALL: LazyLock<Words> = LazyLock::new(|| {
    words(&[(MONTHS_SMALL, Class::Number), (AFTER_SMALL, Class::After), (BEFORE_SMALL, Class::Before)])
});

static DOUBTFUL: LazyLock<Words> = LazyLock::new(|| words(&[(MONTHS_DOUBTFUL, Class::Number)]));

/// The class of `word`, which stands before a full stop; `dated` where a number or a preposition of dates
/// stands before it.
pub(super) fn class(word: &str, dated: bool) -> Option<Class> {
    let small = word.to_lowercase();
    // Two capitals are no name's beginning: MS, GA.
    let capitals = word.len() == 2 && word != "MM" && word.chars().all(char::is_uppercase);
    let first = if word.starts_with(char::is_uppercase) { &CAPITAL } else { &SMALL };
    let doubtful = || if dated { DOUBTFUL.get(&small) } else { None };
    // Streets are written as one word in German: Lindenstr.
    let street = (small.len() > 4 && small.ends_with("str")).then_some(&Class::Before);
    first.get(&small).filter(|_| !capitals).or_else(|| ANY.get(&small)).or_else(doubtful).or(street).copied()
}

/// The class of the abbreviation of several parts that ends at `end`.
pub(super) fn compound(text: &Text<'_>, end: usize) -> Option<Class> {
    let last = text.before(end)?;
    // At the beginning of a sentence: Z. B., E.g.
    let any_case = |w: &str, class: Class| class == Class::Never && w.ends_with(char::is_lowercase);
    let mut fitting = COMPOUND.iter().filter(|(w, _)| w.ends_with(last));
    fitting.find(|(w, class)| text.ends_with(end, w, any_case(w, *class)).is_some()).map(|(_, class)| *class)
}

/// The parts of abbreviations before and after each of their dots.
static PARTS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let parts =
        |w: &'static str| w.match_indices('.').map(move |(i, _)| (&w[..i], w[i + 1..].split('.').next().unwrap_or("")));
    COMPOUND.iter().flat_map(|(w, _)| parts(w)).collect()
});

/// Whether the full stop at `dot` is one within an abbreviation of several parts that goes on at `next`.
pub(super) fn within_compound(text: &Text<'_>, dot: usize, next: usize) -> bool {
    let word = text.word(next);
    !word.is_empty()
        && word.len() < 8
        && PARTS.iter().any(|(before, after)| word == *after && text.ends_with(dot, before, true).is_some())
}

/// Whether `word` looks like a shortened one: a capital and consonants, as in `Hrsg.` or `Bldg.`
pub(super) fn looks_shortened(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|c| c.is_ascii_uppercase() && !"AEIOUY".contains(c))
        && (2..6).contains(&word.len())
        && letters.all(|c| c.is_ascii_lowercase() && !"aeiouy".contains(c))
        && !["Hm", "Hmm", "Mm", "Mmm", "Sh", "Shh", "Pst", "Psst", "Brr", "Grr", "Tsk", "Pff"].contains(&word)
}
