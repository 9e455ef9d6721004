"""A call as it is being heard, made of its journal's records: what the live view shows.

Nothing here waits or prints. Times are journal times: seconds since the call's stream started.
"""

from __future__ import annotations

from base64 import b64decode
from math import log10
from typing import Literal, TypeAlias

import attrs

from callengine.audio import AudioFormat, rms_dbfs, to_pcm
from callengine.audio.format import TELEPHONE
from callengine.journal import Record
from callengine.records.entries import NO_TURN
from callengine.records.replies import PROMPTS, REST

Who: TypeAlias = Literal["caller", "agent"]

FRAME = 0.02
"""Seconds that a level stands for."""
SILENT = -120.0


@attrs.define
class Said:
    """A line of the conversation. It may change until it is ``finished``."""

    who: Who
    at: float
    utterance: int
    text: str = ""
    finished: bool = False
    settled: bool = False
    """Whether it is finished, and what the agent was saying when it came is so too: settled lines stay in order."""
    unheard: str = ""
    """Of an agent's line: what was cut off."""
    waited_ms: float | None = None
    """Of an agent's line: from the end of the caller's words to the first sound of this one."""
    aside: bool = False
    """Whether it is beside the conversation: words that were let pass, or what the agent did about them."""
    keyed: bool = False
    """Whether the caller keyed this in."""
    reason: str = ""
    """Why it came to this, where that is not plain."""


class Levels:
    """How loud one side was, frame by frame."""

    def __init__(self) -> None:
        self._frames: list[float] = []

    def put(self, at: float, audio: bytes, audio_format: AudioFormat) -> None:
        """Audio that begins to sound at this time."""
        pcm = to_pcm(audio, audio_format.encoding)
        size = round(FRAME * audio_format.sample_rate)
        first = max(0, round(at / FRAME))
        self._frames += [SILENT] * (first - len(self._frames))
        for offset in range(0, len(pcm), size):
            index = first + offset // size
            self._frames[index : index + 1] = [rms_dbfs(pcm[offset : offset + size])]

    def cut(self, at: float) -> None:
        """Nothing sounds from now on."""
        del self._frames[max(0, round(at / FRAME)) :]

    def loudest(self, start: float, end: float) -> float:
        """The loudest frame between two times, in dBFS."""
        return max(self._between(start, end), default=SILENT)

    def mean(self, start: float, end: float) -> float:
        """The average power between two times, in dBFS."""
        powers = [10 ** (level / 10) for level in self._between(start, end)]
        return 10 * log10(sum(powers) / len(powers)) if powers else SILENT

    def _between(self, start: float, end: float) -> list[float]:
        return self._frames[max(0, round(start / FRAME)) : max(0, round(end / FRAME))]


class Scene:
    """What has happened in a call so far."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.cuts: list[float] = []
        """When the caller cut the agent off."""
        self.decision = ""
        """The last thing that was decided, and why."""
        self.newest = 0.0
        """The time of the newest record."""
        self.over = False
        self.hushed: Literal["", "paused", "more quiet"] = ""
        """What the agent is while it is not sure whether it is being interrupted."""
        self.levels: dict[Who, Levels] = {"caller": Levels(), "agent": Levels()}
        self._format = TELEPHONE
        self._speech_ended: float | None = None
        """Of the turn that has not been answered yet."""
        self._hushed_at = 0.0
        self._prompt = ""
        """Why the agent says next what is no answer."""

    def feed(self, record: Record) -> None:
        """The next record."""
        self.newest = max(self.newest, record.t)
        data = record.data
        match record.kind:
            case "call.started":
                self._format = AudioFormat(data["encoding"], data["sample_rate"])
            case "media.received" if "audio" in data:
                at = data["position"] / self._format.sample_rate
                self.levels["caller"].put(at, b64decode(data["audio"]), self._format)
            case "media.sent" if "audio" in data:
                self.levels["agent"].put(data["playout"], b64decode(data["audio"]), self._format)
            case "clear.sent":
                self.levels["agent"].cut(record.t)
            case "transcript":
                self._understood(record)
            case "turn.ended":
                self._turn_ended(record)
            case "dtmf":
                self._entry(record.t).text += data["digit"]
            case "reply.text":
                said = self._line("agent", data["utterance"], record.t)
                said.text = f"{said.text} {data['text']}".strip()
            case "reply.audible":
                self._agent_begins(record)
            case "reply.ended":
                self._agent_ended(record)
            case "reply.paused":
                self.hushed, self._hushed_at = "paused", record.t
            case "reply.ducked":
                self.hushed, self._hushed_at = "more quiet", record.t
            case "reply.resumed":
                self._carries_on(record.t)
            case "barge_in":
                self.cuts.append(data["onset"])
            case "decision":
                self._decided(data["what"], data["reason"], record.t)
            case "call.ended":
                self.decision = f"ended by {data['ended_by']}: {data['reason']}"
                self.over = True
        self._settle()

    def _settle(self) -> None:
        for said in self.said:
            if said.who == "agent" and not (said.finished or self.over):
                break
            said.settled = said.finished or self.over

    def _line(self, who: Who, utterance: int, at: float) -> Said:
        for said in reversed(self.said):
            if said.who == who and said.utterance == utterance and not said.keyed:
                return said
        self.said.append(Said(who, at, utterance))
        return self.said[-1]

    def _understood(self, record: Record) -> None:
        text = record.data["text"]
        said = self._line("caller", record.data["utterance"], record.t)
        said.text, said.finished = text, record.data["final"]
        if said.finished and not text:
            self.said.remove(said)

    def _decided(self, what: str, reason: str, at: float) -> None:
        self.decision = f"{what}: {reason}"
        if what in (*PROMPTS, REST):
            self._prompt = reason
        elif what.startswith(NO_TURN):
            self._let_pass(what.removeprefix(NO_TURN), reason)
        elif what == "begin the entry again":
            self.said.remove(self._entry(at))
        elif what == "cut":
            line = next((said for said in reversed(self.said) if said.who == "agent" and not said.aside), None)
            if line is not None:
                line.reason = reason

    def _let_pass(self, kind: str, reason: str) -> None:
        """Words of the caller's that are no turn; the decision names them at its end."""
        for said in reversed(self.said):
            if said.who == "caller" and said.finished and reason.endswith(repr(said.text.strip())):
                said.aside, said.reason = True, kind
                return

    def _turn_ended(self, record: Record) -> None:
        self._speech_ended = record.data["speech_ended"]
        if record.data.get("keyed"):
            entry = self._entry(record.t)
            entry.text, entry.finished = record.data["text"] or "nothing", True

    def _entry(self, at: float) -> Said:
        """The entry of keys that is under way."""
        for said in reversed(self.said):
            if said.keyed and not said.finished:
                return said
        self.said.append(Said("caller", at, 0, keyed=True))
        return self.said[-1]

    def _carries_on(self, at: float) -> None:
        text = f"{self.hushed} for {at - self._hushed_at:.1f} s"
        reason = self.decision.removeprefix("carry on: ")
        self.said.append(Said("agent", self._hushed_at, -1, text, finished=True, aside=True, reason=reason))
        self.hushed = ""

    def _agent_begins(self, record: Record) -> None:
        said = self._line("agent", record.data["utterance"], record.t)
        said.reason, self._prompt = self._prompt, ""
        if self._speech_ended is not None:
            said.waited_ms = (record.t - self._speech_ended) * 1000
            self._speech_ended = None

    def _agent_ended(self, record: Record) -> None:
        data = record.data
        said = self._line("agent", data["utterance"], record.t)
        self.hushed = ""
        if not data["said"] or (not data["heard"] and data["interrupted_by"] == "caller"):
            self.said.remove(said)  # nobody has heard of it
            return
        said.text, said.finished = data["heard"], True
        if data["said"].startswith(data["heard"]):
            said.unheard = data["said"][len(data["heard"]) :].strip()
