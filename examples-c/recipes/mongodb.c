/* Gives the MongoDB C driver (2.2 or later) its tokens by the callback of MONGODB-OIDC. Without a main(): to be copied into a program.
 *
 * The URI has authMechanism=MONGODB-OIDC, and no ENVIRONMENT among its authMechanismProperties:
 *   mongoc_oidc_callback_t *callback = mongoc_oidc_callback_new_with_user_data(provide_mongodb_token, &state);
 *   mongoc_client_pool_set_oidc_callback(pool, callback);
 *   mongoc_oidc_callback_destroy(callback); */
#include "authgrant.h"
#include <mongoc/mongoc.h>

enum { MAX_TIMEOUT_MS = 60000 };

/* One per client or pool; it must outlive that. */
typedef struct {
    authgrant_connection *connection;
    authgrant_token *last; /* what the callback returned last, or NULL */
} mongodb_state;

/* Returns the time that the driver allows, at most MAX_TIMEOUT_MS: it holds a lock of the whole pool meanwhile. */
static int32_t remaining_ms(const mongoc_oidc_callback_params_t *params) {
    const int64_t *deadline = mongoc_oidc_callback_params_get_timeout(params); /* microseconds of bson_get_monotonic_time() */
    if (deadline == NULL) return MAX_TIMEOUT_MS;
    int64_t left = (*deadline - bson_get_monotonic_time()) / 1000;
    return (int32_t)(left < 1 ? 1 : left > MAX_TIMEOUT_MS ? MAX_TIMEOUT_MS : left);
}

mongoc_oidc_credential_t *provide_mongodb_token(mongoc_oidc_callback_params_t *params);
mongoc_oidc_credential_t *provide_mongodb_token(mongoc_oidc_callback_params_t *params) {
    mongodb_state *state = mongoc_oidc_callback_params_get_user_data(params);
    authgrant_call_options options = {.size = sizeof options, .timeout_ms = remaining_ms(params)};
    authgrant_token *token = NULL;

    /* The driver caches the token and calls again only after the server refused it. */
    if (state->last != NULL) authgrant_reject_token(state->connection, state->last, NULL);
    authgrant_token_free(state->last);
    state->last = NULL;
    authgrant_status status = authgrant_get_token_with(state->connection, &options, &token, NULL);
    if (status == AUTHGRANT_TIMEOUT) return mongoc_oidc_callback_params_cancel_with_timeout(params);
    if (status != AUTHGRANT_OK) return NULL;
    state->last = token;
    return mongoc_oidc_credential_new(authgrant_token_value(token)); /* copies it */
}
