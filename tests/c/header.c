/* The header is self-contained, may be included twice, and compiles in every C standard without warnings. */
#include "authgrant.h"
#include "authgrant.h"

int main(void) {
    authgrant_connection *connection = 0;
    authgrant_token *token = 0;
    authgrant_headers *headers = 0;
    authgrant_cancel_token *cancel_token = 0;
    authgrant_error *error = 0;
    authgrant_open_options open_options = {0};
    authgrant_call_options options = {0};
    authgrant_token_store store = {0};
    authgrant_log_fn log = 0;
    authgrant_open_url_fn open_url = 0;
    authgrant_refresh_token_fn refresh_token = 0;
    authgrant_sign_fn sign = 0;
    authgrant_status status = AUTHGRANT_OK;
    /* The size of an array must be a constant expression. */
    int number[AUTHGRANT_VERSION_NUMBER > 0 ? 1 : -1] = {AUTHGRANT_NOT_CACHED};

    open_options.size = sizeof open_options;
    options.size = sizeof options;
    options.flags = AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK;
    options.cancel_token = cancel_token;
    store.size = sizeof store;
    return connection == 0 && token == 0 && headers == 0 && error == 0 && log == 0 && open_url == 0 &&
                   refresh_token == 0 && sign == 0 && store.get == 0 && store.lease == 0 && store.put == 0 &&
                   store.release == 0 && options.cancel_token == 0 && open_options.driver_keywords == 0 && sizeof status == 4 && number[0] == 24
               ? (int)status
               : 1;
}
