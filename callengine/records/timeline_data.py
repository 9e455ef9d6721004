"""What a timeline draws, as plain data: computed here, so that the page only draws."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from callengine.audio import Pcm
from callengine.journal import Record
from callengine.records.entries import NO_TURN
from callengine.records.interruptions import softenings_of
from callengine.records.placement import (
    AgentSlice,
    CallerAudio,
    agent_audio,
    caller_audio,
    end_of_call,
    stream_format,
    time_of_position,
)
from callengine.records.replies import replies_of
from callengine.records.timeline_turns import turn_taking
from callengine.records.transcript import transcript

ENVELOPE_STEP = 0.01
"""Seconds of audio that one bar of a waveform stands for: 32 kB of base64 for a minute of two tracks, and
still one bar a pixel when ten seconds fill a screen."""


def timeline_data(records: Iterable[Record], *, thresholds: tuple[float, float]) -> dict[str, Any]:
    """Everything that the page shows, in seconds since the stream started; figures in milliseconds.

    Waveforms are base64 of pairs of signed bytes, lowest and highest sample of each `ENVELOPE_STEP`.
    """
    records = list(records)
    audio_format = stream_format(records)
    rate = audio_format.sample_rate
    caller, agent = caller_audio(records, audio_format), agent_audio(records, audio_format)
    ends = [part.end / rate for part in agent] + [message.end / rate for message in caller]
    over = end_of_call(records)
    whole = transcript(records)
    label = next((record.data for record in records if record.kind == "call.started"), {})
    names = ("direction", "caller", "callee", "agent")
    return {
        "call": {name: whole[name] for name in ("call_id", "carrier", "started", "duration", "ended_by", "reason")}
        | {name: label.get(name) for name in names},
        "end": round(max([over, *ends, *(record.t for record in records)]), 3),
        "step": ENVELOPE_STEP,
        "caller": _caller_envelope(caller, rate),
        "agent": [_agent_envelope(part, rate) for part in agent if part.audio is not None],
        "vad": _vad(records, caller, rate),
        "thresholds": list(thresholds),
        "speech": _speech(records, over),
        "transcripts": _transcripts(records),
        "replies": _replies(records, agent, rate),
        "marks": _marks(records, agent, rate),
        "clears": [
            {"t": record.t, "utterance": record.data["utterance"], "position": record.data["position"]}
            for record in records
            if record.kind == "clear.sent"
        ],
        "entries": whole["entries"],
        "notes": whole["notes"],
    } | turn_taking(records)


def envelope(pcm: Pcm, rate: int) -> str:
    """Lowest and highest sample of each `ENVELOPE_STEP`, as base64 of pairs of signed bytes."""
    step = round(rate * ENVELOPE_STEP)
    padded = np.zeros(-(-len(pcm) // step) * step, np.int16)
    padded[: len(pcm)] = pcm
    steps = padded.reshape(-1, step)
    pairs = np.stack([steps.min(axis=1), steps.max(axis=1)], axis=1) // 256
    return b64encode(pairs.astype(np.int8).tobytes()).decode("ascii")


def _caller_envelope(placed: Sequence[CallerAudio], rate: int) -> str:
    track = np.zeros(max((message.end for message in placed), default=0), np.int16)
    for message in placed:
        track[message.start : message.end] = message.audio
    return envelope(track, rate)


def _agent_envelope(part: AgentSlice, rate: int) -> dict[str, Any]:
    """A slice with what was heard of it, and what was thrown away."""
    assert part.audio is not None
    shown = {"utterance": part.utterance, "from": part.start / rate, "heard": envelope(part.audio[: part.heard], rate)}
    if part.heard < part.samples:
        shown["lost_from"] = (part.start + part.heard) / rate
        shown["lost"] = envelope(part.audio[part.heard :], rate)
    return shown


def _vad(records: Sequence[Record], caller: Sequence[CallerAudio], rate: int) -> list[list[float]]:
    """Points of the curve: when the window ended in the recording, and the probability."""
    points = []
    for record in records:
        if record.kind == "vad.probability":
            spoken = time_of_position(caller, record.data["position"] - 1, rate)
            t = record.t if spoken is None else spoken
            points.append([round(t, 3), record.data["probability"]])
    return points


def _speech(records: Sequence[Record], over: float) -> list[dict[str, Any]]:
    """The caller's speech segments, with the pauses inside."""
    segments: list[dict[str, Any]] = []
    pause: dict[str, float] | None = None
    for record in records:
        data = record.data
        if record.kind == "speech.started":
            segments.append({"from": data["onset"], "to": over, "known": record.t, "pauses": []})
            pause = None
        elif not segments:
            continue
        elif record.kind == "speech.paused":
            pause = {"from": data.get("since", record.t), "to": over}
            segments[-1]["pauses"].append(pause)
        elif record.kind == "speech.resumed" and pause is not None:
            pause["to"] = record.t
        elif record.kind == "speech.stopped":
            segments[-1]["to"] = data["ended"]
            segments[-1]["pauses"] = [pause for pause in segments[-1]["pauses"] if pause["from"] < data["ended"]]
    return segments


def _transcripts(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What was understood, with what final words are that are no turn (``aside``), and why."""
    shown: list[dict[str, Any]] = []
    for record in records:
        data = record.data
        if record.kind == "transcript" and data["text"]:
            shown.append({"t": record.t, "text": data["text"], "final": data["final"], "aside": "", "why": ""})
        elif record.kind == "decision" and data["what"].startswith(NO_TURN):
            for item in reversed(shown):
                if item["final"] and data["reason"].endswith(f": {item['text'].strip()!r}"):
                    item |= {"aside": data["what"].removeprefix(NO_TURN), "why": data["reason"]}
                    break
    return shown


def _replies(records: Sequence[Record], agent: Sequence[AgentSlice], rate: int) -> list[dict[str, Any]]:
    """The agent's utterances with their words spread over their audio by length, the unheard ones apart."""
    pauses = [soft for soft in softenings_of(records) if soft.how == "pause" and soft.then == "carry on"]
    replies = []
    for reply in replies_of(records):
        if reply.ended is None or not reply.said or reply.taken_back:
            continue
        parts = [part for part in agent if part.utterance == reply.utterance]
        first = min((part.start for part in parts), default=round(reply.ended * rate)) / rate
        last = max((part.end for part in parts), default=round(reply.ended * rate)) / rate
        silent = max((part.start + part.heard for part in parts if part.heard), default=round(first * rate)) / rate
        gaps = [(pause.start, pause.end) for pause in pauses if pause.utterance == reply.utterance]
        words = _spread(reply.heard, first, silent, gaps, heard=True)
        words += _spread(reply.unheard, silent, last, [], heard=False)
        kept = ("turn", "utterance", "said", "heard", "interrupted_by", "certainty", "withdrawn", "prompt", "reason")
        replies.append(
            {name: getattr(reply, name) for name in kept}
            | {"from": first, "to": silent, "sent_to": last, "words": words}
        )
    return replies


def _spread(
    text: str, start: float, end: float, gaps: Sequence[tuple[float, float]], *, heard: bool
) -> list[dict[str, Any]]:
    """The words with their times: evenly, but for the gaps in which nothing sounded."""
    sounding = max(0.0, end - start - sum(to - since for since, to in gaps))
    words = []
    for match in re.finditer(r"\S+", text):
        t = start + match.start() * sounding / max(1, len(text))
        for since, to in gaps:
            t += to - since if t >= since else 0.0
        words.append({"word": match.group(), "t": round(t, 3), "heard": heard})
    return words


def _marks(records: Sequence[Record], agent: Sequence[AgentSlice], rate: int) -> list[dict[str, Any]]:
    echoes = {record.data["mark"]: record for record in records if record.kind == "mark.echoed"}
    marks = []
    for part in agent:
        echo = echoes.get(part.mark)
        status = "lost" if echo is None else echo.data["status"]
        echoed = None if echo is None else echo.t
        marks.append({"name": part.mark, "sent": part.sent, "due": part.end / rate, "echoed": echoed, "status": status})
    return marks
