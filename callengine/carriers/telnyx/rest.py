"""Telnyx's Call Control commands.

Source: https://developers.telnyx.com/api-reference/call-commands/dial and the commands beside it there.

Every command carries an id of its own, and a repetition with the same id is ignored, so commands may be repeated
whatever became of the first try; messages (SMS) have no such id. That a command was accepted says nothing about its
effect, which webhooks tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs
import trio

from callengine.carriers.rest import Rest
from callengine.carriers.telnyx.audio import FORMATS, Codec
from callengine.carriers.telnyx.commands import (
    Commands,
    checked_digits,
    checked_leg,
    data_of,
    fresh_id,
    recording_body,
    ring_time,
)
from callengine.carriers.telnyx.numbers import list_numbers, point
from callengine.carriers.telnyx.state import LegState
from callengine.carriers.telnyx.webhooks import EVENTS, TRANSFER
from callengine.errors import CarrierError, ConfigurationError, NotSupported
from callengine.telephony import (
    CallbackUrls,
    ConnectStream,
    DialTarget,
    Instruction,
    JoinRoom,
    NewLeg,
    NewMessage,
    PhoneNumber,
    ReferTo,
    Refuse,
)

TargetLegs: TypeAlias = Literal["self", "opposite", "both"]
Detection: TypeAlias = Literal["premium", "standard"]

LONGEST_CALL = 14_400
"""Seconds: the largest ``time_limit_secs``, and what holds without one."""
SPEECH_LEAD = 1.0
"""Seconds from the command until Telnyx's voice speaks, and some air behind it."""
SPEECH_PACE = 0.1
"""Seconds a character: slower than any of its voices, so that they are not cut off."""
LONGEST_SPEECH = 20.0
"""Seconds of words after which a refused caller is hung up on in any case."""
LONGEST_WORDS = 3000
"""Characters that one ``speak`` command takes."""
LEGS_KNOWN = 10_000
"""Legs that are remembered as answered: far more than live at once; the oldest are forgotten."""

_DETECTIONS: Mapping[tuple[Detection, str], str] = {
    ("premium", "detect"): "premium",
    ("premium", "message end"): "premium",  # tells of the greeting's end without being asked
    ("standard", "detect"): "detect",
    ("standard", "message end"): "greeting_end",
}


@attrs.frozen(kw_only=True)
class ControlSettings:
    """What commands need of the recipe (`callengine.carriers.telnyx.Telnyx` says what each is)."""

    connection_id: str | None
    messaging_profile_id: str | None
    codec: Codec
    target_legs: TargetLegs
    detection: Detection
    voice: str
    language: str


class TelnyxControl:
    """The commands; a `callengine.telephony.CarrierControl`."""

    def __init__(self, rest: Rest, settings: ControlSettings) -> None:
        self._rest = rest
        self._commands = Commands(rest)
        self._settings = settings
        self._up: dict[str, None] = {}
        """Legs that were answered or dialled here, in that order."""

    async def dial(self, leg: NewLeg) -> str:
        """Call somebody. ``stream`` is opened as soon as he answers; its parameters do not travel (Telnyx takes them
        with ``streaming_start`` alone). Raises `ConfigurationError` without a ``connection_id``."""
        body = {
            "connection_id": self._connection_id(),
            "to": leg.to,
            "from": leg.sender,
            "timeout_secs": ring_time(leg.ring_timeout),
            "client_state": LegState("dialled", leg.urls.reference).encoded(),
            "command_id": fresh_id(),
            "webhook_url": leg.urls.to(EVENTS),
            "webhook_url_method": "POST",
            **self._stream(leg.stream),
            "stream_bidirectional_sampling_rate": self._rate,
            "send_silence_when_idle": True,
        }
        if leg.max_duration is not None:
            body["time_limit_secs"] = max(1, min(math.ceil(leg.max_duration), LONGEST_CALL))
        if leg.amd != "off":
            body["answering_machine_detection"] = _DETECTIONS[self._settings.detection, leg.amd]
        if leg.send_digits:
            body["send_digits_on_answer"] = checked_digits(leg.send_digits)
        answer = data_of(await self._rest.request("POST", "/calls", json=body, repeatable=True))
        call_id = checked_leg(answer.get("call_control_id"))
        self._remember(call_id)
        return call_id

    async def instruct(self, call_id: str, instruction: Instruction, urls: CallbackUrls) -> None:
        """Make a leg do this now. A leg that still rings is answered, or rejected.

        `Refuse` with words returns when they were spoken, by the clock (at most 20 s), and the call was hung up.
        """
        match instruction:
            case ConnectStream():
                await self._connect(call_id, instruction)
            case DialTarget():
                await self._transfer(call_id, instruction, urls)
            case ReferTo(to=to):
                await self._commands.stop_stream(call_id)
                state = LegState("referred", urls.reference).encoded()
                await self._commands.send(call_id, "refer", {"sip_address": to, "client_state": state})
            case JoinRoom():
                raise NotSupported("telnyx", "have a leg wait in a room: use join, which puts two legs together")
            case Refuse(words=None | ""):
                await self._reject(call_id)
            case Refuse(words=words):
                await self._speak_and_hang_up(call_id, words or "")

    async def join(self, call_id: str, other_id: str, room: JoinRoom, urls: CallbackUrls) -> None:
        """Connect two legs; when one hangs up, Telnyx ends the other. ``room`` and ``urls`` are not needed for it."""
        del room, urls
        await self._commands.stop_stream(call_id)
        await self._commands.stop_stream(other_id)
        await self._commands.send(call_id, "bridge", {"call_control_id": checked_leg(other_id)})

    async def hang_up(self, call_id: str) -> None:
        """End a leg, ringing or not. One that is over already is no error."""
        self._up.pop(call_id, None)
        await self._commands.send_unless_gone(call_id, "hangup", {})

    async def send_dtmf(self, call_id: str, digits: str) -> None:
        """Press keys (0-9 * # A-D, w W to wait), up to 64, with one command."""
        await self._commands.send(call_id, "send_dtmf", {"digits": checked_digits(digits)})

    async def start_recording(self, call_id: str, urls: CallbackUrls) -> str:
        """Record a leg as a WAV file, the two directions in channels of their own. Its end is told where the leg's
        other events are."""
        body = {"format": "wav", "channels": "dual", "play_beep": False}
        recording_id = (await self._commands.send(call_id, "record_start", body)).get("recording_id")
        return recording_id if isinstance(recording_id, str) and recording_id else urls.reference

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        """Stop a recording; one that is over already is no error."""
        await self._commands.send_unless_gone(call_id, "record_stop", recording_body(recording_id))

    async def send_message(self, message: NewMessage) -> str:
        """Send a text message. Repeated only where it was refused for its rate: two are worse than none."""
        body = {"from": message.sender, "to": message.to, "text": message.text, "type": "SMS"}
        if self._settings.messaging_profile_id is not None:
            body["messaging_profile_id"] = self._settings.messaging_profile_id
        if message.urls is not None:
            body["webhook_url"] = message.urls.to(EVENTS)
        message_id = data_of(await self._rest.request("POST", "/messages", json=body)).get("id")
        if not isinstance(message_id, str):
            raise CarrierError("telnyx", "an answer without the message's id", fault="unavailable")
        return message_id

    async def numbers(self) -> list[PhoneNumber]:
        """The account's numbers, all pages, with the URLs of the Call Control applications that they belong to."""
        return await list_numbers(self._rest)

    async def point_number(self, number: PhoneNumber, base: str) -> None:
        """Give the number to the application ``connection_id``, and that our URL: all its numbers are announced there
        from then on. Messages likewise, where there is a ``messaging_profile_id``."""
        profile = self._settings.messaging_profile_id
        await point(self._rest, number, f"{base}/{EVENTS}", self._connection_id(), profile)

    def authorisation(self, url: str) -> None:
        """None: the URLs of recordings are signed."""

    # --- streams ------------------------------------------------------------------------------------------------------

    async def _connect(self, call_id: str, stream: ConnectStream) -> None:
        """A leg that rings is answered with the stream; one that is up gets a stream started.

        Which it is, is known of the legs that were answered or dialled here. Of another, such as one from before a
        restart, a refusal to answer it says that it is up.
        """
        in_answer = self._settings.codec != "L16"  # its rate cannot be asked for with an answer
        if call_id not in self._up and await self._answer(call_id, stream if in_answer else None) and in_answer:
            return
        body = {**self._stream(stream), "stream_bidirectional_sampling_rate": self._rate}
        if stream.parameters:
            body["custom_parameters"] = [{"name": name, "value": value} for name, value in stream.parameters.items()]
        await self._commands.send_once_answered(call_id, "streaming_start", body)

    async def _answer(self, call_id: str, stream: ConnectStream | None) -> bool:
        """Answer a leg, if it rings; returns whether it did. It is up soon afterwards."""
        body = {} if stream is None else {**self._stream(stream), "send_silence_when_idle": True}
        try:
            await self._commands.send(call_id, "answer", body)
        except CarrierError as error:
            if error.fault != "rejected":
                raise
            return False
        self._remember(call_id)
        return True

    def _stream(self, stream: ConnectStream) -> dict[str, Any]:
        """What every command that opens a stream says of it. The codec is named for both directions: without that one
        is the leg's own, and the other a mode (mp3) that no live audio can be sent in."""
        return {
            "stream_url": stream.url,
            "stream_track": "inbound_track",
            "stream_codec": self._settings.codec,
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_codec": self._settings.codec,
            "stream_bidirectional_target_legs": self._settings.target_legs,
        }

    @property
    def _rate(self) -> int:
        return FORMATS[self._settings.codec].sample_rate

    # --- transfers and refusals ---------------------------------------------------------------------------------------

    async def _transfer(self, call_id: str, target: DialTarget, urls: CallbackUrls) -> None:
        """The new leg carries the reference, and whose call it is: there is no webhook that says how a transfer went
        but those of that leg."""
        await self._commands.stop_stream(call_id)
        body = {
            "to": target.to,
            "from": target.caller_id,
            "timeout_secs": ring_time(target.timeout),
            "target_leg_client_state": LegState("target", urls.reference, call_id).encoded(),
            "webhook_url": urls.to(TRANSFER),
            "webhook_url_method": "POST",
        }
        await self._commands.send(call_id, "transfer", body)

    async def _reject(self, call_id: str) -> None:
        """The caller hears "busy"; a leg that is up already can only be hung up."""
        try:
            await self._commands.send(call_id, "reject", {"cause": "USER_BUSY"})
        except CarrierError as error:
            if error.fault != "rejected":
                raise
            await self.hang_up(call_id)

    async def _speak_and_hang_up(self, call_id: str, words: str) -> None:
        if call_id not in self._up:
            await self._answer(call_id, None)
        settings = self._settings
        body = {"payload": words[:LONGEST_WORDS], "voice": settings.voice, "language": settings.language}
        await self._commands.send_once_answered(call_id, "speak", body)
        await trio.sleep(min(SPEECH_LEAD + SPEECH_PACE * len(words), LONGEST_SPEECH))
        await self.hang_up(call_id)

    # --- what is known ------------------------------------------------------------------------------------------------

    def _remember(self, call_id: str) -> None:
        self._up[call_id] = None
        if len(self._up) > LEGS_KNOWN:
            del self._up[next(iter(self._up))]

    def _connection_id(self) -> str:
        if self._settings.connection_id is None:
            raise ConfigurationError(
                "set TELNYX_CONNECTION_ID to the id of the Call Control application, or pass Telnyx(connection_id=...)"
            )
        return self._settings.connection_id
