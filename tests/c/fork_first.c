/* fork() while other threads make their first calls: the child must get a token even if a thread was initializing the library,
   because that thread does not exist in the child. */
#include <authgrant.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { RUNS = 60, THREADS = 3, CHILD_TIMEOUT_SECS = 60, STEP_NANOSECONDS = 25000 };

static const char *connection_string;
static atomic_int started;

static int get_token(void) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    int ok = authgrant_open(connection_string, &connection, NULL) == AUTHGRANT_OK
        && authgrant_get_token(connection, &token, NULL) == AUTHGRANT_OK;
    authgrant_token_free(token);
    authgrant_close(connection);
    return ok;
}

static void *first_call(void *argument) {
    (void)argument;
    while (!atomic_load(&started))
        ;
    get_token();
    return NULL;
}

static int wait_for_exit_status(pid_t pid) {
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Runs in a process that has not called the library: starts threads that do, and forks shortly afterwards. */
static void run_fresh_process(int run) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, first_call, NULL) != 0)
            _exit(2);
    atomic_store(&started, 1);
    struct timespec delay = {0, (long)run * STEP_NANOSECONDS};
    nanosleep(&delay, NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_TIMEOUT_SECS); /* kills a hanging child, so that the parent reports it */
        _exit(get_token() ? 0 : 1);
    }
    _exit(wait_for_exit_status(child) == 0 ? 0 : 3);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    connection_string = argv[1];
    for (int run = 0; run < RUNS; run++) {
        pid_t pid = fork();
        if (pid == 0)
            run_fresh_process(run);
        CHECK(wait_for_exit_status(pid) == 0);
    }
    return checks_done("fork_first");
}
