/* fork() while other threads continuously sign and get tokens, starting with their first calls: no child may wait for a thread
   that does not exist in it. Usage: fork_stress STRING [FORKS]; each process has 3 threads and forks 20 times. */
#include <authgrant.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 3, FORKS_PER_PROCESS = 20, CHILD_TIMEOUT_SECS = 60, STEP_NANOSECONDS = 25000, STEPS = 60 };

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

static void *sign_until_killed(void *unused) {
    (void)unused;
    while (!atomic_load(&started))
        ;
    for (;;) {
        authgrant_connection *connection = NULL;
        get_token();
        if (authgrant_open(connection_string, &connection, NULL) != AUTHGRANT_OK) continue;
        for (int i = 0; i < 20; i++) {
            char *assertion = NULL;
            authgrant_create_assertion(connection, &assertion, NULL);
            authgrant_string_free(assertion);
        }
        authgrant_close(connection);
    }
    return NULL;
}

static int exited_successfully(pid_t pid) {
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Runs in a process that has not called the library. The exit status is the number of children without a token. */
static void run_fresh_process(unsigned run) {
    pthread_t thread;
    int failed = 0;
    srand(run);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread, NULL, sign_until_killed, NULL) != 0) _exit(99);
    atomic_store(&started, 1);
    for (int i = 0; i < FORKS_PER_PROCESS; i++) {
        long step = i == 0 ? (long)(run % STEPS) : rand() % 80;
        struct timespec delay = {0, step * STEP_NANOSECONDS};
        nanosleep(&delay, NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(CHILD_TIMEOUT_SECS); /* kills a hanging child, so that the parent reports it */
            _exit(get_token() ? 0 : 1);
        }
        failed += !exited_successfully(child);
    }
    _exit(failed);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    connection_string = argv[1];
    long forks = argc > 2 ? atol(argv[2]) : 1000;
    for (unsigned run = 0; (long)run * FORKS_PER_PROCESS < forks; run++) {
        pid_t pid = fork();
        if (pid == 0) run_fresh_process(run);
        CHECK(exited_successfully(pid));
    }
    return checks_done("fork_stress");
}
