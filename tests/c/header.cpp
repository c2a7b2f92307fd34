// The header in C++17: it brings its own extern "C", and its types work with a unique_ptr.
#include "authgrant.h"

#include <memory>

struct connection_deleter {
    void operator()(authgrant_connection *connection) const noexcept { authgrant_close(connection); }
};

int main() {
    authgrant_connection *connection = nullptr;
    authgrant_error *error = nullptr;
    // A text that breaks the grammar: linking is tested, no network needed.
    authgrant_status status = authgrant_open("Scope={never closed", &connection, &error);
    std::unique_ptr<authgrant_connection, connection_deleter> owned(connection);
    bool right = status == AUTHGRANT_INVALID_CONNECTION_STRING && owned == nullptr && error != nullptr &&
                 authgrant_error_status(error) == status;
    authgrant_error_free(error);
    return right ? 0 : 1;
}
