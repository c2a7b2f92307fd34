package authgrant

/*
#include <authgrant.h>

extern void authgrantGoAudit(char *event, uintptr_t handle);

static void audit_event(const char *event, void *context)
{
    authgrantGoAudit((char *)event, (uintptr_t)context);
}

static authgrant_status set_audit(uintptr_t handle, authgrant_error **error)
{
    return authgrant_set_audit(handle == 0 ? NULL : audit_event, (void *)handle, error);
}
*/
import "C"

import (
	"encoding/json"
	"runtime/cgo"
	"sync/atomic"
)

// auditHandle is the handle of a function of [SetAudit], which is the context in C.
type auditHandle struct {
	handle  cgo.Handle
	deleted atomic.Bool
}

func (h *auditHandle) delete() {
	if h.deleted.CompareAndSwap(false, true) {
		h.handle.Delete()
	}
}

// currentAudit is the function that is set.
var currentAudit atomic.Pointer[auditHandle]

// SetAudit sets the function that receives the audit events of the process; nil removes it. Each event is a JSON object, which never
// contains a secret: each request to an authorization server, the use of a token that another process requested, and
// [Connection.Reject]. Its members are documented at authgrant_audit_fn in authgrant.h.
//
// The function is called by the goroutine of the call, possibly by several at once, and the call waits for it. It must not call
// functions of this package. A panic is logged as a warning by [slog.Default], with the event; the call goes on.
//
// A second function is an error until the first one is removed. The removal waits until calls of the function have returned.
func SetAudit(function func(event json.RawMessage)) error {
	var failure *C.authgrant_error
	if function == nil {
		removed := currentAudit.Load()
		if err := newError(C.set_audit(0, &failure), failure); err != nil {
			return err
		}
		if removed != nil {
			removed.delete()
			// Unless another goroutine has set a function since.
			currentAudit.CompareAndSwap(removed, nil)
		}
		return nil
	}
	added := &auditHandle{handle: cgo.NewHandle(function)}
	if err := newError(C.set_audit(C.uintptr_t(added.handle), &failure), failure); err != nil {
		added.delete()
		return err
	}
	currentAudit.Store(added)
	return nil
}
