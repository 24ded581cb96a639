from authgw.radius.clients import ClientTable, LearnedSigners, RadiusClient
from authgw.radius.duplicates import ANSWER_KEPT_NS, RUNNING_KEPT_NS, DuplicateCache

KEY = ("10.0.0.1", 1645, "10.0.0.9", 1, 7)
A, B = b"a" * 16, b"b" * 16


def test_running_then_answered_then_forgotten():
    cache = DuplicateCache()
    first = cache.admit(KEY, A, 50, 0)
    assert first.kind == "new"
    assert cache.admit(KEY, A, 50, 1).kind == "running"
    assert cache.answer(first.entry, b"reply", 10)
    again = cache.admit(KEY, A, 50, 11)
    assert (again.kind, again.entry.reply) == ("answered", b"reply")
    assert cache.admit(KEY, A, 50, 10 + ANSWER_KEPT_NS).kind == "new"


def test_another_authenticator_abandons_the_old_request():
    cache = DuplicateCache()
    old = cache.admit(KEY, A, 50, 0)
    new = cache.admit(KEY, B, 50, 1)
    assert new.kind == "new"
    assert not cache.answer(old.entry, b"late", 2)
    assert cache.answer(new.entry, b"right", 3)
    assert cache.admit(KEY, B, 50, 4).entry.reply == b"right"


def test_another_length_is_another_request():
    cache = DuplicateCache()
    cache.admit(KEY, A, 50, 0)
    assert cache.admit(KEY, A, 51, 1).kind == "new"


def test_every_part_of_the_key_counts():
    cache = DuplicateCache()
    cache.admit(KEY, A, 50, 0)
    for position, other in enumerate(("10.0.0.2", 1646, "10.0.0.8", 12, 8)):
        key = (*KEY[:position], other, *KEY[position + 1 :])
        assert cache.admit(key, A, 50, 1).kind == "new"


def test_abandoned_and_overdue_requests_are_new_again():
    cache = DuplicateCache()
    entry = cache.admit(KEY, A, 50, 0).entry
    cache.abandon(entry)
    assert cache.admit(KEY, A, 50, 1).kind == "new"
    assert cache.admit(KEY, A, 50, 1 + RUNNING_KEPT_NS).kind == "new"


def test_the_memory_is_bounded_and_forgets_the_oldest():
    cache = DuplicateCache(max_requests=100)
    for i in range(1000):
        cache.admit((*KEY[:4], i), A, 50, i)
    assert len(cache) == 100
    assert cache.admit((*KEY[:4], 999), A, 50, 1000).kind == "running"
    assert cache.admit((*KEY[:4], 0), A, 50, 1000).kind == "new"


def test_longest_network_wins():
    table = ClientTable(
        (
            RadiusClient("10.0.0.0/8", b"wide-secret", "wide"),
            RadiusClient("10.1.2.3/32", b"host-secret", "host"),
            RadiusClient("10.1.0.0/16", b"site-secret", "site"),
            RadiusClient("2001:db8::/32", b"six--secret", "six"),
        )
    )
    names = {a: getattr(table.find(a), "name", None) for a in ("10.1.2.3", "10.1.2.4", "10.2.0.1", "11.0.0.1")}
    assert names == {"10.1.2.3": "host", "10.1.2.4": "site", "10.2.0.1": "wide", "11.0.0.1": None}
    assert getattr(table.find("2001:db8::5"), "name", None) == "six"
    assert getattr(table.find("::ffff:10.1.2.3"), "name", None) == "host"
    assert "secret" not in repr(RadiusClient("10.0.0.0/8", b"wide-secret", "wide")).replace("secret=", "")


def test_learning_never_forgets_and_keeps_the_first_time():
    learned = LearnedSigners({"10.0.0.1": 5})
    learned.learn("10.0.0.1", 9)
    assert not learned.changed
    learned.learn("10.0.0.2", 9)
    assert learned.changed
    assert learned.first_seen_unix_ns() == {"10.0.0.1": 5, "10.0.0.2": 9}
