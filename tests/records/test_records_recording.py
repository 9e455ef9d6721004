"""The recording holds exactly what was heard, at the sample where it was heard."""

from __future__ import annotations

import wave
from base64 import b64encode
from pathlib import Path

import attrs
import numpy as np
import pytest
from recorded_call import FRAME, RATE, RecordedCall, busy_call, clip

from callengine.audio import MULAW, Pcm, from_pcm
from callengine.errors import ConfigurationError
from callengine.journal import Record, read_journal
from callengine.records.recording import render_recording, write_recording


def lossy(pcm: Pcm) -> Pcm:
    """What is left of samples that crossed the line as mu-law."""
    return MULAW.decode(MULAW.encode(pcm))


def frames(call: RecordedCall, times: list[float], speech: Pcm, *, positions: list[int] | None = None) -> None:
    for index, t in enumerate(times):
        position = index * FRAME if positions is None else positions[index]
        audio = MULAW.encode(speech[position : position + FRAME])
        call.note(t, "media.received", position=position, audio=audio)


def test_the_agents_audio_starts_at_the_sample_of_its_playout() -> None:
    call, speech = RecordedCall(), clip("af_nova_20_no")
    call.agent_speaks(0.4, 1, 0, speech, "No, thank you.")
    _, agent, rate = render_recording(call.ends(2.0))
    assert rate == RATE
    assert not agent[:3200].any()
    assert np.array_equal(agent[3200 : 3200 + len(speech)], lossy(speech))
    assert not agent[3200 + len(speech) :].any()


@pytest.mark.parametrize("cut_at", [1.0, 1.234, 1.2345])
def test_nothing_of_an_utterance_is_heard_after_its_clear(cut_at: float) -> None:
    # given an utterance that is cut within a slice, with more slices sent ahead
    call, speech = RecordedCall(), clip("af_nova_15_long")
    call.agent_speaks(0.5, 1, 0, speech, "We are a group of eleven", cut_at=cut_at)
    records = call.ends(3.0)
    sent = sum(record.data["samples"] for record in records if record.kind == "media.sent")
    # when
    _, agent, _ = render_recording(records)
    # then its audio ends at the very sample of the clear, although more had been sent
    cut = round(cut_at * RATE)
    assert 4000 + sent > cut
    assert np.array_equal(agent[4000:cut], lossy(speech)[: cut - 4000])
    assert not agent[cut:].any()


def test_a_clear_leaves_the_next_utterance_alone() -> None:
    call, first, second = RecordedCall(), clip("af_nova_15_long"), clip("af_nova_20_no")
    call.agent_speaks(0.5, 1, 0, first, "We are a group", cut_at=1.0)
    call.agent_speaks(1.0, 2, 1, second, "No, thank you.")
    _, agent, _ = render_recording(call.ends(4.0))
    assert np.array_equal(agent[8000 : 8000 + len(second)], lossy(second))


def test_slices_join_without_a_seam_where_rounded_playouts_fall_between_samples() -> None:
    call, speech = RecordedCall(), clip("af_nova_20_no")
    call.agent_speaks(0.40006249, 1, 0, speech, "No, thank you.", slice_samples=161)
    _, agent, _ = render_recording(call.ends(2.0))
    start = round(0.40006249 * RATE)
    assert np.array_equal(agent[start : start + len(speech)], lossy(speech))


def test_a_gap_in_the_playout_is_heard_as_silence() -> None:
    call, speech = RecordedCall(), clip("af_nova_20_no")[:1600]
    for position, playout in ((0, 0.5), (800, 0.9)):  # the carrier ran dry for 0.3 s
        audio = MULAW.encode(speech[position : position + 800])
        call.note(
            playout, "media.sent", utterance=1, position=position, samples=800, mark="m", playout=playout, audio=audio
        )
    _, agent, _ = render_recording(call.ends(2.0))
    assert np.array_equal(agent[4000:4800], lossy(speech[:800]))
    assert not agent[4800:7200].any()
    assert np.array_equal(agent[7200:8000], lossy(speech[800:]))


def test_what_was_on_its_way_when_the_call_ended_was_not_heard() -> None:
    call, speech = RecordedCall(), clip("af_nova_15_long")
    call.agent_speaks(0.5, 1, 0, speech, "We are a group of eleven")
    _, agent, _ = render_recording(call.ends(1.1, "caller", "hung up"))
    assert len(agent) == 8800
    assert np.array_equal(agent[4000:], lossy(speech)[:4800])


def test_the_callers_audio_ends_where_it_arrived() -> None:
    call, speech = RecordedCall(), clip("am_michael_06_hours")[: 50 * FRAME]
    call.audio = False  # the frames are ours
    frames(call, [1.0 + index * 0.02 for index in range(50)], speech)
    caller, _, _ = render_recording(call.ends(3.0))
    start = 8000 - FRAME
    assert not caller[:start].any()
    assert np.array_equal(caller[start : start + len(speech)], lossy(speech))


def test_jitter_and_a_held_up_burst_leave_the_callers_audio_whole() -> None:
    # given frames that jitter, and half a second of them that arrives at once, 0.5 s late
    call, speech = RecordedCall(), clip("am_michael_14_long")[: 200 * FRAME]
    call.audio = False
    times = [0.02 * (index + 1) + (0.015 if index % 3 == 1 else 0.0) for index in range(200)]
    times[60:85] = [times[85]] * 25
    # when
    frames(call, times, speech)
    caller, _, _ = render_recording(call.ends(4.0))
    # then everything is where it was spoken
    assert np.array_equal(caller[: len(speech)], lossy(speech))


@pytest.mark.parametrize(("stall", "padding"), [(0.055, 0), (0.5, 4000)])
def test_a_stall_beyond_three_frames_is_padded_and_a_shorter_one_is_not(stall: float, padding: int) -> None:
    call, speech = RecordedCall(), clip("am_michael_14_long")[: 100 * FRAME]
    call.audio = False
    frames(call, [0.02 * (index + 1) + (stall if index >= 50 else 0.0) for index in range(100)], speech)
    caller, _, _ = render_recording(call.ends(5.0))
    half = 50 * FRAME
    assert np.array_equal(caller[:half], lossy(speech[:half]))
    assert not caller[half : half + padding].any()
    assert np.array_equal(caller[half + padding : 2 * half + padding], lossy(speech[half:]))


def test_a_frame_that_is_missing_from_the_journal_is_silence_in_its_place() -> None:
    call, speech = RecordedCall(), clip("am_michael_14_long")[: 10 * FRAME]
    call.audio = False
    kept = [0, 1, 2, 5, 6, 7]
    frames(call, [0.02 * (n + 1) for n in kept], speech, positions=[n * FRAME for n in kept])
    caller, _, _ = render_recording(call.ends(1.0))
    assert not caller[3 * FRAME : 5 * FRAME].any()
    assert np.array_equal(caller[5 * FRAME : 8 * FRAME], lossy(speech[5 * FRAME : 8 * FRAME]))


def test_a_journal_from_a_file_gives_the_same_recording(tmp_path: Path) -> None:
    records = busy_call()
    path = tmp_path / "call.jsonl"
    path.write_text("".join(record.to_json() + "\n" for record in records), encoding="utf-8")
    live, read = render_recording(records), render_recording(read_journal(path))
    assert np.array_equal(live[0], read[0])
    assert np.array_equal(live[1], read[1])
    assert live[2] == read[2]


def test_the_stream_may_be_linear_at_another_rate() -> None:
    speech = clip("librivox_0930", 16000)
    started = attrs.evolve(RecordedCall().records[0])
    started.data.update(encoding="l16", sample_rate=16000)
    audio = b64encode(from_pcm(speech, "l16")).decode()
    data = {"utterance": 1, "position": 0, "samples": len(speech), "mark": "m", "playout": 0.25, "audio": audio}
    records = [started, Record("CA", 0.25, "media.sent", data), Record("CA", 6.0, "call.ended", {})]
    _, agent, rate = render_recording(records)
    assert rate == 16000
    assert np.array_equal(agent[4000 : 4000 + len(speech)], speech)


def test_the_file_has_the_caller_on_the_left_and_the_agent_on_the_right(tmp_path: Path) -> None:
    records = busy_call()
    write_recording(records, tmp_path / "recording.wav")
    with wave.open(str(tmp_path / "recording.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, RATE)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    caller, agent, _ = render_recording(records)
    assert np.array_equal(both[:, 0], caller)
    assert np.array_equal(both[:, 1], agent)


def test_a_journal_without_audio_says_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError, match="audio=True"):
        render_recording(busy_call(audio=False))


def test_a_call_that_ended_before_a_word_gives_an_empty_recording() -> None:
    call = RecordedCall(audio=False)
    caller, agent, _ = render_recording(call.ends(0.0, "failed", "overload"))
    assert len(caller) == len(agent) == 0
