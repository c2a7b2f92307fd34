package authgrant

/*
#include <authgrant.h>

extern int32_t authgrantGoOpenURL(char *url, uintptr_t handle);
extern void authgrantGoRefreshToken(char *token, uintptr_t handle);

static int32_t open_url(const char *url, void *context) { return authgrantGoOpenURL((char *)url, (uintptr_t)context); }

static void store_refresh_token(const char *token, void *context) { authgrantGoRefreshToken((char *)token, (uintptr_t)context); }

static authgrant_status authorize(authgrant_connection *connection, const authgrant_call_options *options, uintptr_t handle, authgrant_error **error)
{
    authgrant_open_url_fn function = handle == 0 ? NULL : open_url;
    if (options == NULL) return authgrant_authorize(connection, function, (void *)handle, error);
    return authgrant_authorize_with(connection, options, function, (void *)handle, error);
}

static authgrant_status set_refresh_token_callback(authgrant_connection *connection, uintptr_t handle, authgrant_error **error)
{
    authgrant_refresh_token_fn function = handle == 0 ? NULL : store_refresh_token;
    return authgrant_set_refresh_token_callback(connection, function, (void *)handle, error);
}
*/
import "C"

import (
	"context"
	"runtime/cgo"
)

// ConsentURL returns the URL that a user opens to give consent. Nothing is sent, and no key is needed.
func (c *Connection) ConsentURL() (string, error) {
	return c.text(func(handle *C.authgrant_connection, url **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_consent_url(handle, url, failure)
	})
}

// Authorize lets a user log in, or consent to what the grant of the connection needs: it shows the URL and listens at RedirectURI
// until the browser is redirected there (RFC 8252).
//
// openURL shows the URL and returns without waiting for the user; nil opens the system browser. The error of the call contains the
// error of openURL. Authorize blocks for at most ConsentTimeout, and then as [Connection.Token] does. The context ends it; its
// deadline is for the whole call, instead of these options.
func (c *Connection) Authorize(ctx context.Context, openURL func(url string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	opener := &urlOpener{open: openURL}
	var opened cgo.Handle
	if openURL != nil {
		opened = cgo.NewHandle(opener)
		defer opened.Delete()
	}
	call := func(handle *C.authgrant_connection, options *C.authgrant_call_options, failure **C.authgrant_error) C.authgrant_status {
		return C.authorize(handle, options, C.uintptr_t(opened), failure)
	}
	err := c.callWith(ctx, CallOptions{}, call)
	if opener.panicked != nil {
		panic(opener.panicked)
	}
	if opener.err != nil {
		addCause(err, opener.err)
	}
	return err
}

// Logoff ends the token and the login of the connection before they expire. If LogoffURI is set, it revokes them there (RFC 7009).
func (c *Connection) Logoff() error {
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_logoff(handle, failure)
	})
}

// OnRefreshToken passes every new or rotated refresh token to function before the access token is returned, so that it can be
// stored across restarts; nil ends that. To restore a stored token, set the option RefreshToken to "literal:" and the token.
func (c *Connection) OnRefreshToken(function func(refreshToken string)) error {
	context := c.core.context
	if function == nil {
		context = 0
		c.core.callbacks.refreshToken.Store(nil)
	} else {
		c.core.callbacks.refreshToken.Store(&function)
	}
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.set_refresh_token_callback(handle, C.uintptr_t(context), failure)
	})
}

// CreateAssertion returns a newly signed JWT of the grant without sending it. It is a secret.
func (c *Connection) CreateAssertion() (string, error) {
	return c.text(func(handle *C.authgrant_connection, assertion **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_create_assertion(handle, assertion, failure)
	})
}
