package authgrant

/*
#cgo pkg-config: authgrant
#include <time.h>
#include <authgrant.h>

#define KNOWN_TOKEN 0
#define OTHER_TOKEN 1
#define NO_TOKEN 2

typedef struct {
    authgrant_token *token;
    int state;
} cached_token;

// One call from Go for a cached read: returns KNOWN_TOKEN if the cached token is still the one with the text known, which the
// caller holds, or OTHER_TOKEN with a new reference. NO_TOKEN if there is none, or if it may be due for renewal, which
// AUTHGRANT_NO_NETWORK would put off until it expires. That is not known of a token without expiry.
static cached_token get_cached_token(authgrant_connection *connection, const char *known)
{
    authgrant_call_options options = {sizeof options, 0, 0, AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK, NULL};
    cached_token cached = {NULL, NO_TOKEN};
    int64_t refresh_at;

    if (authgrant_get_token_with(connection, &options, &cached.token, NULL) != AUTHGRANT_OK) return cached;
    refresh_at = authgrant_token_refresh_at(cached.token);
    if (refresh_at > (int64_t)time(NULL)) {
        cached.state = OTHER_TOKEN;
        if (authgrant_token_value(cached.token) != known) return cached;
        cached.state = KNOWN_TOKEN;
    }
    authgrant_token_free(cached.token);
    cached.token = NULL;
    return cached;
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"time"
	"unsafe"
)

// Token is an access token. It is immutable and outlives its connection. Formatting and logging do not show its text.
type Token struct {
	ref                     *tokenRef
	value, tokenType, scope string
	expiresAt, refreshAt    time.Time
}

// tokenRef keeps a C token: a reference of its own, or one that belongs to headers.
type tokenRef struct {
	handle *C.authgrant_token
	text   *C.char
}

// newToken takes over a reference to a token.
func newToken(handle *C.authgrant_token) *Token {
	ref := newTokenRef(handle)
	runtime.AddCleanup(ref, func(handle *C.authgrant_token) { C.authgrant_token_free(handle) }, handle)
	return ref.token()
}

func newTokenRef(handle *C.authgrant_token) *tokenRef {
	return &tokenRef{handle, C.authgrant_token_value(handle)}
}

func (r *tokenRef) token() *Token {
	return &Token{
		ref:       r,
		value:     C.GoStringN(r.text, C.int(C.authgrant_token_length(r.handle))),
		tokenType: C.GoString(C.authgrant_token_type(r.handle)),
		scope:     C.GoString(C.authgrant_token_scope(r.handle)),
		expiresAt: unixTime(C.authgrant_token_expires_at(r.handle)),
		refreshAt: unixTime(C.authgrant_token_refresh_at(r.handle)),
	}
}

func unixTime(seconds C.int64_t) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// Value returns the text of the token, to be sent in the header "Authorization: Bearer ...". It is a secret: do not log it.
func (t *Token) Value() string { return t.value }

// Type returns the token type, "Bearer".
func (t *Token) Type() string { return t.tokenType }

// ExpiresAt returns when the token expires; zero if the server did not say.
func (t *Token) ExpiresAt() time.Time { return t.expiresAt }

// RefreshAt returns from when on the connection renews the token; zero if its expiry is unknown.
func (t *Token) RefreshAt() time.Time { return t.refreshAt }

// Scope returns the granted scope, separated by spaces. It is empty if the response has none, which means the requested scope
// (RFC 6749 section 5.1).
func (t *Token) Scope() string { return t.scope }

// Field returns another member of the token response by its exact name, such as "instance_url": a string as it is, any other
// value as JSON. The refresh token is no field.
func (t *Token) Field(name string) (value string, ok bool) {
	cName, err := newCString("name", name)
	if err != nil {
		return "", false
	}
	defer cName.free()
	defer runtime.KeepAlive(t.ref)
	text := C.authgrant_token_field(t.ref.handle, cName.text)
	return C.GoString(text), text != nil
}

// Format writes a text without the token, for every verb of package fmt.
func (t *Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "authgrant.Token(****)") }

// LogValue returns a text without the token.
func (t *Token) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// CallOptions are the options of one call. The zero value has none.
type CallOptions struct {
	// MinValidity is the minimum remaining lifetime of the token, capped at nine tenths of its lifetime. It is rounded up to
	// seconds.
	MinValidity time.Duration
	// NoPrompt does not open a browser, whatever EnableLoginPrompt says.
	NoPrompt bool
	// NoNetwork returns only a token that is cached or that is created without a request; otherwise [StatusNotCached].
	NoNetwork bool
}

// Token returns the access token to send. It requests a new one only if the cached token is missing or about to expire;
// concurrent callers wait for one request.
//
// A cached read is one call of C and allocates nothing.
func (c *Connection) Token(ctx context.Context) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if token := c.knownToken(); token != nil {
		return token, nil
	}
	handle, err := c.requestHandle(ctx, CallOptions{})
	if err != nil {
		c.cached.Store(nil)
		return nil, err
	}
	if known := c.cached.Load(); known != nil && known.ref.text == C.authgrant_token_value(handle) {
		C.authgrant_token_free(handle)
		return known, nil
	}
	token := newToken(handle)
	c.store(token)
	return token, nil
}

// TokenWith returns the access token as [Connection.Token] does, with options for this call.
func (c *Connection) TokenWith(ctx context.Context, options CallOptions) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.requestToken(ctx, options)
}

// knownToken returns the cached token without blocking; nil if there is none or if it is due for renewal. The library decides
// that each time, so that rejected tokens and changed options are noticed.
func (c *Connection) knownToken() *Token {
	known := c.cached.Load()
	if known == nil || !c.core.acquire() {
		return nil
	}
	cached := C.get_cached_token(c.core.handle, known.ref.text)
	runtime.KeepAlive(known.ref) // its text has this address as long as it is held
	c.core.release()
	runtime.KeepAlive(c)
	c.core.callbacks.rethrow()
	switch cached.state {
	case C.KNOWN_TOKEN:
		return known
	case C.OTHER_TOKEN:
		token := newToken(cached.token)
		c.store(token)
		return token
	default:
		return nil
	}
}

// store keeps the token for the next read, unless the connection was closed meanwhile.
func (c *Connection) store(token *Token) {
	c.cached.Store(token)
	if c.core.isClosed() {
		c.cached.Store(nil)
	}
}

func (c *Connection) requestToken(ctx context.Context, options CallOptions) (*Token, error) {
	handle, err := c.requestHandle(ctx, options)
	if err != nil {
		return nil, err
	}
	return newToken(handle), nil
}

// requestHandle returns a new reference to a token.
func (c *Connection) requestHandle(ctx context.Context, options CallOptions) (token *C.authgrant_token, err error) {
	err = c.callWith(ctx, options, func(connection *C.authgrant_connection, options *C.authgrant_call_options, failure **C.authgrant_error) C.authgrant_status {
		if options == nil {
			return C.authgrant_get_token(connection, &token, failure)
		}
		return C.authgrant_get_token_with(connection, options, &token, failure)
	})
	return token, err
}

// Reject reports that the API rejected this token (HTTP 401), so that the next call requests a new one. Only the first rejection
// of the cached token has this effect, and repeated rejections count only 1, 2, 4 ... 60 s apart.
func (c *Connection) Reject(token *Token) error {
	defer runtime.KeepAlive(token.ref)
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_reject_token(handle, token.ref.handle, failure)
	})
}

// AppendToken appends the text of the access token to buffer, for callers that overwrite it after use: the text of a [Token] stays
// in memory until the garbage collector has freed it. It blocks as [Connection.Token] does.
func (c *Connection) AppendToken(ctx context.Context, buffer []byte) ([]byte, error) {
	token, err := c.requestHandle(ctx, CallOptions{})
	if err != nil {
		return buffer, err
	}
	C.authgrant_token_free(token) // it is cached now, so the copy below does not block
	for {
		buffer = slices.Grow(buffer, 1)
		free := buffer[len(buffer):cap(buffer)]
		var length C.size_t
		err := c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
			return C.authgrant_copy_token(handle, (*C.char)(unsafe.Pointer(&free[0])), C.size_t(len(free)), &length, failure)
		})
		if err == nil {
			return buffer[:len(buffer)+int(length)-1], nil // without the NUL
		}
		if !errors.Is(err, StatusBufferTooSmall) {
			return buffer, err
		}
		buffer = slices.Grow(buffer, int(length))
	}
}
