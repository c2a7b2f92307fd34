package authgrant

// #include <authgrant.h>
import "C"

import (
	"context"
	"errors"
	"time"
)

// ErrClosed is the error of calls on a closed connection.
var ErrClosed = errors.New("authgrant: the connection is closed")

// Error is an error or a warning of the library. It contains no secrets.
type Error struct {
	// Status is the kind of the error. [StatusOK] for warnings.
	Status Status
	// SQLState is ODBC's code, such as "28000".
	SQLState string
	// Message is "[authgrant][component] text".
	Message string
	// Option is the option that caused the error, if any.
	Option string
	// OAuthError and OAuthDescription are `error` and `error_description` of the server (RFC 6749 section 5.2), if any.
	OAuthError, OAuthDescription string
	// ProviderCode is the provider's own code, such as "AADSTS65001", if any.
	ProviderCode string
	// ConsentURL is what the user must open, with [StatusConsentRequired].
	ConsentURL string
	// HTTPStatus is the status of the server's response; 0 if there was none.
	HTTPStatus int
	// RetryAfter is the time until the next attempt; 0 if unknown.
	RetryAfter time.Duration
	// Retryable is whether the same call may succeed later.
	Retryable bool
	// Next is the next error of the chain, such as the next missing option.
	Next *Error

	// cause is the error of the context or of a callback.
	cause error
}

// Error returns the messages of the chain, one per line.
func (e *Error) Error() string {
	if e.Next == nil {
		return e.Message
	}
	return e.Message + "\n" + e.Next.Error()
}

// Is reports whether target is the [Status] of this error.
func (e *Error) Is(target error) bool {
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Unwrap returns the next error of the chain, and the error of the context or callback that ended the call.
func (e *Error) Unwrap() []error {
	var wrapped []error
	if e.Next != nil {
		wrapped = append(wrapped, e.Next)
	}
	if e.cause != nil {
		wrapped = append(wrapped, e.cause)
	}
	return wrapped
}

// takeError copies a chain of errors and releases it. Nil for NULL.
func takeError(first *C.authgrant_error) *Error {
	defer C.authgrant_error_free(first)
	var copied *Error
	end := &copied
	for e := (*C.authgrant_error)(first); e != nil; e = C.authgrant_error_next(e) {
		*end = copyError(e)
		end = &(*end).Next
	}
	return copied
}

func copyError(e *C.authgrant_error) *Error {
	return &Error{
		Status:           Status(C.authgrant_error_status(e)),
		SQLState:         C.GoString(C.authgrant_error_sqlstate(e)),
		Message:          C.GoString(C.authgrant_error_message(e)),
		Option:           C.GoString(C.authgrant_error_option(e)),
		OAuthError:       C.GoString(C.authgrant_error_oauth_error(e)),
		OAuthDescription: C.GoString(C.authgrant_error_oauth_description(e)),
		ProviderCode:     C.GoString(C.authgrant_error_provider_code(e)),
		ConsentURL:       C.GoString(C.authgrant_error_consent_url(e)),
		HTTPStatus:       int(C.authgrant_error_http_status(e)),
		RetryAfter:       time.Duration(C.authgrant_error_retry_after(e)) * time.Second,
		Retryable:        C.authgrant_error_retryable(e) != 0,
	}
}

// newError returns the error of a call that returned status; nil if that is AUTHGRANT_OK.
func newError(status C.authgrant_status, failure *C.authgrant_error) error {
	if status == C.AUTHGRANT_OK {
		return nil
	}
	if err := takeError(failure); err != nil {
		return err
	}
	return Status(status) // there was no memory for the error
}

// argumentError is the error of an argument that is rejected before the library is called.
func argumentError(text string) error {
	return &Error{Status: StatusInvalidArgument, SQLState: "HY009", Message: "[authgrant][argument] " + text}
}

// contextError adds the error of the context to the error of a call that it ended.
func contextError(ctx context.Context, err error) error {
	var failure *Error
	if !errors.As(err, &failure) {
		return err
	}
	switch deadline, ok := ctx.Deadline(); {
	case failure.Status == StatusCancelled && ctx.Err() != nil:
		failure.cause = ctx.Err()
	case failure.Status == StatusTimeout && ok && !time.Now().Before(deadline):
		failure.cause = context.DeadlineExceeded
	}
	return failure
}

// addCause adds the error of a callback to the error of a call that it ended.
func addCause(err, cause error) {
	var failure *Error
	if errors.As(err, &failure) && failure.cause == nil {
		failure.cause = cause
	}
}
