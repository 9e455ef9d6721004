"""The journal: kept in memory within bounds, written and read back."""

from __future__ import annotations

from callengine.journal import FACTS_KEPT, TRAFFIC_KEPT, Journal, JournalSettings, Record, read_journal


async def test_records_are_kept_in_the_order_in_which_they_were_written(autojump_clock):
    journal = Journal("CA1", JournalSettings())
    journal.note("turn.ended", turn=1)
    journal.note("media.sent", utterance=1)
    journal.note("reply.ended", turn=1)
    assert [record.kind for record in journal] == ["turn.ended", "media.sent", "reply.ended"]
    assert [record.kind for record in journal.of("media.sent")] == ["media.sent"]


async def test_an_hour_of_media_pushes_no_turn_out(autojump_clock):
    journal = Journal("CA1", JournalSettings())
    journal.note("turn.ended", turn=1)
    for _ in range(5 * TRAFFIC_KEPT):
        journal.note("media.sent", utterance=1)
    assert len(journal.of("media.sent")) == TRAFFIC_KEPT
    assert len(journal.of("turn.ended")) == 1
    assert journal.dropped == 0


async def test_the_oldest_facts_go_first_and_are_counted(autojump_clock):
    journal = Journal("CA1", JournalSettings())
    for number in range(FACTS_KEPT + 3):
        journal.note("decision", what=number)
    assert next(iter(journal)).data["what"] == 3
    assert journal.dropped == 3


async def test_audio_is_told_to_watchers_and_not_kept(autojump_clock):
    seen: list[Record] = []
    journal = Journal("CA1", JournalSettings(audio=True), watchers=[seen.append])
    journal.note("media.received", position=0, audio=b"\xff")
    assert [record.kind for record in seen] == ["media.received"]
    assert list(journal) == []


def test_a_file_reads_back_whatever_the_caller_said(tmp_path):
    said = 'a line\u2028separator, a \u0085 next line, "quotes" and a \\ backslash\nand a new line'
    records = [
        Record("CA1", 0.0, "call.started", {"call_id": "CA1"}),
        Record("CA1", 1.25, "transcript", {"utterance": 1, "text": said, "final": True}),
        Record("CA1", 2.0, "media.sent", {"audio": b"\x00\xff"}),
    ]
    path = tmp_path / "CA1.jsonl"
    path.write_text("".join(record.to_json() + "\n" for record in records) + '{"v":1,"t":3.0,"ki', encoding="utf-8")
    back = read_journal(path)
    assert back[:2] == records[:2]
    assert back[2].data == {"audio": "AP8="}
    assert len(back) == 3
