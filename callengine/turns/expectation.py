"""What the agent's words ask the caller for, in English: "Could I have your phone number, please?" asks for a phone."""

from __future__ import annotations

import re

from callengine.turns.entities.dates import WITH_YEAR
from callengine.turns.entities.kinds import EntityKind, Expectation

_SENTENCES = re.compile(r"(?<=[.?!])\s+")
_LEADS = "and|so|okay|ok|great|perfect|thanks|thank you|now|then|alright|all right|sure|first|next|finally|lastly"
_ASKS = re.compile(
    r"\?|\bplease\b|\bi(?:'ll| will|'d| would)?(?: also| just)? need (?:your|the|a|to know)\b|"
    r"\blet me (?:have|get|take)\b|"
    rf"^(?:(?:{_LEADS})[, ]+)*"
    r"(?:could|can|may|might|would|what|what's|which|who|when|how|tell|give|spell|enter|say|provide|read|state)\b"
)
_CONFIRMS = re.compile(
    r"\b(?:is|are|was|does) (?:that|this|it|these|those|they|all that|everything)(?: all| still| look| sound)? "
    r"(?:right|correct|okay|ok|fine|good|the best|the right|your)\b|"
    r"\b(?:right|correct|okay|ok)\s*\?$|\bdid i (?:get|hear|understand)\b|\bdo i have (?:that|it) right\b|"
    rf"^(?:(?:{_LEADS})[, ]+)*(?:shall|should|may|can|could) i "
    r"(?:use|call|text|send|reach|book|confirm|read|repeat|change|cancel|help)\b|"
    rf"^(?:(?:{_LEADS})[, ]+)*(?:would you like|do you want)(?: me)? to\b|"
    r"\banything else\b|\bis (?:your|the) [\w ]+ \W?[\d+]"
)
_COUNTS = {
    word: count
    for count, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=1
    )
}
_COUNT = rf"(\d{{1,2}}|{'|'.join(_COUNTS)})"
_DIGITS = re.compile(rf"\b{_COUNT}[- ](?:digits?|characters?|figures|numbers)\b")
_NUMBERED = (
    "reference|order|confirmation|booking|reservation|account|customer|policy|invoice|ticket|tracking|member|membership|"
    "case|serial|flight|licen[cs]e|registration|employee|patient|student|claim|contract|meter|room|table|passport|"
    "insurance|social security|routing|model|house|flat|loyalty"
)
_PHONES = "phone|telephone|mobile|cell|contact|callback|call-back|call back|landline|whatsapp"
_KINDS: tuple[tuple[EntityKind, str], ...] = (
    ("spelling", r"\bspell\b|\bhow (?:is|do you) (?:that |it |your \w+ )?(?:spelled|spelt|write)\b|\bspelling of\b"),
    ("email", r"\be-?mail(?: address)?\b"),
    ("number", r"\bcode\b|\bcvv\b|\bcvc\b|\bpin\b|\bpasscode\b|\bpostcode\b|\bzip\b"),
    ("card", r"\bcard(?:'s)? number\b|\bnumber (?:on|of) (?:your|the) (?:\w+ )?card\b|\blong number\b"),
    ("phone", rf"\b(?:{_PHONES})(?: phone)? number\b|\bnumber (?:\w+ ){{0,4}}(?:reach|call|contact|text|calling)\b"),
    ("number", rf"\b(?:{_NUMBERED})(?: id)? (?:number|no|id)\b"),
    ("phone", r"\bwhat(?:'s| is) your number\b|\byour number(?:, please|\W*$)|\byour (?:phone|mobile|cell|landline)\b"),
    ("time", r"\b(?:day|date) and (?:\w+ )?time\b"),
    ("date", r"\bdate of birth\b|\bbirth ?date\b|\bbirthday\b|\bborn\b"),
    ("date", r"\b(?:what|which) (?:days?|dates?)\b|\b(?:the|a|your|preferred) date\b"),
    ("time", r"\b(?:what|which) (?:time|hour)\b|\bpreferred time\b"),
    ("address", r"\baddress\b|\bwhere do you live\b"),
    ("name", r"\b(?:first|last|full|family|your|the|what|whose|which|last)(?: full)? ?(?:and last )?(?:sur)?names?\b"),
    ("name", r"\bsurname\b|\bname (?:is it|is the|it is|shall|should|can|for|on|under|please)\b"),
    ("name", r"\bwho am i (?:speaking|talking)\b|\bwho(?:'s| is) (?:calling|this)\b"),
    ("number", r"\b(?:the|that|which|what|your) number\b"),
    ("date", r"\bwhen (?:would|will|do|should|can|are) (?:you|we|they)\b.*\b(?:come|like|arrive|visit|want|need)\b"),
)
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
_BIRTH = re.compile(r"\bborn\b|birth")
_ZIP = re.compile(r"\bzip\b")
ZIP_DIGITS = 5
"""Of a ZIP code of the United States without its extension."""


def expected(question: str) -> Expectation | None:
    """What the agent's words ask for: the last question or request in them counts. None where that is nothing which
    callers dictate ("Anything else?"), and where the agent only checks what it has ("Is that right?").

    Of a date of birth the year is expected too; digits that are counted ("the last four digits") give the length. Of
    "which day and time" the time is what is still to come when the day was said.
    """
    for sentence in reversed(_SENTENCES.split(question.strip().lower().replace("’", "'"))):
        if _ASKS.search(sentence):
            return None if _CONFIRMS.search(sentence) else _asked(sentence)
    return None


def _asked(sentence: str) -> Expectation | None:
    counted = _DIGITS.search(sentence)
    if counted:
        return Expectation("number", _COUNTS.get(counted[1]) or max(1, int(counted[1])))
    kind = next((kind for kind, pattern in _PATTERNS if pattern.search(sentence)), None)
    if kind is None:
        return None
    if kind == "date" and _BIRTH.search(sentence):
        return Expectation("date", WITH_YEAR)
    return Expectation(kind, ZIP_DIGITS if kind == "number" and _ZIP.search(sentence) else None)
