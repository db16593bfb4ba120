"""Pairs English–French of our own, made from frames: times, numbers, dates, prices, ages, names, places, negation.

Tatoeba has few of each and says them in many ways; a small model then guesses ("half past seven" became "7 heures").
Every frame below was written for this file. `pairs(rng)` draws one pair of them.
"""

UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
         "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
UNITES = ["zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze",
          "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf"]
DIZAINES = ["", "", "vingt", "trente", "quarante", "cinquante", "soixante", "soixante", "quatre-vingt", "quatre-vingt"]


def english(n):
    """A number below 10,000 in words."""
    if n < 20:
        return UNITS[n]
    if n < 100:
        return TENS[n // 10] + (f"-{UNITS[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{UNITS[n // 100]} hundred" + (f" and {english(n % 100)}" if n % 100 else "")
    return f"{english(n // 1000)} thousand" + (f" {english(n % 1000)}" if n % 1000 else "")


def french(n):
    """A number below 10,000 in words, masculine."""
    if n < 20:
        return UNITES[n]
    if n < 100:
        ten, one = divmod(n, 10)
        if ten in (7, 9):
            one += 10
        if n == 80:
            return "quatre-vingts"
        if one == 0:
            return DIZAINES[ten]
        joint = " et " if one in (1, 11) and ten < 8 else "-"
        return DIZAINES[ten] + joint + UNITES[one]
    if n < 1000:
        hundreds = "cent" if n < 200 else f"{UNITES[n // 100]} cent"
        if n % 100:
            return f"{hundreds} {french(n % 100)}"
        return hundreds + ("s" if n >= 200 else "")
    thousands = "mille" if n < 2000 else f"{french(n // 1000)} mille"
    return thousands + (f" {french(n % 1000)}" if n % 1000 else "")


def hours(h):
    """`h` o'clock, 1 to 12."""
    return "une heure" if h == 1 else f"{french(h)} heures"


def clock(rng):
    """A time of day in both languages, without preposition."""
    h = rng.randint(1, 12)
    after, before = h % 12 + 1, h
    kind = rng.random()
    if kind < 0.2:
        return f"{UNITS[h]} o'clock", hours(h)
    if kind < 0.42:
        return f"half past {UNITS[h]}", f"{hours(h)} et demie"
    if kind < 0.52:
        return f"a quarter past {UNITS[h]}", f"{hours(h)} et quart"
    if kind < 0.62:
        return f"a quarter to {UNITS[after]}", f"{hours(after)} moins le quart"
    if kind < 0.7:
        m = rng.choice([5, 10, 20, 25])
        return f"{english(m)} past {UNITS[h]}", f"{hours(h)} {french(m)}"
    if kind < 0.78:
        m = rng.choice([5, 10, 20, 25])
        return f"{english(m)} to {UNITS[after]}", f"{hours(after)} moins {french(m)}"
    if kind < 0.82:
        return rng.choice([("noon", "midi"), ("midnight", "minuit")])
    if kind < 0.9:
        h, m = rng.randint(1, 23), rng.choice([5, 10, 15, 20, 30, 40, 45, 50, 55])
        return f"{h}:{m:02}", f"{h} h {m:02}"
    if kind < 0.95:
        return f"{before} a.m.", f"{before} heures du matin" if before > 1 else "1 heure du matin"
    return f"{before} p.m.", f"{before + 12} heures" if before < 12 else "midi"


TIMES = [
    ("It's {0}.", "Il est {0}."), ("It is {0}.", "Il est {0}."), ("It's almost {0}.", "Il est presque {0}."),
    ("It is already {0}.", "Il est déjà {0}."), ("It's not yet {0}.", "Il n'est pas encore {0}."),
    ("The train leaves at {0}.", "Le train part à {0}."), ("The bus arrives at {0}.", "Le bus arrive à {0}."),
    ("The plane lands at {0}.", "L'avion atterrit à {0}."), ("I get up at {0}.", "Je me lève à {0}."),
    ("She gets up at {0}.", "Elle se lève à {0}."), ("We have dinner at {0}.", "Nous dînons à {0}."),
    ("They have lunch at {0}.", "Ils déjeunent à {0}."), ("The shop opens at {0}.", "Le magasin ouvre à {0}."),
    ("The museum closes at {0}.", "Le musée ferme à {0}."), ("School begins at {0}.", "L'école commence à {0}."),
    ("The meeting starts at {0}.", "La réunion commence à {0}."), ("The film begins at {0}.", "Le film commence à {0}."),
    ("The concert ends at {0}.", "Le concert finit à {0}."), ("I will be there at {0}.", "Je serai là à {0}."),
    ("Let's meet at {0}.", "Retrouvons-nous à {0}."), ("Call me at {0}.", "Appelle-moi à {0}."),
    ("Wake me up at {0}.", "Réveille-moi à {0}."), ("He went to bed at {0}.", "Il s'est couché à {0}."),
    ("She came home at {0}.", "Elle est rentrée à {0}."), ("I fell asleep at {0}.", "Je me suis endormi à {0}."),
    ("The lesson is at {0}.", "Le cours est à {0}."), ("Does the train leave at {0}?", "Est-ce que le train part à {0} ?"),
    ("The train doesn't leave at {0}.", "Le train ne part pas à {0}."), ("I wait for you until {0}.", "Je t'attends jusqu'à {0}."),
    ("We worked until {0}.", "Nous avons travaillé jusqu'à {0}."), ("The train leaves at {0} tomorrow.", "Le train part demain à {0}."),
    ("We arrived at {0} in the evening.", "Nous sommes arrivés à {0} du soir."), ("See you at {0}!", "On se voit à {0} !"),
    ("Breakfast is at {0}.", "Le petit-déjeuner est à {0}."), ("at {0}", "à {0}"), ("{0}", "{0}"),
]
THINGS = [("book", "livre"), ("child", "enfant"), ("friend", "ami"), ("dog", "chien"), ("cat", "chat"), ("tree", "arbre"), ("ticket", "billet"),
          ("student", "élève"), ("photo", "photo"), ("letter", "lettre"), ("apple", "pomme"), ("car", "voiture"), ("house", "maison"), ("chair", "chaise"),
          ("egg", "œuf"), ("bottle", "bouteille"), ("word", "mot"), ("page", "page"), ("picture", "image"), ("country", "pays"), ("bird", "oiseau"), ("window", "fenêtre")]
PLURALS = {"child": "children", "country": "countries", "pays": "pays", "oiseau": "oiseaux"}
COUNTS = [
    ("I have {0} {1}.", "J'ai {0} {1}."), ("She bought {0} {1}.", "Elle a acheté {0} {1}."), ("There are {0} {1} here.", "Il y a {0} {1} ici."),
    ("We saw {0} {1}.", "Nous avons vu {0} {1}."), ("He has {0} {1}.", "Il a {0} {1}."), ("I need {0} {1}.", "J'ai besoin de {0} {1}."),
    ("They have {0} {1}.", "Ils ont {0} {1}."), ("I don't have {0} {1}.", "Je n'ai pas {0} {1}."), ("I counted {0} {1}.", "J'ai compté {0} {1}."),
]
MEASURES = [
    ("He is {0} years old.", "Il a {0} ans."), ("She is {0} years old.", "Elle a {0} ans."), ("I am {0} years old.", "J'ai {0} ans."),
    ("My father is {0}.", "Mon père a {0} ans."), ("It costs {0} euros.", "Ça coûte {0} euros."), ("The ticket costs {0} euros.", "Le billet coûte {0} euros."),
    ("I paid {0} dollars.", "J'ai payé {0} dollars."), ("It's {0} kilometres from here.", "C'est à {0} kilomètres d'ici."),
    ("It takes {0} minutes.", "Cela prend {0} minutes."), ("We waited {0} minutes.", "Nous avons attendu {0} minutes."),
    ("I lived there for {0} years.", "J'ai vécu là-bas pendant {0} ans."), ("He weighs {0} kilos.", "Il pèse {0} kilos."),
    ("The tower is {0} metres high.", "La tour fait {0} mètres de haut."), ("It is {0} degrees outside.", "Il fait {0} degrés dehors."),
    ("I'll be back in {0} minutes.", "Je reviens dans {0} minutes."), ("The book has {0} pages.", "Le livre a {0} pages."),
    ("{0} people came.", "{0} personnes sont venues."), ("The answer is {0}.", "La réponse est {0}."), ("The number is {0}.", "Le numéro est {0}."),
    ("{0}", "{0}"),
]
MONTHS = [("January", "janvier"), ("February", "février"), ("March", "mars"), ("April", "avril"), ("May", "mai"), ("June", "juin"), ("July", "juillet"),
          ("August", "août"), ("September", "septembre"), ("October", "octobre"), ("November", "novembre"), ("December", "décembre")]
DAYS = [("Monday", "lundi"), ("Tuesday", "mardi"), ("Wednesday", "mercredi"), ("Thursday", "jeudi"), ("Friday", "vendredi"), ("Saturday", "samedi"), ("Sunday", "dimanche")]
NAMES = ("Anna Ben Clara David Emma Felix Grace Hugo Ines Jack Karim Laura Marco Nadia Oscar Paula Quentin Rosa Simon Tina Umar Vera Walter Yuki Zoe "
         "Alice Bruno Carmen Daniel Elena Fatima George Hannah Ivan Julia Kevin Lena Martin Nora Omar Peter Rachel Sofia Thomas Victor Mary Tom John Lucy "
         "Aisha Boris Chen Dana Erik Gita Igor Jana Kenji Lars Mira Nils Olga Pablo Ravi Sven Tariq Wanda").split()
SURNAMES = "Smith Brown Garcia Martin Keller Novak Rossi Tanaka Diallo Larsen Petrov Silva Moreau Khan Weber Okafor Jensen Costa".split()
CITIES = [("London", "Londres"), ("Paris", "Paris"), ("Berlin", "Berlin"), ("Rome", "Rome"), ("Madrid", "Madrid"), ("Vienna", "Vienne"), ("Lisbon", "Lisbonne"),
          ("Brussels", "Bruxelles"), ("Geneva", "Genève"), ("Warsaw", "Varsovie"), ("Moscow", "Moscou"), ("Boston", "Boston"), ("Chicago", "Chicago"),
          ("Tokyo", "Tokyo"), ("Beijing", "Pékin"), ("New York", "New York"), ("Athens", "Athènes"), ("Prague", "Prague"), ("Barcelona", "Barcelone"), ("Lyon", "Lyon")]
PEOPLE = [
    ("My name is {0}.", "Je m'appelle {0}."), ("His name is {0}.", "Il s'appelle {0}."), ("Her name is {0}.", "Elle s'appelle {0}."),
    ("{0} lives in {2}.", "{0} habite à {2}."), ("{0} doesn't live in {2}.", "{0} n'habite pas à {2}."), ("{0} and {1} live in {2}.", "{0} et {1} habitent à {2}."),
    ("{0} works in {2}.", "{0} travaille à {2}."), ("I met {0} in {2}.", "J'ai rencontré {0} à {2}."), ("{0} knows {1}.", "{0} connaît {1}."),
    ("{0} doesn't know {1}.", "{0} ne connaît pas {1}."), ("{0} gave {1} a book.", "{0} a donné un livre à {1}."), ("{0} is waiting for {1}.", "{0} attend {1}."),
    ("Where is {0}?", "Où est {0} ?"), ("Is {0} here?", "Est-ce que {0} est là ?"), ("{0} is not here.", "{0} n'est pas là."), ("{0} speaks French.", "{0} parle français."),
    ("{0} took the train to {2}.", "{0} a pris le train pour {2}."), ("Good morning, {0}.", "Bonjour, {0}."),
    ("{0} called {1} yesterday.", "{0} a appelé {1} hier."), ("Thank you, {0}.", "Merci, {0}."), ("{0} will come tomorrow.", "{0} viendra demain."),
    ("{0} won't come tomorrow.", "{0} ne viendra pas demain."), ("{0} wrote to {1}.", "{0} a écrit à {1}."),
    ("I have a letter for {0}.", "J'ai une lettre pour {0}."), ("{0} likes music.", "{0} aime la musique."), ("{0} doesn't like coffee.", "{0} n'aime pas le café."),
    ("{0} never drinks coffee.", "{0} ne boit jamais de café."), ("{0} no longer lives in {2}.", "{0} n'habite plus à {2}."), ("{0} left {2} this morning.", "{0} a quitté {2} ce matin."),
]
# What somebody does or not: I, he, we, they; and the infinitive.
VERBS = [
    ("smoke", "smokes", "fume", "fume", "fumons", "fument", "fumer"), ("work on Sundays", "works on Sundays", "travaille le dimanche", "travaille le dimanche", "travaillons le dimanche", "travaillent le dimanche", "travailler le dimanche"),
    ("speak German", "speaks German", "parle allemand", "parle allemand", "parlons allemand", "parlent allemand", "parler allemand"),
    ("drink wine", "drinks wine", "bois du vin", "boit du vin", "buvons du vin", "boivent du vin", "boire du vin"),
    ("eat meat", "eats meat", "mange de la viande", "mange de la viande", "mangeons de la viande", "mangent de la viande", "manger de la viande"),
    ("know the answer", "knows the answer", "connais la réponse", "connaît la réponse", "connaissons la réponse", "connaissent la réponse", "connaître la réponse"),
    ("understand the question", "understands the question", "comprends la question", "comprend la question", "comprenons la question", "comprennent la question", "comprendre la question"),
    ("see the sea", "sees the sea", "vois la mer", "voit la mer", "voyons la mer", "voient la mer", "voir la mer"),
    ("read the newspaper", "reads the newspaper", "lis le journal", "lit le journal", "lisons le journal", "lisent le journal", "lire le journal"),
    ("believe that story", "believes that story", "crois cette histoire", "croit cette histoire", "croyons cette histoire", "croient cette histoire", "croire cette histoire"),
    ("play the piano", "plays the piano", "joue du piano", "joue du piano", "jouons du piano", "jouent du piano", "jouer du piano"),
    ("sell the house", "sells the house", "vends la maison", "vend la maison", "vendons la maison", "vendent la maison", "vendre la maison"),
    ("sleep well", "sleeps well", "dors bien", "dort bien", "dormons bien", "dorment bien", "bien dormir"),
    ("wait for the bus", "waits for the bus", "attends le bus", "attend le bus", "attendons le bus", "attendent le bus", "attendre le bus"),
]


def negative(rng):
    """A sentence that denies something, or its positive twin."""
    base, third, je, il, nous, ils, infinitive = rng.choice(VERBS)
    who = rng.choice(["I", "he", "she", "we", "they"])
    said = {"I": je, "he": il, "she": il, "we": nous, "they": ils}[who]
    qui = {"I": "je", "he": "il", "she": "elle", "we": "nous", "they": "ils"}[who]
    verb = third if who in ("he", "she") else base
    plain = "doesn't" if who in ("he", "she") else "don't"
    long = "does not" if who in ("he", "she") else "do not"
    first, *rest = said.split(" ", 1) if said.split(" ")[0] not in ("bien",) else [said]
    rest = f" {rest[0]}" if rest else ""
    ne = "n'" if first[0] in "aeéèiou" else "ne "
    subject = "j'" if qui == "je" and first[0] in "aeéèiou" else f"{qui} "
    cap = lambda s: s[0].upper() + s[1:]
    # After a denial "du vin" and "de la viande" become "de vin", "de viande".
    of = rest.replace(" du vin", " de vin").replace(" de la viande", " de viande")
    kind = rng.randrange(7)
    if kind == 0:
        return cap(f"{who} {verb}."), cap(f"{subject}{said}.")
    if kind == 1:
        return cap(f"{who} {rng.choice([plain, long])} {base}."), cap(f"{qui} {ne}{first} pas{of}.")
    if kind == 2:
        return cap(f"{who} never {verb}."), cap(f"{qui} {ne}{first} jamais{of}.")
    if kind == 3:
        return cap(f"{who} no longer {verb}."), cap(f"{qui} {ne}{first} plus{of}.")
    lost = infinitive.replace("du vin", "de vin").replace("de la viande", "de viande")
    if kind == 4:
        can = {"I": "peux", "he": "peut", "she": "peut", "we": "pouvons", "they": "peuvent"}[who]
        return cap(f"{who} can't {base}."), cap(f"{qui} ne {can} pas {lost}.")
    if kind == 5:
        will = {"I": "veux", "he": "veut", "she": "veut", "we": "voulons", "they": "veulent"}[who]
        return cap(f"{who} {plain} want to {base}."), cap(f"{qui} ne {will} pas {lost}.")
    must = {"I": "dois", "he": "doit", "she": "doit", "we": "devons", "they": "doivent"}[who]
    return cap(f"{who} must not {base}."), cap(f"{qui} ne {must} pas {lost}.")


def number(rng):
    """A number as digits, or (below 100, rarely more) in words, in both languages."""
    kind = rng.random()
    if kind < 0.45:
        n = rng.randint(2, 99)
        return english(n), french(n)
    if kind < 0.5:
        n = rng.choice([100, 200, 300, 500, 1000, 2000, 5000, rng.randint(101, 999)])
        return ("a " + english(n)[4:] if n in (100, 1000) else english(n)), french(n)
    n = rng.choice([rng.randint(2, 99), rng.randint(100, 999), rng.randint(1000, 9999)])
    return (f"{n:,}" if n > 999 and rng.random() < 0.5 else str(n)), str(n)


def date(rng):
    (month, mois), d, (day, jour) = rng.choice(MONTHS), rng.randint(1, 28), rng.choice(DAYS)
    year = rng.choice([rng.randint(1750, 1999), rng.randint(2000, 2030)])
    le = "1er" if d == 1 else str(d)
    th = f"{d}{'st' if d in (1, 21) else 'nd' if d in (2, 22) else 'rd' if d in (3, 23) else 'th'}"
    return rng.choice([
        (f"It happened on {month} {d}, {year}.", f"C'est arrivé le {le} {mois} {year}."),
        (f"He was born on {month} {d}, {year}.", f"Il est né le {le} {mois} {year}."),
        (f"She was born in {year}.", f"Elle est née en {year}."),
        (f"She died in {month} {year}.", f"Elle est morte en {mois} {year}."),
        (f"The war ended in {year}.", f"La guerre a pris fin en {year}."),
        (f"Today is {day}, {month} {th}.", f"Nous sommes le {jour} {le} {mois}."),
        (f"We leave on {day}.", f"Nous partons {jour}."),
        (f"We leave on {month} {th}.", f"Nous partons le {le} {mois}."),
        (f"I'll see you on {day}.", f"Je te verrai {jour}."),
        (f"It's closed on {day}s.", f"C'est fermé le {jour}."),
        (f"The shop isn't open on {day}s.", f"Le magasin n'est pas ouvert le {jour}."),
        (f"School starts in {month}.", f"L'école commence en {mois}."),
        (f"{day}", f"{jour}"), (f"{month} {d}", f"{le} {mois}"),
    ])


def pair(rng):
    """One pair of the kinds above."""
    kind = rng.random()
    if kind < 0.3:
        (a, b), (time, heure) = rng.choice(TIMES), clock(rng)
        en, fr = a.format(time).replace("m..", "m."), b.format(heure)
    elif kind < 0.42:
        (a, b), (thing, chose) = rng.choice(COUNTS), rng.choice(THINGS)
        n, m = number(rng)
        en = a.format(n, PLURALS.get(thing, f"{thing}s"))
        fr = b.format(m, PLURALS.get(chose, f"{chose}s"))
        if m.endswith("un") and m != "un":  # vingt et une pommes: the frames have no gender, so leave such numbers out
            return pair(rng)
    elif kind < 0.57:
        (a, b), (n, m) = rng.choice(MEASURES), number(rng)
        en, fr = a.format(n), b.format(m)
        if m.endswith("un") and ("personnes" in fr or "minutes" in fr or "pages" in fr):
            return pair(rng)
    elif kind < 0.69:
        en, fr = date(rng)
    elif kind < 0.84:
        a, b = rng.choice(PEOPLE)
        x, y = rng.sample(NAMES, 2)
        if rng.random() < 0.2:
            x = f"{x} {rng.choice(SURNAMES)}"
        city, ville = rng.choice(CITIES)
        en, fr = a.format(x, y, city), b.format(x, y, ville)
    else:
        en, fr = negative(rng)
    return tuple(s[0].upper() + s[1:] if s.endswith((".", "?", "!")) else s for s in (en, fr))


def pairs(rng, count):
    """`count` pairs, drawn anew each time."""
    return [pair(rng) for _ in range(count)]


if __name__ == "__main__":
    import random

    for e, f in pairs(random.Random(1), 60):
        print(f"{e}\t{f}")
