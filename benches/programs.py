"""The programs that are measured: those that answer one figure a line, and those that are started anew each time."""

import os
import subprocess
import time


class Program:
    """A program that runs on, so that programs can take turns."""

    def __init__(self, *command):
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def query(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer or answer.startswith("error"):
            raise SystemExit(f"{self.command[0]} has no answer to {words}: {answer}")
        return [float(number) for number in answer.split()]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def run_once(*command):
    """Runs a command once: what it writes, the nanoseconds of its life, and of its processors."""
    started = time.perf_counter_ns()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    lasted = time.perf_counter_ns() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    said = process.stdout.read()
    process.stdout.close()
    if process.returncode != 0:
        raise SystemExit(f"{command} has failed")
    return [float(number) for number in said.split()], lasted, (usage.ru_utime + usage.ru_stime) * 1e9


def run_in_turns(count, contestants):
    """Lets each have its turn, one after the other, so many times: what a neighbour does to one it does to all."""
    answers = {name: [] for name in contestants}
    for _ in range(count):
        for name, play in contestants.items():
            answers[name].append(play())
    return answers


def count_instructions(command, asked):
    """How many instructions a command takes to answer these lines, by callgrind."""
    quiet = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command]
    done = subprocess.run(quiet, input="".join(f"{line}\n" for line in asked), capture_output=True, text=True, check=True)
    counts = [line.rsplit(":", 1)[1] for line in done.stderr.splitlines() if "Collected" in line]
    return int(counts[0])
