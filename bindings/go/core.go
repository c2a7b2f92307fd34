package authgrant

// #include <authgrant.h>
import "C"

import (
	"runtime/cgo"
	"sync/atomic"
)

// core owns the C connection. It is closed when close was called and no call is in progress, because authgrant_close must be the
// last call. It does not refer to the Connection, so that the garbage collector can find that unreachable.
type core struct {
	handle    *C.authgrant_connection
	callbacks *callbacks
	// context is passed to the library's callbacks. It is valid until authgrant_close.
	context cgo.Handle
	// users is the number of calls in progress times two, plus one if the connection is to be closed.
	users    atomic.Int64
	released atomic.Bool
}

func newCore(handle *C.authgrant_connection) *core {
	callbacks := &callbacks{}
	return &core{handle: handle, callbacks: callbacks, context: cgo.NewHandle(callbacks)}
}

// acquire begins a call, unless the connection is closed.
func (c *core) acquire() bool {
	if c.users.Add(2)&1 == 0 {
		return true
	}
	c.release()
	return false
}

func (c *core) isClosed() bool { return c.users.Load()&1 != 0 }

// release ends a call.
func (c *core) release() {
	if c.users.Add(-2) == 1 {
		c.destroy()
	}
}

// close closes the connection, or lets the last call in progress do that.
func (c *core) close() {
	if c.users.Or(1) == 0 {
		c.destroy()
	}
}

func (c *core) destroy() {
	if c.released.CompareAndSwap(false, true) {
		C.authgrant_close(c.handle)
		c.context.Delete()
	}
}
