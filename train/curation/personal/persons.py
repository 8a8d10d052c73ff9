"""Who and where a person says they are: name, age, school with grade, address; in English, German and
Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterator

from train.curation.personal.contacts import Found

# ---- names ---------------------------------------------------------------------------------------------

_NAME = r"([^\W\d_][\w'’-]{1,20}(?:\s[A-ZÁÉÍÓÚÑÄÖÜ][\w'’-]{1,20}){0,2})"
_INTRODUCED = re.compile(
    rf"\b(?:my (?:real |full |first )?name(?:['’]s| is)|i am called|mein name ist|ich hei(?:ß|ss)e|me llamo"
    rf"|mi nombre es)\s{_NAME}",
    re.IGNORECASE,
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
)
"""What follows an introduction and is no name."""
_NO_NAMES = frozenset(_WORDS.split())
_MEANT = (
    "angel april art august autumn bill chance charity chase dawn drew eden eve faith frank gene grace grant "
    "guy harmony heaven honey hope hunter iris ivy jade jack josh joy june lance lily mark mason may mercy "
    "miles nick olive pat pearl pierce ray rich river rob robin rose ruby sky summer sue trinity violet wade will "
    "alba luz mar paz sol rosa dolores esperanza engel ernst stern blume wolf"
)
NAMES_THAT_ARE_WORDS = frozenset(_MEANT.split())
"""In lower case they are mostly no name: "i will" of somebody called Will."""


def names(text: str) -> Found:
    """The name after an introduction; after `call me` and `this is` only with a capital, and after the last
    only with `speaking` or `here` behind it."""
    for found in _INTRODUCED.finditer(text):
        first = re.split(r"[\s'’]", found[1])[0]
        if first not in _NO_NAMES and first.casefold() not in _NO_NAMES:
            yield found.start(1), found.start(1) + len(_as_written(found[1]))
    for found in _CALLED.finditer(text):
        this_is = found[0].casefold().startswith("this is")
        if found[1].split()[0] not in _NO_NAMES and (not this_is or found["speaking"]):
            yield found.span(1)


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
    rf"(\d{{1,4}}[a-z]?\s[a-z'’]{{2,20}}(?:\s[a-z'’]{{2,20}})?\s{_LONG})\b",
    re.IGNORECASE,
)
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
    """A street with a number. Lower case counts only where somebody says that they live there."""
    for pattern in (_ENGLISH, _GERMAN, _SPANISH):
        yield from (found.span() for found in pattern.finditer(text))
    yield from (found.span(1) for found in _CASUAL.finditer(text))
