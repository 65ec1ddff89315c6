from __future__ import annotations

from collections import Counter

from sitebrook.ids import is_id, new_id, new_secret


def test_ids_have_their_form_and_do_not_repeat() -> None:
    ids = {new_id("conv") for _ in range(2000)}
    assert len(ids) == 2000
    assert all(is_id(one) and one.startswith("conv_") for one in ids)
    assert len(new_secret("sk")) == len("sk-") + 43


def test_every_character_is_as_likely_as_any_other() -> None:
    counts = Counter("".join(new_secret("x")[2:] for _ in range(3000)))
    assert len(counts) == 62
    expected = 3000 * 43 / 62
    assert all(0.8 * expected < count < 1.2 * expected for count in counts.values())
