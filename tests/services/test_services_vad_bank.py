"""The VAD bank: many calls through one model, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import attrs
import numpy as np
import pytest
import trio
from trio.testing import MockClock

from callengine.audio import ALAW, MULAW, AudioFormat, Pcm, Resampler, ToCarrier, from_pcm, read_wav
from callengine.errors import AudioError
from callengine.services.metronome import Metronome
from callengine.services.silero import Silero
from callengine.services.vad_bank import VadBank, VadRow
from callengine.turns.voice_activity import VadSettings, VoiceActivity, VoiceStarted, VoiceStopped

DATA = Path(__file__).parents[1] / "data"
FULL_SCALE = np.float32(32768)


class HandTicker:
    """A metronome that ticks when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Callable[[float], None]]] = []

    def call_at(self, when: float, run: Callable[[float], None]) -> None:
        self.asked.append((when, run))

    def tick(self) -> None:
        """One tick, whatever the time."""
        asked, self.asked = self.asked, []
        for _, run in asked:
            run(trio.current_time())

    def run(self) -> None:
        """Tick until nothing is left to do."""
        while self.asked:
            self.tick()


def broken(error: BaseException) -> None:
    raise AssertionError("no callback of this call fails") from error


@attrs.define
class Heard:
    """What a call was told."""

    probabilities: list[float] = attrs.field(factory=list)
    positions: list[int] = attrs.field(factory=list)
    faults: list[BaseException] = attrs.field(factory=list)

    def told(self, probability: float, position: int) -> None:
        self.probabilities.append(probability)
        self.positions.append(position)


def join(bank: VadBank, stack: ExitStack, sample_rate: int | None = None) -> tuple[VadRow, Heard]:
    heard = Heard()
    context = bank.join(on_probability=heard.told, on_fault=heard.faults.append, sample_rate=sample_rate)
    return stack.enter_context(context), heard


@cache
def recording(name: str) -> Pcm:
    """A person's recording at 8 kHz, as a telephone line carries it."""
    pcm, rate = read_wav(DATA / "speech" / name)
    resampler = Resampler(rate, 8000)
    return MULAW.decode(MULAW.encode(np.concatenate((resampler.push(pcm), resampler.flush()))))


NAMES = sorted(path.name for path in (DATA / "speech").glob("*.wav"))


def alone(pcm: Pcm, stagger: int = 0) -> list[float]:
    """What the model says of a call, stepped by hand, whose windows start ``stagger`` samples before its audio."""
    model = Silero()
    audio = np.concatenate((np.zeros(stagger, np.int16), pcm)).astype(np.float32) / FULL_SCALE
    state = np.zeros((1, model.state_size), np.float32)
    context = np.zeros((1, model.context), np.float32)
    found = []
    for start in range(0, len(audio) - 255, 256):
        window = audio[None, start : start + 256]
        probabilities, state = model.step(window, context, state)
        context = window[:, -32:]
        found.append(float(probabilities[0]))
    return found


def frames(pcm: Pcm, samples: int = 160) -> list[bytes]:
    audio = MULAW.encode(pcm)
    return [audio[start : start + samples] for start in range(0, len(audio), samples)]


@pytest.fixture
def ticker() -> HandTicker:
    return HandTicker()


@pytest.fixture
def bank(ticker: HandTicker) -> VadBank:
    return VadBank(Silero(), ticker)


async def test_a_call_hears_of_each_window_what_the_model_says_alone(bank: VadBank, ticker: HandTicker) -> None:
    pcm = recording("cards_005.wav")
    with ExitStack() as stack:
        row, heard = join(bank, stack)
        for frame in frames(pcm):
            row.push(frame, "mulaw")
            ticker.run()
    assert heard.probabilities == pytest.approx(alone(pcm), abs=1e-5)
    assert heard.positions == list(range(256, len(pcm) + 1, 256))
    assert max(heard.probabilities) > 0.9
    assert row.dropped == 0


async def test_nothing_is_asked_of_the_metronome_before_a_window_is_complete(
    bank: VadBank, ticker: HandTicker, mock_clock: MockClock
) -> None:
    with ExitStack() as stack:
        row, heard = join(bank, stack)
        row.push(MULAW.silence * 255, "mulaw")
        assert ticker.asked == []
        row.push(MULAW.silence, "mulaw")
        row.push(MULAW.silence * 256, "mulaw")
        assert len(ticker.asked) == 1
        assert ticker.asked[0][0] <= mock_clock.current_time()
        assert heard.positions == []
        ticker.run()
        assert heard.positions == [256, 512]


async def test_an_idle_bank_does_not_wait_for_the_next_slot(autojump_clock: MockClock) -> None:
    # Given a bank that has had nothing to do, and windows that come in the middle of slots of 5 ms.
    metronome, told_at = Metronome(slot=0.005), list[float]()
    bank = VadBank(Silero(), metronome, slot=0.005)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        with bank.join(on_probability=lambda *_: told_at.append(trio.current_time()), on_fault=broken) as row:
            start = trio.current_time()
            # When two come soon after each other, and one later.
            for at in (0.101, 0.103, 0.202):
                await trio.sleep_until(start + at)
                row.push(MULAW.silence * 256, "mulaw")
            await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    # Then the first of a row goes through the model at once; the one right behind it waits for the next slot.
    assert [at - start for at in told_at] == pytest.approx([0.101, 0.105, 0.202], abs=1e-6)


async def test_fifty_calls_at_once_never_hear_each_other(bank: VadBank, ticker: HandTicker) -> None:
    calls = [recording(NAMES[index % len(NAMES)])[index * 80 :][:16000] for index in range(50)]
    with ExitStack() as stack:
        joined = [join(bank, stack) for _ in calls]
        for turn in range(0, 16000, 160):
            for (row, _), pcm in zip(joined, calls, strict=True):
                row.push(MULAW.encode(pcm[turn : turn + 160]), "mulaw")
            ticker.tick()
        ticker.run()
    for index, ((_, heard), pcm) in enumerate(zip(joined, calls, strict=True)):
        stagger = index % 8 * 32
        assert heard.probabilities == pytest.approx(alone(pcm, stagger), abs=1e-5)
        assert heard.positions[0] == 256 - stagger


async def test_the_next_call_on_a_row_starts_from_nothing(bank: VadBank, ticker: HandTicker) -> None:
    first, second = recording(NAMES[0]), recording(NAMES[5])
    with ExitStack() as stack:
        row, _ = join(bank, stack)
        row.push(MULAW.encode(first[:2100]), "mulaw")
        ticker.tick()
        row.push(MULAW.encode(first[2100:2400]), "mulaw")
    with ExitStack() as stack:
        row, heard = join(bank, stack)
        ticker.run()
        assert heard.positions == []
        for frame in frames(second):
            row.push(frame, "mulaw")
            ticker.run()
    assert heard.probabilities == pytest.approx(alone(second), abs=1e-5)


async def test_a_call_that_has_left_is_told_nothing(bank: VadBank, ticker: HandTicker) -> None:
    # Given one call that leaves with windows waiting and one that leaves without.
    with ExitStack() as stack:
        waiting, heard_waiting = join(bank, stack)
        idle, heard_idle = join(bank, stack)
        waiting.push(MULAW.silence * 1000, "mulaw")
    for row in (waiting, idle):
        row.push(MULAW.silence * 1000, "mulaw")
        row.push_pcm(np.zeros(1000, np.int16))
        row.reset()
    ticker.run()
    assert heard_waiting.positions == heard_idle.positions == []


async def test_a_call_that_leaves_while_a_batch_is_told_is_told_nothing(bank: VadBank, ticker: HandTicker) -> None:
    with ExitStack() as stack, ExitStack() as other:
        first = stack.enter_context(bank.join(on_probability=lambda *_: other.close(), on_fault=broken))
        second, heard = join(bank, other)
        for row in (first, second):
            row.push(MULAW.silence * 512, "mulaw")
        ticker.run()
    assert heard.positions == []


async def test_rows_are_reused_so_that_memory_follows_the_most_calls_at_once(bank: VadBank, ticker: HandTicker) -> None:
    for _ in range(3):
        with ExitStack() as stack:
            joined = [join(bank, stack) for _ in range(20)]
            for row, _ in joined:
                row.push(MULAW.silence * 512, "mulaw")
            ticker.run()
        assert all(len(heard.positions) == 2 for _, heard in joined)
    assert bank.capacity == 32


async def test_a_fault_of_one_call_is_that_calls_alone(bank: VadBank, ticker: HandTicker) -> None:
    faults: list[BaseException] = []

    def fail(_: float, position: int) -> None:
        raise RuntimeError(f"told {position}")

    with ExitStack() as stack:
        before, heard_before = join(bank, stack)
        bad = stack.enter_context(bank.join(on_probability=fail, on_fault=faults.append))
        after, heard_after = join(bank, stack)
        for row in (before, bad, after):
            row.push(MULAW.silence * 1024, "mulaw")
        ticker.run()
        assert [str(fault) for fault in faults] == ["told 224"]
        assert len(heard_before.positions) == len(heard_after.positions) == 4
        bad.push(MULAW.silence * 1024, "mulaw")
        ticker.run()
        assert len(faults) == 1


async def test_a_batch_is_bounded_and_the_rest_waits_for_the_next_slot(
    ticker: HandTicker, mock_clock: MockClock
) -> None:
    bank = VadBank(Silero(), ticker, max_rows=4, slot=0.02)
    with ExitStack() as stack:
        joined = [join(bank, stack) for _ in range(10)]
        for row, _ in joined:
            row.push(MULAW.silence * 256, "mulaw")
        done = []
        while ticker.asked:
            ticker.tick()
            done.append(sum(len(heard.positions) for _, heard in joined))
            if len(done) == 1:
                assert [when for when, _ in ticker.asked] == [mock_clock.current_time() + 0.01]
        assert done == [4, 8, 10]


async def test_what_waits_is_bounded_by_dropping_the_oldest(ticker: HandTicker) -> None:
    bank = VadBank(Silero(), ticker, backlog=0.1)
    pcm = recording("librivox_0880.wav")
    with ExitStack() as stack:
        row, heard = join(bank, stack)
        row.push(MULAW.encode(pcm[: 256 * 20 + 100]), "mulaw")
        ticker.run()
        assert row.dropped == 17
        assert heard.positions == [256 * 18, 256 * 19, 256 * 20]
        # The first window that is heard follows the audio that really came before it.
        model = Silero()
        audio = pcm[256 * 17 - 32 : 256 * 18].astype(np.float32)[None] / FULL_SCALE
        wanted, _ = model.step(audio[:, 32:], audio[:, :32], np.zeros((1, 256), np.float32))
        assert heard.probabilities[0] == pytest.approx(float(wanted[0]), abs=1e-6)


async def test_with_the_metronome_an_answer_comes_within_a_slot_for_each_batch(autojump_clock: MockClock) -> None:
    # Given 60 calls whose windows are complete at the same moment: more than one batch.
    metronome = Metronome()
    bank = VadBank(Silero(), metronome, slot=metronome.slot)
    late: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        with ExitStack() as stack:
            await trio.sleep(0.0513)
            pushed = autojump_clock.current_time()
            rows = [
                stack.enter_context(
                    bank.join(
                        on_probability=lambda *_: late.append(autojump_clock.current_time() - pushed),
                        on_fault=broken,
                    )
                )
                for _ in range(60)
            ]
            for row in rows:
                row.push(MULAW.silence * 256, "mulaw")
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert len(late) == 60
    assert max(late[:48]) <= metronome.slot
    assert max(late) <= 2 * metronome.slot


async def test_the_usual_backlog_is_a_second(bank: VadBank, ticker: HandTicker) -> None:
    with ExitStack() as stack:
        row, heard = join(bank, stack)
        row.push(MULAW.silence * 256 * 40, "mulaw")
        ticker.run()
        assert (len(heard.positions), row.dropped) == (31, 9)


async def test_encodings_may_be_mixed_between_rows_and_within_one(bank: VadBank, ticker: HandTicker) -> None:
    pcm = recording("librivox_0930.wav")
    with ExitStack() as stack:
        mulaw, heard_mulaw = join(bank, stack)
        alaw, heard_alaw = join(bank, stack)
        l16, heard_l16 = join(bank, stack)
        mixed, heard_mixed = join(bank, stack)
        f32, heard_f32 = join(bank, stack)
        for number, start in enumerate(range(0, len(pcm), 160)):
            frame = pcm[start : start + 160]
            mulaw.push(MULAW.encode(frame), "mulaw")
            alaw.push(ALAW.encode(frame), "alaw")
            l16.push(from_pcm(frame, "l16"), "l16")
            if number // 10 % 2:
                mixed.push_pcm(frame)
            else:
                mixed.push(MULAW.encode(frame), "mulaw")
            f32.push(from_pcm(frame, "f32"), "f32")
            ticker.run()
    assert heard_mulaw.probabilities == pytest.approx(alone(pcm), abs=1e-5)
    assert heard_alaw.probabilities == pytest.approx(alone(ALAW.decode(ALAW.encode(pcm)), 32), abs=1e-5)
    assert heard_l16.probabilities == pytest.approx(alone(pcm, 64), abs=1e-5)
    assert heard_mixed.probabilities == pytest.approx(alone(pcm, 96), abs=1e-5)
    assert heard_f32.probabilities == pytest.approx(alone(pcm, 128), abs=1e-5)


async def test_half_a_sample_is_refused(bank: VadBank) -> None:
    with ExitStack() as stack:
        row, _ = join(bank, stack)
        with pytest.raises(AudioError):
            row.push(b"abc", "l16")


async def test_audio_at_another_rate_is_resampled_and_positions_stay_the_calls_own(
    bank: VadBank, ticker: HandTicker
) -> None:
    pcm, rate = read_wav(DATA / "speech" / "cards_005.wav")
    assert rate == 16000
    with ExitStack() as stack:
        join(bank, stack)
        row, heard = join(bank, stack, sample_rate=rate)
        for start in range(0, len(pcm), 320):
            row.push(from_pcm(pcm[start : start + 320], "l16"), "l16")
            ticker.run()
    wanted = alone(Resampler(16000, 8000).push(pcm), 32)
    assert heard.probabilities == pytest.approx(wanted, abs=1e-5)
    assert heard.positions == list(range(2 * 224, 2 * 224 + 512 * len(wanted), 512))


async def test_a_reset_forgets_what_was_heard(bank: VadBank, ticker: HandTicker) -> None:
    pcm = recording("cards_002.wav")
    with ExitStack() as stack:
        row, heard = join(bank, stack)
        row.push(MULAW.encode(pcm[:5120]), "mulaw")
        ticker.run()
        row.reset()
        row.push(MULAW.encode(pcm[5120:10240]), "mulaw")
        ticker.run()
    assert heard.probabilities[20:] == pytest.approx(alone(pcm[5120:10240]), abs=1e-5)
    assert heard.probabilities[20:] != pytest.approx(alone(pcm[:10240])[20:], abs=1e-3)
    assert heard.positions[-1] == 10240


@pytest.mark.parametrize(
    "name", ["librivox_0870.wav", "am_michael_14_long.wav", "bf_emma_16_yes.wav", "af_nova_34_cut.wav"]
)
async def test_a_voice_on_a_quiet_line_starts_and_stops_where_it_does(
    bank: VadBank, ticker: HandTicker, name: str
) -> None:
    # Given a second of line noise, a voice, and another second of noise.
    path = next(DATA.glob(f"*/{name}"))
    voice, rate = read_wav(path)
    to_line = ToCarrier(AudioFormat("l16", rate), AudioFormat("l16", 8000))
    voice = np.frombuffer(to_line.push(from_pcm(voice, "l16")) + to_line.flush(), np.int16)
    noise = np.random.default_rng(4).normal(0, 20, len(voice) + 16000)
    noise[8000:-8000] += voice
    line = noise.clip(-32768, 32767).astype(np.int16)
    loud = np.flatnonzero(np.abs(voice.astype(int)) > 1000) + 8000

    activity = VoiceActivity(VadSettings())
    facts = []

    def told(probability: float, position: int) -> None:
        if fact := activity.feed(probability, position):
            facts.append(fact)

    with bank.join(on_probability=told, on_fault=broken) as row:
        for frame in frames(line):
            row.push(frame, "mulaw")
            ticker.run()

    starts = [fact for fact in facts if isinstance(fact, VoiceStarted)]
    stops = [fact for fact in facts if isinstance(fact, VoiceStopped)]
    assert len(starts) == len(stops) >= 1
    assert loud[0] - 2400 < starts[0].onset < loud[0] + 1200
    assert starts[0].audio_from < loud[0]
    assert loud[-1] - 1600 < stops[-1].ended < loud[-1] + 3200
