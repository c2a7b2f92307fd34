/*
 * C++17 interface of authgrant: owners of the objects of authgrant.h. Header-only; link the C library.
 *
 * Each function that can fail exists twice. `get_token()` throws an `error`; `try_get_token()` is noexcept and returns a
 * `result<token>`, which holds the value or a `failure`. Behaviour, blocking and statuses are those of the C function with
 * the same name, which authgrant.h documents.
 *
 * Ownership. Objects are move-only and release what they own. Text that an object returns as std::string_view is
 * NUL-terminated, belongs to the object, and is empty if there is none. Tokens, headers and errors outlive their connection.
 *
 * Text is UTF-8. An argument with an embedded NUL is status_code::invalid_argument. Copies of arguments are overwritten
 * after the call, because connection strings contain passwords.
 *
 * Threads. Every member function may be called on several threads at once, as in C. Moving and destroying an object need
 * exclusive access. A connection must not be destroyed inside a callback.
 *
 * Callbacks run on the thread of the call, possibly on several threads at once. Exceptions do not pass through the C
 * library: see each callback type. Inside a callback only getters may be called.
 *
 * This header has no ABI: objects of it must not cross the boundary between modules that are compiled separately.
 */
#ifndef AUTHGRANT_HPP
#define AUTHGRANT_HPP

#include "authgrant.h"

#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace authgrant {

/* ---- statuses and flags */

/// The status of a call. A newer library may return a number that is not listed here.
enum class status_code : std::int32_t {
    ok = AUTHGRANT_OK,
    invalid_argument = AUTHGRANT_INVALID_ARGUMENT,
    invalid_connection_string = AUTHGRANT_INVALID_CONNECTION_STRING,
    invalid_option = AUTHGRANT_INVALID_OPTION,
    missing_option = AUTHGRANT_MISSING_OPTION,
    data_source_not_found = AUTHGRANT_DATA_SOURCE_NOT_FOUND,
    key_store_error = AUTHGRANT_KEY_STORE_ERROR,
    key_password = AUTHGRANT_KEY_PASSWORD,
    key_not_found = AUTHGRANT_KEY_NOT_FOUND,
    key_unsuitable = AUTHGRANT_KEY_UNSUITABLE,
    network = AUTHGRANT_NETWORK,
    tls = AUTHGRANT_TLS,
    timeout = AUTHGRANT_TIMEOUT,
    cancelled = AUTHGRANT_CANCELLED,
    denied = AUTHGRANT_DENIED,
    consent_required = AUTHGRANT_CONSENT_REQUIRED,
    throttled = AUTHGRANT_THROTTLED,
    server_error = AUTHGRANT_SERVER_ERROR,
    bad_response = AUTHGRANT_BAD_RESPONSE,
    token_expired = AUTHGRANT_TOKEN_EXPIRED,
    unsupported = AUTHGRANT_UNSUPPORTED,
    out_of_memory = AUTHGRANT_OUT_OF_MEMORY,
    internal = AUTHGRANT_INTERNAL,
    buffer_too_small = AUTHGRANT_BUFFER_TOO_SMALL,
    not_cached = AUTHGRANT_NOT_CACHED,
};

/// The name of a status, such as "AUTHGRANT_KEY_PASSWORD"; "AUTHGRANT_?" for an unknown number.
inline std::string_view status_name(status_code status) noexcept {
    return authgrant_status_name(static_cast<std::int32_t>(status));
}

/// What connection::completed_string() includes beside the options that are not secret.
enum class include : std::uint32_t {
    none = 0,
    secrets = AUTHGRANT_WITH_SECRETS,
    tokens = AUTHGRANT_WITH_TOKENS,
    /// The string as it was given, with what was changed since; not together with secrets.
    as_given = AUTHGRANT_AS_GIVEN,
};

/// Permissions of set_policy().
enum class allow : std::uint32_t {
    none = 0,
    secret_references = AUTHGRANT_ALLOW_SECRET_REFERENCES,
    pkcs11_module_path = AUTHGRANT_ALLOW_PKCS11_MODULE_PATH,
    token_cache = AUTHGRANT_ALLOW_TOKEN_CACHE,
};

/// Restrictions of set_policy().
enum class forbid : std::uint32_t {
    none = 0,
    http_get = AUTHGRANT_FORBID_HTTP_GET,
    insecure_tls = AUTHGRANT_FORBID_INSECURE_TLS,
    loopback_http = AUTHGRANT_FORBID_LOOPBACK_HTTP,
    prompt = AUTHGRANT_FORBID_PROMPT,
    weak_key_encryption = AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION,
    shared_tokens = AUTHGRANT_FORBID_SHARED_TOKENS,
    file_paths = AUTHGRANT_FORBID_FILE_PATHS,
    tls12 = AUTHGRANT_FORBID_TLS12,
};

constexpr include operator|(include a, include b) noexcept {
    return static_cast<include>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr allow operator|(allow a, allow b) noexcept {
    return static_cast<allow>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr forbid operator|(forbid a, forbid b) noexcept {
    return static_cast<forbid>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}

/// Severity of a log record.
enum class log_level : std::int32_t { error = 1, warning = 2, info = 3, debug = 4, trace = 5 };

namespace detail {

/// NULL of a getter is empty text.
inline std::string_view view(const char *text) noexcept { return text == nullptr ? std::string_view() : std::string_view(text); }

/// Seconds since 1970 as a time; 0 is unknown.
inline std::optional<std::chrono::system_clock::time_point> time_point(std::int64_t seconds) noexcept {
    if (seconds == 0) return std::nullopt;
    return std::chrono::system_clock::time_point(std::chrono::seconds(seconds));
}

template <typename Object, void (*Free)(Object *)>
struct deleter {
    void operator()(Object *object) const noexcept { Free(object); }
};

} // namespace detail

/* ---- errors */

class error_chain;

/// One error or warning, which belongs to a `failure`, an `error` or `warnings` and is valid as long as that.
class error_view {
public:
    /// No error: status_code::ok.
    error_view() noexcept = default;
    explicit error_view(const authgrant_error *handle) noexcept : handle_(handle) {}

    /// status_code::ok for a warning.
    status_code status() const noexcept {
        return handle_ == nullptr ? local_status_ : static_cast<status_code>(authgrant_error_status(handle_));
    }
    /// Five characters.
    std::string_view sqlstate() const noexcept {
        if (handle_ != nullptr || local_status_ == status_code::ok) return authgrant_error_sqlstate(handle_);
        return local_status_ == status_code::out_of_memory ? "HY001" : "HY009";
    }
    /// `[authgrant][component] text`, without secrets.
    std::string_view message() const noexcept { return local_message_ == nullptr ? authgrant_error_message(handle_) : local_message_; }
    /// The documented name of the option that the error is about.
    std::string_view option() const noexcept { return detail::view(authgrant_error_option(handle_)); }
    /// `error` of the server (RFC 6749 section 5.2).
    std::string_view oauth_error() const noexcept { return detail::view(authgrant_error_oauth_error(handle_)); }
    /// `error_description` of the server.
    std::string_view oauth_description() const noexcept { return detail::view(authgrant_error_oauth_description(handle_)); }
    /// Error code of the provider, such as "AADSTS700027".
    std::string_view provider_code() const noexcept { return detail::view(authgrant_error_provider_code(handle_)); }
    /// The URL to open in a browser, with status_code::consent_required.
    std::string_view consent_url() const noexcept { return detail::view(authgrant_error_consent_url(handle_)); }
    /// Status of the HTTP response; 0 if there was none.
    int http_status() const noexcept { return authgrant_error_http_status(handle_); }
    /// The time until the next attempt; 0 if unknown.
    std::chrono::seconds retry_after() const noexcept { return std::chrono::seconds(authgrant_error_retry_after(handle_)); }
    /// Whether the same call may succeed later without any change.
    bool retryable() const noexcept { return authgrant_error_retryable(handle_) != 0; }

    /// This error and the following ones of the same call: `for (error_view each : failure.chain())`.
    error_chain chain() const noexcept;

    /// The C object, which stays owned by the failure; NULL if the error was found by this header.
    const authgrant_error *get() const noexcept { return handle_; }

    /// Whether both are the same error.
    friend bool operator==(const error_view &a, const error_view &b) noexcept {
        return a.handle_ == b.handle_ && a.local_message_ == b.local_message_;
    }
    friend bool operator!=(const error_view &a, const error_view &b) noexcept { return !(a == b); }

protected:
    error_view(status_code status, const char *message) noexcept : local_status_(status), local_message_(message) {}

private:
    const authgrant_error *handle_ = nullptr;
    status_code local_status_ = status_code::ok;
    const char *local_message_ = nullptr; // static
};

/// A range of errors or warnings.
class error_chain {
public:
    class iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = error_view;
        using difference_type = std::ptrdiff_t;
        using pointer = const error_view *;
        using reference = const error_view &;

        iterator() noexcept = default;
        explicit iterator(error_view first) noexcept : current_(first) {}
        reference operator*() const noexcept { return current_; }
        pointer operator->() const noexcept { return &current_; }
        iterator &operator++() noexcept {
            current_ = error_view(authgrant_error_next(current_.get()));
            return *this;
        }
        iterator operator++(int) noexcept {
            iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept {
            return a.current_ == b.current_;
        }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return !(a == b); }

    private:
        error_view current_;
    };

    explicit error_chain(error_view first) noexcept : first_(first) {}
    iterator begin() const noexcept { return iterator(first_); }
    iterator end() const noexcept { return iterator(); }

private:
    error_view first_;
};

inline error_chain error_view::chain() const noexcept { return error_chain(*this); }

/// The error of a failed call, owned.
class failure : public error_view {
public:
    /// Takes ownership.
    explicit failure(authgrant_error *handle) noexcept : error_view(handle), owned_(handle) {}
    /// An error of this header itself. `message` must be static.
    failure(status_code status, const char *message) noexcept : error_view(status, message) {}

    failure(failure &&other) noexcept : error_view(std::exchange(other.base(), error_view())), owned_(std::move(other.owned_)) {}
    failure &operator=(failure &&other) noexcept {
        base() = std::exchange(other.base(), error_view());
        owned_ = std::move(other.owned_);
        return *this;
    }
    failure(const failure &) = delete;
    failure &operator=(const failure &) = delete;
    ~failure() = default;

    /// Throws the error as the class of its status; see `error`.
    [[noreturn]] void raise() &&;

private:
    error_view &base() noexcept { return *this; }
    std::unique_ptr<authgrant_error, detail::deleter<authgrant_error, authgrant_error_free>> owned_;
};

/// Base class of the exceptions; what() is the message. A status that applications rarely treat separately has no class of
/// its own: see status(). Copies share the error.
class error : public std::runtime_error, public error_view {
public:
    explicit error(std::shared_ptr<const failure> cause)
        : std::runtime_error(std::string(cause->message())), error_view(*cause), owner_(std::move(cause)) {}

private:
    std::shared_ptr<const failure> owner_;
};

/// A user or an administrator must log in or consent first; consent_url() is the URL to open.
class consent_required : public error { using error::error; };
/// The authorization server rejected the request; see oauth_error().
class denied : public error { using error::error; };
/// The token has expired and cannot be renewed.
class token_expired : public error { using error::error; };
/// The deadline passed.
class timeout : public error { using error::error; };
/// connection::cancel() or cancel_token::cancel() was called.
class cancelled : public error { using error::error; };
/// The server limits the rate of requests; see retry_after().
class throttled : public error { using error::error; };
/// call_options::no_network is set and no token is cached.
class not_cached : public error { using error::error; };
/// Name resolution, connection, proxy or TLS failed: status_code::network or status_code::tls.
class connection_error : public error { using error::error; };
/// The connection string, the data source or an option is at fault: status_code::invalid_connection_string,
/// data_source_not_found, invalid_option or missing_option.
class configuration_error : public error { using error::error; };
/// The key cannot be used: status_code::key_store_error, key_password, key_not_found or key_unsuitable.
class key_error : public error { using error::error; };

inline void failure::raise() && {
    const status_code code = status();
    auto cause = std::make_shared<const failure>(std::move(*this));
    switch (code) {
        case status_code::consent_required: throw consent_required(std::move(cause));
        case status_code::denied: throw denied(std::move(cause));
        case status_code::token_expired: throw token_expired(std::move(cause));
        case status_code::timeout: throw timeout(std::move(cause));
        case status_code::cancelled: throw cancelled(std::move(cause));
        case status_code::throttled: throw throttled(std::move(cause));
        case status_code::not_cached: throw not_cached(std::move(cause));
        case status_code::network:
        case status_code::tls: throw connection_error(std::move(cause));
        case status_code::invalid_connection_string:
        case status_code::data_source_not_found:
        case status_code::invalid_option:
        case status_code::missing_option: throw configuration_error(std::move(cause));
        case status_code::key_store_error:
        case status_code::key_password:
        case status_code::key_not_found:
        case status_code::key_unsuitable: throw key_error(std::move(cause));
        case status_code::ok:
        case status_code::invalid_argument:
        case status_code::server_error:
        case status_code::bad_response:
        case status_code::unsupported:
        case status_code::out_of_memory:
        case status_code::internal:
        case status_code::buffer_too_small: break;
    }
    throw error(std::move(cause));
}

/// A value or the failure of a try_ function. Like std::expected of C++23, but value() throws the `error` itself.
template <typename T>
class [[nodiscard]] result {
public:
    result(T value) noexcept : content_(std::in_place_index<0>, std::move(value)) {
        static_assert(std::is_nothrow_move_constructible_v<T>);
    }
    result(failure cause) noexcept : content_(std::in_place_index<1>, std::move(cause)) {}

    bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value; throws an `error` if there is none, and the failure is then moved into it.
    T &value() & {
        raise_failure();
        return **this;
    }
    T value() && {
        raise_failure();
        return std::move(**this);
    }

    /// The value, which must exist.
    T &operator*() noexcept {
        assert(has_value());
        return *std::get_if<0>(&content_);
    }
    const T &operator*() const noexcept {
        assert(has_value());
        return *std::get_if<0>(&content_);
    }
    T *operator->() noexcept { return &**this; }
    const T *operator->() const noexcept { return &**this; }

    /// The failure, which must exist.
    const failure &error() const noexcept {
        assert(!has_value());
        return *std::get_if<1>(&content_);
    }

private:
    void raise_failure() {
        if (failure *cause = std::get_if<1>(&content_)) std::move(*cause).raise();
    }
    std::variant<T, failure> content_;
};

/// Success, or the failure of a try_ function that returns nothing.
template <>
class [[nodiscard]] result<void> {
public:
    result() noexcept = default;
    result(failure cause) noexcept : failure_(std::move(cause)) {}

    bool has_value() const noexcept { return !failure_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }

    /// Throws an `error` if the call failed.
    void value() {
        if (failure_) std::move(*failure_).raise();
    }

    /// The failure, which must exist.
    const failure &error() const noexcept {
        assert(!has_value());
        return *failure_;
    }

private:
    std::optional<failure> failure_;
};

/// The warnings of a connection: `for (error_view each : warnings)`.
class warnings {
public:
    /// Takes ownership; NULL is the empty list.
    explicit warnings(authgrant_error *first) noexcept : owned_(first) {}
    bool empty() const noexcept { return owned_ == nullptr; }
    error_chain::iterator begin() const noexcept { return error_chain::iterator(error_view(owned_.get())); }
    error_chain::iterator end() const noexcept { return error_chain::iterator(); }

private:
    std::unique_ptr<authgrant_error, detail::deleter<authgrant_error, authgrant_error_free>> owned_;
};

/* ---- strings */

/// A string of the library, which is overwritten when it is released.
class owned_string {
public:
    /// Takes ownership.
    explicit owned_string(char *text) noexcept : owned_(text) {}
    std::string_view view() const noexcept { return detail::view(owned_.get()); }
    operator std::string_view() const noexcept { return view(); }
    /// NUL-terminated.
    const char *c_str() const noexcept { return owned_ == nullptr ? "" : owned_.get(); }
    /// A copy, which is not overwritten.
    std::string str() const { return std::string(view()); }

private:
    std::unique_ptr<char, detail::deleter<char, authgrant_string_free>> owned_;
};

namespace detail {

/// A NUL-terminated copy of an argument, overwritten when it is released.
class argument {
public:
    explicit argument(std::string_view text) noexcept : size_(text.size()), has_nul_(text.find('\0') != std::string_view::npos) {
        copy_.reset(new (std::nothrow) char[size_ + 1]);
        if (copy_ == nullptr) return;
        if (size_ > 0) std::memcpy(copy_.get(), text.data(), size_);
        copy_[size_] = '\0';
    }
    argument(argument &&) noexcept = default;
    argument &operator=(argument &&) = delete;
    argument(const argument &) = delete;
    argument &operator=(const argument &) = delete;
    ~argument() {
        // volatile: the compiler would remove a write to memory that is freed.
        volatile char *bytes = copy_.get();
        for (std::size_t i = 0; bytes != nullptr && i < size_; i++) bytes[i] = 0;
    }

    bool valid() const noexcept { return copy_ != nullptr && !has_nul_; }
    failure cause() const noexcept {
        if (copy_ == nullptr) return failure(status_code::out_of_memory, "[authgrant][c++] an argument cannot be copied; out of memory");
        return failure(status_code::invalid_argument, "[authgrant][c++] an argument contains a NUL character; remove it");
    }
    const char *c_str() const noexcept { return copy_.get(); }

private:
    std::size_t size_;
    bool has_nul_;
    std::unique_ptr<char[]> copy_;
};

/// Calls a function without a result.
template <typename Call>
result<void> run(Call call) noexcept {
    authgrant_error *failed = nullptr;
    if (call(&failed) != AUTHGRANT_OK) return failure(failed);
    return {};
}

/// Calls a function that returns an object through an out-parameter.
template <typename Owner, typename Object, typename Call>
result<Owner> obtain(Call call) noexcept {
    Object *object = nullptr;
    authgrant_error *failed = nullptr;
    if (call(&object, &failed) != AUTHGRANT_OK) return failure(failed);
    return Owner(object);
}

/// Calls a function that fills a buffer and reports the needed size.
template <typename Call>
result<std::size_t> fill(Call call) noexcept {
    std::size_t needed = 0;
    authgrant_error *failed = nullptr;
    const authgrant_status status = call(&needed, &failed);
    if (status == AUTHGRANT_OK) return needed;
    failure cause(failed);
    if (status == AUTHGRANT_BUFFER_TOO_SMALL) return needed;
    return cause;
}

/// As a C argument, which the library checks; a value out of range becomes the nearest one.
template <typename Duration>
std::int32_t count(Duration duration) noexcept {
    using limits = std::numeric_limits<std::int32_t>;
    if (duration.count() > limits::max()) return limits::max();
    if (duration.count() < limits::min()) return limits::min();
    return static_cast<std::int32_t>(duration.count());
}

/// Keeps exceptions of this header's own allocations out of noexcept functions.
template <typename Result, typename Function>
Result without_exceptions(Function function) noexcept {
    try {
        return function();
    } catch (...) {
        return failure(status_code::out_of_memory, "[authgrant][c++] the call cannot be prepared; out of memory");
    }
}

} // namespace detail

/* ---- tokens and headers */

/// An access token that belongs to a `token` or to `headers`.
class token_view {
public:
    explicit token_view(const authgrant_token *handle) noexcept : handle_(handle) {}

    /// False if the authentication method has no token; see headers::token().
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /// The access token. A secret: do not log it.
    std::string_view value() const noexcept {
        return handle_ == nullptr ? std::string_view() : std::string_view(authgrant_token_value(handle_), authgrant_token_length(handle_));
    }
    /// "Bearer".
    std::string_view type() const noexcept { return detail::view(authgrant_token_type(handle_)); }
    /// Nothing if the expiry is unknown.
    std::optional<std::chrono::system_clock::time_point> expires_at() const noexcept {
        return detail::time_point(authgrant_token_expires_at(handle_));
    }
    /// When the connection refreshes the token; nothing if the expiry is unknown.
    std::optional<std::chrono::system_clock::time_point> refresh_at() const noexcept {
        return detail::time_point(authgrant_token_refresh_at(handle_));
    }
    /// The granted scope; empty means the requested one.
    std::string_view scope() const noexcept { return detail::view(authgrant_token_scope(handle_)); }
    /// Another member of the token response, such as "instance_url". Throws std::bad_alloc.
    std::optional<std::string_view> field(std::string_view name) const {
        const detail::argument copy(name);
        if (!copy.valid()) {
            if (copy.c_str() == nullptr) throw std::bad_alloc();
            return std::nullopt; // no member has a NUL in its name
        }
        const char *text = authgrant_token_field(handle_, copy.c_str());
        if (text == nullptr) return std::nullopt;
        return text;
    }

    /// The C object, which stays owned by this object.
    const authgrant_token *get() const noexcept { return handle_; }

protected:
    const authgrant_token *handle_;
};

/// A reference to an access token.
class token : public token_view {
public:
    /// Takes ownership.
    explicit token(authgrant_token *handle) noexcept : token_view(handle), owned_(handle) {}
    token(token &&other) noexcept : token_view(std::exchange(other.handle_, nullptr)), owned_(std::move(other.owned_)) {}
    token &operator=(token &&other) noexcept {
        handle_ = std::exchange(other.handle_, nullptr);
        owned_ = std::move(other.owned_);
        return *this;
    }
    token(const token &) = delete;
    token &operator=(const token &) = delete;
    ~token() = default;

private:
    std::unique_ptr<authgrant_token, detail::deleter<authgrant_token, authgrant_token_free>> owned_;
};

/// One header. The value is a secret: do not log it.
struct header {
    std::string_view name;
    std::string_view value;
};

/// The headers that a request to the API must carry, in sending order: `for (header each : headers)`.
class headers {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = header;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = header;

        iterator() noexcept = default;
        iterator(const authgrant_headers *handle, std::size_t index) noexcept : handle_(handle), index_(index) {}
        header operator*() const noexcept {
            return {detail::view(authgrant_headers_name(handle_, index_)), detail::view(authgrant_headers_value(handle_, index_))};
        }
        iterator &operator++() noexcept {
            index_++;
            return *this;
        }
        iterator operator++(int) noexcept {
            iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.handle_ == b.handle_ && a.index_ == b.index_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return !(a == b); }

    private:
        const authgrant_headers *handle_ = nullptr;
        std::size_t index_ = 0;
    };

    /// Takes ownership.
    explicit headers(authgrant_headers *handle) noexcept : owned_(handle) {}
    std::size_t size() const noexcept { return authgrant_headers_count(owned_.get()); }
    /// Empty texts if `index` is out of range.
    header operator[](std::size_t index) const noexcept { return *iterator(owned_.get(), index); }
    iterator begin() const noexcept { return iterator(owned_.get(), 0); }
    iterator end() const noexcept { return iterator(owned_.get(), size()); }
    /// The token in the headers, for connection::reject_token().
    token_view token() const noexcept { return token_view(authgrant_headers_token(owned_.get())); }

private:
    std::unique_ptr<authgrant_headers, detail::deleter<authgrant_headers, authgrant_headers_free>> owned_;
};

/* ---- connections */

/// Cancels the calls that it is passed to in call_options, but no other calls on the connection: those in progress, and later
/// ones until it is reset. Calls in progress when it is destroyed continue.
class cancel_token {
public:
    static result<cancel_token> try_create() noexcept {
        return detail::obtain<cancel_token, authgrant_cancel_token>(
            [](auto out, auto failed) { return authgrant_cancel_token_new(out, failed); });
    }
    cancel_token() : cancel_token(try_create().value()) {}
    /// Takes ownership.
    explicit cancel_token(authgrant_cancel_token *handle) noexcept : owned_(handle) {}

    /// Each call fails with status_code::cancelled within 250 ms, plus the time that a running callback takes. May be called
    /// inside a callback.
    void cancel() const noexcept { authgrant_cancel_token_cancel(get()); }
    /// Ends the effect of cancel() on later calls. May be called inside a callback.
    void reset() const noexcept { authgrant_cancel_token_reset(get()); }

    /// The C object, which stays owned by this one.
    authgrant_cancel_token *get() const noexcept { return owned_.get(); }

private:
    std::unique_ptr<authgrant_cancel_token, detail::deleter<authgrant_cancel_token, authgrant_cancel_token_free>> owned_;
};

/// Timeout, minimum lifetime, restrictions and cancellation of one call.
struct call_options {
    /// Of the whole call; 0 for LoginTimeout.
    std::chrono::milliseconds timeout{0};
    /// Minimum remaining lifetime of the token; 0 for no minimum.
    std::chrono::seconds min_validity{0};
    /// Do not open a browser.
    bool no_prompt = false;
    /// Return only a token that needs no network access.
    bool no_network = false;
    /// Cancels this call; nullptr for none. Must exist until the call has begun.
    const cancel_token *cancel = nullptr;
};

/// Shows a URL to a user. Returns 0 once the URL is shown; another number is a failure and appears in the message. An
/// exception is a failure, too; connection::authorize() throws it again.
using open_url_function = std::function<std::int32_t(std::string_view url)>;
/// Receives a new or rotated refresh token, a secret. Exceptions are discarded.
using refresh_token_function = std::function<void(std::string_view refresh_token)>;
/// Receives one log record. Exceptions are discarded.
using log_function = std::function<void(log_level level, std::string_view message)>;
/// Returns the signature of the signing input of a JWT; see authgrant_sign_fn. An exception or an empty signature is
/// status_code::key_store_error.
using sign_function = std::function<std::vector<std::uint8_t>(const std::uint8_t *message, std::size_t length)>;

/// A connection: the parsed connection string plus options set later.
///
/// A callback that was set lives until the connection is destroyed, even if another one takes its place, because calls on
/// other threads may still use it.
class connection {
public:
    /// Parses the string and reads the data source and the model file that it names. Sends nothing.
    static result<connection> try_open(std::string_view connection_string) noexcept {
        const detail::argument text(connection_string);
        if (!text.valid()) return text.cause();
        return adopt([&](auto handle, auto failed) { return authgrant_open(text.c_str(), handle, failed); });
    }
    static connection open(std::string_view connection_string) { return try_open(connection_string).value(); }

    /// The wide text of an ODBC driver manager: `unit_size` is sizeof(SQLWCHAR); `length` is in units, or -1 or SQL_NTS for
    /// NUL-terminated text.
    static result<connection> try_open_wide(const void *text, std::ptrdiff_t length, std::size_t unit_size) noexcept {
        return adopt([&](auto handle, auto failed) { return authgrant_open_wide(text, length, unit_size, handle, failed); });
    }
    static connection open_wide(const void *text, std::ptrdiff_t length, std::size_t unit_size) {
        return try_open_wide(text, length, unit_size).value();
    }

    /// For a driver with keywords of its own, such as "Schema" or, with an alias, "Table;T"; see authgrant_open_with().
    static result<connection> try_open(std::string_view connection_string, const std::vector<std::string_view> &driver_keywords) noexcept {
        return detail::without_exceptions<result<connection>>([&]() -> result<connection> {
            std::vector<detail::argument> texts;
            texts.reserve(driver_keywords.size() + 1);
            std::vector<const char *> names;
            texts.emplace_back(connection_string);
            for (std::string_view keyword : driver_keywords) texts.emplace_back(keyword);
            for (const detail::argument &text : texts) {
                if (!text.valid()) return text.cause();
                names.push_back(text.c_str());
            }
            authgrant_open_options options{};
            options.size = sizeof options;
            options.connection_string = names.front();
            options.driver_keywords = names.data() + 1;
            options.driver_keyword_count = driver_keywords.size();
            return adopt([&](auto handle, auto failed) { return authgrant_open_with(&options, handle, failed); });
        });
    }
    static connection open(std::string_view connection_string, const std::vector<std::string_view> &driver_keywords) {
        return try_open(connection_string, driver_keywords).value();
    }

    /// Sets one option. An empty value removes it.
    result<void> try_set_option(std::string_view name, std::string_view value) noexcept {
        const detail::argument name_text(name), value_text(value);
        if (!name_text.valid()) return name_text.cause();
        if (!value_text.valid()) return value_text.cause();
        return detail::run([&](auto failed) { return authgrant_set_option(get(), name_text.c_str(), value_text.c_str(), failed); });
    }
    void set_option(std::string_view name, std::string_view value) { try_set_option(name, value).value(); }

    /// Sets several options, or none of them: `set_options({{"Scope", "api"}, {"LoginTimeout", "5"}})`.
    result<void> try_set_options(const std::vector<std::pair<std::string_view, std::string_view>> &options) noexcept {
        return detail::without_exceptions<result<void>>([&]() -> result<void> {
            std::vector<detail::argument> texts;
            texts.reserve(2 * options.size());
            std::vector<const char *> names, values;
            for (const auto &option : options) {
                for (std::string_view text : {option.first, option.second}) {
                    texts.emplace_back(text);
                    if (!texts.back().valid()) return texts.back().cause();
                }
                names.push_back(texts[texts.size() - 2].c_str());
                values.push_back(texts.back().c_str());
            }
            return detail::run(
                [&](auto failed) { return authgrant_set_options(get(), names.data(), values.data(), names.size(), failed); });
        });
    }
    void set_options(const std::vector<std::pair<std::string_view, std::string_view>> &options) { try_set_options(options).value(); }

    /// The value in force of an option or a keyword of the driver; no value if nothing sets it. It may be a secret.
    result<std::optional<owned_string>> try_get_option(std::string_view name) const noexcept {
        const detail::argument name_text(name);
        if (!name_text.valid()) return name_text.cause();
        return optional_string([&](auto value, auto failed) { return authgrant_get_option(get(), name_text.c_str(), value, failed); });
    }
    std::optional<owned_string> get_option(std::string_view name) const { return try_get_option(name).value(); }

    /// What is still needed, as the request string of SQLBrowseConnect; no value if no option is missing.
    result<std::optional<owned_string>> try_browse() const noexcept {
        return optional_string([&](auto request, auto failed) { return authgrant_browse(get(), request, failed); });
    }
    std::optional<owned_string> browse() const { return try_browse().value(); }

    /// The options in force as one connection string.
    result<owned_string> try_completed_string(include what = include::none) const noexcept {
        return string([&](auto text, auto failed) {
            return authgrant_completed_string(get(), static_cast<std::uint32_t>(what), text, failed);
        });
    }
    owned_string completed_string(include what = include::none) const { return try_completed_string(what).value(); }

    /// The access token to send; requests one only if the cached token is missing or about to expire.
    result<token> try_get_token() const noexcept {
        return detail::obtain<token, authgrant_token>([&](auto out, auto failed) { return authgrant_get_token(get(), out, failed); });
    }
    token get_token() const { return try_get_token().value(); }

    result<token> try_get_token(const call_options &options) const noexcept {
        const authgrant_call_options raw = raw_options(options);
        return detail::obtain<token, authgrant_token>(
            [&](auto out, auto failed) { return authgrant_get_token_with(get(), &raw, out, failed); });
    }
    token get_token(const call_options &options) const { return try_get_token(options).value(); }

    /// Reports that the API rejected this token (HTTP 401).
    result<void> try_reject_token(const token_view &rejected) noexcept {
        return detail::run([&](auto failed) { return authgrant_reject_token(get(), rejected.get(), failed); });
    }
    void reject_token(const token_view &rejected) { try_reject_token(rejected).value(); }

    /// Copies the access token with a NUL into a buffer. Returns the needed size; if that is more than `capacity`, nothing
    /// was copied.
    result<std::size_t> try_copy_token(char *buffer, std::size_t capacity) const noexcept {
        return detail::fill([&](auto needed, auto failed) { return authgrant_copy_token(get(), buffer, capacity, needed, failed); });
    }
    std::size_t copy_token(char *buffer, std::size_t capacity) const { return try_copy_token(buffer, capacity).value(); }

    /// The headers that a request to the API must carry.
    result<headers> try_get_headers() const noexcept {
        return detail::obtain<headers, authgrant_headers>(
            [&](auto out, auto failed) { return authgrant_get_headers(get(), out, failed); });
    }
    headers get_headers() const { return try_get_headers().value(); }

    /// The headers of one request to the API, with its method and URL; both are empty if they are not known.
    result<headers> try_get_request_headers(std::string_view method, std::string_view url, const call_options &options = {}) const noexcept {
        const detail::argument method_text(method), url_text(url);
        if (!method_text.valid()) return method_text.cause();
        if (!url_text.valid()) return url_text.cause();
        const bool is_known = !method.empty() || !url.empty();
        const authgrant_call_options raw = raw_options(options);
        return detail::obtain<headers, authgrant_headers>([&](auto out, auto failed) {
            return authgrant_get_request_headers(
                get(), is_known ? method_text.c_str() : nullptr, is_known ? url_text.c_str() : nullptr, &raw, out, failed);
        });
    }
    headers get_request_headers(std::string_view method, std::string_view url, const call_options &options = {}) const {
        return try_get_request_headers(method, url, options).value();
    }

    /// The URL that a user opens to give consent.
    result<owned_string> try_consent_url() const noexcept {
        return string([&](auto text, auto failed) { return authgrant_consent_url(get(), text, failed); });
    }
    owned_string consent_url() const { return try_consent_url().value(); }

    /// Lets a user log in or consent. Without a function the system browser is opened.
    result<void> try_authorize(const open_url_function &open_url = nullptr) noexcept {
        std::exception_ptr thrown;
        return authorize_keeping(open_url, nullptr, thrown);
    }
    void authorize(const open_url_function &open_url = nullptr) { authorize(open_url, nullptr); }

    /// With a timeout of the whole call and a cancel token; no other members may be set.
    result<void> try_authorize(const open_url_function &open_url, const call_options &options) noexcept {
        std::exception_ptr thrown;
        return authorize_keeping(open_url, &options, thrown);
    }
    void authorize(const open_url_function &open_url, const call_options &options) { authorize(open_url, &options); }
    /// Ends the token and the login before they expire.
    result<void> try_logoff() noexcept {
        return detail::run([&](auto failed) { return authgrant_logoff(get(), failed); });
    }
    void logoff() { try_logoff().value(); }

    /// Sets the function that receives refresh tokens; nullptr removes it.
    result<void> try_set_refresh_token_callback(refresh_token_function function) noexcept {
        return set_callback(std::move(function), [&](refresh_token_function *context, auto failed) {
            authgrant_refresh_token_fn call = [](const char *text, void *registered) {
                try {
                    (*static_cast<refresh_token_function *>(registered))(text);
                } catch (...) { // documented
                }
            };
            return authgrant_set_refresh_token_callback(get(), context == nullptr ? nullptr : call, context, failed);
        });
    }
    void set_refresh_token_callback(refresh_token_function function) { try_set_refresh_token_callback(std::move(function)).value(); }

    /// A newly signed JWT of the grant of the connection. A secret.
    result<owned_string> try_create_assertion() const noexcept {
        return string([&](auto text, auto failed) { return authgrant_create_assertion(get(), text, failed); });
    }
    owned_string create_assertion() const { return try_create_assertion().value(); }

    /// Checks the connection offline; JSON (docs/reports.md).
    result<owned_string> try_validate() const noexcept {
        return string([&](auto text, auto failed) { return authgrant_validate(get(), text, failed); });
    }
    owned_string validate() const { return try_validate().value(); }

    /// What the connection would send and why; JSON (docs/reports.md).
    result<owned_string> try_explain() const noexcept {
        return string([&](auto text, auto failed) { return authgrant_explain(get(), text, failed); });
    }
    owned_string explain() const { return try_explain().value(); }

    /// Gets a token and sends a request to the API; JSON (docs/reports.md).
    result<owned_string> try_test_connection() const noexcept {
        return string([&](auto text, auto failed) { return authgrant_test_connection(get(), text, failed); });
    }
    owned_string test_connection() const { return try_test_connection().value(); }

    /// The warnings so far.
    result<warnings> try_get_warnings() const noexcept {
        return detail::obtain<warnings, authgrant_error>(
            [&](auto out, auto failed) { return authgrant_get_warnings(get(), out, failed); });
    }
    warnings get_warnings() const { return try_get_warnings().value(); }

    /// The warnings that were not taken before.
    result<warnings> try_take_warnings() noexcept {
        return detail::obtain<warnings, authgrant_error>(
            [&](auto out, auto failed) { return authgrant_take_warnings(get(), out, failed); });
    }
    warnings take_warnings() { return try_take_warnings().value(); }

    /// Sets the function that receives log records up to `level`; nullptr removes it.
    result<void> try_set_log(log_function function, log_level level = log_level::info) noexcept {
        return set_callback(std::move(function), [&](log_function *context, auto failed) {
            authgrant_log_fn call = [](std::int32_t severity, const char *message, void *registered) {
                try {
                    (*static_cast<log_function *>(registered))(static_cast<log_level>(severity), message);
                } catch (...) { // documented
                }
            };
            return authgrant_set_log(get(), context == nullptr ? nullptr : call, context, static_cast<std::int32_t>(level), failed);
        });
    }
    void set_log(log_function function, log_level level = log_level::info) { try_set_log(std::move(function), level).value(); }

    /// Cancels the calls in progress on this connection.
    result<void> try_cancel() noexcept {
        return detail::run([&](auto failed) { return authgrant_cancel(get(), failed); });
    }
    void cancel() { try_cancel().value(); }

    /// Sets the function that signs JWTs with an algorithm such as "RS256"; nullptr removes it.
    result<void> try_set_signer(std::string_view algorithm, sign_function function) noexcept {
        const detail::argument algorithm_text(algorithm);
        if (!algorithm_text.valid()) return algorithm_text.cause();
        return set_callback(std::move(function), [&](sign_function *context, auto failed) {
            authgrant_sign_fn call = [](const std::uint8_t *message, std::size_t length, std::uint8_t *signature,
                                         std::size_t capacity, std::size_t *signature_length, void *registered) -> std::int32_t {
                try {
                    const std::vector<std::uint8_t> made = (*static_cast<sign_function *>(registered))(message, length);
                    if (made.size() > capacity) return -1;
                    if (!made.empty()) std::memcpy(signature, made.data(), made.size());
                    *signature_length = made.size();
                    return 0;
                } catch (...) {
                    return -1;
                }
            };
            return authgrant_set_signer(get(), algorithm_text.c_str(), context == nullptr ? nullptr : call, context, failed);
        });
    }
    void set_signer(std::string_view algorithm, sign_function function) { try_set_signer(algorithm, std::move(function)).value(); }

    /// The C object, which stays owned by this object; NULL after a move.
    authgrant_connection *get() const noexcept { return state_ == nullptr ? nullptr : state_->handle; }

private:
    /// The connection with what its callbacks refer to, which must outlive it.
    struct state {
        authgrant_connection *handle = nullptr;
        std::mutex mutex;
        std::vector<std::shared_ptr<void>> callbacks;

        state() = default;
        state(const state &) = delete;
        state &operator=(const state &) = delete;
        ~state() { authgrant_close(handle); }
    };

    explicit connection(std::unique_ptr<state> opened) noexcept : state_(std::move(opened)) {}

    template <typename Open>
    static result<connection> adopt(Open open_handle) noexcept {
        return detail::without_exceptions<result<connection>>([&]() -> result<connection> {
            auto opened = std::make_unique<state>();
            authgrant_error *failed = nullptr;
            if (open_handle(&opened->handle, &failed) != AUTHGRANT_OK) return failure(failed);
            return connection(std::move(opened));
        });
    }

    template <typename Call>
    static result<owned_string> string(Call call) noexcept {
        return detail::obtain<owned_string, char>(call);
    }

    /// The string of a call; none if it is NULL.
    template <typename Call>
    static result<std::optional<owned_string>> optional_string(Call call) noexcept {
        char *text = nullptr;
        authgrant_error *failed = nullptr;
        if (call(&text, &failed) != AUTHGRANT_OK) return failure(failed);
        return text == nullptr ? std::nullopt : std::optional<owned_string>(text);
    }

    /// Registers a function, which lives as long as the connection; an empty one is unregistered.
    template <typename Function, typename Register>
    result<void> set_callback(Function function, Register set) noexcept {
        return detail::without_exceptions<result<void>>([&]() -> result<void> {
            Function *context = nullptr;
            if (function && state_ != nullptr) {
                auto kept = std::make_shared<Function>(std::move(function));
                context = kept.get();
                const std::lock_guard<std::mutex> lock(state_->mutex);
                state_->callbacks.push_back(std::move(kept));
            }
            return detail::run([&](auto failed) { return set(context, failed); });
        });
    }

    /// Stores an exception of `open_url` in `thrown`.
    result<void> authorize_keeping(const open_url_function &open_url, const call_options *options, std::exception_ptr &thrown) noexcept {
        struct shown {
            const open_url_function &function;
            std::exception_ptr &thrown;
        } context{open_url, thrown};
        authgrant_open_url_fn call = [](const char *url, void *registered) -> std::int32_t {
            auto *current = static_cast<shown *>(registered);
            try {
                return current->function(url);
            } catch (...) {
                current->thrown = std::current_exception();
                return -1;
            }
        };
        if (options == nullptr) {
            return detail::run([&](auto failed) { return authgrant_authorize(get(), open_url ? call : nullptr, &context, failed); });
        }
        const authgrant_call_options raw = raw_options(*options);
        return detail::run(
            [&](auto failed) { return authgrant_authorize_with(get(), &raw, open_url ? call : nullptr, &context, failed); });
    }

    void authorize(const open_url_function &open_url, const call_options *options) {
        std::exception_ptr thrown;
        auto outcome = authorize_keeping(open_url, options, thrown);
        if (!outcome && thrown) std::rethrow_exception(thrown);
        outcome.value();
    }

    static authgrant_call_options raw_options(const call_options &options) noexcept {
        authgrant_call_options raw{};
        raw.size = sizeof raw;
        raw.timeout_ms = detail::count(options.timeout);
        raw.min_validity_s = detail::count(options.min_validity);
        raw.flags = (options.no_prompt ? std::uint32_t{AUTHGRANT_NO_PROMPT} : 0U) |
                    (options.no_network ? std::uint32_t{AUTHGRANT_NO_NETWORK} : 0U);
        raw.cancel_token = options.cancel == nullptr ? nullptr : options.cancel->get();
        return raw;
    }

    std::unique_ptr<state> state_;
};

/* ---- functions of the library and of the process */

/// The version of the library; AUTHGRANT_VERSION_NUMBER is the version of the header.
inline std::string_view version() noexcept { return authgrant_version(); }

/// The table of options as JSON.
inline std::string_view option_table() noexcept { return authgrant_option_table(); }

/// Quotes a value for use in a connection string.
inline result<owned_string> try_quote_value(std::string_view value) noexcept {
    const detail::argument text(value);
    if (!text.valid()) return text.cause();
    return detail::obtain<owned_string, char>([&](auto out, auto failed) { return authgrant_quote_value(text.c_str(), out, failed); });
}
inline owned_string quote_value(std::string_view value) { return try_quote_value(value).value(); }

/// Checks a connection string offline, also one that cannot be opened; JSON (docs/reports.md).
inline result<owned_string> try_validate_string(std::string_view connection_string) noexcept {
    const detail::argument text(connection_string);
    if (!text.valid()) return text.cause();
    return detail::obtain<owned_string, char>([&](auto out, auto failed) { return authgrant_validate_string(text.c_str(), out, failed); });
}
inline owned_string validate_string(std::string_view connection_string) { return try_validate_string(connection_string).value(); }

/// The counters of the process as JSON (docs/stats.md).
inline result<owned_string> try_get_stats() noexcept {
    return detail::obtain<owned_string, char>([](auto out, auto failed) { return authgrant_get_stats(out, failed); });
}
inline owned_string get_stats() { return try_get_stats().value(); }

/// Sets what connection strings may do in this process.
inline result<void> try_set_policy(allow allowed, forbid forbidden) noexcept {
    return detail::run([&](auto failed) {
        return authgrant_set_policy(static_cast<std::uint32_t>(allowed), static_cast<std::uint32_t>(forbidden), failed);
    });
}
inline void set_policy(allow allowed, forbid forbidden) { try_set_policy(allowed, forbidden).value(); }

/// Allows file paths below a directory although forbid::file_paths is set.
inline result<void> try_allow_directory(std::string_view path) noexcept {
    const detail::argument text(path);
    if (!text.valid()) return text.cause();
    return detail::run([&](auto failed) { return authgrant_allow_directory(text.c_str(), failed); });
}
inline void allow_directory(std::string_view path) { try_allow_directory(path).value(); }

/// Receives one audit event as JSON, which never contains a secret; authgrant_audit_fn documents its members. The call waits for
/// the function. An exception is discarded, and with it the event.
using audit_function = std::function<void(std::string_view event)>;

namespace detail {

/// The audit function of the process. Never destroyed, because connections may be closed after the destructors of static objects.
struct audit_state {
    std::mutex mutex;
    std::unique_ptr<audit_function> function;

    static audit_state &get() {
        static audit_state *state = new audit_state;
        return *state;
    }
};

/// Whether this thread is inside the audit function.
inline bool &inside_audit() noexcept {
    thread_local bool inside = false;
    return inside;
}

inline void call_audit(const char *event, void *context) noexcept {
    inside_audit() = true;
    try {
        (*static_cast<audit_function *>(context))(event);
    } catch (...) { // documented
    }
    inside_audit() = false;
}

} // namespace detail

/// Sets the function that receives the audit events of the process; nullptr removes it and waits until its calls in progress have
/// returned. A second function is an error until the first one is removed.
inline result<void> try_set_audit(audit_function function) noexcept {
    return detail::without_exceptions<result<void>>([&]() -> result<void> {
        // An error, without a wait for the thread that waits for this one.
        if (detail::inside_audit()) return detail::run([](auto failed) { return authgrant_set_audit(nullptr, nullptr, failed); });
        detail::audit_state &state = detail::audit_state::get();
        auto next = function ? std::make_unique<audit_function>(std::move(function)) : nullptr;
        const std::lock_guard<std::mutex> lock(state.mutex);
        const authgrant_audit_fn call = next == nullptr ? nullptr : detail::call_audit;
        auto outcome = detail::run([&](auto failed) { return authgrant_set_audit(call, next.get(), failed); });
        if (outcome) state.function = std::move(next);
        return outcome;
    });
}
inline void set_audit(audit_function function) { try_set_audit(std::move(function)).value(); }

/// A store of the application, in which processes share tokens, for set_token_store(). It has entries and leases, both by
/// name; authgrant_token_store documents what each function must guarantee. Times are by the clock of the store.
///
/// The functions are called by threads that request tokens, possibly by several at once, and must return within
/// TokenCacheTimeout by themselves. An exception means that the store failed.
class token_store {
public:
    using milliseconds = std::chrono::milliseconds;
    /// The random identity of a lease.
    using owner_id = std::array<std::uint8_t, 16>;
    /// A value with what is left of the time to live that put() had.
    struct entry {
        std::vector<std::uint8_t> value;
        milliseconds ttl;
    };
    /// What put() writes, and when. `value` is valid during the call only.
    struct update {
        std::uint64_t expected_generation;
        std::uint64_t generation;
        const std::uint8_t *value;
        std::size_t length;
        milliseconds ttl;
    };

    token_store() = default;
    token_store(const token_store &) = delete;
    token_store &operator=(const token_store &) = delete;
    virtual ~token_store() = default;

    /// Nothing if there is no entry or it has expired.
    virtual std::optional<entry> get(std::string_view name) = 0;
    /// Acquires a lease that ends after `ttl`, in one atomic step; false if another owner holds it.
    virtual bool lease(std::string_view name, const owner_id &owner, milliseconds ttl) = 0;
    /// Writes an entry, in one transaction: only if `owner` holds the lease and the entry has the expected generation, where no
    /// entry and an expired one have generation 0. Returns whether it wrote.
    virtual bool put(std::string_view name, const owner_id &owner, const update &change) = 0;
    /// Ends a lease if `owner` holds it.
    virtual void release(std::string_view name, const owner_id &owner) = 0;
};

namespace detail {

/// Runs a function of a store. Returns -1 if it throws.
template <typename Function>
std::int32_t call_store(void *context, Function function) noexcept {
    try {
        function(*static_cast<token_store *>(context));
        return 0;
    } catch (...) {
        return -1;
    }
}

inline token_store::owner_id owner_id(const std::uint8_t *bytes) noexcept {
    token_store::owner_id owner{};
    std::memcpy(owner.data(), bytes, owner.size());
    return owner;
}

/// The functions of a store for C.
inline authgrant_token_store store_functions(token_store *store) noexcept {
    authgrant_token_store functions{};
    functions.size = sizeof functions;
    functions.context = store;
    functions.get = [](const char *name, std::uint8_t *buffer, std::size_t capacity, std::size_t *length, std::int64_t *ttl_ms,
                       void *context) {
        return call_store(context, [&](token_store &called) {
            const std::optional<token_store::entry> found = called.get(name);
            if (!found || found->value.empty()) return;
            if (found->value.size() <= capacity) std::memcpy(buffer, found->value.data(), found->value.size());
            *length = found->value.size();
            *ttl_ms = found->ttl.count();
        });
    };
    functions.lease = [](const char *name, const std::uint8_t *owner, std::int64_t ttl_ms, std::int32_t *taken, void *context) {
        return call_store(context, [&](token_store &called) {
            *taken = called.lease(name, owner_id(owner), token_store::milliseconds(ttl_ms)) ? 1 : 0;
        });
    };
    functions.put = [](const char *name, const std::uint8_t *owner, std::uint64_t expected_generation, std::uint64_t generation,
                       const std::uint8_t *value, std::size_t length, std::int64_t ttl_ms, std::int32_t *written, void *context) {
        return call_store(context, [&](token_store &called) {
            const token_store::update change{expected_generation, generation, value, length, token_store::milliseconds(ttl_ms)};
            *written = called.put(name, owner_id(owner), change) ? 1 : 0;
        });
    };
    functions.release = [](const char *name, const std::uint8_t *owner, void *context) {
        return call_store(context, [&](token_store &called) { called.release(name, owner_id(owner)); });
    };
    return functions;
}

} // namespace detail

/// Sets the store in which connections with TokenCache=application: share tokens with other processes; once, before the first
/// connection is opened. The library uses it until the process ends, so it is never destroyed, unless the call fails.
inline result<void> try_set_token_store(std::unique_ptr<token_store> store) noexcept {
    if (store == nullptr) return failure(status_code::invalid_argument, "[authgrant][c++] the token store is NULL");
    const authgrant_token_store functions = detail::store_functions(store.get());
    auto outcome = detail::run([&](auto failed) { return authgrant_set_token_store(&functions, failed); });
    if (outcome) static_cast<void>(store.release());
    return outcome;
}
inline void set_token_store(std::unique_ptr<token_store> store) { try_set_token_store(std::move(store)).value(); }

/// Clears the caches of the process.
inline void clear_caches() noexcept { authgrant_clear_caches(); }

/// The UTF-8 of wide text. `unit_size` is sizeof(SQLWCHAR), 2 or 4; `length` is in units, or -1 or SQL_NTS.
inline result<owned_string> try_from_wide(const void *text, std::ptrdiff_t length, std::size_t unit_size) noexcept {
    return detail::obtain<owned_string, char>(
        [&](auto utf8, auto failed) { return authgrant_from_wide(text, length, unit_size, utf8, failed); });
}
inline owned_string from_wide(const void *text, std::ptrdiff_t length, std::size_t unit_size) {
    return try_from_wide(text, length, unit_size).value();
}

/// Converts UTF-8 to the wide text of a driver manager: `unit_size` is sizeof(SQLWCHAR), `capacity` is in units. Returns the
/// needed size in units with the NUL; if that is more than `capacity`, the text is truncated.
inline result<std::size_t> try_to_wide(std::string_view text, void *buffer, std::size_t capacity, std::size_t unit_size) noexcept {
    const detail::argument copy(text);
    if (!copy.valid()) return copy.cause();
    return detail::fill(
        [&](auto needed, auto failed) { return authgrant_to_wide(copy.c_str(), buffer, capacity, unit_size, needed, failed); });
}
inline std::size_t to_wide(std::string_view text, void *buffer, std::size_t capacity, std::size_t unit_size) {
    return try_to_wide(text, buffer, capacity, unit_size).value();
}

} // namespace authgrant

#endif // AUTHGRANT_HPP
