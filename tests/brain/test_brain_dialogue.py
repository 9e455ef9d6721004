"""Dialogues through a small flow: what is asked, taken, corrected, repaired and done."""

import datetime
from collections.abc import Mapping
from typing import Any

import pytest

from callengine.brain.dialogue import Dialogue, FlowAction, FlowReply, PreparedFlow
from callengine.brain.flow import Flow, Intent, Slot
from callengine.brain.manners import Manners
from callengine.brain.slots import Choice, Date, Name, Number, Phone, Text, Time

TODAY = datetime.date(2026, 11, 25)


async def save(call: Any, slots: Mapping[str, Any]) -> str | None:
    return f"Saved by {call}." if slots["name"] == "Special" else None


def make_flow(**more: Any) -> Flow:
    people = Slot("people", Number.of_people(maximum=6), ask="How many people?", called=("people", "number of people"))
    day = Slot("day", Date(), ask="Which day?")
    time = Slot("time", Time(datetime.time(12), datetime.time(22)), ask="What time?", also=("the same time",))
    extras = Slot("extras", Choice({"a dog": ("dog",), "a bicycle": ("bicycle",)}, many=True), required=False)
    name = Slot("name", Name(), ask="What name?", shared=True)
    phone = Slot("phone", Phone(), ask="What number?", called=("number", "phone"))
    return Flow(
        intents=(
            Intent(
                "tour",
                examples=("I would like to book a tour", "book a tour for four people", "a tour please"),
                begin="With pleasure.",
                slots=(people, day, time, extras, name),
                confirm="A tour for {people} on {day} at {time}, name {name}[, with {extras}]. Is that right?",
                then=save,
                meanwhile="One moment.",
                reply="Booked, {name}.",
                amended_by="move",
            ),
            Intent(
                "move",
                examples=("move my tour to another day", "I want to change my tour"),
                slots=(name, day, time),
                confirm="Moved to {day} at {time} for {name}. Is that right?",
                reply="Moved.",
            ),
            Intent(
                "callback",
                examples=("call me back", "I want to talk to a person"),
                begin="Somebody calls you.",
                slots=(name, phone),
                confirm="{name}, {phone}. Right?",
                reply="Noted.",
            ),
            Intent("price", examples=("how much is it", "what does a tour cost"), reply="Ten euros."),
            Intent("closed", examples=("are you closed today",), reply="For ever.", hang_up=True),
        ),
        can="book a tour",
        closing="Bye now.",
        **({"rescue": "callback", "offer": "Shall somebody call you?"} | more),
    )


async def start(*turns: str, flow: Flow | None = None) -> Dialogue:
    """A dialogue after these turns."""
    dialogue = (await PreparedFlow.prepare(flow or make_flow(), None)).dialogue(today=TODAY)
    for turn in turns:
        await dialogue.answer(turn)
    return dialogue


def action_of(reply: FlowReply) -> FlowAction:
    assert reply.action is not None
    return reply.action


async def reply_to(*turns: str, flow: Flow | None = None) -> FlowReply:
    dialogue = await start(*turns[:-1], flow=flow)
    return await dialogue.answer(turns[-1])


FULL = "A tour for four people this Friday at half past seven, my name is Harrison."
ALMOST = "Book a tour for four people this Friday at half past seven, please."


# --- taking values ----------------------------------------------------------------------------------------------


async def test_several_values_at_once_leave_only_the_rest_to_ask() -> None:
    reply = await reply_to("I would like to book a tour for four people this Friday at half past seven.")

    assert reply.sentences == (
        "With pleasure.",
        "Four people, Friday the 27th of November, half past seven.",
        "What name?",
    )
    assert reply.expects == "name"
    assert reply.decision.startswith("intent tour (")
    assert reply.decision.endswith("; people = four people, day = Friday the 27th of November, time = 19:30")


async def test_one_question_at_a_time_and_bare_answers() -> None:
    dialogue = await start()
    asked = [
        (await dialogue.answer(turn)).expects
        for turn in ("A tour please.", "four", "this friday", "eight", "Peter Collins.")
    ]

    assert asked == ["people", "day", "time", "name", "confirmation"]


async def test_everything_at_once_is_read_back_at_once() -> None:
    reply = await reply_to(FULL)

    assert reply.sentences == (
        "A tour for four people on Friday the 27th of November at half past seven, name Harrison.",
        "Is that right?",
    )


async def test_values_without_an_intent_mean_the_intent_that_wants_them() -> None:
    reply = await reply_to("tomorrow at half past eight, three of us")

    assert reply.decision.startswith("values of tour")
    assert reply.expects == "name"


async def test_an_answer_may_say_more_than_was_asked() -> None:
    reply = await reply_to("A tour please.", "for four people, and at eight o'clock")

    assert reply.sentences == ("Eight o'clock, then.", "Which day?")


async def test_an_optional_value_is_never_asked_for_and_grows() -> None:
    dialogue = await start(ALMOST, "And we bring a dog.")

    reply = await dialogue.answer("my name is Harrison and we bring a bicycle")

    assert ", name Harrison, with a dog and a bicycle." in reply.sentences[-2]


async def test_a_value_that_cannot_be_is_refused_and_asked_again() -> None:
    reply = await reply_to("A tour please.", "for nine people")

    assert reply.sentences == ("It has to be between one and six.", "How many people?")


async def test_a_shared_value_is_not_asked_for_twice() -> None:
    reply = await reply_to(FULL, "yes", "call me back please")

    assert reply.expects == "phone"


async def test_of_two_values_the_one_that_is_not_denied_is_taken() -> None:
    reply = await reply_to("A tour on Saturday, not Sunday.")
    moved = await reply_to("I want to change my tour from Thursday to Saturday, same time, my name is Harrison.")
    repaired = await reply_to("A tour on Friday, no, Saturday.")

    assert "Saturday the 28th" in reply.decision
    assert moved.sentences[0] == "Moved to Saturday the 28th of November at the same time for Harrison."
    assert "Saturday the 28th" in repaired.decision


# --- pieces -----------------------------------------------------------------------------------------------------


async def test_a_number_in_pieces_over_turns() -> None:
    dialogue = await start("call me back", "Harrison")

    first = await dialogue.answer("five five five")
    second = await dialogue.answer("zero one")
    third = await dialogue.answer("four two")

    assert first.sentences == ("Go on.",)
    assert (second.sentences[-1], second.expects) == ("Go on.", "phone")
    assert third.sentences[-2:] == ("Harrison, 5 5 5, 0 1 4 2.", "Right?")
    assert "5550142" not in third.decision


async def test_a_number_goes_on_after_it_seemed_complete() -> None:
    reply = await reply_to("call me back", "Harrison", "five five five zero one four two", "one three")

    assert "5 5 5, 0 1 4, 2 1 3" in " ".join(reply.sentences)


async def test_a_number_that_was_misheard_is_asked_again() -> None:
    dialogue = await start("call me back", "Harrison", "my dog is brown")

    reply = await dialogue.answer("five five five zero one four two")
    wrong = await dialogue.answer("No, the number is wrong.")
    right = await dialogue.answer("555 0143")

    assert reply.expects == "confirmation"
    assert wrong.sentences == ("Sorry. Then once more: What number?",)
    assert "5 5 5, 0 1 4 3" in " ".join(right.sentences)


async def test_a_spelled_name_in_pieces() -> None:
    reply = await reply_to(ALMOST, "H, A, R, R", "I, S, O, N")
    before_a_number = await reply_to("call me back", "H, A, R, R", "I, S, O, N")

    assert "Harrison" in " ".join(reply.sentences)
    assert before_a_number.sentences == ("Harrison, then.", "What number?")


@pytest.mark.parametrize(
    ("beginning", "rest", "expected"),
    [
        ("I would like to", "book a tour.", "How many people?"),
        ("So what I wanted to ask is", "how much is it?", "Ten euros."),
        ("Could you maybe", "call me back?", "What name?"),
    ],
)
async def test_an_unfinished_sentence_is_waited_for(beginning: str, rest: str, expected: str) -> None:
    dialogue = await start()

    assert (await dialogue.answer(beginning)).sentences == ("Go on.",)
    assert expected in (await dialogue.answer(rest)).sentences


async def test_the_waiting_for_the_rest_has_an_end() -> None:
    dialogue = await start()

    said = [(await dialogue.answer("and the")).sentences[0] for _ in range(3)]

    assert said[:2] == ["Go on.", "Yes, I am listening."]
    assert said[2] not in said[:2]


async def test_the_rest_of_an_answer_is_joined_to_it() -> None:
    reply = await reply_to("A tour please.", "four", "the third of", "January, I think")

    assert "day = Sunday the 3rd of January" in reply.decision


# --- corrections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ("Sorry, actually, make it six people.", "Six people, then."),
        ("No no, I said Saturday, not Sunday.", "Saturday the 28th of November, then."),
        ("at eight o'clock", "Eight o'clock, then."),
        ("make it eight", "Eight o'clock, then."),
    ],
)
async def test_a_correction_while_something_else_is_asked(turn: str, said: str) -> None:
    reply = await reply_to(ALMOST, turn)

    assert reply.sentences == (said, "What name?")


async def test_a_correction_of_the_read_back_is_confirmed_alone() -> None:
    dialogue = await start(FULL)

    reply = await dialogue.answer("No, six people.")
    done = await dialogue.answer("yes")

    assert reply.sentences == ("Six people, then.", "And the rest is right?")
    assert action_of(done).slots["people"] == 6


async def test_no_asks_what_to_change_and_takes_the_slot_by_its_name() -> None:
    dialogue = await start(FULL)

    what = await dialogue.answer("No.")
    which = await dialogue.answer("the time")
    again = await dialogue.answer("nine")

    assert (what.sentences, what.expects) == (("Sorry about that. What should I change?",), "change")
    assert which.sentences == ("Sorry. Then once more: What time?",)
    assert "at nine o'clock" in again.sentences[-2]


async def test_nothing_to_change_is_not_a_yes() -> None:
    reply = await reply_to(FULL, "No.", "No, nothing.")

    assert reply.action is None
    assert reply.expects == "confirmation"


async def test_a_correction_after_it_was_done_goes_to_the_intent_that_amends() -> None:
    dialogue = await start(FULL, "yes")
    dialogue.acted(None)

    reply = await dialogue.answer("Sorry, I said Saturday.")

    assert reply.sentences[0] == "Moved to Saturday the 28th of November at half past seven for Harrison."
    assert reply.decision.startswith("correction of tour")


# --- confirmation and actions -----------------------------------------------------------------------------------


async def test_nothing_is_done_before_a_yes() -> None:
    dialogue = await start()

    assert (await dialogue.answer(FULL)).action is None
    assert (await dialogue.answer("hmm, purple")).action is None
    reply = await dialogue.answer("Yes, please.")

    assert reply.sentences == ("One moment.",)
    assert action_of(reply).name == "tour"
    assert action_of(reply).slots == {
        "people": 4,
        "day": datetime.date(2026, 11, 27),
        "time": datetime.time(19, 30),
        "name": "Harrison",
    }
    assert "Harrison" not in repr(reply)


async def test_the_result_of_an_action_is_spoken_in_place_of_the_reply() -> None:
    dialogue = await start(FULL)
    reply = await dialogue.answer("yes")
    assert (
        dialogue.acted(await action_of(reply).function("me", action_of(reply).slots)).sentences[0]
        == "Booked, Harrison."
    )

    special = await start(FULL.replace("Harrison", "Special"))
    reply = await special.answer("yes")
    after = special.acted(await action_of(reply).function("me", action_of(reply).slots))
    assert after.sentences == ("Saved by me.", "Can I help you with anything else?")
    assert after.expects == "anything_else"


async def test_an_action_that_failed_is_admitted() -> None:
    dialogue = await start(FULL, "yes")

    reply = dialogue.failed()

    assert reply.sentences == ("I am sorry, that did not work just now.", "Shall somebody call you?")
    assert (await dialogue.answer("yes")).expects == "phone"


async def test_a_report_without_an_action_is_a_mistake_of_the_program() -> None:
    dialogue = await start(FULL)

    with pytest.raises(RuntimeError, match="once each"):
        dialogue.acted(None)
    with pytest.raises(RuntimeError, match="once each"):
        dialogue.failed()


async def test_an_action_whose_announcement_was_cut_is_confirmed_once_more() -> None:
    dialogue = await start(FULL, "yes")

    dialogue.interrupted("One")
    reply = await dialogue.answer("Sorry, make it six people.")
    again = await dialogue.answer("yes")

    assert reply.sentences[0] == "Six people, then."
    assert action_of(again).slots["people"] == 6


async def test_yes_and_goodbye_acts_and_hangs_up() -> None:
    dialogue = await start(FULL)

    reply = await dialogue.answer("Yes, thanks, goodbye.")
    end = dialogue.acted(None)

    assert reply.action is not None
    assert not reply.hang_up
    assert end.sentences == ("Booked, Harrison.", "Bye now.")
    assert end.hang_up


# --- interruptions ----------------------------------------------------------------------------------------------


async def test_a_question_that_was_cut_was_not_asked() -> None:
    dialogue = await start(FULL)

    dialogue.interrupted("A tour for four people on Friday")
    reply = await dialogue.answer("Yes.")

    assert reply.action is None
    assert reply.sentences[-1] == "Is that right?"
    assert reply.decision.endswith("the question had not been heard")


async def test_a_question_that_was_heard_but_for_its_end_was_asked() -> None:
    dialogue = await start(FULL)

    dialogue.interrupted(
        "A tour for four people on Friday the 27th of November at half past seven, name Harrison. Is that"
    )

    assert (await dialogue.answer("Yes.")).action is not None


async def test_an_interruption_is_an_intent_first_and_an_answer_second() -> None:
    dialogue = await start("A tour please.")
    dialogue.interrupted("With")
    digression = await dialogue.answer("How much is it?")
    dialogue.interrupted("Ten")
    answer = await dialogue.answer("four people")

    assert digression.sentences == ("Ten euros.", "How many people?")
    assert answer.expects == "day"


async def test_a_correction_that_cuts_the_read_back_has_it_read_again() -> None:
    dialogue = await start(FULL)

    dialogue.interrupted("A tour for four")
    reply = await dialogue.answer("Sorry, actually, make it six people.")

    assert reply.sentences[0] == "Six people, then."
    assert reply.sentences[1].startswith("A tour for six people")


# --- digressions and requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ("How much is it?", "Ten euros."),
        ("Hello? Are you still there?", "Yes, I am still here."),
        ("Thank you very much.", "You are welcome."),
        ("Okay.", None),
        ("Hello!", None),
    ],
)
async def test_a_digression_comes_back_to_the_question(turn: str, said: str) -> None:
    reply = await reply_to(ALMOST, turn)

    assert reply.sentences == ((said, "What name?") if said else ("What name?",))
    assert reply.expects == "name"


async def test_again_repeats_the_last_words_without_the_thanks() -> None:
    dialogue = await start(ALMOST, "Harrison")

    first = await dialogue.answer("Could you say that again, please?")
    second = await dialogue.answer("Sorry, I did not catch that.")

    assert first.sentences == second.sentences
    assert first.sentences[:2] == (
        "Of course.",
        "A tour for four people on Friday the 27th of November at half past seven, name Harrison.",
    )
    assert (await dialogue.answer("yes")).action is not None


async def test_a_caller_who_needs_a_moment_gets_it_and_then_answers() -> None:
    dialogue = await start(ALMOST)

    assert (await dialogue.answer("Hold on a second.")).sentences == ("Of course, take your time.",)
    assert (await dialogue.answer("Harrison")).expects == "confirmation"


async def test_something_else_can_be_asked_before_going_on() -> None:
    dialogue = await start(ALMOST)

    opened = await dialogue.answer("Excuse me, can I ask something else?")
    answered = await dialogue.answer("What does a tour cost?")

    assert opened.sentences == ("Of course. What would you like to know?",)
    assert answered.sentences == ("Ten euros.", "What name?")


async def test_a_caller_may_say_that_it_was_not_what_he_asked() -> None:
    reply = await reply_to(ALMOST, "That is not what I asked.")

    assert reply.sentences == ("I am sorry. What would you like to know?",)


async def test_a_task_can_be_dropped() -> None:
    dialogue = await start(ALMOST)

    reply = await dialogue.answer("Never mind.")

    assert reply.sentences == ("All right, we leave that.", "Can I help you with anything else?")
    assert (await dialogue.answer("Harrison")).expects != "confirmation"


async def test_another_intent_takes_the_place_of_an_unfinished_one() -> None:
    assert (await reply_to(ALMOST, "I want to talk to a person.")).sentences[0] == "Somebody calls you."


async def test_what_it_is_and_can_do_is_said_honestly() -> None:
    assert (await reply_to("Are you a robot?")).sentences[0] == (
        "I am the answering system here, not a person. I can book a tour."
    )


# --- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turn", ["No, thank you.", "No.", "Nope, that is all.", "Thank you very much.", "Thanks, goodbye."]
)
async def test_nothing_else_ends_the_call(turn: str) -> None:
    dialogue = await start(FULL, "yes")
    dialogue.acted(None)

    reply = await dialogue.answer(turn)

    assert reply.sentences == ("Bye now.",)
    assert reply.hang_up


async def test_yes_to_anything_else_asks_what() -> None:
    dialogue = await start(FULL, "yes")
    dialogue.acted(None)

    assert (await dialogue.answer("Yes, please.")).sentences == ("What can I do for you?",)
    assert (await dialogue.answer("how much is it")).sentences[0] == "Ten euros."


async def test_goodbye_in_the_middle_says_what_is_left_undone() -> None:
    reply = await reply_to(ALMOST, "All right, bye bye.")

    assert reply.sentences == ("All right, we leave that.", "Bye now.")
    assert reply.hang_up


async def test_an_intent_may_end_the_call() -> None:
    reply = await reply_to("Are you closed today?")

    assert reply.sentences == ("For ever.", "Bye now.")
    assert reply.hang_up


# --- repairs ----------------------------------------------------------------------------------------------------


async def test_three_repairs_name_the_question_then_an_example_then_another_way() -> None:
    dialogue = await start(ALMOST)

    said = [(await dialogue.answer("five")).sentences for _ in range(3)]

    assert said == [
        ("Sorry, I did not get that.", "What name?"),
        ("Sorry, I did not get that.", "You could say, for example: my name is Harrison."),
        ("I am sorry, I still did not understand you.", "Shall somebody call you?"),
    ]


async def test_repairs_start_anew_after_something_was_understood() -> None:
    dialogue = await start(ALMOST, "five", "nine", "How much is it?")

    assert (await dialogue.answer("five")).sentences == ("Sorry, I did not get that.", "What name?")


async def test_the_offer_can_be_taken_or_declined() -> None:
    taken = await start("A tour please.", "purple", "purple", "purple")
    declined = await start("A tour please.", "purple", "purple", "purple")

    assert (await taken.answer("yes please")).sentences[0] == "Somebody calls you."
    assert (await declined.answer("no")).sentences == ("How many people?",)


async def test_without_a_rescue_the_task_is_given_up() -> None:
    flow = make_flow(rescue=None, offer="")
    reply = await reply_to("A tour please.", "purple", "purple", "purple", flow=flow)

    assert reply.sentences == (
        "I am sorry, I still did not understand you.",
        "I can book a tour.",
        "What can I do for you?",
    )


async def test_what_is_out_of_scope_is_said_to_be() -> None:
    reply = await reply_to("My washing machine makes purple noises at night.")

    assert reply.sentences == ("I am afraid I cannot help with that.", "I can book a tour.")


async def test_nothing_heard_is_asked_again() -> None:
    assert (await reply_to("A tour please.", "")).sentences == ("Sorry, I could not hear you.", "How many people?")


async def test_what_fits_nothing_goes_to_the_intent_for_the_rest() -> None:
    note = Intent(
        "note", examples=("leave a note",), slots=(Slot("about", Text(), ask="About what?"),), reply="Noted: {about}."
    )
    flow = Flow(intents=(note,), can="take a note", otherwise="note")

    assert (await reply_to("Purple?", flow=flow)).sentences == ("About what?",)
    assert (await reply_to("My purple machine is broken.", flow=flow)).sentences[
        0
    ] == "Noted: My purple machine is broken."


async def test_the_sentences_around_a_flow_can_be_changed() -> None:
    flow = make_flow(manners=Manners(not_understood="Eh?", taken=("Ta.",)))

    assert (await reply_to("A tour please.", "purple", flow=flow)).sentences[0] == "Eh?"
    assert (await reply_to("A tour please.", "four", flow=flow)).sentences[0] == "Ta."


# --- calls do not meet ------------------------------------------------------------------------------------------


async def test_two_calls_through_one_flow_know_nothing_of_each_other() -> None:
    prepared = await PreparedFlow.prepare(make_flow(), None)
    one, other = prepared.dialogue(today=TODAY), prepared.dialogue(today=TODAY + datetime.timedelta(7))

    await one.answer(FULL)
    reply = await other.answer("A tour for two people this Friday.")

    assert reply.expects == "time"
    assert "Friday the 4th of December" in reply.decision


async def test_the_same_turns_give_the_same_replies() -> None:
    turns = (ALMOST, "Harrison", "No.", "the time", "nine", "Yes.")

    assert [await reply_to(*turns[: n + 1]) for n in range(6)] == [await reply_to(*turns[: n + 1]) for n in range(6)]
