"""Can these words be a whole turn?

The two lists were written with the words of `callengine.turns.wordlists`, and hold them; they are no measurement of
strangers' sentences.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.turns.phrases import Phrases, phrases_for
from callengine.turns.unfinished import doubtful, unfinished

ENGLISH = phrases_for("en")

FINISHED = """
Hi, I would like to book a table for four people this Friday at half past seven.
Good evening. Do you have anything free tomorrow night for two?
Could I get a table by the window on the twenty third of December, please?
I need to move my reservation from Thursday to Saturday, same time.
Can you change my booking? It is under the name Harrison.
I am afraid I have to cancel my table for tonight.
What time do you open on Sundays?
Are you open on Christmas Eve?
Do you have anything for someone who can not eat gluten?
What is the soup today, and is there a vegetarian main course?
Where exactly are you, and is there parking nearby?
How much is the tasting menu for a party of six?
Could I speak to a real person, please?
Put me through to the manager.
I think I left a grey scarf on the chair near the door, so I was wondering if anybody handed it in.
We would need a quiet corner because we want to give a short speech.
Yes.
Yes, please.
Yeah, that works.
No.
No, thank you.
Nope, that is all.
Okay.
Thank you very much.
Thanks, goodbye.
All right, bye bye.
Mm hmm.
Uh huh.
Right.
Okay, okay.
I see.
Yeah.
Wait, wait.
Stop, please.
Sorry, actually, make it six people.
No no, I said Saturday, not Sunday.
Hold on a second.
Excuse me, can I ask something else?
That is not what I asked.
reserve a table for tonight.
whether you could do it a little later.
check if my friend has already arrived?
Peter Collins.
a high chair for the baby.
Wednesday the ninth.
eight or nine of us.
yes, seven o'clock would be better.
my wife is in a wheelchair.
Could you say that again, please?
Sorry, I did not catch that.
Hello? Are you still there?
What for?
Where are you from?
Who is it for?
Can you put me through?
Who am I speaking to?
What are you looking for?
What is it about?
Yes it is.
I do.
Yes, I am.
Yes I can.
Hold on.
Hang on.
I don't.
No, I'm not.
Of course not.
I think so.
I hope so.
Not really.
Not yet.
Why not?
That's it.
That's all I need.
That's fine.
I'd love to.
If you want to.
I don't want to.
I don't know who he is.
Can you tell me where the entrance is?
I don't know what it is.
I'd like to know how much it is.
Do you know who that was?
I have no idea what you are talking about.
Can I come in?
Just count me in.
Can I check in at three?
That's what I'm looking for.
Sometime later on.
Is somebody else there? Hello?
Anything else?
Nothing else.
Me too.
So do I.
Two of us, maybe three.
On Saturday, I think.
Around seven.
For four.
At half past eight.
The third of January.
In the morning.
Tomorrow.
Sure, go ahead.
You're welcome.
How are you?
Who is this?
Is this the restaurant?
Is it far?
May I?
Could you?
I'm calling about my order.
I've changed my mind.
My name is Anna.
It's me.
I already told you that.
Can you repeat that?
I'd like that.
What was that?
Never mind.
That sounds good.
The one with the garden.
Leave it with me.
Thanks for that.
I can't hear you.
I can't make it.
It doesn't work.
No, it isn't.
Neither does mine.
Both.
Either is fine.
As soon as possible.
No more, thank you.
One more.
It's for two.
Whatever you like.
Give me the other one.
Maybe.
Perhaps.
Tell him I called.
Just for tonight.
By the window, if you can.
Is there a bus stop nearby?
Then let's do Sunday.
I was there yesterday.
It's too loud.
The bill was wrong.
I'd like to speak to somebody about my bill.
What do you have?
How long does it take?
Could you turn it on?
It was great, as always.
Go on.
""".strip().splitlines()

UNFINISHED = """
I would like to
So what I wanted to ask is
Could you maybe
My name is
And then we also need
It should be on
For about
Um, let me think
The thing is
I would like to.
My name is.
Could you maybe?
I want to book a
I want to book a.
I'd like to change my
Is there a
Can I have the
The number is
It's
It's.
I'm
I'm calling because
I'm calling about the
I was wondering if
I was wondering
I wanted to ask
I wanted to ask whether
Do you have
Do you have any
Do you have a?
Can you tell me
Could I get
Could I have
Hello, could I have
Yes, I'd like
Yes, I would like
And
And then
But
But I
So
Because
Because my
We need
We need a
We are
I need
I need to
I think
I think that
Well
Well, I think
Um
Uh
Um.
Yes, um
I'd like a table for, uh
Saturday at, um
For four people on
For four people and
On the
At
At half past
Quarter to
Between seven and
From Monday to
Either Saturday or
The third of
Maybe around
It was about
My phone number is
My wife and
My wife and I
Her name is
The problem is
The problem is that
The reason I'm calling is
The reason I'm calling
What I need is
What I meant was
All I want is
I have a
I have an
I have the
I've got a
We've got
We have two children and
There is
There was a
There are
If you
If
If I
When I
When we
Let me see
Let me check
Let me
Hang on, let me see
Yes, but
No, but
No, I
Okay, so
Okay, and
Right, so the
I'll
I'll take the
We'll be
We'd like
I'm looking for
I'm looking for a
I'm not
Actually I
Actually, could you
Can you
Could you please tell me the
Would it be possible to
Is it possible to
How do I
I want
I just
I just wanted to
I also
It would be
It depends on
Instead of
With
With a
Without
The
My
Your
A
Not the
Very
You know,
Yes,
On Saturday,
I wan-
I said
You said
Make it
It's under the name of
I'm trying to
I have to
I was going to
Tell me
Say that
What about the
What if
Which is
I mean
It's kind of
Something like
The blue one and the
Two adults and
Well it's just that
I believe
Are you
Does it
""".strip().splitlines()

FALSE_ALARMS = 0.04
"""Share of whole sentences that may look unfinished: each costs its caller a slow answer."""
MISSED = 0.08
"""Share of beginnings that words need not tell: the model, the melody and the pause have their say too."""


def recognisers_form(text: str) -> str:
    """As recognisers write it that put a full stop behind everything but a question."""
    return text if text.endswith(("?", ",", "-")) else text.rstrip(".") + "."


@pytest.mark.parametrize("form", [str, recognisers_form, str.lower], ids=["plain", "full stop", "lower case"])
def test_the_lists_are_told_apart(form) -> None:
    alarms = [text for text in FINISHED if unfinished(form(text), ENGLISH) is not None]
    missed = [text for text in UNFINISHED if unfinished(form(text), ENGLISH) is None]
    assert len(FINISHED) > 100
    assert len(UNFINISHED) > 100
    assert len(alarms) <= FALSE_ALARMS * len(FINISHED), alarms
    assert len(missed) <= MISSED * len(UNFINISHED), missed


@pytest.mark.parametrize("text", ["What for?", "Where are you from?", "Who is it for?", "Can you put me through?"])
def test_a_question_may_end_with_a_preposition(text) -> None:
    assert unfinished(text, ENGLISH) is None
    assert unfinished(text.replace("?", "."), ENGLISH) is None


def test_a_question_mark_counts_and_a_full_stop_does_not() -> None:
    assert unfinished("Are you?", ENGLISH) is None
    assert unfinished("Are you.", ENGLISH) == "only begins: 'are you'"


@pytest.mark.parametrize("text", ["Do you have a?", "Is it because?", "And what about my?", "Could you maybe?"])
def test_not_even_a_question_ends_with_an_article_or_the_like(text) -> None:
    assert unfinished(text, ENGLISH) is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I want to change my.", "ends with 'my'"),
        ("It's for four, um.", "a filler: 'um'"),
        ("Well, let me see.", "a filler: 'let me see'"),
        ("I wan-", "breaks off"),
        ("The window table...", "trails off"),
        ("Good evening. Well, I think.", "only begins: 'i think'"),
    ],
)
def test_the_reason_is_for_people(text, reason) -> None:
    assert unfinished(text, ENGLISH) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("On Saturday,", "ends with a comma"),
        ("On Saturday, ", "ends with a comma"),
        ("Hello.", "only greets"),
        ("Hi, good morning!", "only greets"),
        ("Yes, hello.", "only greets"),
        ("Hello?", None),
        ("Hello, I'd like a table.", None),
        ("On Saturday, at eight.", None),
        ("Yes.", None),
        ("", None),
    ],
)
def test_what_can_be_a_whole_turn_may_not_be_one(text, reason) -> None:
    """Neither a comma nor a greeting is anything that cannot end."""
    assert doubtful(text, ENGLISH) == reason
    assert unfinished(text, ENGLISH) is None


@pytest.mark.parametrize("text", ["", " ", "...", "?", ","])
def test_no_words_are_not_an_unfinished_turn(text) -> None:
    assert unfinished(text, ENGLISH) is None


def test_hesitation_is_unfinished_and_a_backchannel_is_not() -> None:
    assert unfinished("Hmm.", ENGLISH) == "a filler: 'hmm'"
    assert unfinished("Mm-hmm.", ENGLISH) is None


def test_every_list_of_the_phrases_counts() -> None:
    given = Phrases(openers=["blau", "ist"], closed=["ja ist"], fillers=["tja"], binding=["das"], asking=["wer"])
    given = given.extended(beginnings=["wir"], leads=["hallo"], greetings=["servus"])

    assert unfinished("rot blau", given) == "ends with 'blau'"
    assert unfinished("ja ist", given) is None
    assert unfinished("rot tja", given) == "a filler: 'tja'"
    assert unfinished("rot blau?", given) is None
    assert unfinished("rot das?", given) == "ends with 'das'"
    assert unfinished("wer rot ist", given) is None
    assert unfinished("hallo wir", given) == "only begins: 'wir'"
    assert unfinished("rot wir", given) is None
    assert doubtful("Servus!", given) == "only greets"
    assert doubtful("Hello.", given) is None


@pytest.mark.parametrize(
    ("language", "open_", "whole", "greeting"),
    [
        ("de", "Ich möchte einen Tisch für.", "Ich möchte einen Tisch reservieren.", "Guten Tag."),
        ("de-AT", "Mein Name ist.", "Rufen Sie mich bitte an.", "Hallo."),
        ("es", "Quisiera una mesa para.", "Quisiera una mesa para dos.", "Hola, buenos días."),
        ("fr", "Je voudrais réserver une.", "Je voudrais réserver une table.", "Allô."),
        ("it", "Vorrei un tavolo per.", "Vorrei un tavolo per due.", "Pronto."),
        ("nl", "Ik wil graag een tafel voor.", "Ik wil graag een tafel voor twee.", "Goedemiddag."),
        ("pt", "Gostaria de uma mesa para.", "Gostaria de uma mesa para dois.", "Olá, boa tarde."),
    ],
)
def test_other_languages_have_their_words(language, open_, whole, greeting) -> None:
    phrases = phrases_for(language)
    assert unfinished(open_, phrases) is not None
    assert unfinished(whole, phrases) is None
    assert doubtful(whole, phrases) is None
    assert doubtful(greeting, phrases) == "only greets"


@given(st.text())
def test_any_text_has_an_answer(text) -> None:
    for judge in (unfinished, doubtful):
        reason = judge(text, ENGLISH)
        assert reason is None or reason


@given(st.sampled_from(FINISHED), st.sampled_from(["my", "the", "and", "because", "um"]))
def test_whatever_stands_before_it_an_open_word_keeps_the_turn(text, word) -> None:
    assert unfinished(f"{text} {word}.", ENGLISH) is not None


@pytest.mark.parametrize("text", ["On the fifth of May.", "Some time in May, please.", "Next May."])
def test_may_is_a_month_too(text) -> None:
    assert unfinished(text, ENGLISH) is None
    assert unfinished("It may", ENGLISH) is not None
