/* Usage: consent [--no-browser] ['CONNECTION STRING' | -]. Equivalent of DataDirect's button "Fetch OAuth Token".
 *
 * Gets a token. If the user must consent first, opens the browser, waits for the consent and tries again. Avoid passing the
 * connection string as argument, because ps shows it. Without argument it is read from AUTHGRANT_CONNECTION_STRING; if that
 * is not set, or for `-`, from the standard input. With --no-browser the URL is printed instead of opened. */
#include "authgrant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_STRING_LEN = 65536 };

static const char *or_dash(const char *value) { return value != NULL ? value : "-"; }

/* Prints all errors of a chain. */
static void print_errors(const authgrant_error *error) {
    for (; error != NULL; error = authgrant_error_next(error)) {
        fprintf(stderr, "error: %s SQLSTATE %s\n  %s\n", authgrant_status_name(authgrant_error_status(error)),
                authgrant_error_sqlstate(error), authgrant_error_message(error));
        fprintf(stderr, "  option: %s, OAuth error: %s\n", or_dash(authgrant_error_option(error)),
                or_dash(authgrant_error_oauth_error(error)));
    }
}

static int usage(const char *program) {
    fprintf(stderr, "usage: %s [--no-browser] ['CONNECTION STRING' | -]\n", program);
    fprintf(stderr, "The connection string may also be in AUTHGRANT_CONNECTION_STRING or on the standard input.\n");
    return 2;
}

/* Reads the whole standard input; NULL if it is too long or cannot be read. */
static const char *read_stdin(void) {
    static char buffer[MAX_STRING_LEN];
    size_t length = fread(buffer, 1, sizeof buffer - 1, stdin);
    buffer[length] = '\0';
    return ferror(stdin) || length == sizeof buffer - 1 || strlen(buffer) != length ? NULL : buffer;
}

/* Open-URL callback: prints the URL for the user instead of opening a browser. */
static int32_t print_url(const char *url, void *context) {
    (void)context;
    printf("Open this URL on this machine:\n%s\n", url);
    return fflush(stdout);
}

static void print_token(const char *message, const authgrant_token *token) {
    long long expires_at = (long long)authgrant_token_expires_at(token);
    printf("%s\n", message);
    printf("token: %s %.8s… (%zu characters)\n", authgrant_token_type(token), authgrant_token_value(token),
           authgrant_token_length(token));
    if (expires_at != 0) printf("expires in %lld seconds\n", expires_at - (long long)time(NULL));
}

/* Gets a token, with the consent of the user if required. */
static authgrant_status get_token(authgrant_connection *connection, int no_browser, authgrant_error **error) {
    authgrant_call_options no_prompt = {.size = sizeof no_prompt, .flags = AUTHGRANT_NO_PROMPT};
    authgrant_token *token = NULL;
    authgrant_status status = authgrant_get_token_with(connection, &no_prompt, &token, error);

    if (status == AUTHGRANT_OK) {
        print_token("Consent was given before.", token);
    } else if (status == AUTHGRANT_CONSENT_REQUIRED) {
        printf("Consent is required:\n%s\n", or_dash(authgrant_error_consent_url(*error)));
        printf("Waiting for consent%s …\n", no_browser ? "" : " in the browser");
        authgrant_error_free(*error);
        status = authgrant_authorize(connection, no_browser ? print_url : NULL, NULL, error);
        if (status == AUTHGRANT_OK) status = authgrant_get_token_with(connection, &no_prompt, &token, error);
        if (status == AUTHGRANT_OK) print_token("Consent was received.", token);
        if (status == AUTHGRANT_UNSUPPORTED && !no_browser) printf("No browser is available; try --no-browser.\n");
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
    if (string == NULL || strcmp(string, "-") == 0) string = read_stdin();
    if (string == NULL || string[0] == '\0') return usage(argv[0]);

    setvbuf(stdout, NULL, _IOLBF, 0); /* output must be visible while the program waits */
    authgrant_status status = authgrant_open(string, &connection, &error);
    if (status == AUTHGRANT_OK) status = get_token(connection, no_browser, &error);
    print_errors(error);
    authgrant_error_free(error);
    authgrant_close(connection);
    return status == AUTHGRANT_OK ? 0 : 1;
}
