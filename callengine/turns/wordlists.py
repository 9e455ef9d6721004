"""The words of turn-taking, per language. Data only: `callengine.turns.phrases` gives them their meaning.

Phrases are separated by commas and written as `phrases.normal` leaves them: lower case, no punctuation. The lists are
our own. The English backchannels begin with the most frequent ones of the Switchboard dialogue acts (Jurafsky,
Shriberg and Biasca, "Switchboard SWBD-DAMSL Coders Manual", 1997, tag b); the English openers are chosen by the score
in `tests/turns/test_turns_unfinished.py`; the artefacts are what recognisers trained on captions write into silence.
"""

from __future__ import annotations

from collections.abc import Mapping

from callengine.turns.wordlists_europe import EUROPE


def _each(before: str, after: str) -> str:
    return ", ".join(f"{a} {b}" for a in before.split("|") for b in after.split("|"))


_QUESTION_WORDS = "what|who|where|when|which|how|why|whose"
_AUXILIARIES = "is|are|am|was|were|do|does|did|can|could|will|would|should|has|have|had"
_CONTRACTIONS = (
    "it's, that's, there's, here's, he's, she's, what's, who's, where's, let's, i'm, we're, they're, you're, i'll, "
    "we'll, they'll, you'll, it'll, he'll, she'll, i'd, we'd, they'd, he'd, she'd, i've, we've, they've, you've"
)
_BINDING = (
    f"a, an, the, my, your, our, their, its, and, or, but, because, if, whether, of, than, every, {_CONTRACTIONS}, "
    "could you maybe, can you maybe, would it be possible to, i would like to, i'd like to, i want to, i need to, "
    "i wanted to, we would like to, we'd like to, we want to, we need to, going to, my name is, the name is, "
    "the thing is, the problem is, the question is, and then, so that"
)
_PREPOSITIONS = (
    "to, for, from, with, without, at, in, on, by, into, onto, about, between, during, until, till, since, against, "
    "towards, per, via, plus, minus, as, around, under, after, before, half past, quarter past, quarter to, next to, "
    "instead of, except"
)
_VERBS = (
    "is, are, was, were, am, be, will, would, could, should, can, may, might, must, has, have, had, do, does, did, "
    "not, wanna, gonna, gotta, i, we, she, he, they, i need, we need, also need, really need, i want, we want, "
    "i wanted, we wanted, i would like, i'd like, we would like, we'd like, i would prefer, i'd prefer, i've got, "
    "we've got, looks like, something like, is called, i just, i also, we also, could you, can you, would you, "
    "will you, do you, did you, have you, need to, want to, wants to, wanted to, like to, have to, has to, had to, "
    "able to, trying to, how to, where to, when to, what to, supposed to, hoping to, used to, try to"
)
_CONJUNCTIONS = (
    "so, that is, which, although, though, unless, while, very, quite, too many, i think that, is that, "
    "i believe that, hope that, said that, told me that, except that, such as, for example, for instance, actually i, "
    "you know, i mean, just, also, kind of, sort of, more, another, other, this is, these are, those are"
)

_CLOSED = ", ".join(
    [
        _each(
            "yes|yeah|yep|sure|of course|yes please",
            "i am|i do|i did|i will|i would|i can|i could|i should|i have|i had|i was|i might|i may|we are|we do|"
            "we did|we will|we would|we can|we could|we should|we have|we had|we were|it is|it was|it does|it did|"
            "it will|it would|it can|it should|it has|that is|that was|that would|that will|they are|they do|they did|"
            "they were|they can|they will|they have|he is|he was|he does|he will|she is|she was|she does|she will|"
            "this is|you are|you can|you could|you did|you may|there is|there are",
        ),
        _each("what|where|who|how", "it is|it was|that is|this is|they are|he is|she is|you are|we are|i am"),
        _each("i|we|you|they|he|she|it", "do|did|does"),
        _each("what|all|everything|whatever", "i need|we need|i want|we want|i have|we have"),
        _each("if you|if i|if we|whenever you", "want to|have to|need to|like to|can|could|may|must"),
        _each("so|neither|nor", "do i|am i|can i|have i|did i|will i|would i"),
        _each("hold|hang|come|carry|go|goes|going|move|later|early|now|switched|check|checking|turn it|put it", "on"),
        _each("come|check|checking|checked|log|sign|fill it|drop|call|get|stay|squeeze us|squeeze me|moved|came", "in"),
        _each("let|count|fit|book|put|get", "me in|us in|him in|her in|it in|them in"),
        _each("think|hope|guess|believe|said|do|even|or|afraid|suppose", "so"),
        _each("love|happy|glad|don't want|don't have|don't need|didn't mean|not allowed", "to"),
        _each("stop|come|drop|pass|go", "by"),
        _each("nothing|something|anything|someone|anyone|the|each|any|no|one|every", "other"),
        _each("no|any|once|some|one|two|nothing|anything|something|a bit|a little|a few|many|much", "more"),
        _each(
            "of course|afraid|why|probably|maybe|rather|or|hope|think|absolutely|certainly|definitely|better|perhaps|"
            "preferably|i'm|it's|we're|he's|she's|they're|guess|suppose|could|did|do|am|is|are|was|were",
            "not",
        ),
        _each("of|in|next|this|early|late|mid|until", "may"),
        "handed it in, hand it in, turned it in, brought it in, bring it in, handed in, what for, where from, "
        "where to, who with, since when, until when, you and i, he and i, she and i, it used to, not really, "
        "so be it, let it be, could be, might be, that may be, as before, like before, the day before, "
        "the night before, the week before, never before, the week after, the day after, come with, go with, "
        "comes with, as you know, let you know, do you know, did you know, you never know, who are you, how are you, "
        "where are you, how do you do, what do you have, what have you, all in, just about",
    ]
)

_BEGINNINGS = (
    "i, i think, i believe, i guess, i suppose, i was wondering, i'm wondering, i was hoping, i was, i was thinking, "
    "i wanted to ask, i would like to ask, i'd like to ask, i want to ask, i'd like to know, i would like to know, "
    "i want to know, i wanted to know, i'm calling, i am calling, i was calling, i'm looking, my name, well, could i, "
    "can i, may i, could we, can we, should i, could i have, can i have, may i have, could i get, can i get, "
    "can i ask, could i ask, could we have, can we have, could we get, do you have, have you got, is there, "
    "are there, is it, is it possible, would it be possible, are you, do i, does it, can you tell me, "
    "could you tell me, would you be able, will you be, tell me, what i wanted to ask, what i wanted, what i meant, "
    "the thing, the reason, the reason i'm calling, the reason i am calling, if, if i, if you, if we, when i, "
    "when we, when you, because i, because we, it, it would, it would be, there is, there are, we could, we were, "
    "we were thinking, we were wondering, let me, let's say, make it, make that, put it, i said, i meant, you said, "
    "you mean, i thought, i thought you, maybe around, maybe something, what if, another thing, one thing"
)

ENGLISH: Mapping[str, str] = {
    "backchannels": (
        "uh huh, yeah, right, oh, yes, o k, okay, oh yeah, huh, sure, really, mm hm, mm hmm, mm, hm, hmm, mhm, mmhm, "
        "mmhmm, mhmm, m hm, m hmm, mm mm, um hum, um hm, uhuh, aha, ah, ok, k, yep, yup, ya, i see, i understand, "
        "i know, got it, gotcha, understood, alright, all right, of course, absolutely, exactly, definitely, "
        "certainly, correct, true, that's right, that's true, that is right, that's correct, that's fine, "
        "that's good, fine, good, great, cool, nice, perfect, lovely, wonderful, excellent, brilliant, very good, "
        "sounds good, makes sense, that makes sense, fair enough, go on, go ahead, wow, no way, no problem, i get it, "
        "indeed, quite, totally, you're right, oh i see, oh wow, oh good, oh great, oh right"
    ),
    "stop_words": (
        "stop, stop it, stop talking, stop that, stop there, please stop, just stop, can you stop, could you stop, "
        "wait, please wait, just wait, but wait, no wait, no stop, no hold on, no hang on, hold on, hang on, hold up, "
        "hold it, please hold, one moment, one second, one sec, one minute, just a moment, just a second, just a sec, "
        "just a minute, just one moment, just one second, a moment please, a second please, give me a second, "
        "give me a moment, give me a minute, give me one second, can you wait, could you wait, can you hold on, "
        "could you hold on, can you hold, excuse me, pardon me, pardon, sorry, i'm sorry, no not, no that's, "
        "no it's, no i said, no i meant, enough, that's enough, quiet, be quiet, shut up, never mind, nevermind, "
        "forget it, cancel that, let me finish, let me speak, let me stop you, let me interrupt, can i interrupt, "
        "may i interrupt, sorry to interrupt, that's not what, that is not what, that's wrong, that is wrong, "
        "that's not right, that is not right, you're wrong, not that, listen, hey listen, time out, whoa"
    ),
    "artefacts": (
        "thanks for watching, thank you for watching, thank you so much for watching, thanks so much for watching, "
        "thank you very much for watching, thanks for watching this video, thank you for watching this video, "
        "thanks for watching and see you next time, thank you for watching and see you next time, subscribe, "
        "please subscribe, like and subscribe, please like and subscribe, don't forget to subscribe, "
        "don't forget to like and subscribe, please subscribe to my channel, subscribe to my channel, "
        "please subscribe to the channel, subscribe to the channel, see you in the next video, "
        "i'll see you in the next video, see you next video, i'll see you in the next one, "
        "subtitles by the amara org community, subtitles by amara org, subtitled by the amara org community, "
        "transcription by castingwords, transcribed by otter ai, transcribed by https otter ai, "
        "captions by getransporter, subtitles by, blank audio, music playing"
    ),
    "fillers": (
        "um, uh, er, erm, uhm, umm, uhh, em, ehm, hm, hmm, mmm, let me think, let me see, let me check, let me look, "
        "let me just think, let me just see, let me just check, let me have a look, let me find it, let me get it, "
        "how do i put it, how shall i put it, how do you say, what's it called, what is it called"
    ),
    "greetings": (
        "hi, hello, hey, good morning, good afternoon, good evening, hi there, hello there, yes hello, yes hi"
    ),
    "leads": (
        "hi, hello, hey, good morning, good afternoon, good evening, well, so, and, but, because, sorry, actually, "
        "no, please, now, then, also, anyway, listen, thanks, thank you, excuse me, basically, oh, ah, like"
    ),
    "binding": _BINDING,
    "openers": ", ".join([_BINDING, _PREPOSITIONS, _VERBS, _CONJUNCTIONS]),
    "closed": _CLOSED,
    "asking": ", ".join(
        [
            _each(_QUESTION_WORDS, _AUXILIARIES),
            _each(
                "know|tell me|ask|asking|wonder|wondering|sure|see|check|idea|remember|remind me|find out|forgot|"
                "explain|show me|understand|matter|depends on|say|tell you|is|that's|isn't",
                _QUESTION_WORDS,
            ),
            _each("anything|something|someone|somebody|anyone|nothing|people|the one|the thing", "i|we|you|that|to"),
            "what's, who's, where's, that's what, what time do, what time does, how much do, how much does",
        ]
    ),
    "beginnings": _BEGINNINGS,
}

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, **EUROPE}
"""By the first part of the BCP 47 tag; each list under the name of its field in `phrases.Phrases`."""
