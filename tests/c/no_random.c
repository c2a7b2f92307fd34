/* getrandom() fails from the first call of the library, with each errno in a separate process: calls must return an error
 * instead of aborting. They may succeed if the system has a fallback (/dev/urandom). */
#define _GNU_SOURCE
#include "authgrant.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int deny_getrandom(int number) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)number & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Returns 0 for success and 1 for an error with a message about random errnos; other values are failures. */
static int try_get_token(const char *text) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_open(text, &connection, &error);
    if (status == AUTHGRANT_OK) status = authgrant_get_token(connection, &token, &error);
    const char *message = authgrant_error_message(error);
    if (status != AUTHGRANT_OK) printf("  %s %s\n", authgrant_status_name(status), message);
    int failed = status != AUTHGRANT_OK;
    if (failed && (error == NULL || strstr(message, "random") == NULL)) return 7;
    authgrant_token_free(token);
    authgrant_close(connection);
    authgrant_error_free(error);
    return failed;
}

int main(int argc, char **argv) {
    static const int errnos[] = {EPERM, EACCES, ENOSYS, EINVAL, EFAULT, EAGAIN, EINTR, ENOMEM, EIO};
    if (argc != 2) return 2;
    int failures = 0;
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            if (!deny_getrandom(errnos[i])) _exit(9);
            int result = try_get_token(argv[1]);
            /* Again: the first failure must not leave partially initialized state. */
            if (result <= 1 && try_get_token(argv[1]) != result) result = 8;
            fflush(stdout);
            _exit(result);
        }
        int status = 0;
        waitpid(child, &status, 0);
        int ok = WIFEXITED(status) && WEXITSTATUS(status) <= 1;
        printf("%s: %s (%d)\n", strerror(errnos[i]), ok ? "ok" : "FAILED", status);
        failures += !ok;
    }
    printf("no_random: %d failures\n", failures);
    return failures != 0;
}
