/* Processes without HOME, of a user without an entry in the user database, and in a locale with a decimal comma.
   Usage: environment STRING; LOCPATH is a directory with the locale de_DE.UTF-8. The user database requires root. */
#define _GNU_SOURCE
#include "authgrant.h"
#include "check.h"
#include "get_token.h"

#include <locale.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNKNOWN_USER = 54321, CHILD_TIMEOUT_SECS = 60 };

/* Random enough to encrypt shared tokens. */
#define SECRET "50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c"

static const char *connection_string;

/* Opens a data source that does not exist. The error names the files that were searched: `home_file` if it is not NULL. */
static void check_missing_data_source(const char *home_file) {
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    CHECK(authgrant_open("DSN=missing", &connection, &error) == AUTHGRANT_DATA_SOURCE_NOT_FOUND);
    printf("  %s\n", authgrant_error_message(error));
    const char *found = strstr(authgrant_error_message(error), home_file != NULL ? home_file : ".odbc.ini");
    CHECK((found != NULL) == (home_file != NULL));
    authgrant_error_free(error);
}

/* The home directory is that of the user database. Nothing else of the library needs an environment variable. */
static void run_without_environment(void) {
    char home_file[1024];
    const struct passwd *user = getpwuid(geteuid());
    CHECK(user != NULL && snprintf(home_file, sizeof home_file, "%s/.odbc.ini", user->pw_dir) > 0);
    CHECK(clearenv() == 0);
    check_missing_data_source(home_file);
    authgrant_connection *connection = open_with_scope(connection_string, "environment");
    CHECK(get_token(connection) == AUTHGRANT_OK);
    authgrant_close(connection);
}

static int has_warning(authgrant_connection *connection, const char *option) {
    authgrant_error *warnings = NULL;
    int found = 0;
    CHECK(authgrant_get_warnings(connection, &warnings, NULL) == AUTHGRANT_OK);
    for (const authgrant_error *warning = warnings; warning != NULL; warning = authgrant_error_next(warning)) {
        printf("  %s\n", authgrant_error_message(warning));
        found |= authgrant_error_option(warning) != NULL && strcmp(authgrant_error_option(warning), option) == 0;
    }
    authgrant_error_free(warnings);
    return found;
}

/* There is no default folder, which is a warning: the token is requested. No file of root is needed. */
static void run_as_unknown_user(void) {
    authgrant_token *token = NULL;
    CHECK(clearenv() == 0 && setuid(UNKNOWN_USER) == 0 && getpwuid(geteuid()) == NULL);
    check_missing_data_source(NULL);
    authgrant_connection *connection = open_with_scope(
        "AuthenticationMethod=53;ClientID=c;ClientSecret=" SECRET ";TokenURI=POST http://127.0.0.1:1/", "default");
    CHECK(authgrant_set_option(connection, "TokenCache", "file:", NULL) == AUTHGRANT_OK);
    CHECK(authgrant_get_token(connection, &token, NULL) == AUTHGRANT_NETWORK); /* no server */
    CHECK(has_warning(connection, "TokenCache"));
    authgrant_close(connection);
}

/* The text that `call` writes, which the caller frees. */
static char *report(authgrant_status (*call)(authgrant_connection *, char **, authgrant_error **)) {
    char *json = NULL;
    authgrant_connection *connection = open_with_scope(connection_string, "locale");
    CHECK(get_token(connection) == AUTHGRANT_OK);
    CHECK(call(connection, &json, NULL) == AUTHGRANT_OK);
    authgrant_close(connection);
    return json;
}

static authgrant_status get_stats(authgrant_connection *connection, char **json, authgrant_error **error) {
    (void)connection;
    return authgrant_get_stats(json, error);
}

/* Whether a digit is followed by a comma and a digit. */
static int has_decimal_comma(const char *json) {
    for (const char *comma = strchr(json, ','); comma != NULL; comma = strchr(comma + 1, ',')) {
        if (comma > json && strchr("0123456789", comma[-1]) != NULL && comma[1] != 0 && strchr("0123456789", comma[1]) != NULL) return 1;
    }
    return 0;
}

/* Numbers are printed and read as in the C locale. */
static void run_with_decimal_comma(void) {
    char number[8];
    CHECK(setlocale(LC_ALL, "de_DE.UTF-8") != NULL);
    snprintf(number, sizeof number, "%.1f", 1.5);
    CHECK(strcmp(number, "1,5") == 0);
    char *explained = report(authgrant_explain), *stats = report(get_stats);
    CHECK(explained != NULL && !has_decimal_comma(explained));
    CHECK(stats != NULL && !has_decimal_comma(stats) && strchr(stats, '.') != NULL);
    authgrant_string_free(explained);
    authgrant_string_free(stats);
}

static void in_child(const char *name, void (*run)(void)) {
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_TIMEOUT_SECS);
        run();
        fflush(stdout);
        _exit(checks_failed != 0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    if (status != 0) fprintf(stderr, "%s: %d\n", name, status);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    connection_string = argv[1];
    in_child("without environment", run_without_environment);
    if (geteuid() == 0) in_child("unknown user", run_as_unknown_user);
    in_child("decimal comma", run_with_decimal_comma);
    return checks_done("environment");
}
