package authgrant

// #include <authgrant.h>
import "C"

import (
	"context"
	"math"
	"time"
)

// callWith calls the library with options; these are nil if the call has none. The context ends this call and no other.
func (c *Connection) callWith(ctx context.Context, options CallOptions,
	call func(*C.authgrant_connection, *C.authgrant_call_options, **C.authgrant_error) C.authgrant_status) error {
	var cOptions *C.authgrant_call_options
	deadline, hasDeadline := ctx.Deadline()
	if hasDeadline || ctx.Done() != nil || options != (CallOptions{}) {
		cOptions = &C.authgrant_call_options{
			timeout_ms:     ceil(time.Until(deadline), time.Millisecond),
			min_validity_s: ceil(options.MinValidity, time.Second),
		}
		cOptions.size = C.sizeof_authgrant_call_options
		if !hasDeadline {
			cOptions.timeout_ms = 0
		} else if cOptions.timeout_ms <= 0 {
			return context.DeadlineExceeded
		}
		if options.NoPrompt {
			cOptions.flags |= C.AUTHGRANT_NO_PROMPT
		}
		if options.NoNetwork {
			cOptions.flags |= C.AUTHGRANT_NO_NETWORK
		}
	}
	if ctx.Done() != nil {
		var failure *C.authgrant_error
		if err := newError(C.authgrant_cancel_token_new(&cOptions.cancel_token, &failure), failure); err != nil {
			return err
		}
		defer C.authgrant_cancel_token_free(cOptions.cancel_token)
		defer cancelAfter(ctx, cOptions.cancel_token)()
	}
	err := c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return call(handle, cOptions, failure)
	})
	if err != nil {
		return contextError(ctx, err)
	}
	return nil
}

// cancelAfter cancels the token when the context is done. The returned function ends that, and waits until the token is no longer
// used.
func cancelAfter(ctx context.Context, token *C.authgrant_cancel_token) func() {
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		C.authgrant_cancel_token_cancel(token)
	})
	return func() {
		if !stop() {
			<-cancelled
		}
	}
}

// ceil converts a duration to a number of units, rounded up and limited to what C can represent.
func ceil(duration, unit time.Duration) C.int32_t {
	units := duration / unit
	if duration%unit > 0 {
		units++
	}
	return C.int32_t(min(max(units, math.MinInt32), math.MaxInt32))
}
