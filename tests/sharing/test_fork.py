"""Forked children and the stores that their parents have opened."""

import os

from workers import tokens_of


def test_child_uses_store_of_parent(start, server, cache):
    parent, other = start(2).open(server.service_string(cache))
    issued = tokens_of([parent.get()])
    server.behave("gate")
    parent.run("clear")
    _, result = parent.fork_and_get()
    assert tokens_of([result]) == issued, "the child reads the entry"
    parent.run("clear")
    other.run("clear")
    assert tokens_of([parent.get(), other.get()]) == issued, "the parent can still use its connection to the store"
    assert server.request_count() == 1
    assert parent.warnings() == []


def test_child_of_leader_keeps_no_lock(start, server, folder):
    parent, other, reader = start(3).open(server.service_string(f"TokenCache=file:{folder};", "TokenCacheWait=60;"))
    server.behave("gate")
    parent.run("start")
    server.wait_for_gate(1)
    child = parent.fork()
    parent.kill()
    os.kill(child, 0)
    other.run("start")
    server.wait_for_gate(1)
    server.open_gate()
    (token,) = tokens_of([other.wait()])
    # Only the holder of the lock writes.
    assert tokens_of([reader.get()]) == {token}
    assert server.request_count() == 2


def test_child_of_leader_does_not_lead(start, server, cache):
    parent, reader = start(2).open(server.service_string(cache, "TokenCacheWait=60;"))
    server.behave("gate")
    parent.run("start")
    server.wait_for_gate(1)
    parent.send("fork-get")
    server.open_gate()
    *fields, pid = parent.receive()
    parent.children.append(int(pid))
    (token,) = fields[2].split(",")
    assert tokens_of([parent.wait(), reader.get()]) == {token}, "the child waits for its parent"
    assert server.request_count() == 1
