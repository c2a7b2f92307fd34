/* consent [--no-browser] ['CONNECTION STRING' | -]: what DataDirect's button "Fetch OAuth Token" does.
 *
 * Asks for a token; where a person must consent first, lets them do it in the browser, and asks again. The connection
 * string is better not an argument, which ps shows: without one it is read from AUTHGRANT_CONNECTION_STRING, and where that
 * is not set, or for `-`, from the standard input. With --no-browser the URL to open is printed. */
#include "authgrant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LONGEST = 65536 };

static const char *text(const char *value) { return value != NULL ? value : "-"; }

/* An error, or a chain of them. */
static void show(const authgrant_error *error) {
    for (; error != NULL; error = authgrant_error_next(error)) {
        fprintf(stderr, "error: %s SQLSTATE %s\n  %s\n", authgrant_status_name(authgrant_error_status(error)),
                authgrant_error_sqlstate(error), authgrant_error_message(error));
        fprintf(stderr, "  option: %s, OAuth error: %s\n", text(authgrant_error_option(error)),
                text(authgrant_error_oauth_error(error)));
    }
}

static int usage(const char *program) {
    fprintf(stderr, "usage: %s [--no-browser] ['CONNECTION STRING' | -]\n", program);
    fprintf(stderr, "or the connection string in AUTHGRANT_CONNECTION_STRING, or on the standard input\n");
    return 2;
}

/* The whole standard input; NULL where it is longer than any connection string, or cannot be read. */
static const char *standard_input(void) {
    static char buffer[LONGEST];
    size_t length = fread(buffer, 1, sizeof buffer - 1, stdin);
    buffer[length] = '\0';
    return ferror(stdin) || length == sizeof buffer - 1 || strlen(buffer) != length ? NULL : buffer;
}

/* Shows the person where to go, instead of a browser. */
static int32_t print_url(const char *url, void *context) {
    (void)context;
    printf("Open this URL, on this machine:\n%s\n", url);
    return fflush(stdout);
}

static void report(const char *what, const authgrant_token *token) {
    long long end = (long long)authgrant_token_expires_at(token);
    printf("%s\n", what);
    printf("token: %s %.8s… (%zu characters)\n", authgrant_token_type(token), authgrant_token_value(token),
           authgrant_token_length(token));
    if (end != 0) printf("ends in %lld seconds\n", end - (long long)time(NULL));
}

/* Asks for a token, with a person where one is needed. */
static authgrant_status fetch(authgrant_connection *connection, int no_browser, authgrant_error **error) {
    authgrant_call_options alone = {sizeof alone, 0, 0, AUTHGRANT_NO_PROMPT};
    authgrant_token *token = NULL;
    authgrant_status status = authgrant_get_token_with(connection, &alone, &token, error);

    if (status == AUTHGRANT_OK) {
        report("Consent is there already.", token);
    } else if (status == AUTHGRANT_CONSENT_REQUIRED) {
        printf("Consent is required, at\n%s\n", text(authgrant_error_consent_url(*error)));
        printf("Waiting for it%s …\n", no_browser ? "" : " in the browser");
        authgrant_error_free(*error);
        status = authgrant_authorize(connection, no_browser ? print_url : NULL, NULL, error);
        if (status == AUTHGRANT_OK) status = authgrant_get_token_with(connection, &alone, &token, error);
        if (status == AUTHGRANT_OK) report("Consent has arrived.", token);
        if (status == AUTHGRANT_UNSUPPORTED && !no_browser) printf("Without a browser here, try --no-browser.\n");
    }
    authgrant_token_free(token);
    return status;
}

int main(int argc, char **argv) {
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    int next = 1, no_browser = 0;

    if (next < argc && strcmp(argv[next], "--no-browser") == 0) {
        no_browser = 1;
        next++;
    }
    if (argc - next > 1 || (next < argc && strncmp(argv[next], "--", 2) == 0)) return usage(argv[0]);
    const char *string = next < argc ? argv[next] : getenv("AUTHGRANT_CONNECTION_STRING");
    if (string == NULL || strcmp(string, "-") == 0) string = standard_input();
    if (string == NULL || string[0] == '\0') return usage(argv[0]);

    setvbuf(stdout, NULL, _IOLBF, 0); /* what is printed is seen while the program waits */
    authgrant_status status = authgrant_open(string, &connection, &error);
    if (status == AUTHGRANT_OK) status = fetch(connection, no_browser, &error);
    show(error);
    authgrant_error_free(error);
    authgrant_close(connection);
    return status == AUTHGRANT_OK ? 0 : 1;
}
