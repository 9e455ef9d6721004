"""Text messages: sent by the application and from calls, received, answered, and followed to their end."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import trio

from callengine import (
    Agent,
    CarrierError,
    ConfigurationError,
    IncomingMessage,
    MessageProgress,
    NotAllowed,
    NotSupported,
)
from callengine.errors import CallEnded
from callengine.fetching import FetchFailed, FetchRefused
from callengine.testing.accounts import ACCOUNT_SID, AUTH_TOKEN, PLIVO_ID, PLIVO_TOKEN, SENDER, recipe
from callengine.testing.clouds import Answers, Manners
from callengine.testing.network import Network

PERSON, FRIEND, STRANGER, OURS = "+15005550101", "+15005550102", "+15005550199", "+15005550007"
HELLO = Agent(greeting="Hello there.")


@pytest.fixture(params=["twilio", "telnyx", "plivo"])
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


def sent(network: Network) -> list[tuple[str, str, str]]:
    """The engine's messages: who is shown, to whom, what."""
    return [(text.sender, text.recipient, text.text) for text in network.cloud.texts if text.states[0] == "queued"]


def own(network: Network, number: str) -> None:
    """The account has this number too, and it is announced where the others are."""
    network.cloud.own(number)
    network.cloud.point_at(f"https://voice.example.com/{network.cloud.name}")


# --- by the application -----------------------------------------------------------------------------------------------


async def test_who_is_shown_and_by_which_carrier_are_settings(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        own(network, OURS)
        # the first carrier with its keys, and its sender, unless others are named
        first = await network.engine.send_message("+1 500 555-0101", "One")
        second = await network.engine.send_message(PERSON, "Two", sender=OURS, carrier=carrier)
        assert sent(network) == [(SENDER, PERSON, "One"), (OURS, PERSON, "Two")]
        assert [first, second] == [text.message_id for text in network.cloud.texts]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"to": "Anna"}, "E.164"),
        ({"sender": "Chez Trio"}, "E.164"),
        ({"carrier": "audiosocket"}, "sends messages"),
        ({"carrier": "nobody"}, "sends messages"),
        ({"text": "  "}, "needs a text"),
    ],
)
async def test_what_cannot_be_sent_is_said_before_anybody_is_asked(call_lab, options, words):
    async with call_lab.network(HELLO) as network:
        with pytest.raises(ConfigurationError, match=words):
            await network.engine.send_message(**{"to": PERSON, "text": "Hello"} | options)
        assert not network.cloud.requests


async def test_a_carrier_that_will_not_send_is_an_error(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.cloud.fault(status=400)
        with pytest.raises(CarrierError) as raised:
            await network.engine.send_message(PERSON, "Hello")
        assert raised.value.carrier == carrier
        assert PERSON not in str(raised.value)
        assert not network.cloud.texts


async def test_what_became_of_a_message_is_told_once(call_lab, carrier):
    news: list[MessageProgress] = []
    async with call_lab.network(HELLO, carrier=carrier, webhooks=Manners(twice=True)) as network:
        network.engine.on_delivery(news.append)
        network.cloud.text_fails = {FRIEND: "30003"} if carrier != "telnyx" else {FRIEND}
        good = await network.engine.send_message(PERSON, "Hello")
        bad = await network.engine.send_message(FRIEND, "Hello")
        await trio.sleep(3)
    told = {name: [fact.status for fact in news if fact.message_id == name] for name in (good, bad)}
    assert told == {good: ["sent", "delivered"], bad: ["sent", "failed"]}
    assert all(fact.reason for fact in news if fact.status == "failed")


# --- from a call ------------------------------------------------------------------------------------------------------


async def test_a_call_writes_to_the_person_on_the_line_and_to_those_on_the_list(call_lab, carrier):
    names: list[str] = []

    async def story(call):
        names.append(await call.send_message("Your table is ready."))
        names.append(await call.send_message("A guest calls.", to="+1 (500) 555-0102"))
        with pytest.raises(NotAllowed):
            await call.send_message("Psst", to=STRANGER)
        await call.say("It is on its way.")

    agent = Agent(may_reach=(FRIEND,))
    async with call_lab.network(story, carrier=carrier, agent=agent) as network:
        # given a person who called another number than the one that is shown by default
        own(network, OURS)
        await network.rings(OURS, caller=PERSON).hears("It is on its way.")

        # then that number is shown
        assert sent(network) == [(OURS, PERSON, "Your table is ready."), (OURS, FRIEND, "A guest calls.")]
        assert names == [text.message_id for text in network.cloud.texts]
    notes = [record.data for record in call_lab.call.journal.of("message.sent")]
    assert [note["to"] for note in notes] == ["•••0101", "•••0102"]


async def test_a_call_that_was_dialled_writes_to_who_was_called(call_lab, carrier):
    async def story(call):
        await call.send_message("As I said.")
        await call.say("Goodbye.")

    async with call_lab.network(story, carrier=carrier) as network:
        own(network, OURS)
        network.phone(PERSON, Answers())
        await (await network.engine.dial(PERSON, sender=OURS)).wait()
        assert sent(network) == [(OURS, PERSON, "As I said.")]


async def test_a_caller_who_withholds_his_number_cannot_be_written_to_and_the_call_goes_on(call_lab, carrier):
    async def story(call):
        with pytest.raises(ConfigurationError, match=r"E\.164"):
            await call.send_message("Hello")
        with pytest.raises(ConfigurationError, match="needs a text"):
            await call.send_message(" ")
        await call.say("I cannot.")

    async with call_lab.network(story, carrier=carrier) as network:
        await network.rings(caller="anonymous").hears("I cannot.")
        assert not sent(network)


async def test_a_carrier_without_messages_says_so(call_lab):
    async def story(call):
        assert not call.capabilities.messages
        with pytest.raises(NotSupported, match="audiosocket"):
            await call.send_message("Hello", to=FRIEND)
        await call.say("I cannot.")

    async with call_lab.dial(story, agent=Agent(may_reach=(FRIEND,)), carrier="audiosocket") as caller:
        await caller.hears("I cannot.")


async def test_a_message_that_takes_longer_than_the_call_does_not_keep_it(call_lab, carrier):
    ended = []

    async def story(call):
        with pytest.raises(CallEnded):
            await call.send_message("Hello")
        ended.append(trio.current_time())

    async with call_lab.network(story, carrier=carrier) as network:
        network.cloud.fault(delay=4.0, path="essage")
        caller = network.rings(caller=PERSON)
        await trio.sleep(1)
        await caller.hangs_up()
        await trio.sleep(1)
    assert 1 <= ended[0] < 1.5


# --- that come in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_message_is_told_and_its_answer_comes_from_the_number_that_was_written_to(call_lab, carrier, kind):
    got: list[IncomingMessage] = []

    def answer(message: IncomingMessage) -> str:
        got.append(message)
        return "Until ten."

    async def later(message: IncomingMessage) -> str:
        await trio.sleep(2)
        return answer(message)

    async with call_lab.network(HELLO, carrier=carrier) as network:
        own(network, OURS)
        network.engine.on_message(answer if kind == "plain" else later)
        text = network.text("Are you open?\nAnna ☃", to=OURS, sender=PERSON)
        await trio.sleep(4)
        assert sent(network) == [(OURS, PERSON, "Until ten.")]
        assert network.cloud.webhooks[0].status in (200, 204)
    (message,) = got
    assert (message.sender, message.recipient, message.text) == (PERSON, OURS, "Are you open?\nAnna ☃")
    assert (message.message_id, message.carrier, message.media) == (text.message_id, carrier, ())


@pytest.mark.parametrize("answer", [None, ""])
async def test_a_message_that_is_not_answered_is_not(call_lab, carrier, answer):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.engine.on_message(lambda _: answer)
        network.text("Are you open?", sender=PERSON)
        await trio.sleep(2)
        assert not sent(network)
        assert not network.cloud.requests


async def test_a_message_that_is_delivered_twice_is_told_once(call_lab, carrier):
    got: list[str] = []
    async with call_lab.network(HELLO, carrier=carrier, webhooks=Manners(twice=True)) as network:
        network.engine.on_message(lambda message: got.append(message.text) or "Thanks.")
        network.text("One", sender=PERSON)
        await trio.sleep(2)
        network.text("One", sender=PERSON)  # the same words again are another message
        await trio.sleep(2)
        assert len(sent(network)) == 2
    assert got == ["One", "One"]


async def test_all_listeners_are_told_and_the_first_answer_is_sent(call_lab):
    got: list[str] = []

    def listener(name: str, answer: str | None) -> Callable[[IncomingMessage], str | None]:
        return lambda _: got.append(name) or answer

    async with call_lab.network(HELLO) as network:
        for name, answer in [("a", None), ("b", "From b."), ("c", "From c.")]:
            network.engine.on_message(listener(name, answer))
        network.text("Are you open?", sender=PERSON)
        await trio.sleep(2)
        assert sent(network) == [(SENDER, PERSON, "From b.")]
    assert got == ["a", "b", "c"]


@pytest.mark.parametrize("wrong", ["raises", "is slow"])
async def test_a_listener_that_fails_is_logged_and_the_others_are_told(call_lab, carrier, wrong, caplog):
    async def fails(message: IncomingMessage) -> str:
        if wrong == "raises":
            raise ValueError("no such thing")
        await trio.sleep(60)
        return "Much too late."

    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.engine.on_message(fails)
        network.engine.on_message(lambda _: "Until ten.")
        network.text("Are you open?", sender=PERSON)
        await trio.sleep(1)
        await network.rings(caller=FRIEND).hears("Hello there.")  # nobody else waits for it
        await trio.sleep(70)
        assert sent(network) == [(SENDER, PERSON, "Until ten.")]
        webhook = next(each for each in network.cloud.webhooks if "message" in each.url or "events" in each.url)
        assert webhook.status in (200, 204)  # the carrier has no reason to send it again
    expected = "failed" if wrong == "raises" else "more than 10 s"
    assert any("the listener" in record.message and expected in record.message for record in caplog.records)
    assert PERSON not in caplog.text
    assert "Are you open?" not in caplog.text


@pytest.mark.parametrize("sender", ["72345", "CHEZ TRIO"])
async def test_a_sender_who_cannot_be_answered_is_told_of_all_the_same(call_lab, carrier, sender, caplog):
    got: list[str] = []
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.engine.on_message(lambda message: got.append(message.sender) or "Thanks.")
        network.text("You have won.", sender=sender)
        await trio.sleep(2)
        assert not sent(network)
        await network.rings(caller=FRIEND).hears("Hello there.")
    assert got == [sender]
    assert "E.164" in caplog.text


async def test_an_answer_that_cannot_be_sent_harms_nobody(call_lab, carrier, caplog):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.engine.on_message(lambda _: "Until ten.")
        network.cloud.fault(status=400, path="essage")
        network.text("Are you open?", sender=PERSON)
        await trio.sleep(2)
        network.text("Hello?", sender=PERSON)
        await trio.sleep(2)
        assert sent(network) == [(SENDER, PERSON, "Until ten.")]
    assert any(carrier in record.message and record.levelname == "WARNING" for record in caplog.records)


async def test_a_listener_for_deliveries_that_fails_harms_nobody(call_lab, caplog):
    def fails(_: MessageProgress) -> None:
        raise ValueError("no such thing")

    news: list[MessageProgress] = []
    async with call_lab.network(HELLO) as network:
        network.engine.on_delivery(fails)
        network.engine.on_delivery(news.append)
        await network.engine.send_message(PERSON, "Hello")
        await trio.sleep(3)
    assert [fact.status for fact in news] == ["sent", "delivered"]
    assert "the listener" in caplog.text


# --- pictures ---------------------------------------------------------------------------------------------------------


class Web(httpx.AsyncBaseTransport):
    """Every host of the world: it answers with its name, and remembers which password it was told."""

    def __init__(self) -> None:
        self.passwords: dict[str, str | None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.passwords[request.url.host] = request.headers.get("authorization")
        return httpx.Response(404 if "gone" in request.url.path else 200, content=request.url.host.encode())


ACCOUNTS = {"twilio": (ACCOUNT_SID, AUTH_TOKEN), "telnyx": None, "plivo": (PLIVO_ID, PLIVO_TOKEN)}


async def test_pictures_are_fetched_and_only_the_carrier_sees_the_password(call_lab, carrier):
    web = Web()
    theirs = {"twilio": "api.twilio.com", "telnyx": "media.telnyx.com", "plivo": "media.plivo.com"}[carrier]
    hosts = [theirs, "media.example.com", f"{theirs}.example.com", theirs.replace(".", "-", 1)]
    ours = recipe("plivo", private_recordings=True) if carrier == "plivo" else recipe(carrier)
    async with call_lab.network(HELLO, carrier=carrier, carriers=[ours], http=client(web)) as network:
        got: list[IncomingMessage] = []
        network.engine.on_message(got.append)
        network.text("Look!", sender=PERSON, media=tuple(f"https://{host}/1.jpg" for host in hosts))
        await trio.sleep(1)
        pictures = await network.engine.fetch_media(got[0])
    assert pictures == [host.encode() for host in hosts]
    account = ACCOUNTS[carrier]
    expected = None if account is None else httpx.BasicAuth(*account)._auth_header
    assert web.passwords == {theirs: expected, **dict.fromkeys(hosts[1:])}


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://169.254.169.254/latest/meta-data", FetchRefused),
        ("https://localhost/1.jpg", FetchRefused),
        ("http://media.example.com/1.jpg", FetchRefused),
        ("https://media.example.com/gone.jpg", FetchFailed),
    ],
)
async def test_a_picture_that_is_somewhere_else_is_not_fetched(call_lab, url, error):
    web = Web()
    async with call_lab.network(HELLO, http=client(web)) as network:
        message = IncomingMessage(
            message_id="SM1", sender=PERSON, recipient=SENDER, text="Look!", media=(url,), carrier="twilio"
        )
        with pytest.raises(error):
            await network.engine.fetch_media(message)
    assert list(web.passwords) == ([] if error is FetchRefused else ["media.example.com"])


def client(web: Web) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=web)
