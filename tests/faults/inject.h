/* Injection of failures into the calls of libauthgrant.so to the C library and to the kernel.

   The program defines functions of the C library (inject.c), and the dynamic linker binds the calls of the library to them. The names of
   these functions, their failures and the statuses that fit are the table `injected_functions`. Only calls that come from the library
   are counted, from all threads, and only between inject_arm() and inject_disarm(). */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>
#include <stdint.h>

/* Failures that are not an errno. */
enum { FAILURE_SHORT = -1, FAILURE_END = -2 };

enum { MAX_FAILURES = 12 };

struct injected_function {
    const char *name;
    int failures[MAX_FAILURES]; /* errno, EAI_ code or FAILURE_; ends with 0 */
    uint64_t statuses;          /* bit N: the call of the library may return status N */
    bool may_abort;             /* docs/limits.md says that the process may end */
};

extern const struct injected_function injected_functions[];
extern const int injected_function_count;

/* To be called once in the process, before the library is used. */
void inject_init(void);

/* From now on the calls of the library are counted, and the one with this number (from 1 on) fails; with `persistent` all later calls of
   the function fail, too. A number of 0 only counts. */
void inject_arm(int function, int failure, long number, bool persistent);
void inject_disarm(void);

/* The calls of a function since inject_arm(). */
long inject_calls(int function);

/* Where to count the calls that failed since inject_arm(). */
void inject_count_failed_calls_in(long *counter);

/* Traps the system calls that the library makes without the C library, for this process and what it executes. */
void inject_trap_system_calls(void);

/* A name of the failure for messages, such as EIO. */
const char *failure_name(int function, int failure);
/* Whether a failure may occur in each later call, too. A call that is interrupted, or not possible yet, is repeated until it is. */
bool failure_can_persist(int failure);

#endif
