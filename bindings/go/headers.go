package authgrant

// #include <authgrant.h>
import "C"

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"runtime"
)

// Headers are the headers that a request to the API must carry. They are immutable and outlive the connection.
type Headers struct {
	names, values []string
	token         *Token
}

// Headers returns the headers that a request to the API must carry: Authorization with the token, the header of AuthHeader and
// SecurityToken, and the headers of the model file. It blocks as [Connection.Token] does.
func (c *Connection) Headers(ctx context.Context) (*Headers, error) {
	// The function for the headers has no options for a call, so the token is requested first. Methods without a token are
	// StatusUnsupported there.
	if _, err := c.Token(ctx); err != nil && !errors.Is(err, StatusUnsupported) {
		return nil, err
	}
	var handle *C.authgrant_headers
	err := c.do(func(connection *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_get_headers(connection, &handle, failure)
	})
	if err != nil {
		return nil, err
	}
	return newHeaders(handle), nil
}

// RequestHeaders returns the headers of one request to the API, with its method and URL. They are those of [Connection.Headers];
// method and URL are for a proof of possession (DPoP), which no option enables yet. It blocks as [Connection.Token] does.
func (c *Connection) RequestHeaders(ctx context.Context, method, url string) (*Headers, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cMethod, err := newCString("method", method)
	if err != nil {
		return nil, err
	}
	defer cMethod.free()
	cURL, err := newCString("url", url)
	if err != nil {
		return nil, err
	}
	defer cURL.free()
	var handle *C.authgrant_headers
	err = c.callWith(ctx, CallOptions{}, func(connection *C.authgrant_connection, options *C.authgrant_call_options, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_get_request_headers(connection, cMethod.text, cURL.text, options, &handle, failure)
	})
	if err != nil {
		return nil, err
	}
	return newHeaders(handle), nil
}

// newHeaders copies headers. They are released with their token, which belongs to them.
func newHeaders(handle *C.authgrant_headers) *Headers {
	h := &Headers{}
	for i := range C.authgrant_headers_count(handle) {
		h.names = append(h.names, C.GoString(C.authgrant_headers_name(handle, i)))
		h.values = append(h.values, C.GoString(C.authgrant_headers_value(handle, i)))
	}
	token := C.authgrant_headers_token(handle)
	if token == nil {
		C.authgrant_headers_free(handle)
		return h
	}
	ref := newTokenRef(token)
	runtime.AddCleanup(ref, func(handle *C.authgrant_headers) { C.authgrant_headers_free(handle) }, handle)
	h.token = ref.token()
	return h
}

// All returns names and values in sending order. The values are secrets.
func (h *Headers) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i, name := range h.names {
			if !yield(name, h.values[i]) {
				return
			}
		}
	}
}

// Apply sets the headers.
func (h *Headers) Apply(header http.Header) {
	for name, value := range h.All() {
		header.Set(name, value)
	}
}

// Token returns the token that the headers contain, to be passed to [Connection.Reject]; nil if the method has none.
func (h *Headers) Token() *Token { return h.token }
