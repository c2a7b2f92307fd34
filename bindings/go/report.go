package authgrant

// #include <authgrant.h>
import "C"

import "encoding/json"

// reportFunc is a function of the library that returns a report.
type reportFunc = func(*C.authgrant_connection, **C.char, **C.authgrant_error) C.authgrant_status

func (c *Connection) report(call reportFunc) (json.RawMessage, error) {
	text, err := c.text(call)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(text), nil
}

// Validate returns all problems and warnings of the options as JSON (docs/reports.md). It works offline and succeeds even if it
// finds problems.
func (c *Connection) Validate() (json.RawMessage, error) {
	return c.report(func(handle *C.authgrant_connection, text **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_validate(handle, text, failure)
	})
}

// ValidateString returns the report of [Connection.Validate] for a connection string, also for one that does not parse.
func ValidateString(connectionString string) (json.RawMessage, error) {
	text, err := newCString("connectionString", connectionString)
	if err != nil {
		return nil, err
	}
	defer text.free()
	var report *C.char
	var failure *C.authgrant_error
	if err := newError(C.authgrant_validate_string(text.text, &report, &failure), failure); err != nil {
		return nil, err
	}
	return json.RawMessage(takeString(report)), nil
}

// Explain returns what would be sent, unsigned, as JSON (docs/reports.md).
func (c *Connection) Explain() (json.RawMessage, error) {
	return c.report(func(handle *C.authgrant_connection, text **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_explain(handle, text, failure)
	})
}

// Test requests a token and calls the API with it, and returns what happened as JSON (docs/reports.md). [Connection.Cancel] ends it.
func (c *Connection) Test() (json.RawMessage, error) {
	return c.report(func(handle *C.authgrant_connection, text **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_test_connection(handle, text, failure)
	})
}

// Warnings returns the warnings collected so far, such as unknown options.
func (c *Connection) Warnings() ([]*Error, error) {
	return c.warnings(func(handle *C.authgrant_connection, first, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_get_warnings(handle, first, failure)
	})
}

// TakeWarnings returns the warnings that no call of TakeWarnings on the connection returned before. A warning that is found again
// is returned only if its text is new.
func (c *Connection) TakeWarnings() ([]*Error, error) {
	return c.warnings(func(handle *C.authgrant_connection, first, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_take_warnings(handle, first, failure)
	})
}

// warnings calls a function of the library that returns warnings.
func (c *Connection) warnings(call func(*C.authgrant_connection, **C.authgrant_error, **C.authgrant_error) C.authgrant_status) ([]*Error, error) {
	var first *C.authgrant_error
	err := c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return call(handle, &first, failure)
	})
	if err != nil {
		return nil, err
	}
	var warnings []*Error
	for next := takeError(first); next != nil; {
		warning := next
		next, warning.Next = warning.Next, nil
		warnings = append(warnings, warning)
	}
	return warnings, nil
}

// Stats returns the counters of the process as JSON (docs/stats.md).
func Stats() (json.RawMessage, error) {
	var text *C.char
	var failure *C.authgrant_error
	if err := newError(C.authgrant_get_stats(&text, &failure), failure); err != nil {
		return nil, err
	}
	return json.RawMessage(takeString(text)), nil
}

// OptionTable returns name, aliases, type, default, secrecy and help of each option as JSON.
func OptionTable() json.RawMessage { return json.RawMessage(C.GoString(C.authgrant_option_table())) }
