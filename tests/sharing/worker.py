"""One process of a fleet in Python: the commands policy, open, set, get, clear, warnings and close of worker.c, and

  pool METHOD COUNT STRING  gets a token in COUNT processes that multiprocessing starts by METHOD: `fork`, where they use the connections of
                            this process, or `spawn`, where each opens one: STATUS TOKENS
"""

import multiprocessing
import sys
import time
import warnings

import authgrant

connections = []


def flatten(text):
    return str(text).replace("\t", " ").replace("\n", " ")


def get(timeout_ms):
    status, sqlstate, message, tokens, expires_at = "OK", "", "", [], 0
    started = time.monotonic_ns()
    for connection in connections:
        try:
            token = connection.token(timeout=int(timeout_ms) / 1000 or None)
        except authgrant.Error as error:
            if status == "OK":
                status, sqlstate, message = type(error).__name__, error.sqlstate, flatten(error)
        else:
            expires_at = int(token.expires_at.timestamp()) if token.expires_at else 0
            if token.value not in tokens:
                tokens.append(token.value)
    return [status, sqlstate, ",".join(tokens), expires_at, started, time.monotonic_ns(), message]


def open_and_get(string, barrier):
    with authgrant.Connection(string) as connection:
        barrier.wait()
        return connection.token().value


def use_inherited(barrier):
    barrier.wait()
    return connections[0].token().value


def _child(method, string, barrier, queue):
    try:
        if method == "spawn":
            authgrant.set_policy(allow=authgrant.Allow.TOKEN_CACHE)
        queue.put(["OK", use_inherited(barrier) if method == "fork" else open_and_get(string, barrier)])
    except authgrant.Error as error:
        queue.put([type(error).__name__, flatten(error)])


def pool(method, count, string):
    context = multiprocessing.get_context(method)
    barrier, queue = context.Barrier(int(count)), context.Queue()
    processes = [context.Process(target=_child, args=(method, string, barrier, queue)) for _ in range(int(count))]
    for process in processes:
        process.start()
    outcomes = [queue.get(timeout=100) for _ in processes]
    for process in processes:
        process.join()
    failures = [outcome for outcome in outcomes if outcome[0] != "OK"]
    return failures[0] if failures else ["OK", ",".join(sorted({token for _, token in outcomes}))]


def run(command, arguments):
    if command == "policy":
        authgrant.set_policy(allow=int(arguments))
    elif command == "open":
        count, string = arguments.split(" ", 1)
        connections.extend(authgrant.Connection(string) for _ in range(int(count)))
    elif command == "set":
        name, value = arguments.split(" ", 1)
        for connection in connections:
            connection.set_option(name, value)
    elif command == "get":
        return get(arguments or 0)
    elif command == "clear":
        authgrant.clear_caches()
    elif command == "warnings":
        return ["OK", *(flatten(one) for connection in connections for one in connection.warnings())]
    elif command == "close":
        while connections:
            connections.pop().close()
    elif command == "pool":
        return pool(*arguments.split(" ", 2))
    else:
        raise SystemExit(f"unknown command {command}")
    return ["OK"]


def main():
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        command, _, arguments = line.rstrip("\n").partition(" ")
        try:
            answer = run(command, arguments)
        except authgrant.Error as error:
            answer = [type(error).__name__, error.sqlstate, flatten(error)]
        print(*answer, sep="\t", flush=True)


if __name__ == "__main__":
    main()
