"""What is read of a contact."""

import gc
import weakref

from ingestion.pipeline.entries import Entry, read


def test_an_entry_keeps_nothing_of_the_frames_it_was_read_in() -> None:
    """Or the slice would live until the garbage collector comes by."""

    class Local:
        pass

    def read_here() -> weakref.ref[Local]:
        local = Local()
        entry = read(
            0, b'{"phone_number": "+14155550100", "list_number": "+18005551234", "custom_fields": []}'
        )
        assert entry.error is not None
        assert entry.error.more == {"field": "custom_fields"}
        entries.append(entry)
        return weakref.ref(local)

    entries: list[Entry] = []
    gc.disable()
    try:
        assert read_here()() is None
    finally:
        gc.enable()
