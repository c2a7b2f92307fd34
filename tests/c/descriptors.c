/* A process without free descriptors, and one without standard streams. Usage: descriptors STRING DIRECTORY. Tokens are shared in
   DIRECTORY. */
#include "authgrant.h"
#include "check.h"
#include "get_token.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DESCRIPTOR_LIMIT = 64, CHILD_TIMEOUT_SECS = 60 };

/* Takes all free descriptors. Returns their number. */
static int take_descriptors(int descriptors[DESCRIPTOR_LIMIT]) {
    int count = 0;
    while (count < DESCRIPTOR_LIMIT && (descriptors[count] = dup(0)) >= 0) count++;
    CHECK(errno == EMFILE);
    return count;
}

/* Gets a token without free descriptors, and then with them. Returns the status of the first call. */
static authgrant_status run_out_of_descriptors(authgrant_connection *connection, authgrant_status expected_later) {
    int descriptors[DESCRIPTOR_LIMIT], count = take_descriptors(descriptors);
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_get_token(connection, &token, &error);
    printf("  %s %s\n", authgrant_status_name(status), authgrant_error_message(error));
    CHECK(error != NULL && strstr(authgrant_error_message(error), "open files") != NULL);
    authgrant_error_free(error);
    while (count > 0) close(descriptors[--count]);
    CHECK(authgrant_get_token(connection, &token, &error) == expected_later);
    CHECK(error == NULL || strstr(authgrant_error_message(error), "open files") == NULL);
    if (error != NULL) printf("  then %s\n", authgrant_error_message(error));
    authgrant_token_free(token);
    authgrant_error_free(error);
    authgrant_close(connection);
    return status;
}

/* The key store, the trust store and the socket in turn cannot be opened. */
static void check_full_descriptor_table(const char *text) {
    struct rlimit limit = {DESCRIPTOR_LIMIT, DESCRIPTOR_LIMIT};
    char *assertion = NULL;
    authgrant_connection *connection = NULL;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    authgrant_clear_caches();
    CHECK(run_out_of_descriptors(open_with_scope(text, "key"), AUTHGRANT_OK) == AUTHGRANT_KEY_STORE_ERROR);
    authgrant_clear_caches();
    connection = open_with_scope(text, "trust");
    CHECK(authgrant_create_assertion(connection, &assertion, NULL) == AUTHGRANT_OK); /* reads the key store */
    authgrant_string_free(assertion);
    CHECK(run_out_of_descriptors(connection, AUTHGRANT_OK) == AUTHGRANT_KEY_STORE_ERROR);
    const char *unreachable = "AuthenticationMethod=53;ClientID=c;ClientSecret=s;TokenURI=POST http://127.0.0.1:1/";
    CHECK(run_out_of_descriptors(open_with_scope(unreachable, "socket"), AUTHGRANT_NETWORK) == AUTHGRANT_NETWORK);
}

static int used_streams;

static int standard_streams_in_use(void) {
    int count = 0;
    for (int descriptor = 0; descriptor <= 2; descriptor++) count += fcntl(descriptor, F_GETFD) != -1;
    return count;
}

static void check_standard_streams(int32_t level, const char *message, void *context) {
    (void)level, (void)message, (void)context;
    used_streams += standard_streams_in_use();
}

/* Closes the standard streams and returns how often one of them was in use, or -1 if a call failed. */
static int use_library_without_standard_streams(const char *text, const char *directory) {
    char store[4096], scope[32];
    snprintf(store, sizeof store, "file:%s", directory);
    snprintf(scope, sizeof scope, "daemon%d", (int)getpid()); /* no token of an earlier run */
    for (int descriptor = 0; descriptor <= 2; descriptor++) close(descriptor);
    authgrant_connection *connection = open_with_scope(text, scope);
    authgrant_set_option(connection, "TokenCache", store, NULL);
    authgrant_set_log(connection, check_standard_streams, NULL, 5, NULL);
    authgrant_status status = get_token(connection);
    used_streams += standard_streams_in_use(); /* the idle connection, the folder */
    authgrant_close(connection);
    return status == AUTHGRANT_OK ? used_streams : -1;
}

static void run_without_standard_streams(const char *text, const char *directory) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_TIMEOUT_SECS);
        _exit(use_library_without_standard_streams(text, directory) & 0xff);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    run_without_standard_streams(argv[1], argv[2]);
    check_full_descriptor_table(argv[1]);
    return checks_done("descriptors");
}
