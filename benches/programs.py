"""The measured programs: long-running ones that execute one command per line, and programs that run once."""

import os
import subprocess
import time


class Program:
    """A long-running program, so that runs of several programs can alternate."""

    def __init__(self, *command):
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def query(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        reply = self.process.stdout.readline()
        if not reply or reply.startswith("error"):
            raise SystemExit(f"{self.command[0]} failed to execute {words}: {reply}")
        return [float(number) for number in reply.split()]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def run_once(*command):
    """Runs a command once; returns its output, elapsed nanoseconds and nanoseconds of CPU time."""
    started = time.perf_counter_ns()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter_ns() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    output = process.stdout.read()
    process.stdout.close()
    if process.returncode != 0:
        raise SystemExit(f"{command} failed")
    return [float(number) for number in output.split()], elapsed, (usage.ru_utime + usage.ru_stime) * 1e9


def run_in_turns(count, contestants):
    """Runs each contestant in turn, `count` times, so that other load on the machine affects all of them equally."""
    samples = {name: [] for name in contestants}
    for _ in range(count):
        for name, run in contestants.items():
            samples[name].append(run())
    return samples


def count_instructions(command, lines):
    """Counts the instructions of a program for these command lines with callgrind."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command]
    completed = subprocess.run(valgrind, input="".join(f"{line}\n" for line in lines), capture_output=True, text=True, check=True)
    counts = [line.rsplit(":", 1)[1] for line in completed.stderr.splitlines() if "Collected" in line]
    return int(counts[0])
