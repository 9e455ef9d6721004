"""A story as a plain function: it runs in a thread, and its calls block.

Run it with `callengine serve survey:engine`.
"""

from callengine import BlockingCall, CallEnded, Engine

answers: list[str] = []


def survey(call: BlockingCall) -> None:
    """Ask two questions, and keep what was said even if the caller hangs up half way."""
    try:
        for question in ("How was your dinner?", "Would you come again?"):
            call.say(question)
            turn = call.listen(timeout=10)
            answers.append("" if turn is None else turn.text)
        call.say("Thank you very much. Goodbye!")
        call.hang_up()
    except CallEnded:
        print(f"hung up after {len(answers)} answers")


engine = Engine(survey)
