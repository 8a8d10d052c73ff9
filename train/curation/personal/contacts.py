"""E-mail addresses, phone numbers, handles, and account numbers, also spelled out.

Written out by hand: Presidio misses handles and addresses that are spelled out, and its names need a model
that is fetched. Every pattern is bounded, so that time grows with the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

Found = Iterator[tuple[int, int]]
"""(start, end) in a text."""

# ---- e-mail --------------------------------------------------------------------------------------------

_TLD = "com|net|org|info|edu|gov|io|me|co|uk|us|ca|de|at|ch|es|mx|ar|cl|fr|it|nl|eu|kr|jp|email|online"
_DOT = r"(?:dot|punkt|punto)"
_AT = r"(?:at|arroba|klammeraffe|ät)"
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63}){1,4}")
_BARE = re.compile(
    r"(?<![\w.+-])[\w.+-]{2,64}@(?:gmail|googlemail|hotmail|yahoo|outlook|icloud|gmx|web|aol|proton)(?![\w.-]*\w)",
    re.IGNORECASE,
)
_BRACKETED = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}}\s?[(\[{{<]\s?(?:{_AT}|@)\s?[)\]}}>]\s?[\w-]{{1,63}}"
    rf"(?:\s?(?:[(\[{{<]\s?(?:{_DOT}|\.)\s?[)\]}}>]|\.|\s{_DOT}\s)\s?[\w-]{{1,63}}){{0,3}}"
    rf"\s?(?:[(\[{{<]\s?(?:{_DOT}|\.)\s?[)\]}}>]|\.|\s{_DOT}\s)\s?(?:{_TLD})\b",
    re.IGNORECASE,
)
_SPELLED = re.compile(
    rf"(?<![\w.+-])[\w+-]{{1,40}}(?:(?:\s{_DOT}\s|\.)[\w+-]{{1,40}}){{0,3}}\s{_AT}\s"
    rf"[\w-]{{1,63}}(?:\s{_DOT}\s[\w-]{{1,63}}){{0,2}}\s{_DOT}\s(?:{_TLD})\b",
    re.IGNORECASE,
)


def emails(text: str) -> Found:
    if "@" in text:
        for pattern in (_EMAIL, _BARE):
            yield from (found.span() for found in pattern.finditer(text))
    for pattern in (_BRACKETED, _SPELLED):
        yield from (found.span() for found in pattern.finditer(text))


# ---- phone ---------------------------------------------------------------------------------------------

_DIGITS = re.compile(r"(?<![\w.,$€£+/:-])(?:\+\s?|\()?\d(?:[ ()./–-]{0,2}\d){5,15}(?![\w%/:-]|[.,]\d)")
_ASKED = re.compile(
    r"(?:call|text|phone|ring|cell|mobile|number|whatsapp|reach|sms|tel|handy|nummer|ruf|schreib|anruf|"
    r"llam|móvil|movil|tel[eé]fono|número|numero)",
    re.IGNORECASE,
)
_NORTH_AMERICAN = re.compile(r"(?:\+?1[ .-]?)?\(?[2-9]\d\d\)?[ .-]\d{3}[ .-]\d{4}")
_SPANISH = re.compile(r"[6789]\d\d ?\d\d ?\d ?\d ?\d\d|[6789]\d\d \d\d \d\d \d\d")
_NUMBER_WORDS = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|"
    "null|eins|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve"
)
_SPOKEN = re.compile(rf"\b(?:{_NUMBER_WORDS})(?:[\s,-]{{1,2}}(?:{_NUMBER_WORDS})){{6,20}}\b", re.IGNORECASE)
HELPLINES = Path(__file__).parent / "helplines.yaml"
_CODES = ("", "1", "34", "41", "43", "44", "49", "61", "82")
BEFORE = 40
"""Characters before a number in which a word may say what it is."""


def phones(text: str) -> Found:
    """Numbers that are written as phone numbers are, or that a word before says are one; no helplines."""
    for found in _DIGITS.finditer(text):
        said = found[0]
        digits = re.sub(r"\D", "", said)
        if digits in _helplines():
            continue
        if _is_phone(said, digits, text[max(0, found.start() - BEFORE) : found.start()]):
            yield found.start(), found.end()
    yield from (found.span() for found in _SPOKEN.finditer(text))


@cache
def _helplines() -> frozenset[str]:
    """Their digits, also with a country's code instead of the leading zero."""
    from ruamel.yaml import YAML

    numbers = YAML(typ="safe", pure=True).load(HELPLINES.read_text(encoding="utf-8"))
    return frozenset(code + (n.removeprefix("0") if code else n) for n in numbers for code in _CODES)


def _is_phone(said: str, digits: str, before: str) -> bool:
    if re.search(r"(?:isbn|order|bestell|pedido|version|v)[\s:#.]{0,3}$|[$€£#]\s?$", before, re.IGNORECASE):
        return False
    if re.fullmatch(r"\d{4}[-./ ]\d{1,2}[-./ ]\d{1,4}|\d{1,2}[-./ ]\d{1,2}[-./ ]\d{2,4}", said.strip()):
        return False  # a date
    if said.lstrip().startswith(("+", "00")):
        return 9 <= len(digits) <= 15
    if _NORTH_AMERICAN.fullmatch(said):
        return True
    if digits.startswith("0"):
        return 9 <= len(digits) <= 13
    if _SPANISH.fullmatch(said) and " " in said:
        return True
    return _ASKED.search(before) is not None and 7 <= len(digits) <= 12


# ---- handles -------------------------------------------------------------------------------------------

_MENTION = re.compile(r"(?<![\w@./+-])@(?=[\w.]*[^\W\d])[A-Za-z0-9_](?:[\w.]{0,28}\w)?")
_CLOCK = re.compile(r"@\d{1,2}(?:[:.h]\d{2})?(?:am|pm|h|uhr)?", re.IGNORECASE)
_DISCORD = re.compile(r"(?<![\w.#])[\w.]{2,32}#\d{4}(?!\w)")
_PLACES = (
    r"snap(?:chat)?|insta(?:gram)?|ig|discord|tik ?tok|kik|telegram|twitter|roblox|steam|xbox|psn|skype|"
    r"whatsapp|facebook|threads|bereal"
)
_NAMED = re.compile(
    rf"\b(?:{_PLACES})\b(?!\.)"
    rf"(?:\s(?:is|name|handle|id|user(?:name)?|ist|heißt|name ist|es|se llama|nick)){{0,3}}"
    rf"\s?[:=-]{{0,2}}\s?(@?[A-Za-z0-9_](?:[\w.]{{1,28}}))",
    re.IGNORECASE,
)


_PROFILE = re.compile(
    r"(?<![\w-])(?:instagram|tiktok|twitter|x|facebook|snapchat|youtube|twitch|reddit|threads|onlyfans|bsky)\.(?:com|net|tv|app)/"
    r"(?:(?:add|u|user|c|profile)/)?"
    r"(?!(?:watch|shorts|reels?|p|t|r|status|explore|hashtag|channel|playlist|results|search|groups|events|pages)\b)(@?[\w.-]{2,40}\w)|\b(?:t\.me|discord\.gg|wa\.me)/([\w+-]{3,40})",
    re.IGNORECASE,
)
_REDDIT = re.compile(r"(?<![\w/.])/?u/[\w-]{3,20}(?!\w)")
_ON = re.compile(rf"(?<![\w@.])([A-Za-z0-9._]{{3,30}}) (?:on|auf|en) (?:my )?(?:{_PLACES})\b", re.IGNORECASE)
_ALL = ("@everyone", "@here", "@all", "@channel")


def handles(text: str) -> Found:
    """Mentions, Discord's name#1234, profiles' addresses, and the name beside a network's, if it looks like
    no word or follows a colon."""
    if "@" in text:
        mentions = (f for f in _MENTION.finditer(text) if not _CLOCK.fullmatch(f[0]))
        yield from (f.span() for f in mentions if f[0].casefold() not in _ALL)
    if "/" in text:
        yield from (f.span(1 if f[1] else 2) for f in _PROFILE.finditer(text))
        yield from (f.span() for f in _REDDIT.finditer(text))
    yield from (f.span(1) for f in _ON.finditer(text) if re.search(r"[a-z].*[\d_]|[\d_].*[a-z]", f[1], re.I))
    if "#" in text:
        yield from (f.span() for f in _DISCORD.finditer(text))
    for found in _NAMED.finditer(text):
        name = found[1].rstrip(".")
        led = text[: found.start(1)].rstrip().endswith((":", "=")) or name.startswith("@")
        if led or re.search(r"[\d_]|\w\.\w", name):
            yield found.start(1), found.start(1) + len(name) + (found[1][len(name) :] == "_")


# ---- accounts ------------------------------------------------------------------------------------------

_CARD = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w)")
_SOCIAL = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")


def accounts(text: str) -> Found:
    """Payment cards and IBANs, by their check digits (ISO/IEC 7812, ISO 13616), and the United States' social
    security numbers as they are written."""
    yield from (found.span() for found in _SOCIAL.finditer(text))
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if digits[0] in "3456" and _luhn(digits):
            yield found.span()
    for found in _IBAN.finditer(text):
        code = found[0].replace(" ", "")
        if int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1:
            yield found.span()


def _luhn(digits: str) -> bool:
    doubled = [2 * int(d) for d in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0
