// Package authgrant gets OAuth access tokens from ODBC-style connection strings, with the C library libauthgrant.
//
// A [Connection] is opened from the connection string that a user wrote. It returns tokens, headers for API requests, an
// [golang.org/x/oauth2.TokenSource] and an [net/http.RoundTripper]. Tokens are cached in the process and renewed before they
// expire, so a program asks for the token each time that it needs one.
//
// # Building
//
// The package uses cgo and finds header and library with pkg-config (authgrant.pc). If the library is not installed in a
// directory of the system, set PKG_CONFIG_PATH when building and LD_LIBRARY_PATH when running.
//
// # Contexts
//
// A context cancels the call that it was passed to and no other call on the connection, and its deadline limits the call.
// Without a deadline the limit is the option LoginTimeout. The error of a call that its context ended contains ctx.Err(), so
// errors.Is(err, context.Canceled) and errors.Is(err, context.DeadlineExceeded) work.
//
// # Errors
//
// Errors of the library are of type *[Error]. Test them with errors.As, or with errors.Is and a [Status]:
//
//	if errors.Is(err, authgrant.StatusConsentRequired) { ... }
//
// # Goroutines
//
// All functions may be called from several goroutines at once, also on one connection. Callbacks run on the goroutine of the
// call. They must not call functions of this package other than getters of tokens, headers and errors: these fail with
// StatusInvalidArgument. If a callback of a connection panics, the call that it belongs to panics with the same value after it has
// ended; a panic of a [TokenStore] is a failure of the store.
package authgrant
