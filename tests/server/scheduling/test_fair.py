"""The order in which pictures are answered, without threads, clocks or networks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from foveal.server.scheduling.fair import FairQueue


@dataclass(eq=False)
class Item:
    client: str = "a"
    kind: str = "m"
    cost: float = 1.0
    rank: int = 0


ITEMS = st.builds(
    Item,
    client=st.sampled_from("abc"),
    kind=st.sampled_from("mn"),
    cost=st.floats(0.001, 10),
    rank=st.integers(0, 2),
)


def filled(*items: Item) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue()
    for item in items:
        queue.put(item)
    return queue


def order(queue: FairQueue[Item], most: int = 1) -> str:
    """Return the clients in the order in which their items are taken."""
    return "".join(item.client for _ in range(len(queue)) for item in queue.take(most))


def test_one_client_is_answered_in_the_order_of_its_pictures() -> None:
    items = [Item() for _ in range(5)]
    queue = filled(*items)
    assert [queue.take(1)[0] for _ in items] == items
    assert queue.take(1) == []


def test_a_client_with_many_pictures_does_not_delay_one_with_few() -> None:
    queue = filled(*(Item("a") for _ in range(6)), Item("b"), Item("b"))
    assert order(queue) == "ababaaaa"


def test_shares_are_of_what_pictures_cost_not_of_their_number() -> None:
    queue = filled(*(Item("a", cost=3.0) for _ in range(3)), *(Item("b") for _ in range(6)))
    assert order(queue) == "abbbabbba"


def test_a_model_with_many_pictures_does_not_delay_another_of_the_same_client() -> None:
    queue = filled(*(Item(kind="m") for _ in range(4)), Item(kind="n"), Item(kind="n"))
    taken = [queue.take(1)[0].kind for _ in range(6)]
    assert "".join(taken) == "mnmnmm"


def test_a_batch_has_one_model_and_takes_from_all_clients_in_turn() -> None:
    queue = filled(
        *(Item("a", "m") for _ in range(4)), Item("b", "n"), *(Item("c", "m") for _ in range(2))
    )
    batch = queue.take(4)
    assert {item.kind for item in batch} == {"m"}
    assert Counter(item.client for item in batch) == {"a": 2, "c": 2}
    # Both were charged for it: whoever had nothing yet comes next.
    assert [item.client for item in queue.take(4)] == ["b"]
    assert [item.client for item in queue.take(4)] == ["a", "a"]


def test_a_priority_orders_the_pictures_of_its_own_client_only() -> None:
    queue = filled(Item("a", rank=9), Item("a", rank=1), Item("b", rank=9), Item("b", rank=9))
    taken = [queue.take(1)[0] for _ in range(4)]
    assert [(item.client, item.rank) for item in taken] == [
        ("a", 1),
        ("b", 9),
        ("a", 9),
        ("b", 9),
    ]


def test_one_that_was_away_has_saved_nothing_up() -> None:
    queue = filled(*(Item("a") for _ in range(20)))
    assert order_of(queue, 10) == "a" * 10
    for _ in range(5):
        queue.put(Item("b"))
    assert order_of(queue, 10) == "ababababab"


def order_of(queue: FairQueue[Item], count: int) -> str:
    return "".join(queue.take(1)[0].client for _ in range(count))


def test_one_that_asks_again_at_once_does_not_come_first_each_time() -> None:
    queue = filled(*(Item("a") for _ in range(10)), Item("b"))
    taken = ""
    for _ in range(10):
        client = queue.take(1)[0].client
        taken += client
        if client == "b":
            # Before anything else is taken, so that its queue was empty for an instant only.
            queue.put(Item("b"))
    assert taken == "ababababab"


def test_ever_new_clients_do_not_keep_an_old_one_waiting() -> None:
    queue = filled(Item("old"), Item("old"))
    taken = []
    for i in range(20):
        queue.put(Item(f"new {i}"))
        taken.append(queue.take(1)[0].client)
    assert taken.count("old") == 2


def test_what_is_removed_is_not_taken_and_not_charged() -> None:
    unwanted = Item("a", cost=100.0)
    queue = filled(unwanted, Item("a"), Item("b"))
    assert queue.remove(unwanted)
    assert not queue.remove(unwanted)
    assert len(queue) == 2
    assert order(queue) == "ab"
    assert not queue.remove(Item("c"))


def test_clients_that_left_are_forgotten() -> None:
    queue: FairQueue[Item] = FairQueue()
    for i in range(1000):
        queue.put(Item(f"client {i}"))
        queue.take(1)
    assert len(queue._clients.clocks) < 200


@given(st.lists(ITEMS, max_size=40), st.integers(1, 8), st.data())
def test_everything_is_taken_once_in_batches_of_one_model(
    items: list[Item], most: int, data: st.DataObject
) -> None:
    queue: FairQueue[Item] = FairQueue()
    waiting, taken = list(items), []
    while waiting or len(queue):
        if waiting and (not len(queue) or data.draw(st.booleans())):
            queue.put(waiting.pop(0))
            continue
        first = queue.first()
        batch = queue.take(most)
        assert batch[0] is first
        assert len(batch) <= most
        assert len({item.kind for item in batch}) == 1
        taken += batch
    assert Counter(map(id, taken)) == Counter(map(id, items))


@given(
    st.lists(st.floats(0.01, 5), min_size=1, max_size=30),
    st.lists(st.floats(0.01, 5), min_size=1, max_size=30),
    st.integers(1, 6),
)
def test_shares_of_clients_that_always_ask_never_differ_by_more_than_a_batch(
    first: list[float], second: list[float], most: int
) -> None:
    queue = filled(*(Item("a", cost=c) for c in first), *(Item("b", cost=c) for c in second))
    paid = Counter({"a": 0.0, "b": 0.0})
    left = Counter({"a": len(first), "b": len(second)})
    while left["a"] and left["b"]:
        # Each item goes to whoever paid least, so they differ by one item at most.
        assert abs(paid["a"] - paid["b"]) <= max(*first, *second) + 1e-9
        for item in queue.take(most):
            if left["a"] and left["b"]:
                paid[item.client] += item.cost
            left[item.client] -= 1
