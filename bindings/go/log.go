package authgrant

/*
#include <authgrant.h>

extern void authgrantGoLog(int32_t level, char *message, uintptr_t handle);

static void log_record(int32_t level, const char *message, void *context)
{
    authgrantGoLog(level, (char *)message, (uintptr_t)context);
}

// A handle of Go is a number. In Go it must not have the type of a pointer.
static authgrant_status set_log(authgrant_connection *connection, uintptr_t handle, int32_t level, authgrant_error **error)
{
    return authgrant_set_log(connection, level == 0 ? NULL : log_record, (void *)handle, level, error);
}
*/
import "C"

import (
	"context"
	"log/slog"
)

// LevelTrace is the level of the library's trace records.
const LevelTrace = slog.LevelDebug - 4

// logLevels are the levels of slog by the library's, which begin with 1.
var logLevels = []slog.Level{slog.LevelError, slog.LevelWarn, slog.LevelInfo, slog.LevelDebug, LevelTrace}

// SetLogger sends the log records of later calls on the connection to logger; nil ends that. The library does not create
// records of levels that logger does not handle now. Records contain no secrets.
func (c *Connection) SetLogger(logger *slog.Logger) error {
	level := 0
	for i, slogLevel := range logLevels {
		if logger != nil && logger.Enabled(context.Background(), slogLevel) {
			level = i + 1
		}
	}
	c.core.callbacks.logger.Store(logger)
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.set_log(handle, C.uintptr_t(c.core.context), C.int32_t(level), failure)
	})
}

func logTo(logger *slog.Logger, level int, message string) {
	if level >= 1 && level <= len(logLevels) {
		logger.Log(context.Background(), logLevels[level-1], message)
	}
}
