"""What a timeline draws, as plain data: computed here, so that the page only draws."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from callengine.audio import Pcm
from callengine.journal import Record
from callengine.records.latency import latency_table
from callengine.records.placement import (
    AgentSlice,
    CallerAudio,
    agent_audio,
    caller_audio,
    end_of_call,
    stream_format,
    time_of_position,
)
from callengine.records.transcript import transcript
from callengine.records.turns import turns_of

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
        "barge_ins": _barge_ins(records),
        "turns": _turns(records),
        "flags": _flags(records),
        "entries": whole["entries"],
    }


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
    return [
        {"t": record.t, "text": record.data["text"], "final": record.data["final"]}
        for record in records
        if record.kind == "transcript" and record.data["text"]
    ]


def _replies(records: Sequence[Record], agent: Sequence[AgentSlice], rate: int) -> list[dict[str, Any]]:
    """The agent's utterances with their words spread over their audio by length, the unheard ones apart."""
    replies = []
    for record in records:
        data = record.data
        if record.kind != "reply.ended" or not data["said"]:
            continue
        parts = [part for part in agent if part.utterance == data["utterance"]]
        first = min((part.start for part in parts), default=round(record.t * rate)) / rate
        last = max((part.end for part in parts), default=round(record.t * rate)) / rate
        silent = max((part.start + part.heard for part in parts if part.heard), default=round(first * rate)) / rate
        said, heard = data["said"], data["heard"]
        unheard = said[len(heard) :] if said.startswith(heard) else ""
        words = _spread(heard, first, silent, True) + _spread(unheard, silent, last, False)
        kept = ("turn", "utterance", "said", "heard", "interrupted_by", "certainty")
        replies.append(
            {name: data[name] for name in kept} | {"from": first, "to": silent, "sent_to": last, "words": words}
        )
    return replies


def _spread(text: str, start: float, end: float, heard: bool) -> list[dict[str, Any]]:
    scale = (end - start) / max(1, len(text))
    return [
        {"word": match.group(), "t": round(start + match.start() * scale, 3), "heard": heard}
        for match in re.finditer(r"\S+", text)
    ]


def _marks(records: Sequence[Record], agent: Sequence[AgentSlice], rate: int) -> list[dict[str, Any]]:
    echoes = {record.data["mark"]: record for record in records if record.kind == "mark.echoed"}
    marks = []
    for part in agent:
        echo = echoes.get(part.mark)
        status = "lost" if echo is None else echo.data["status"]
        echoed = None if echo is None else echo.t
        marks.append({"name": part.mark, "sent": part.sent, "due": part.end / rate, "echoed": echoed, "status": status})
    return marks


def _barge_ins(records: list[Record]) -> list[dict[str, Any]]:
    triggers = {record.data["onset"]: record.data["trigger"] for record in records if record.kind == "barge_in"}
    return [
        {"onset": row.at, "turn": row.turn, "silence_ms": row.silence_ms, "trigger": triggers[row.at]}
        for row in latency_table(records)
        if row.kind == "barge-in"
    ]


def _turns(records: list[Record]) -> list[dict[str, Any]]:
    """Each turn's stages, one behind the other, from the end of the caller's speech."""
    ends = {record.data["turn"]: record.data for record in records if record.kind == "turn.ended"}
    turns = []
    for turn in turns_of(records):
        ended = ends.get(turn.number, {}).get("speech_ended")
        if ended is None:
            continue
        figures = turn.figures
        reached = {
            "final": figures.final_ms,
            "first token": figures.first_token_ms,
            "first audio": figures.first_audio_ms,
            "audible": figures.audible_ms,
        }
        turns.append(
            {
                "number": turn.number,
                "caller": turn.caller,
                "speech_ended": ended,
                "reason": ends[turn.number]["reason"],
                "stages": [{"name": name, "ms": ms} for name, ms in reached.items() if ms is not None],
            }
        )
    return turns


def _flags(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What happened at a moment, and why: for people."""
    flags = []
    for record in records:
        data = record.data
        match record.kind:
            case "decision":
                flag = ("decision", data["what"], data["reason"])
            case "turn.ended":
                flag = ("turn", f"turn {data['turn']}", data["reason"])
            case "dtmf":
                flag = ("dtmf", f"key {data['digit']}", "DTMF")
            case "mark":
                flag = ("mark", f"mark {data['name']}", data["status"])
            case "provider.failed":
                flag = ("failure", f"{data['role']} failed", f"{data['provider']}: {data['message']}")
            case "provider.ready":
                flag = ("ready", f"{data['role']} ready", data["provider"])
            case "media.bad":
                flag = ("failure", "bad media", str(data["problem"]))
            case "call.ended":
                flag = ("end", f"ended by {data['ended_by']}", data["reason"])
            case _:
                continue
        flags.append({"t": record.t, "kind": flag[0], "what": flag[1], "reason": flag[2]})
    return flags
