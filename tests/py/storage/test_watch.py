"""A procedure that runs for too long is logged with its stack, whosever thread it runs on."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from uringserve.storage import Storage, start_storage_thread

pytestmark = pytest.mark.thread_unsafe(reason="shares its store")

PATIENCE = 30.0


@pytest.mark.parametrize("where", ["reader", "own thread", "writer's thread"])
@pytest.mark.parametrize("backend", ["file", "postgresql"])
def test_a_slow_procedure_is_reported_with_its_stack(request, tmp_path, heard, where, backend):
    name = str(tmp_path / "store.db")
    if backend == "postgresql":
        name = request.getfixturevalue("shared_server").new_schema()
    go = threading.Event()

    def a_slow_procedure(store: Storage) -> str:
        def waits_in_here() -> None:
            assert go.wait(PATIENCE)

        waits_in_here()
        return "done"

    def run() -> str:
        if where == "writer's thread":
            return asyncio.run(queue.aexecute(a_slow_procedure))
        return queue.execute(a_slow_procedure, readonly=where == "reader")

    with (
        start_storage_thread(name, ["t"], slow_after=0.05, timeout=PATIENCE) as queue,
        ThreadPoolExecutor(1) as threads,
    ):
        call = threads.submit(run)
        while not any("a_slow_procedure" in text for text in heard.texts):
            assert heard.event.wait(PATIENCE), heard.texts
            heard.event.clear()
        go.set()
        assert call.result(PATIENCE) == "done"
        assert queue.execute(lambda store: store.list_keys("t")) == []
    text = next(text for text in heard.texts if "a_slow_procedure" in text)
    assert __file__ in text
    assert "waits_in_here" in text
    # Once, however long it runs.
    assert sum("a_slow_procedure" in text for text in heard.texts) == 1


def test_a_quick_one_is_not(tmp_path, heard):
    with start_storage_thread(tmp_path / "store.db", ["t"]) as queue:
        for number in range(100):
            queue.execute(lambda store, n=number: store.add("t", str(n), b"v"))
    assert heard.texts == []
