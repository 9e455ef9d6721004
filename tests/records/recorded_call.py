"""Builds the journal of a call that never was, second by second, from recorded speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from callengine.audio import MULAW, Pcm, read_wav
from callengine.journal import Record

RATE = 8000
FRAME = 160
CLIPS = Path(__file__).parent.parent / "data" / "callers"
LEAD = 0.2
ROUND_TRIP = 0.06


def clip(name: str, rate: int = RATE) -> Pcm:
    samples, its_rate = read_wav(CLIPS / f"{name}.wav")
    assert its_rate == rate
    return samples


class RecordedCall:
    """Collects records; `records` puts them in order. All times are seconds since the stream started."""

    def __init__(self, call_id: str = "CA0123", *, audio: bool = True) -> None:
        self.call_id = call_id
        self.audio = audio
        self.line = np.zeros(0, np.int16)
        self._records: list[Record] = []
        self._utterances = 0
        self.note(
            0.0,
            "call.started",
            call_id=call_id,
            carrier="twilio",
            direction="inbound",
            caller="•••0143",
            callee="•••0100",
            wall_time="2025-05-02T10:30:00.000+02:00",
            engine_time=12.5,
            encoding="mulaw",
            sample_rate=RATE,
            agent="flow",
        )

    def note(self, t: float, kind: str, /, **data: Any) -> None:
        self._records.append(Record(self.call_id, t, kind, data))

    # --- the caller -----------------------------------------------------------------------------------------------

    def caller_speaks(self, at: float, speech: Pcm, text: str, *, final_after: float = 0.43) -> float:
        """Put speech on the line, with its VAD facts and transcripts; returns when it ends."""
        self._utterances += 1
        number, ends = self._utterances, at + len(speech) / RATE
        start = round(at * RATE)
        if len(self.line) < start + len(speech):
            self.line = np.concatenate([self.line, np.zeros(start + len(speech) - len(self.line), np.int16)])
        self.line[start : start + len(speech)] = speech
        self.note(at + 0.16, "speech.started", utterance=number, onset=at, position=start)
        words = text.split()
        for count in range(2, len(words), 3):
            t = at + 0.35 + (ends - at) * count / len(words)
            self.note(t, "transcript", utterance=number, text=" ".join(words[:count]), final=False)
        self.note(ends + 0.16, "speech.paused", utterance=number, since=ends)
        self.note(ends + 0.32, "speech.stopped", utterance=number, ended=ends, position=round(ends * RATE))
        self.note(ends + final_after, "transcript", utterance=number, text=text, final=True)
        return ends

    def turn_ends(self, t: float, turn: int, text: str, speech_ended: float) -> None:
        self.note(
            t,
            "turn.ended",
            turn=turn,
            utterance=self._utterances,
            text=text,
            speech_ended=speech_ended,
            reason=f"end of speech after {t - speech_ended:.2f} s and final transcript",
        )

    # --- the agent ------------------------------------------------------------------------------------------------

    def agent_speaks(
        self,
        at: float,
        utterance: int,
        turn: int,
        speech: Pcm,
        text: str,
        *,
        heard: str | None = None,
        cut_at: float | None = None,
        slice_samples: int = 800,
        by: str = "caller",
        token_after: float | None = None,
    ) -> float:
        """Send speech in slices, a little ahead of its playout, with marks; returns when it falls silent."""
        if token_after is not None:
            self.note(at - token_after, "reply.token", turn=turn)
            self.note(at - 0.09, "reply.audio", turn=turn, utterance=utterance)
            self.note(at - token_after - 0.01, "reply.started", turn=turn, utterance=utterance)
        else:
            self.note(at - 0.001, "reply.started", turn=turn, utterance=utterance)
        ends = at + len(speech) / RATE
        for number, position in enumerate(range(0, len(speech), slice_samples), 1):
            audio = speech[position : position + slice_samples]
            playout = at + position / RATE
            sent = max(at, playout - LEAD)
            if cut_at is not None and sent >= cut_at:
                break
            mark = f"u{utterance}:{number}"
            data = {"utterance": utterance, "position": position, "samples": len(audio), "mark": mark}
            data["playout"] = round(playout, 6)
            if self.audio:
                data["audio"] = MULAW.encode(audio)
            self.note(sent, "media.sent", **data)
            played = playout + len(audio) / RATE
            cleared = cut_at is not None and played > cut_at
            echoed = cut_at + ROUND_TRIP if cut_at is not None and cleared else played + ROUND_TRIP
            self.note(echoed, "mark.echoed", mark=mark, status="cleared" if cleared else "played")
        self.note(at, "reply.audible", utterance=utterance, turn=turn)
        silent = ends if cut_at is None else cut_at
        if cut_at is not None:
            self.note(cut_at, "clear.sent", utterance=utterance, position=round((cut_at - at) * RATE))
        self.note(
            silent + 0.001,
            "reply.ended",
            turn=turn,
            utterance=utterance,
            said=text,
            heard=text if heard is None else heard,
            complete=cut_at is None,
            interrupted_by=None if cut_at is None else by,
            certainty="marks",
        )
        return silent

    def barge_in(self, t: float, turn: int, utterance: int, onset: float) -> None:
        self.note(t, "barge_in", turn=turn, utterance=utterance, onset=onset, trigger="speech")
        reason = f"the caller has spoken for {t - onset:.2f} s over the agent"
        self.note(t, "decision", what="cut", reason=reason)

    # --- the end --------------------------------------------------------------------------------------------------

    def ends(self, at: float, ended_by: str = "agent", reason: str = "the flow said goodbye") -> list[Record]:
        """The call is over: everything, in order of time."""
        if self.audio:
            self._receive(at)
        self.note(at, "call.ended", ended_by=ended_by, reason=reason)
        return self.records

    @property
    def records(self) -> list[Record]:
        return sorted(self._records, key=lambda record: record.t)

    def _receive(self, until: float) -> None:
        """The caller's line in frames, each arriving when its last sample was spoken, and a VAD for it."""
        line = np.zeros(round(until * RATE) // FRAME * FRAME, np.int16)
        line[: len(self.line)] = self.line[: len(line)]
        line += np.random.default_rng(7).normal(0, 12, len(line)).astype(np.int16)
        for position in range(0, len(line), FRAME):
            audio = MULAW.encode(line[position : position + FRAME])
            self.note((position + FRAME) / RATE, "media.received", position=position, audio=audio)
        smooth = 0.0
        for end in range(256, len(line) + 1, 256):
            level = float(np.sqrt(np.mean(line[end - 256 : end].astype(np.float64) ** 2)))
            smooth += (min(1.0, level / 600) - smooth) * 0.5
            self.note(end / RATE + 0.004, "vad.probability", position=end, probability=round(smooth, 3))


SORRY = "I am afraid I have to cancel my table for tonight."
RESTART = "What time do you open on Sundays?"
THANKS = "Thank you very much."
GREETING = "Harbour Table, good evening. How can I help you?"
LONG_REPLY = (
    "No problem at all. Under which name was the table booked, and was it for four people at half past seven, "
    "by the window?"
)
LONG_REPLY_HEARD = "No problem at all. Under which name was the"
SECOND_REPLY = "On Sundays we open at noon."
GOODBYE = "You are welcome. Goodbye!"


def busy_call(*, audio: bool = True, call_id: str = "CA0123") -> list[Record]:
    """A greeting, a turn, an interrupted reply with a clear, a second answer, a backchannel, and a goodbye."""
    call = RecordedCall(call_id, audio=audio)
    call.note(0.05, "provider.ready", role="stt", provider="local")
    call.agent_speaks(0.4, 1, 0, clip("bf_emma_07_hours"), GREETING)

    ended = call.caller_speaks(2.9, clip("am_michael_05_cancel"), SORRY)
    call.turn_ends(ended + 0.46, 1, SORRY, ended)
    call.note(ended + 0.47, "decision", what="flow", reason="intent cancel (0.91), asks for the name")
    reply = ended + 0.8
    call.agent_speaks(
        reply, 2, 1, clip("af_nova_14_long"), LONG_REPLY, heard=LONG_REPLY_HEARD, cut_at=reply + 2.6, token_after=0.25
    )

    onset = reply + 2.38
    ended = call.caller_speaks(onset, clip("am_michael_06_hours"), RESTART)
    call.barge_in(reply + 2.6, 1, 2, onset)
    call.turn_ends(ended + 0.5, 2, RESTART, ended)
    reply = ended + 0.9
    silent = call.agent_speaks(reply, 3, 2, clip("af_nova_34_cut"), SECOND_REPLY, token_after=0.3)
    call.caller_speaks(reply + 1.0, clip("bf_emma_16_yes")[:4000], "Mm-hm.")
    call.note(reply + 1.75, "decision", what="go on", reason="a backchannel, not an interruption")
    call.note(silent + 0.2, "dtmf", digit="•")

    ended = call.caller_speaks(silent + 0.7, clip("am_michael_23_thanks"), THANKS)
    call.turn_ends(ended + 0.44, 3, THANKS, ended)
    silent = call.agent_speaks(ended + 0.75, 4, 3, clip("af_nova_20_no"), GOODBYE, token_after=0.2)
    return call.ends(round(silent + 0.3, 2))
