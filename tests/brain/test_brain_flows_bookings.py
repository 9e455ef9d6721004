"""The bookings flow, as callers talk to it: intents of their sentences, and whole conversations."""

import datetime
from collections.abc import Mapping
from typing import Any

import pytest

from callengine.brain.dialogue import FlowReply, PreparedFlow
from callengine.brain.flow import Flow
from callengine.brain.flows import House, bookings
from callengine.brain.matching import LexicalMatcher

TODAY = datetime.date(2026, 11, 25)  # a Wednesday

CALLERS = {
    "book": (
        "Hi, I would like to book a table for four people this Friday at half past seven.",
        "Good evening. Do you have anything free tomorrow night for two?",
        "Could I get a table by the window on the twenty third of December, please?",
        "We are a group of eleven, three of us are vegetarians, one has a nut allergy, and we would need a quiet "
        "corner because we want to give a short speech.",
        "I would like to reserve a table for tonight.",
        "hi i would like to book a table for for people this friday at 7.30",
        "hi i'd like to reserve a table for too this friday at seven thirty",
    ),
    "change": (
        "I need to move my reservation from Thursday to Saturday, same time.",
        "Can you change my booking? It is under the name Harrison.",
        "So what I wanted to ask is whether you could do it a little later.",
    ),
    "cancel": ("I am afraid I have to cancel my table for tonight.", "im afraid i have to cancel my table for tonight"),
    "hours": ("What time do you open on Sundays?", "Are you open on Christmas Eve?"),
    "menu": (
        "Do you have anything for someone who can not eat gluten?",
        "Do you have anything for someone who cannot eat gluten?",
        "What is the soup today, and is there a vegetarian main course?",
    ),
    "where": ("Where exactly are you, and is there parking nearby?",),
    "price": ("How much is the tasting menu for a party of six?",),
    "person": ("Could I speak to a real person, please?", "Put me through to the manager."),
    "lost": (
        "I was there last week with my sister, and I think I left a grey scarf on the chair near the door, so I was "
        "wondering if anybody handed it in.",
    ),
    "arrivals": ("Could you maybe check if my friend has already arrived?",),
    "access": ("The thing is my wife is in a wheelchair.",),
    "goodbye": ("Thanks, goodbye.", "All right, bye bye.", "Nope, that is all."),
    "again": ("Could you say that again, please?", "Sorry, I did not catch that."),
    "still_there": ("Hello? Are you still there?",),
    "thanks": ("Thank you very much.",),
    "wait": ("Wait, wait.", "Stop, please.", "Hold on a second.", "Um, let me think"),
    "something_else": ("Excuse me, can I ask something else?",),
    "not_what_i_asked": ("That is not what I asked.",),
    "acknowledged": ("Okay.", "Okay, okay.", "Mm hmm.", "Uh huh.", "Right.", "I see."),
}


@pytest.mark.parametrize(("intent", "sentence"), [(name, text) for name, texts in CALLERS.items() for text in texts])
async def test_every_caller_is_understood_without_a_model(intent: str, sentence: str) -> None:
    ranking = await LexicalMatcher(bookings().examples).rank(sentence)

    assert ranking.best is not None
    assert ranking.best.intent == intent


async def converse(script: str, flow: Flow | None = None) -> FlowReply:
    """Play a script of caller and agent lines; a line "~ ..." is what was heard of the reply before it was cut."""
    dialogue = (await PreparedFlow.prepare(flow or bookings(), None)).dialogue(today=TODAY)
    reply = FlowReply(())
    for line in filter(None, map(str.strip, script.splitlines())):
        who, text = line.split(" ", 1)
        if who == "C:":
            reply = await dialogue.answer(text)
        elif who == "~":
            dialogue.interrupted(text)
        else:
            assert " ".join(reply.sentences) == text
    return reply


CONVERSATIONS = {
    "a table, with an interruption and a number in two pieces": """
        C: Hi, I would like to book a table for four people this Friday at half past seven.
        A: With pleasure. Four people, Friday the 27th of November, half past seven. What name is it under?
        ~ With pleasure. Four people, Friday
        C: Sorry, actually, make it six people.
        A: Six people, then. What name is it under?
        C: My name is Harrison.
        A: Thank you. And which phone number can we reach you on?
        C: five five five
        A: Go on.
        C: zero one four two
        A: All right. So that is a table for six people on Friday the 27th of November at half past seven, \
name Harrison, number 5 5 5, 0 1 4 2. Is that right?
        C: Yes, please.
        A: Thank you, Harrison, your table is noted. We look forward to seeing you. \
Can I help you with anything else?
        C: Nope, that is all.
        A: Thank you for calling Chez Trio. Goodbye!
    """,
    "the day misheard, said at the read-back": """
        C: a table for two on sunday at eight under the name of Peter Collins
        A: With pleasure. Two people, Sunday the 29th of November, eight o'clock, Peter Collins. \
And which phone number can we reach you on?
        C: nine eight seven double six one three
        A: Thank you. So that is a table for two people on Sunday the 29th of November at eight o'clock, \
name Peter Collins, number 9 8 7, 6 6 1 3. Is that right?
        C: No no, I said Saturday, not Sunday.
        A: Saturday the 28th of November, then. And the rest is right?
        C: Yeah, that works.
        A: Thank you, Peter Collins, your table is noted. We look forward to seeing you. \
Can I help you with anything else?
        C: Thanks, goodbye.
        A: Thank you for calling Chez Trio. Goodbye!
    """,
    "questions between the answers": """
        C: Good evening. Do you have anything free tomorrow night for two?
        A: With pleasure. Two people, Thursday the 26th of November. At what time?
        C: Do you have anything for someone who can not eat gluten?
        A: Yes. Half of our dishes are made without gluten, and the kitchen takes care with the others. At what time?
        C: around eight
        A: Thank you. What name is it under?
        C: Hello? Are you still there?
        A: Yes, I am still here. What name is it under?
        C: Harrison
        A: All right. And which phone number can we reach you on?
        C: plus four four
        A: Go on.
        C: seven nine one one
        A: Go on.
        C: double six one three
        A: Good. So that is a table for two people on Thursday the 26th of November at eight o'clock, \
name Harrison, number plus 4 4 7, 9 1 1, 6 6 1 3. Is that right?
        C: yes
        A: Thank you, Harrison, your table is noted. We look forward to seeing you. \
Can I help you with anything else?
        C: Where exactly are you, and is there parking nearby?
        A: We are at 12 Station Road, right beside the market hall. There is a car park behind the house. \
Can I help you with anything else?
        C: No, thank you.
        A: Thank you for calling Chez Trio. Goodbye!
    """,
    "a change": """
        C: I need to move my reservation from Thursday to Saturday, same time.
        A: Of course, I can change that. Saturday the 28th of November, the same time. What name is it under?
        C: It is under the name Harrison.
        A: Thank you. So I move the table under the name Harrison to Saturday the 28th of November at the same time. \
Is that right?
        C: Right.
        A: Thank you, Harrison, the change is noted. Can I help you with anything else?
        C: Thank you very much.
        A: Thank you for calling Chez Trio. Goodbye!
    """,
    "a cancellation, and second thoughts": """
        C: I am afraid I have to cancel my table for tonight.
        A: I am sorry to hear that. Wednesday the 25th of November. What name is it under?
        C: Harrison.
        A: Thank you. So I cancel the table of Wednesday the 25th of November under the name Harrison. Is that right?
        C: never mind
        A: All right, we leave that. Can I help you with anything else?
        C: bye
        A: Thank you for calling Chez Trio. Goodbye!
    """,
    "wishes, a closed day and a party that is too large": """
        C: Could I get a table by the window on Monday at seven thirty, please?
        A: With pleasure. Half past seven, a table by the window. I am afraid that we are closed on Mondays. \
For how many people?
        C: for twenty people
        A: For more than 12 people, please ask me to have somebody call you back. For how many people?
        C: eight or nine of us.
        A: Thank you. For which day?
        C: Wednesday the ninth.
        A: All right. What name is it under?
        C: And then we also need
        A: Go on.
        C: a high chair for the baby.
        A: A table by the window and a high chair, then. What name is it under?
        C: H A R R I S O N
        A: Good. And which phone number can we reach you on?
        C: 555 0142
        A: Thank you. So that is a table for nine people on Wednesday the 9th of December at half past seven, \
name Harrison, number 5 5 5, 0 1 4 2, and I note: a table by the window and a high chair. Is that right?
    """,
    "a person": """
        C: Could I speak to a real person, please?
        A: I am the booking system, and I cannot put you through. But somebody can call you back. \
What name is it under?
        C: Harrison
        A: Thank you. And which phone number can we reach you on?
        C: 5550142
        A: All right. So somebody calls Harrison back on 5 5 5, 0 1 4 2. Is that right?
        C: uh huh
        A: Thank you, your name and number are noted for the next person who is free. \
Can I help you with anything else?
    """,
    "only questions": """
        C: What time do you open on Sundays?
        A: We are open from Tuesday to Sunday, from noon until half past ten at night.
        C: Are you open on Christmas Eve?
        A: On Christmas Eve we are open for lunch, from noon until three.
        C: Are you open on Monday?
        A: No, we are closed on that day. We are open from Tuesday to Sunday, from noon until half past ten at night.
        C: What is the soup today, and is there a vegetarian main course?
        A: There are two soups today: onion, and pumpkin. Yes, there is always a vegetarian main course, \
and both soups are vegetarian.
        C: How much is the tasting menu for a party of six?
        A: Main courses are about twenty, and the tasting menu is forty-five a person, without drinks.
        C: Can I bring my elephant into the opera?
        A: I am afraid I cannot help with that. Can I help you with anything else?
        C: No.
        A: Thank you for calling Chez Trio. Goodbye!
    """,
}


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_conversation(name: str) -> None:
    await converse(CONVERSATIONS[name].replace("\\\n", ""))


async def test_the_last_word_hangs_up() -> None:
    assert (await converse("C: Thanks, goodbye.")).hang_up


async def test_a_house_answers_with_its_own_facts() -> None:
    house = House(
        name="The Mill",
        opens=datetime.time(17),
        closes=datetime.time(20),
        closed=(2,),
        largest_table=4,
        hours="From five.",
        feasts={(12, 24): "Closed for Christmas."},
        menu="Pancakes.",
        dishes={"soup": "No soup."},
        where="At the river.",
        price="Ten.",
        access="Many steps.",
        arrivals="Nobody is here.",
    )
    flow = bookings(house)

    for question, answer in {
        "What are your opening hours?": "From five.",
        "Are you open on Christmas Eve?": "Closed for Christmas.",
        "Are you open on Wednesday?": "No, we are closed on that day. From five.",
        "What is on the menu?": "Pancakes.",
        "What is the soup today?": "No soup.",
        "Where exactly are you?": "At the river.",
        "How much is it?": "Ten.",
        "Is it wheelchair accessible?": "Many steps.",
        "Is my wife already there?": "Nobody is here.",
        "Goodbye.": "Thank you for calling The Mill. Goodbye!",
        "A table for five people, please.": (
            "With pleasure. For more than 4 people, please ask me to have somebody call you back. For how many people?"
        ),
        "A table for three people next Wednesday.": (
            "With pleasure. Three people. I am afraid that we are closed on Wednesdays. For which day?"
        ),
        "A table for three people at four o'clock.": (
            "With pleasure. Three people. It has to be between five o'clock and eight o'clock. For which day?"
        ),
        "A table for three people at nine o'clock.": (
            "With pleasure. Three people. It has to be between five o'clock and eight o'clock. For which day?"
        ),
    }.items():
        await converse(f"C: {question}\nA: {answer}", flow)


@pytest.mark.parametrize(
    ("setting", "script"),
    [
        ("book", "C: A table for two tomorrow at eight, my name is Tom\nC: 5550142\nC: yes"),
        ("change", "C: Can you change my booking?\nC: Tom\nC: tomorrow\nC: same time\nC: yes"),
        ("cancel", "C: I want to cancel my booking tomorrow\nC: Tom\nC: yes"),
        ("call_back", "C: Put me through to the manager.\nC: Tom\nC: 5550142\nC: yes"),
        ("call_back", "C: I left my scarf on the chair.\nC: Tom\nC: 5550142\nC: yes"),
    ],
)
async def test_the_users_function_is_what_is_done(setting: str, script: str) -> None:
    async def function(call: Any, slots: Mapping[str, Any]) -> None:
        del call, slots

    functions: dict[str, Any] = {setting: function}
    action = (await converse(script, bookings(**functions))).action

    assert action is not None
    assert action.function is function
    assert action.slots["name"] == "Tom"


async def test_no_table_is_booked_on_a_holiday() -> None:
    reply = await converse("C: A table for two on the 25th of December at eight")
    assert "closed on the 25th of December" in " ".join(reply.sentences)
