/* Usage: git_credential get. A credential helper of git (gitcredentials(7)): the password is the access token.
 *
 * git runs it for one server if it is configured for the URL of that server:
 *   git config --global credential.https://git.example.com.helper /usr/local/bin/git_credential
 * The connection string is in AUTHGRANT_CONNECTION_STRING. Put git's helper "cache" before this one, so that the commands of git
 * share a token until it expires; git 2.40 and later read the expiry. */
#include "authgrant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE_LEN = 4096 };

/* Reads the request, lines NAME=VALUE up to an empty one. Returns 1 if the token may be sent: over https, or to this machine. */
static int read_request(char *user, size_t capacity) {
    char line[MAX_LINE_LEN];
    int is_https = 0, is_loopback = 0;
    while (fgets(line, sizeof line, stdin) != NULL && line[0] != '\n') {
        line[strcspn(line, "\r\n")] = '\0';
        if (strcmp(line, "protocol=https") == 0) is_https = 1;
        if (strncmp(line, "host=127.0.0.1:", 15) == 0) is_loopback = 1;
        if (strncmp(line, "username=", 9) == 0) snprintf(user, capacity, "%s", line + 9);
    }
    return is_https || is_loopback;
}

static void print_credential(const char *user, const authgrant_token *token) {
    printf("username=%s\npassword=%s\n", user, authgrant_token_value(token));
    if (authgrant_token_expires_at(token) != 0) {
        printf("password_expiry_utc=%lld\n", (long long)authgrant_token_expires_at(token));
    }
}

int main(int argc, char **argv) {
    const char *string = getenv("AUTHGRANT_CONNECTION_STRING");
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    /* Servers that take the token as password ignore the user, or demand this one (GitLab). */
    char user[MAX_LINE_LEN] = "oauth2";

    /* git also runs "store" and "erase", which must succeed: tokens are not stored. */
    if (argc != 2 || strcmp(argv[1], "get") != 0) return argc != 2;
    if (string == NULL) {
        fprintf(stderr, "git_credential: AUTHGRANT_CONNECTION_STRING is not set\n");
        return 1;
    }
    if (!read_request(user, sizeof user)) return 0; /* without an answer git asks the next helper */
    if (authgrant_open(string, &connection, &error) == AUTHGRANT_OK
        && authgrant_get_token(connection, &token, &error) == AUTHGRANT_OK) {
        print_credential(user, token);
    } else {
        fprintf(stderr, "git_credential: %s %s\n", authgrant_error_sqlstate(error), authgrant_error_message(error));
    }
    int failed = token == NULL;
    authgrant_token_free(token);
    authgrant_error_free(error);
    authgrant_close(connection);
    return failed;
}
