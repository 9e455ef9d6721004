"""Makes a piece of a model's reply fit for a voice: words stay, signs for the eye go."""

from __future__ import annotations

import html
import re
from urllib.parse import urlsplit

_TAGS = (
    "a|abbr|article|b|blockquote|body|br|button|center|cite|code|dd|del|div|dl|dt|em|figure|font|footer|form|h[1-6]|"
    "head|header|hr|html|i|img|input|ins|kbd|label|li|main|mark|nav|ol|option|p|pre|q|s|samp|section|select|small|span|"
    "strike|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|u|ul|var|"
    "speak|break|prosody|emphasis|phoneme|say-as|voice|think"
)
_TAG = re.compile(rf"<!--.*?-->|</?(?:{_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE | re.DOTALL)
_BLOCK_TAG = re.compile(r"<(?:br|hr|/p|/div|/li|/h[1-6]|/tr|/td|/th)\b[^<>]*>", re.IGNORECASE)

_FENCE = re.compile(r"(?:```|~~~)[^\n`]*\n(.*?)(?:```|~~~)|```(.*?)```", re.DOTALL)
_IMAGE_OR_LINK = re.compile(
    r"!?\[([^\[\]]*)\]\(\s*<?([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)>?(?:\s+[\"'][^\"']*[\"'])?\s*\)"
)
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]")
_FOOTNOTE = re.compile(r"\[\^[^\[\]]*\]:?")
_URL = re.compile(r"<?\b(?:https?://|www\.)[^\s<>\"”»\])}|]+>?", re.IGNORECASE)
_LINKED_ADDRESS = re.compile(r"\b(?:mailto|tel):(?=\S)", re.IGNORECASE)
_EMAIL = re.compile(r"(?<=[\w.+-])@(?=[\w-]+\.\w)")

_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-*:?\s*)+")
_HEADER = re.compile(r"\s*#{1,6}\s+|\s*#{2,6}(?=\w)")
_QUOTE = re.compile(r"\s*>+\s?(?!\d)")
_BULLET = re.compile(r"\s*[-*+•‣◦▪]\s+(?:\[[ xX]\]\s+)?")
_NUMBERED = re.compile(r"\s*\d{1,3}[.)]\s+")

_PAIRED = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|~~)(?=\S)(.+?)(?<=\S)\1(?!\w)", re.DOTALL)
_LEFT_OVER = re.compile(
    r"\*\*+|(?<!\w)_{2,}|_{2,}(?!\w)|~~+|`+|(?<![\w\s])\*|\*(?=\w)(?<!\d\*)|(?<=[^\W\d])\*|(?<!\w)_(?=\w)"
)
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|>~])")

# Pictographs, dingbats, arrows, flags, keycap and variation marks. Letters and numbers in circles (such as U+2776 and
# U+1F100) are words, and stay. Ranges: the blocks of the Unicode code charts that hold Emoji=Yes characters.
_EMOJI = re.compile(
    "[\u2190-\u21ff\u2300-\u23ff\u2500-\u2775\u2794-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f0ff\U0001f10d-\U0001faff\U000e0020-\U000e007f\ufe0e\ufe0f\u20e3©®™]\u200d?"
)
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\u200e\u200f\u202a-\u202e]")

_SYMBOLS = {
    "en": ("and", "percent", "at"),
    "it": ("e", "per cento", "chiocciola"),
    "es": ("y", "por ciento", "arroba"),
    "fr": ("et", "pour cent", "arobase"),
    "de": ("und", "Prozent", "at"),
    "pt": ("e", "por cento", "arroba"),
}
"""How "&", "%" and the "@" of an address are said; in other languages the synthesiser decides."""


def speakable(text: str, language: str = "en") -> str:
    """The text as it should be spoken, on one line; the words keep their order.

    Markdown, HTML and emoji go, a link becomes its text and a bare URL its host. Code blocks are left out where other
    words remain. Signs that are only read well by the eye become words. Numbers, currencies and units are untouched:
    synthesisers know them. A text with letters or digits never becomes empty; one without may. ``language`` is a tag
    such as ``en`` or ``pt-BR``.
    """
    language = re.split("[-_]", language.lower())[0]
    spoken = _finish(_plain(_FENCE.sub("\n", text)), language)
    if not _has_words(spoken):
        kept = _FENCE.sub(lambda match: f"\n{match[1] or match[2] or ''}\n", text)
        spoken = _finish(_plain(kept), language)
    if not _has_words(spoken):
        # All its words were in what is not for the ear (a tag, the address of an image): better odd than silent.
        words = " ".join(re.findall(r"[^\W_]+", text))
        spoken = words or spoken
    return spoken


def _has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _plain(text: str) -> str:
    """Without Markdown, HTML, URLs and emoji."""
    text = _BLOCK_TAG.sub("\n", text)
    text = html.unescape(_TAG.sub("", text))
    text = _INVISIBLE.sub("", text)
    text = _FOOTNOTE.sub("", text)
    text = _IMAGE_OR_LINK.sub(lambda match: match[1] or _host(match[2]), text)
    text = _REFERENCE.sub(r"\1", text)
    text = _URL.sub(lambda match: _host(match[0]), text)
    text = _LINKED_ADDRESS.sub("", text)
    text = _ESCAPED.sub(r"\1", text)
    text = _join(text.splitlines())
    for _ in range(3):  # bold inside italics inside strike-through
        text = _PAIRED.sub(r"\2", text)
    text = _LEFT_OVER.sub("", text)
    return _EMOJI.sub(" ", text)


def _host(url: str) -> str:
    """What to say for a URL: its host, and the punctuation of the sentence around it."""
    body = url.strip("<>").rstrip(".,;:!?'*_~`")
    tail = url.rstrip(">")[len(url.rstrip(">").rstrip(".,;:!?'*_~`")) :]
    if body.lower().startswith(("mailto:", "tel:")):
        return body.split(":", 1)[1] + tail
    try:
        host = urlsplit(body if "//" in body else f"//{body}").hostname or ""
    except ValueError:  # brackets that are no IPv6 address
        host = ""
    return host.removeprefix("www.") + tail


def _join(lines: list[str]) -> str:
    """One line out of many: list items, headers, table rows and paragraphs end where a voice should pause."""
    out = ""
    pause = ""
    for line in lines:
        content, own_pause = _line(line)
        if not content:
            pause = "." if not line.strip() and out else pause
            continue
        starts_block = own_pause != ""
        if out:
            mark = pause or ("," if starts_block else "")
            out += f"{mark} " if mark and (out[-1].isalnum() or out[-1] in ")\"'”’»*_`") else " "
        out += content
        pause = own_pause
    return out


def _line(line: str) -> tuple[str, str]:
    """A line's content, and the pause that it asks for behind it."""
    if _TABLE_RULE.fullmatch(line) or _RULE.fullmatch(line):
        return "", ""
    line = _QUOTE.sub("", line, count=1) if _QUOTE.match(line) else line
    if match := _HEADER.match(line):
        return line[match.end() :].rstrip("# "), "."
    if match := _BULLET.match(line):
        return line[match.end() :].strip(), ","
    if line.lstrip().startswith("|") or line.count(" | ") > 1:
        return ", ".join(cell.strip() for cell in line.strip().strip("|").split("|") if cell.strip()), "."
    return line.strip(), "," if _NUMBERED.match(line) else ""


def _finish(text: str, language: str) -> str:
    """Symbols as words, and tidy spaces."""
    if words := _SYMBOLS.get(language):
        also, percent, at = words
        text = re.sub(r"\s*&\s*", f" {also} ", text)
        text = re.sub(r"(?<=\d)\s*%", f" {percent}", text)
        text = _EMAIL.sub(f" {at} ", text)
    if language == "en":
        text = re.sub(r"#(?=\d)", "number ", text)
        text = re.sub(r"(?<=\d) ?[*×] ?(?=\d)", " times ", text)
        text = re.sub(r"(?<=\w) [+] (?=\w)", " plus ", text)
        text = re.sub(r"(?<=\w) = (?=\w)", " equals ", text)
        text = re.sub(r"(?<!\w)~ ?(?=[$€£]?\d)", "about ", text)
    text = re.sub(r"\(\s*\)|\[\s*\]", "", text)
    text = re.sub(r"\s+", " ", text)
    # What was removed may have left a space before a full stop. French wants its spaces before the other marks.
    text = re.sub(r" +([.,])(?=\s|$)" if language == "fr" else r" +([.,!?;:])(?=\s|$)", r"\1", text)
    return text.strip()
