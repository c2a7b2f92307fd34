/* Calls the recipe mongodb.c twice, as libmongoc does after the server refused the first token, and prints both tokens. The functions of
 * libmongoc that the recipe uses are defined here. Usage: mongodb MILLISECONDS, the time that libmongoc allows. */
#include "authgrant.h"
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    authgrant_connection *connection;
    authgrant_token *last;
} mongodb_state;

static mongodb_state state;
static int64_t now = 1000000, deadline;
static int cancelled;

void *mongoc_oidc_callback_params_get_user_data(const mongoc_oidc_callback_params_t *params) { return (void)params, &state; }
const int64_t *mongoc_oidc_callback_params_get_timeout(const mongoc_oidc_callback_params_t *params) { return (void)params, &deadline; }
int64_t bson_get_monotonic_time(void) { return now; }

mongoc_oidc_credential_t *mongoc_oidc_callback_params_cancel_with_timeout(mongoc_oidc_callback_params_t *params) {
    (void)params;
    cancelled = 1;
    return NULL;
}

mongoc_oidc_credential_t *mongoc_oidc_credential_new(const char *token) {
    printf("%s\n", token);
    return (mongoc_oidc_credential_t *)&state;
}

mongoc_oidc_credential_t *provide_mongodb_token(mongoc_oidc_callback_params_t *params);

int main(int argc, char **argv) {
    deadline = now + (argc == 2 ? 1000 * atol(argv[1]) : 0);
    if (authgrant_open(getenv("AUTHGRANT_CONNECTION_STRING"), &state.connection, NULL) != AUTHGRANT_OK) return 2;
    int failed = provide_mongodb_token(NULL) == NULL || provide_mongodb_token(NULL) == NULL;
    if (failed) printf("%s\n", cancelled ? "cancelled" : "failed");
    authgrant_token_free(state.last);
    authgrant_close(state.connection);
    return failed;
}
