"""Who and where a person says they are: name, age, school with grade, address; in English, German and
Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterator

from train.curation.personal.contacts import Found

# ---- names ---------------------------------------------------------------------------------------------

_NAME = r"([^\W\d_][\w'’-]{1,20}(?:\s[A-ZÁÉÍÓÚÑÄÖÜ][\w'’-]{1,20}){0,3})"
_INTRODUCED = re.compile(
    rf"(?:\b(?:my|his|her|their|the) (?:real |full |first |last )?name(?:['’]s| is)|(?:^|[.!?,]\s)name['’]s"
    rf"|\b(?:i am called|(?:mein|sein|ihr) name ist|ich hei(?:ß|ss)e|me llamo|(?:mi|su) nombre es))\s{_NAME}",
    re.IGNORECASE,
)
_AGED = re.compile(
    r"\b(?:i\s?am|i['’]?m|ich bin|soy)\s([^\W\d_][\w'’-]{1,20})"
    r"(?:,\s?(?:and |und |y )?(?:i\s?am |i['’]?m |ich bin |tengo )?"
    r"|\s(?:and|und|y)\s(?:i\s?am|i['’]?m|ich bin|tengo)\s)(\d{1,2})"
    r"(?=\s?(?:[.,!?)]|$|(?:years?|yrs?|yo|y/o|jahre|años|and|und|y|from|aus|de|m|f)\b)(?!\d))",
    re.IGNORECASE,
)
"""A name before an age: "i'm lena, 13"."""
_GREETED = re.compile(
    r"\b(?:[Hh]i|[Hh]ey|[Hh]ello|[Hh]allo|[Hh]ola)(?: all| everyone| guys| zusammen)?[,!.]?\s"
    r"(?:I['’]?m|[Ii]['’]?m|[Ii] am|[Ii]ch bin|[Ss]oy)\s([A-ZÁÉÍÓÚÑÄÖÜ][a-zäöüßáéíóúñ'’-]{2,20})\b"
)
_CAPITAL = r"([A-ZÁÉÍÓÚÑÄÖÜ][a-zäöüßáéíóúñ'’-]{1,20}(?:\s[A-ZÁÉÍÓÚÑÄÖÜ][a-zäöüßáéíóúñ'’-]{1,20}){0,2})"
_CALLED = re.compile(
    rf"\b(?:[Cc]all me|[Nn]ennt? mich|[Ll]lámame|[Tt]his is)\s{_CAPITAL}(?P<speaking>\s(?:speaking|here))?"
)
_WORDS = (
    "a an the not no nobody none my your his her it its this that what who so very just also in on at "
    "of for and but or if maybe when back later tomorrow now irrelevant unimportant secret private "
    "everywhere on mud dirt das die der den dem ein eine nicht nichts es gut alle euch dich mich ihn "
    "sie willkommen kein keine so auch el la lo un una no nada como así muy mal bien God Daddy Bro "
    "Crazy Old Not Sir The So What Why How It My A An America England Sparta Ridiculous "
    "only just almost nearly turning like about around over under still already nur schon fast gerade erst "
    "solo casi ya level grade year day week age number new from with up down year room bus gate New Looking "
)
"""What follows an introduction and is no name."""
_NO_NAMES = frozenset(_WORDS.split())
_MEANT = (
    "angel april art august autumn bill chance charity chase dawn drew eden eve faith frank gene grace grant "
    "guy harmony heaven honey hope hunter iris ivy jade jack josh joy june lance lily mark mason may mercy "
    "miles nick olive pat pearl pierce ray rich river rob robin rose ruby sky summer sue trinity violet wade "
    "will alba luz mar paz sol rosa dolores esperanza engel ernst stern blume wolf"
)
NAMES_THAT_ARE_WORDS = frozenset(_MEANT.split())
"""In lower case they are mostly no name: "i will" of somebody called Will."""


def names(text: str) -> Found:
    """The name after an introduction, before an age, or with a capital after a greeting; after `call me` and
    `this is` only with a capital, and after the last only with `speaking` or `here` behind it."""
    for found in _INTRODUCED.finditer(text):
        first = re.split(r"[\s'’]", found[1])[0]
        if first not in _NO_NAMES and first.casefold() not in _NO_NAMES:
            yield found.start(1), found.start(1) + len(_as_written(found[1]))
    yield from (found.span(1) for found in _aged(text))
    for found in _GREETED.finditer(text):
        if found[1] not in _NO_NAMES and found[1].casefold() not in _NO_NAMES:
            yield found.span(1)
    for found in _CALLED.finditer(text):
        this_is = found[0].casefold().startswith("this is")
        if found[1].split()[0] not in _NO_NAMES and (not this_is or found["speaking"]):
            yield found.span(1)


def _aged(text: str) -> Iterator[re.Match[str]]:
    """A name and an age of theirs that the young have."""
    for found in _AGED.finditer(text):
        if found[1].casefold() not in _NO_NAMES and 5 <= int(found[2]) <= 25:
            yield found


def _as_written(name: str) -> str:
    """IGNORECASE takes the words behind a name for more of it: only capitals go on."""
    words = name.split()
    kept = words[:1]
    for word in words[1:]:
        if not word[0].isupper():
            break
        kept.append(word)
    return " ".join(kept)


# ---- ages ----------------------------------------------------------------------------------------------

AGES = (
    (13, "[AGE_UNDER_13]", "under-13"),
    (16, "[AGE_13_15]", "13-15"),
    (18, "[AGE_16_17]", "16-17"),
    (200, "[AGE_18_PLUS]", "18+"),
)
"""(below, placeholder, band)"""
_OF_A_YEAR = (
    r"(?:\s?-?\s?(?:years?|yrs?)(?:\s?-?\s?olds?)?|\s?(?:yo|y/o|y\.o\.)\b|\s?jahre?(?:\s?alt)?|\s?años)"
)
_NO_AGE = (
    r"(?!\d|['’\"]|[.,:/-]\d|\s?(?:%|percent|prozent|min|sec|sek|seg|hour|hr|h\b|stund|hora|day|tag|día|dia|week|"
    r"woche|seman|month|monat|mes|year|jahr|año|mile|km|k\b|kg|lb|pound|pfund|kilo|point|punkt|punto|foot|feet|"
    r"ft|inch|cm|m\b|meter|metro|st\b|nd\b|rd\b|th\b|time|mal\b|vec|page|seite|página|out of|of \d|dollar|"
    r"euro|\$|€|£|/|pm\b|am\b|uhr|grad|degree|level|stufe|people|leute|perros?|gatos?|kids|children|in a row|"
    r"down|behind|ahead|short))"
)
_SELF = re.compile(
    rf"\b(?:i\s?am|i['’]?m|bin|soy|tengo|cumplo|cumplí)\s(?:a |an |only |just |almost |nearly |turning |now "
    rf"|like |erst |schon |gerade |fast |ein |eine |de |solo |sólo |casi |una |un )?(\d{{1,2}}{_OF_A_YEAR}"
    rf"(?!\s(?:in|into|clean|sober|ago|late|from|behind|older|younger|away))|\d{{1,2}}{_NO_AGE})",
    re.IGNORECASE,
)
_WORDED = (
    *("five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen"),
    *("sixteen", "seventeen", "eighteen", "nineteen"),
)
_IN_WORDS = {word: years for years, word in enumerate(_WORDED, 5)}
_IN_WORDS |= {
    word: years
    for words in (
        "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn",
        "diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve",
    )
    for years, word in enumerate(words.split(), 10)
}
_SPELLED = re.compile(
    rf"\b(?:i\s?am|i['’]?m|bin|tengo)\s(?:only |just |erst |schon |solo |sólo )?"
    rf"({'|'.join(_IN_WORDS)})(?=\s(?:years? old|yo|jahre|años)|[.,!?]|$)",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"^\W{0,3}(\d{1,2}\s?(?:yo|y/o|y\.o\.?))(?=\s?(?:[,.!/]|$|(?:m|f|(?:girl\s|boy\s)?here|from)\b))"
    r"|\bmy age is (\d{1,2})(?!\d|[.:/-]\d)|\bage\s?[:=]\s?(\d{1,2})(?!\d|[.:/-]\d)"
    r"|(?<![\w.$€£/-])(\d{2}\s?/\s?[mf])(?=\s?/\s?[a-z]{2})",
    re.IGNORECASE,
)
_AS = re.compile(rf"\b(?:as an?|als|como)\s(\d{{1,2}}{_OF_A_YEAR}(?:\sold)?)", re.IGNORECASE)
_SHORT = re.compile(
    r"(?<![\w.$€£/'’-])(\d{2}(?:\s?/\s?)?[mfwMFW]|[mfwMFW](?:\s?/\s?)?\d{2})(?![\w%/.:-]|\s?\d)"
)


def ages(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, years) of what people say of themselves: "i'm 13", "13f", "bin 14", "tengo 13 años"."""
    for pattern in (_SELF, _AS, _SHORT):
        for found in pattern.finditer(text):
            years = int(re.sub(r"\D", "", found[1]))
            if (
                pattern is _SELF
                and found[0].casefold().startswith(("tengo", "cumpl"))
                and "año" not in found[1].casefold()
            ):
                continue  # I have three of something
            if 5 <= years <= 99:
                yield found.start(1), found.end(1), years
    yield from ((*found.span(2), int(found[2])) for found in _aged(text))
    for found in _STATED.finditer(text):
        at = next(n for n in (1, 2, 3, 4) if found[n])
        if 5 <= (years := int(re.sub(r"\D", "", found[at]))) <= 99:
            yield *found.span(at), years
    for found in _SPELLED.finditer(text):
        yield *found.span(1), _IN_WORDS[found[1].casefold()]


# ---- schools -------------------------------------------------------------------------------------------

_SCHOOL = (
    r"(?:[A-Z][\w'’.-]{1,20}\s){1,4}(?:High School|Middle School|Primary School|Grammar School"
    r"|Elementary School|School|Academy|College|High)\b"
)
_GRADE = r"(?:(?:[Yy]ear|[Gg]rade)\s\d{1,2}|\d{1,2}(?:st|nd|rd|th)\s[Gg]rader?|[Ff]reshman|[Ss]ophomore)"
_SCHULE = (
    r"(?:[A-ZÄÖÜ][\wäöüß-]{0,25}[\s-]){0,3}[A-ZÄÖÜ]?[\wäöüß-]{0,25}"
    r"(?:[Gg]ymnasium|[Rr]ealschule|[Gg]esamtschule|[Hh]auptschule|[Gg]rundschule|[Ss]chule)\b"
)
_KLASSE = r"(?:[Kk]lasse\s\d{1,2}\s?[a-f]?|\d{1,2}\s?[a-f]|\d{1,2}\.?\s[Kk]lasse)"
_COLEGIO = (
    r"(?:colegio|instituto|escuela|IES|CEIP)\s[A-ZÁÉÍÓÚÑ][\wáéíóúñ]{1,20}"
    r"(?:\s[A-ZÁÉÍÓÚÑ][\wáéíóúñ]{1,20}){0,3}"
)
_CURSO = r"\d{1,2}\s?[ºo°]\s?[A-F]?\s?(?:de\s(?:la\s)?)?(?:ESO|[Pp]rimaria|[Ss]ecundaria|[Bb]achillerato)"
_SCHOOLS = re.compile(
    rf"(?<!\w)(?:{_GRADE}[,\s]{{1,2}}(?:at|in|of|from)\s{_SCHOOL}|{_SCHOOL}[,\s]{{1,2}}(?:in\s)?{_GRADE}"
    rf"|{_KLASSE}[,\s]{{1,2}}(?:am|an der|auf der|auf dem|im|in der|der|des)\s{_SCHULE}"
    rf"|{_CURSO}[,\s]{{1,2}}(?:en|del?)\s(?:el\s|la\s)?{_COLEGIO}|{_COLEGIO}[,\s]{{1,2}}(?:en\s)?{_CURSO})"
)
_ATTENDED = re.compile(
    rf"\b(?:[Ii] (?:go to|attend|study at)|[Mm]y school is)\s({_SCHOOL})"
    rf"|\b[Ii]ch gehe (?:aufs|auf das|auf die|in die)\s({_SCHULE})"
    rf"|\b[Vv]oy al?\s({_COLEGIO})"
)


def schools(text: str) -> Found:
    """A school with a grade, or one that somebody says they go to."""
    yield from (found.span() for found in _SCHOOLS.finditer(text))
    for found in _ATTENDED.finditer(text):
        yield found.span(next(n for n in (1, 2, 3) if found[n]))


# ---- addresses -----------------------------------------------------------------------------------------

_LONG = r"(?:street|road|avenue|lane|drive|boulevard|crescent|terrace|gardens|grove|close)"
_ENGLISH = re.compile(
    rf"\b\d{{1,4}}[a-z]?\s(?:[A-Z][\w'’]{{1,20}}\s){{1,3}}(?:(?i:{_LONG})|St|Rd|Ave|Ln|Dr|Blvd|Way|Court|Ct|Place|Pl)\b"
)
_CASUAL = re.compile(
    rf"(?:\b(?:live|lives|living|address is|address:|house is|stay|come|moved|home)\s"
    rf"(?:at\s|to\s|on\s|in\s)?|^)"
    rf"(\d{{1,4}}[a-z]?\s(?!the\b)[a-z'’]{{2,20}}(?:\s[a-z'’]{{2,20}})?\s(?:{_LONG}|st|rd|ave|ln|blvd))\b",
    re.IGNORECASE,
)
_POSTCODE = re.compile(r"(?<![\w-])(?:[A-Z]{1,2}\d{1,2}|[A-Z]{1,2}\d[A-Z])\s\d[ABD-HJLNP-UW-Z]{2}(?!\w)")
"""Of the United Kingdom: a few houses each."""
_GERMAN = re.compile(
    r"(?<!\w)(?:[A-ZÄÖÜ][\wäöüß.-]{1,25}\s){0,2}(?:[\wäöüß-]{3,25}(?:straße|strasse|str\.|gasse|allee)"
    r"|[A-ZÄÖÜ][\wäöüß-]{2,25}(?:weg|platz|ring|damm|ufer)"
    r"|(?<=\s)(?:Straße|Gasse|Allee|Weg))\s?\d{1,4}\s?[a-h]?(?!\w|[.,]\d)"
)
_SPANISH = re.compile(
    r"\b(?:calle|c/|avenida|avda\.?|plaza|paseo|carrer|ronda)\s(?:de\s(?:la\s|los\s|las\s)?|del\s)?"
    r"[\wáéíóúñ]{2,20}"
    r"(?:\s(?:de\s|del\s)?[A-ZÁÉÍÓÚÑ][\wáéíóúñ]{1,20}){0,2},?\s(?:n[ºo°]\.?\s?|número\s)?\d{1,4}(?![\w:.,]\d|\w)",
    re.IGNORECASE,
)


def addresses(text: str) -> Found:
    """A street with a number, or a British postcode. Lower case counts only where somebody says that they
    live there."""
    for pattern in (_ENGLISH, _GERMAN, _SPANISH, _POSTCODE):
        yield from (found.span() for found in pattern.finditer(text))
    yield from (found.span(1) for found in _CASUAL.finditer(text))
