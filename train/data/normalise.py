"""Texts as the tokenizer is shown them: steps a recipe names, and that travel with the checkpoint.

Steps run in the order a recipe gives. The order that undoes a disguise of several layers is zero-width, nfkc,
emoji-names, confusables, leet: what hides inside a word goes first, compatibility letters become plain before
look-alikes are told by their neighbours, and digits are read as letters in words that are all Latin by then.

Every step leaves TURN alone, and changes nothing when done twice. The tables stand in this file and come from
no package: an upgrade must not change what a trained model is shown. Unicode promises that for NFKC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal

Step = Literal["zero-width", "nfkc", "confusables", "leet", "emoji-names"]


def normaliser(steps: Sequence[Step]) -> Callable[[str], str]:
    """The steps as one function, in the order given."""
    chosen = [_STEPS[step] for step in steps]

    def normalise(text: str) -> str:
        for step in chosen:
            text = step(text)
        return text

    return normalise


# ---- zero-width ----------------------------------------------------------------------------------------

_JOINING = "\u0600-\u109f\u1700-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
"""Scripts whose letters join or stack, Arabic to Myanmar and their kin: a joiner there is spelling."""
_WITHOUT_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Myanmar, Khmer: U+200B is where a word ends."""
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff\U000e007f"
_SELECTED = "#*0-9\u00a9\u00ae\u2010-\u218f\u3000-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""What becomes an emoji with a selector behind it, and ideographs, which have several forms."""
_FLAGS = "|".join("".join(chr(0xE0000 + ord(tag)) for tag in of) for of in ("gbeng", "gbsct", "gbwls"))
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]"
    f"|(\U0001f3f4(?:{_FLAGS})\U000e007f)|[\U000e0000-\U000e007f]+"  # tags spell these three flags
)
_JOINERS = re.compile("[\u180e\u200b-\u200d\ufe00-\ufe0f]+")
_SPELLING = re.compile(
    f"[{_WITHOUT_SPACES}][\u200b-\u200d]|[{_JOINING}][\u180e\u200c\u200d\ufe00]"
    f"|[{_SELECTED}][\ufe00-\ufe0f]|[{_EMOJI}][\ufe00-\ufe0f]?(?:\u200d(?=[{_EMOJI}]))?"
)


def zero_width(text: str) -> str:
    """Without characters that draw nothing, but for joiners and selectors where scripts and emoji need them.

    Soft hyphens, direction marks, word joiners and Hangul fillers are gone everywhere. A joiner stays after a
    letter of a joining script (Persian, Hindi) and between emoji, U+200B where words end without a space
    (Thai, Khmer): one, so that of a disguise in these scripts something is left.
    """
    return text if text.isascii() else _JOINERS.sub(_needed, _INVISIBLE.sub(r"\1", text))


def _needed(found: re.Match[str]) -> str:
    """Of a run of joiners and selectors, what belongs to the character before it."""
    spelling = _SPELLING.match(found.string, found.start() - 1) if found.start() else None
    return spelling[0][1:] if spelling else ""


# ---- nfkc ----------------------------------------------------------------------------------------------

_TAKEN_APART = "\u00a8\u00af\u00b4\u00b8\u02d8-\u02dd\u0e33\u0eb3\u3131-\u318e"
_LETTERLIKE_EMOJI = "\u203c\u2049\u2122\u2139\u24c2\u3297\u3299\U0001f201-\U0001f251"
_UNIFIED = re.compile(f"[^{_TAKEN_APART}{_LETTERLIKE_EMOJI}]+")


def nfkc(text: str) -> str:
    """Compatibility letters (fullwidth, mathematical, circled, ligatures) as plain ones, accents composed.

    Left as they are: what NFKC takes apart instead. `geht´s` would become two words, the chat jamo of Korean
    (`ㅋㅋ`, `ㅠㅠ`) syllables nobody wrote, and Thai and Lao AM two letters. Emoji such
    as ℹ and ™ stay emoji.
    """
    if text.isascii():
        return text
    return _UNIFIED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)


# ---- confusables ---------------------------------------------------------------------------------------

_LOOK_ALIKE = str.maketrans(
    # Unicode's confusables (UTS 39, version 16): of scripts mixed into Latin words to deceive
    "аьсԁеҽһіꙇӏјорԛгѕѵѡԝхуүАВСЕԌНІӀЈКМОРЅТѴԜХУҮ"  # Cyrillic
    "αιϳοσρυνγΑΒΕϜΗΙͿΚΜϺΝΟΡΤΧΥΖ"  # Greek
    "քցհոռօզգսաՕՏՍ"  # Armenian
    "ᏏꮯᏧᏂꭵꮪꮩꮃꮓᎪᏴᏟᎠᎬᏀᎻᎫᏦᏞᎷᏢᎡᏕᎢᏙᎳᎩᏃ"  # Cherokee
    "ɑɡ",  # Latin, but of phoneticians only
    "abcdeehiiljopqrsvwwxyyABCEGHIIJKMOPSTVWXYY"
    "aijoopuvyABEFHIJKMMNOPTXYZ"
    "fghnnoqquwOSU"
    "bcdhisvwzABCDEGHJKLMPRSTVWYZ"
    "ag",
)
_MARKS = "\u0300-\u036f"
_LATIN = "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_TWINS = "".join(map(chr, _LOOK_ALIKE))
_MIXED = re.compile(
    rf"(?<![\w{_MARKS}])(?=[{_TWINS}\d_{_MARKS}]*[{_LATIN}])[{_LATIN}{_TWINS}\d_{_MARKS}]+(?![\w{_MARKS}])"
)


def confusables(text: str) -> str:
    """Letters that look Latin as Latin ones, in words where Latin letters stand beside them.

    Only where that makes the whole word Latin: words all Cyrillic, Greek or Korean stay as they are, and so
    do honest mixtures (`VIPами`, `SNS에서`). Of a word of look-alikes alone nothing tells that it is Latin.
    """
    if text.isascii():
        return text
    return _MIXED.sub(_latin, text)


def _latin(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", found[0].translate(_LOOK_ALIKE))  # a mark finds another letter


# ---- leet ----------------------------------------------------------------------------------------------

_LEET = str.maketrans("013457@$", "oieastas")
_SIGNS = "013457@$"
_SPELLED = re.compile(
    rf"(?<![\w@$.'’*{_MARKS}-])([{_LATIN}{_SIGNS}])([ .*_-])(?:[{_LATIN}{_SIGNS}]\2)+[{_LATIN}{_SIGNS}]"
    rf"(?![\w@$'’*{_MARKS}-])"
)
_TOKEN = re.compile(r"\S+")
_ADDRESS = re.compile(r"://|^www\.|@[\w-]+\.\w")
_WORD = re.compile(rf"(?<![\w@${_MARKS}])[{_LATIN}{_SIGNS}]+(?![\w@${_MARKS}])")
_INSIDE = re.compile(rf"[{_LATIN}][{_SIGNS}]{{1,2}}[{_LATIN}]")


def leet(text: str) -> str:
    """Digits and signs that stand for letters as those letters, and words spelled out l i k e this joined.

    0 1 3 4 5 7 @ $ are read as o i e a s t a s, in words that have one or two of them between letters: `h4t3`
    and `k1ll`, but no number, price or year, not `mp3`, `5th`, `covid19`, `gr8` or `2nite`, whose digits are
    none of these, are sounds, or stand outside. `!` and `|` are punctuation too often. Addresses and mentions
    stay. Joined are four or more single letters, three where no space divides them (`k.y.s`), under one
    separator; the words of a text that is spelled out as a whole become one.
    """
    joined = _SPELLED.sub(_join, text)
    return _TOKEN.sub(_read, joined) if any(sign in joined for sign in _SIGNS) else joined


def _join(found: re.Match[str]) -> str:
    letters = found[0][::2]
    signs = sum(letter in _SIGNS for letter in letters)
    enough = len(letters) >= (4 if found[2] == " " else 3)
    return letters if enough and 2 * signs <= len(letters) else found[0]


def _read(token: re.Match[str]) -> str:
    return token[0] if _ADDRESS.search(token[0]) else _WORD.sub(_read_word, token[0])


def _read_word(found: re.Match[str]) -> str:
    word = found[0]
    if word.startswith("@") or not _INSIDE.search(word):
        return word
    read = word.translate(_LEET)
    return read.upper() if word.isupper() else read


# ---- emoji-names ---------------------------------------------------------------------------------------


def emoji_names(text: str) -> str:
    """Emoji as words (Unicode CLDR short names): vocabularies such as BERT's hold hardly any of them.

    MiniLM's makes [UNK] of 960 of the 961 emoji in HatemojiBuild's test (measured, see recipes/README.md).
    """
    if text.isascii():
        return text
    import emoji

    return str(emoji.replace_emoji(text, lambda _, found: f" {_name(found)} "))


def _name(found: dict[str, str]) -> str:
    return found["en"].strip(":").replace("_", " ")


_STEPS: dict[Step, Callable[[str], str]] = {
    "zero-width": zero_width,
    "nfkc": nfkc,
    "confusables": confusables,
    "leet": leet,
    "emoji-names": emoji_names,
}
